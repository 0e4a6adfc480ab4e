"""File descriptors of HAProxy: it does not start without enough of them, which `haproxy -c` does not say."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lab.certificate import make_certificate
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode, port_is_free
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until
from webapp_api.gwctl.machine import system
from webapp_api.gwctl.machine.diagnosis import Level
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.run import examine

CONNECTIONS = 1000


@pytest.mark.parametrize("threads", [2, 48])
def test_haproxy_starts_with_what_the_doctor_calls_enough(tmp_path: Path, threads: int) -> None:
    """And one that has less, as twice the connections are, is warned of; so a reload may come."""
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        variables: dict[str, Any] = {
            "haproxy_address": LOOPBACK,
            "haproxy_https_port": ports.port(),
            "haproxy_http_port": ports.port(),
            "haproxy_metrics_port": ports.port(),
            "haproxy_certificate": str(make_certificate(tmp_path)),
            "haproxy_admin_socket": str(tmp_path / "admin.sock"),
            "haproxy_max_connections": CONNECTIONS,
            "haproxy_threads": threads,
            "haproxy_user": "",
            "haproxy_log_target": "stderr",
        }
        text = render_role("haproxy", "haproxy.cfg.j2", variables)
        (file := tmp_path / "haproxy.cfg").write_text(text)
        host = Host(tmp_path, haproxy=text)
        ((_, _, enough, _),) = system._programs(host)
        command = ["/usr/sbin/haproxy", "-W", "-S", str(tmp_path / "master.sock"), "-f", str(file)]
        with subprocess.Popen(
            ["prlimit", f"--nofile=256:{enough}", "--", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as front:
            try:
                port = variables["haproxy_https_port"]
                wait_until(lambda: front.poll() is not None or not port_is_free(port), "HAProxy listens", 10)
                assert front.poll() is None
                (good,) = examine(host, ("limits",))
                more = text.replace("    maxconn ", "    maxconn 1", 1)
                (bad,) = examine(Host(tmp_path, haproxy=more), ("limits",))
            finally:
                front.send_signal(signal.SIGTERM)
    assert (good.level, bad.level) == (Level.OK, Level.WARNING)
