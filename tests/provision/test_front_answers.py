"""`check.yml` finds a HAProxy that could not be reloaded, or whose pages do not get through to a web service, and takes
a drained node for what it is.

Runs the tasks of the role on this machine, with a HAProxy of its own.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab.certificate import make_certificate
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode, port_is_free
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until
from tests.provision.operator import ANSIBLE

PLAY: Final = """
- name: Look at HAProxy
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Pages get through
      ansible.builtin.import_role: {name: haproxy, tasks_from: answers}
"""

# Since ever: what its processes are older than counts.
SYSTEMCTL: Final = """#!/bin/sh
echo "ActiveState=active"
echo "ActiveEnterTimestamp=@0"
echo "ActiveEnterTimestampMonotonic=0"
echo "MainPID={pid}"
"""
NO_WEB: Final = "Pages that come to localhost get no answer of the web service"
NOT_READ: Final = "HAProxy of localhost has not taken its last configuration"


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def web_service(port: int, *, runs: bool) -> Iterator[None]:
    """Something that answers /healthz, or nothing."""
    if not runs:
        yield
        return
    with http.server.ThreadingHTTPServer((LOOPBACK, port), _Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("web", "drained", "reloaded_for", "wrong"),
    [
        pytest.param(True, False, 0, "", id="good"),
        pytest.param(False, False, 0, NO_WEB, id="no web service"),
        pytest.param(False, True, 0, "", id="drained"),
        pytest.param(True, False, 110, "", id="reloaded"),
        pytest.param(True, False, 1000, NOT_READ, id="not enough files to be reloaded"),
    ],
)
def test_pages_that_do_not_get_through_are_noticed(
    tmp_path: Path, web: bool, drained: bool, reloaded_for: int, wrong: str
) -> None:
    """``reloaded_for``: as many connections; 0 is no reload."""
    (tmp_path / "play.yml").write_text(PLAY)
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        variables: dict[str, Any] = {
            "haproxy_address": LOOPBACK,
            "haproxy_https_port": ports.port(),
            "haproxy_http_port": 0,
            "haproxy_metrics_port": 0,
            "haproxy_web_port": ports.port(),
            "haproxy_certificate": str(make_certificate(tmp_path)),
            "haproxy_admin_socket": str(tmp_path / "admin.sock"),
            "haproxy_max_connections": 100,
            "haproxy_config_dir": str(tmp_path),
            "haproxy_user": "",
            "haproxy_log_target": "stderr",
        }
        port = variables["haproxy_https_port"]
        file = tmp_path / "haproxy.cfg"
        file.write_text(render_role("haproxy", "haproxy.cfg.j2", variables))
        starts = ["/usr/sbin/haproxy", "-W", "-S", str(tmp_path / "master.sock"), "-f", str(file)]
        with (
            web_service(variables["haproxy_web_port"], runs=web),
            subprocess.Popen(["prlimit", "--nofile=400", "--", *starts]) as front,
        ):
            try:
                wait_until(lambda: not port_is_free(port), "HAProxy listens", 5)
                (tmp_path / "systemctl").write_text(SYSTEMCTL.format(pid=front.pid))
                (tmp_path / "systemctl").chmod(0o755)
                if reloaded_for:
                    more = {**variables, "haproxy_max_connections": reloaded_for}
                    file.write_text(render_role("haproxy", "haproxy.cfg.j2", more))
                    subprocess.run(["/usr/sbin/haproxy", "-c", "-q", "-f", file], check=True)
                    front.send_signal(signal.SIGUSR2)
                if drained:
                    for command in ("set server sip/kamailio state maint", "disable frontend public"):
                        say = ANSIBLE / "roles/haproxy/files/say.py"
                        told = [sys.executable, say, variables["haproxy_admin_socket"], *command.split()]
                        subprocess.run(told, check=True)
                done = subprocess.run(
                    [
                        *(sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"),
                        *("--extra-vars", json.dumps({**variables, "haproxy_asked_times": 2})),
                        str(tmp_path / "play.yml"),
                    ],
                    cwd=ANSIBLE,
                    env={
                        **os.environ,
                        "PATH": f"{tmp_path}:{os.environ['PATH']}",
                        "ANSIBLE_FORCE_COLOR": "0",
                        "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
                    },
                    capture_output=True,
                    text=True,
                    check=False,
                )
            finally:
                front.terminate()
    said = " ".join((done.stdout + done.stderr).split())
    assert [text for text in (NO_WEB, NOT_READ) if text in said] == ([wrong] if wrong else []), said
    assert (done.returncode == 0) == (not wrong), said
