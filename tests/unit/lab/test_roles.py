"""Roles are rendered as Ansible renders them, and Debian's own programs accept the result."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lab.certificate import make_certificate
from tests.lab.roles import (
    ROLES,
    UnknownRoleVariable,
    render_role,
    role_defaults,
    role_variables,
    template_environment,
)

# The roles whose templates the lab renders.
ROLES_WITH_TEMPLATES = ["haproxy", "kamailio", "redis", "rtpengine", "webapp_api"]


@pytest.mark.parametrize("role", ROLES_WITH_TEMPLATES)
def test_every_variable_of_a_role_begins_with_a_prefix_of_that_role(role: str) -> None:
    others = {"kamailio": ("gateway_",), "webapp_api": ("gateway_routing_table",)}
    prefixes = (f"{role}_", *others.get(role, ()))
    assert [name for name in role_defaults(role) if not name.startswith(prefixes)] == []


@pytest.mark.parametrize("role", ["haproxy", "redis"])
def test_every_variable_of_a_role_stands_in_its_readme(role: str) -> None:
    readme = (ROLES / role / "README.md").read_text()
    assert [name for name in role_defaults(role) if f"`{name}`" not in readme] == []


def test_a_default_may_refer_to_another_variable() -> None:
    variables = role_variables("kamailio", {"gateway_realm": "ims.example.com"})
    assert variables["gateway_visited_network"] == "ims.example.com"


def test_an_override_that_the_role_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownRoleVariable, match="redis_colour"):
        render_role("redis", "redis.conf.j2", {"redis_colour": "blue"})


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"haproxy_http_port": 0, "haproxy_metrics_port": 0}, id="https-only"),
        pytest.param({"haproxy_trusted_networks": ["192.0.2.0/24", "2001:db8::/32"]}, id="somebody-trusted"),
        pytest.param(
            {
                "haproxy_trusted_networks": [f"10.{number}.0.0/16" for number in range(100)],
                "haproxy_metrics_sources": [f"10.0.0.{number}" for number in range(100)],
            },
            id="many",
        ),
        pytest.param({"haproxy_log_target": "stderr", "haproxy_hsts_max_age_s": 0}, id="to-stderr"),
        pytest.param({"haproxy_web_more": ["192.0.2.2:8000", "192.0.2.3:8000"]}, id="three-instances"),
    ],
)
def test_haproxy_accepts_its_configuration_without_a_warning(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    site = {
        "haproxy_certificate": str(make_certificate(tmp_path)),
        "haproxy_admin_socket": str(tmp_path / "admin.sock"),
        "haproxy_max_connections": 2000,
    }
    config = tmp_path / "haproxy.cfg"
    config.write_text(render_role("haproxy", "haproxy.cfg.j2", {**site, **overrides}))
    check = subprocess.run(
        ["/usr/sbin/haproxy", "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
    assert "WARNING" not in check.stdout + check.stderr


def test_the_routing_table_is_kept_where_a_reboot_leaves_it() -> None:
    folder = role_variables("kamailio", {})["gateway_routing_directory"]
    assert Path(folder).is_relative_to("/var/lib")
    service = (ROLES / "kamailio" / "templates" / "kamailio-service.conf.j2").read_text()
    assert "StateDirectory={{ kamailio_state_dir | relpath('/var/lib') }}" in service
    assert role_variables("kamailio", {"kamailio_state_dir": "/x"})["gateway_routing_directory"] == "/x"


def test_more_connections_want_a_reload_of_haproxy_and_no_restart() -> None:
    """The kernel has no ports for more than these."""
    files = {
        role_variables("haproxy", {"haproxy_max_connections": most})["haproxy_max_files"]
        for most in (2000, 64_511)
    }
    (enough,) = files
    front = render_role("haproxy", "haproxy.cfg.j2", {"haproxy_max_connections": 64_511})
    (connections,) = re.findall(r"^global\n(?:    #.*\n)?    maxconn (\d+)$", front, re.MULTILINE)
    assert enough > 2 * int(connections) + 100


@pytest.mark.parametrize("plain", [0, 80])
@pytest.mark.parametrize("metrics", [0, 8404])
def test_no_frontend_of_haproxy_takes_connections_away_from_another(plain: int, metrics: int) -> None:
    ports = {"haproxy_http_port": plain, "haproxy_metrics_port": metrics, "haproxy_max_connections": 2000}
    front = render_role("haproxy", "haproxy.cfg.j2", ports)
    together, *each = re.findall(r"^    maxconn (\d+)$", front, re.MULTILINE)
    assert len(each) == len(re.findall(r"^frontend ", front, re.MULTILINE))
    assert int(together) == sum(map(int, each))
    assert "2000" in each


def test_haproxies_are_not_restarted_all_at_once() -> None:
    handlers = yaml.safe_load((ROLES / "haproxy" / "handlers" / "main.yml").read_text())
    assert {handler["name"]: handler.get("throttle") for handler in handlers} == {
        "Restart HAProxy": 1,
        "Reload HAProxy": None,
    }


def test_relays_are_not_restarted_all_at_once() -> None:
    handlers = yaml.safe_load((ROLES / "rtpengine" / "handlers" / "main.yml").read_text())
    assert [handler.get("throttle") for handler in handlers if handler["name"] == "Restart rtpengine"] == [1]


def test_redis_keeps_state_on_disk_and_asks_for_the_password_when_told_to() -> None:
    text = render_role("redis", "redis.conf.j2", {"redis_password": "word"})
    assert "requirepass word" in text
    assert "appendonly yes" in text
    assert "maxmemory-policy noeviction" in text
    assert "requirepass" not in render_role("redis", "redis.conf.j2", {})


def test_the_programs_of_the_roles_are_installed() -> None:
    programs = ["/usr/sbin/haproxy", "/usr/bin/redis-server", "/usr/bin/rtpengine", "/usr/sbin/kamailio"]
    assert [program for program in programs if shutil.which(program) is None] == []


@pytest.mark.parametrize(
    ("folder", "writable"),
    [
        ("/var/lib/webrtc-ims-gateway/routing", []),
        ("/var/lib/webrtc-ims-gateway/routing/tables", []),
        ("/var/lib/webrtc-ims-gateway/routing2", ["/var/lib/webrtc-ims-gateway/routing2"]),
        ("/srv/gateway", ["/srv/gateway"]),
        ("", []),
    ],
)
def test_the_gateway_may_write_where_it_keeps_the_routing_table(folder: str, writable: list[str]) -> None:
    environment = template_environment(ROLES / "kamailio" / "templates")
    environment.filters |= {"relpath": os.path.relpath, "basename": os.path.basename}
    environment.globals |= {"lookup": lambda _plugin, _file: "", "role_path": ""}
    variables = role_variables("kamailio", {"gateway_routing_directory": folder})
    text = environment.get_template("kamailio-service.conf.j2").render(variables)
    assert re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE) == writable
    tasks = yaml.safe_load((ROLES / "kamailio" / "tasks" / "main.yml").read_text())
    (made,) = [task for task in tasks if "{{ gateway_routing_directory }}" in str(task)]
    assert (made["ansible.builtin.file"]["owner"], made["ansible.builtin.file"]["mode"]) == (
        "kamailio",
        "0750",
    )


def test_the_folders_that_redis_writes_are_made_before_anything_is_written_there() -> None:
    """A service whose ReadWritePaths is not there does not start."""
    tasks = yaml.safe_load((ROLES / "redis" / "tasks" / "main.yml").read_text())
    (made,) = [task for task in tasks if "{{ redis_data_dir }}" in str(task)]
    (sentinel,) = [task for task in tasks if "'sentinel.yml'" in str(task)]
    assert tasks.index(made) < tasks.index(sentinel)
    assert made["loop"] == ["{{ redis_data_dir }}", "{{ redis_sentinel_dir }}"]
    file = made["ansible.builtin.file"]
    assert (file["owner"], file["group"], file["mode"]) == ("redis", "redis", "0750")
