"""A real Prometheus, set up by the role, reads a machine's figures; alert rules and dashboards know the same series."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest
import yaml
from cryptography import x509

from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK
from tests.lab.roles import ROLES, render_role
from tests.lab.waiting import wait_until

FILES: Final = ROLES / "monitoring" / "files"
DASHBOARDS: Final = sorted((FILES / "dashboards").glob("*.json"))
JOBS: Final = {"gateway", "media_agent", "webapp_api", "haproxy", "certificate"}
SECRET: Final = "0123456789abcdef0123456789abcdef"
ALONE: Final = "localhost"
"""Under this name the web service is read without HAProxy, too."""
PARTS: Final = {Part.REDIS, Part.RTPENGINE, Part.GATEWAY, Part.MEDIA_AGENT, Part.WEB_API, Part.HAPROXY}


@pytest.fixture(scope="module")
def machine() -> Iterator[Lab]:
    """One machine with everything of ours."""
    chosen = {
        "webapp_api": {"webapp_api_metrics_secret": SECRET},
        "haproxy": {"haproxy_metrics_web_secret": SECRET},
    }
    with Lab(LabOptions(parts=frozenset(PARTS), role_variables=chosen)) as lab:
        yield lab


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        self._base = f"http://{LOOPBACK}:{port}"

    def get(self, path: str) -> Any:
        """Return the data of an answer of its API."""
        with urllib.request.urlopen(f"{self._base}{path}", timeout=5) as answer:
            return json.load(answer)["data"]

    def value(self, query: str) -> list[Any]:
        """Return what a query finds now."""
        found: list[Any] = self.get(f"/api/v1/query?query={quote(query)}")["result"]
        return found

    def up(self) -> set[str]:
        """Return the jobs that are read."""
        try:
            return {one["metric"]["job"] for one in self.value("up == 1")}
        except OSError:
            return set()


@pytest.fixture(scope="module")
def prometheus(machine: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus of the role's configuration, on this machine."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(FILES / "gateway.rules.yml", folder)
    variables = {
        "monitoring_gateways": [LOOPBACK],
        "monitoring_webs": [LOOPBACK],
        "monitoring_webs_alone": [ALONE],
        "monitoring_web_port": urlsplit(machine.info.web.service_url).port,
        "monitoring_web_secret": SECRET,
        "monitoring_port": urlsplit(machine.info.web.metrics_url).port,
        "monitoring_interval_s": 1,
        "monitoring_config_dir": str(folder),
    }
    (folder / "webapp_api.secret").write_text(SECRET)
    (folder / "prometheus.yml").write_text(render_role("monitoring", "prometheus.yml.j2", variables))
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={LOOPBACK}:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        running = Prometheus(port)
        wait_until(lambda: running.up() >= JOBS, "Prometheus reads all programs", 20)
        yield running
    finally:
        process.terminate()
        process.wait(10)


def test_everything_is_read_and_no_rule_is_broken(prometheus: Prometheus) -> None:
    assert {one["metric"]["job"] for one in prometheus.value("up")} == JOBS
    webs = 'count(up{job="webapp_api", instance=~"127.0.0.1|localhost"} == 1)'
    wait_until(lambda: [one["value"][1] for one in prometheus.value(webs)] == ["2"], "both webs are read", 10)
    rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 20
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert [one["metric"]["node"] for one in prometheus.value("gateway_relay_up == 1")]
    assert prometheus.value("media_agent_gateway_up == 1")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_understands_what_dashboards_ask(prometheus: Prometheus, dashboard: Path) -> None:
    panels = json.loads(dashboard.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(queries) > 10
    for query in queries:  # whether there is what they ask for: tests/unit/test_figures_asked_for.py
        prometheus.value(query.replace("$instance", ".*"))


def test_alert_rules_fire_when_they_should() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "gateway.rules.test.yml"],
        cwd=FILES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/metrics", 200, id="HAProxy"),
        pytest.param("GET", "/metrics/gateway", 200, id="gateway"),
        pytest.param("GET", "/metrics/media_agent", 200, id="media agent"),
        pytest.param("GET", "/metrics/webapp_api", 200, id="web API"),
        pytest.param("GET", "/metrics/certificate", 200, id="certificate"),
        pytest.param("GET", "/v1/calls", 404, id="nothing else of the control endpoint"),
        pytest.param("GET", "/metrics/gateway/../v1/calls", 404, id="nor around the corner"),
        pytest.param("POST", "/metrics/gateway", 403, id="reading only"),
    ],
)
def test_figures_and_nothing_else_are_passed_on(machine: Lab, method: str, path: str, status: int) -> None:
    url = urlsplit(machine.info.web.metrics_url)
    line = http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)
    line.request(method, path)
    answer = line.getresponse()
    text = answer.read().decode()
    assert answer.status == status
    if status == 200:
        assert "# TYPE " in text
        assert machine.info.gateway.control_secret not in text
    line.close()


def test_the_end_of_the_certificate_is_that_of_what_is_shown(machine: Lab, prometheus: Prometheus) -> None:
    origin = urlsplit(machine.info.web.origin)
    pem = ssl.get_server_certificate((LOOPBACK, origin.port or 443))
    end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    (found,) = prometheus.value("haproxy_certificate_end_yymmddhhmmss")
    assert int(found["value"][1]) == int(f"{end:%y%m%d%H%M%S}")


def test_a_drained_node_is_asked_for_no_certificate(machine: Lab, prometheus: Prometheus) -> None:
    """The door is closed to its own question, too; HAProxy says that this is meant."""
    groups = yaml.safe_load((FILES / "gateway.rules.yml").read_text())["groups"]
    (rule,) = (one for group in groups for one in group["rules"] if one["alert"] == "CertificateUnknown")

    def say(words: str) -> None:
        program = [
            sys.executable,
            str(ROLES / "haproxy/files/say.py"),
            f"{machine.info.run_dir}/haproxy.sock",
        ]
        subprocess.run([*program, *words.split()], check=True, capture_output=True)

    def is_closed() -> bool:
        return bool(prometheus.value('up{job="certificate"} == 0'))

    def asks_why() -> bool:
        return bool(prometheus.value(rule["expr"]))

    try:
        say("set server sip/kamailio state maint")
        say("disable frontend public")
        wait_until(lambda: is_closed() and not asks_why(), "closed, and known to be drained", 10)
        say("set server sip/kamailio state ready")
        wait_until(asks_why, "closed, and not drained", 10)
    finally:
        say("set server sip/kamailio state ready")
        say("enable frontend public")
    wait_until(lambda: not is_closed(), "it is open again", 10)


def test_the_public_origin_has_no_figures(machine: Lab) -> None:
    web = urlsplit(machine.info.web.service_url)
    line = http.client.HTTPConnection(web.hostname or "", web.port, timeout=5)
    line.request("GET", "/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
    answer = line.getresponse()
    assert (answer.status, answer.getheader("WWW-Authenticate")) == (401, "Bearer")
    line.close()
