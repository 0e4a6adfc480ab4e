"""HAProxy shows a program behind it the secret that reads its figures, whatever characters it has."""

from __future__ import annotations

import http.client
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.lab.certificate import make_certificate
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("0123456789abcdef0123456789abcdef", id="of openssl"),
        pytest.param("%bbb%[src]%%0123456789abcdef", id="percent"),
        pytest.param('"$HOME${PATH}#0123456789abcdef', id="double quote and dollar"),
        pytest.param("'\\n\\'0123456789abcdef", id="single quote and backslash"),
    ],
)
def test_a_secret_is_shown_as_it_is(tmp_path: Path, secret: str) -> None:
    shown: list[str | None] = []

    class Program(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports, HTTPServer((LOOPBACK, 0), Program) as program:
        metrics = ports.port()
        config = tmp_path / "haproxy.cfg"
        variables = {
            "haproxy_certificate": str(make_certificate(tmp_path)),
            "haproxy_admin_socket": str(tmp_path / "admin.sock"),
            "haproxy_address": LOOPBACK,
            "haproxy_https_port": ports.port(),
            "haproxy_http_port": 0,
            "haproxy_user": "",
            "haproxy_log_target": "stderr",
            "haproxy_max_connections": 100,
            "haproxy_metrics_port": metrics,
            "haproxy_metrics_gateway_port": program.server_port,
            "haproxy_metrics_gateway_secret": secret,
        }
        config.write_text(render_role("haproxy", "haproxy.cfg.j2", variables))
        threading.Thread(target=program.serve_forever, args=(0.05,), daemon=True).start()
        front = subprocess.Popen(
            ["/usr/sbin/haproxy", "-db", "-f", str(config)], stderr=subprocess.PIPE, text=True
        )

        def answers() -> bool:
            if front.poll() is not None:
                raise AssertionError(front.communicate()[1])
            line = http.client.HTTPConnection(LOOPBACK, metrics, timeout=5)
            line.request("GET", "/metrics/gateway")
            answer = line.getresponse().status
            line.close()
            return answer == 200

        try:
            wait_until(answers, "HAProxy passes figures on", 10)
        finally:
            front.terminate()
            front.communicate()
            program.shutdown()
    assert shown == [f"Bearer {secret}"]
