"""Prometheus, which has no login, answers where the operator wants it."""

import shlex
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.lab.roles import ROLES, render_role

NODES: Final[dict[str, Any]] = {
    "monitoring_gateways": [],
    "monitoring_webs": [],
    "monitoring_webs_alone": [],
}


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        pytest.param({}, "127.0.0.1:9090", id="on its own machine"),
        pytest.param({"monitoring_listen_address": "192.0.2.50"}, "192.0.2.50:9090", id="management network"),
        pytest.param({"monitoring_listen_address": "2001:db8::7"}, "[2001:db8::7]:9090", id="IPv6"),
        pytest.param({"monitoring_listen_port": 9091}, "127.0.0.1:9091", id="another port"),
    ],
)
def test_prometheus_listens_at_one_address(variables: dict[str, Any], where: str) -> None:
    text = render_role("monitoring", "prometheus-service.conf.j2", NODES | variables)
    starts = [line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart=")]
    # The unit's own command is taken away first; what operators have in /etc/default/prometheus stays.
    assert starts[0] == ""
    assert [shlex.split(line) for line in starts[1:]] == [
        ["/usr/bin/prometheus", f"--web.listen-address={where}", "$ARGS"]
    ]


@pytest.mark.parametrize(("rc", "says_where"), [(0, False), (1, True), (2, True)])
def test_it_starts_again_until_its_address_is_there(rc: int, says_where: bool) -> None:
    """Whoever says where it listens: this role, or the machine itself."""
    text = render_role("monitoring", "prometheus-service.conf.j2", NODES, monitoring_own_address={"rc": rc})
    lines = text.splitlines()
    assert {"Wants=network-online.target", "After=network-online.target"} <= set(lines)
    assert {"StartLimitIntervalSec=0", "Restart=always", "RestartSec=1"} <= set(lines)
    assert any(line.startswith("ExecStart=") for line in lines) is says_where


@pytest.mark.parametrize(
    ("text", "says_so"),
    [
        pytest.param('ARGS="--web.listen-address=192.0.2.50:9090"\n', True, id="yes"),
        pytest.param('ARGS="--storage.tsdb.retention.time=90d --web.listen-address :9090"\n', True, id="too"),
        pytest.param('ARGS=""\n#  --web.listen-address="0.0.0.0:9090"\n', False, id="Debian's own"),
        pytest.param(None, False, id="not installed yet"),
    ],
)
def test_what_the_machine_says_itself_is_seen(tmp_path: Path, text: str | None, says_so: bool) -> None:
    """Prometheus does not start with two of them."""
    tasks = yaml.safe_load((ROLES / "monitoring/tasks/main.yml").read_text())
    *command, _ = tasks[0]["ansible.builtin.command"]["argv"]
    file = tmp_path / "prometheus"
    if text is not None:
        file.write_text(text)
    status = subprocess.run([*command, str(file)], check=False).returncode
    assert (status == 0, status <= 2) == (says_so, True)
