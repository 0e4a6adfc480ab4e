"""`drain.yml`: of media nodes, beside gateways that are alive, dead, or not even there; of gateways that want a secret.

Runs the playbook on this machine, as many machines; what would speak to gateways and relays notes what it is asked.
"""

import http.server
import json
import os
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.provision.operator import ANSIBLE

pytestmark = pytest.mark.timeout(300)

MACHINE: Final = """#!/bin/sh
export MACHINE={name} STATUS={status}
exec {python} "$@"
"""
RTPENGINE: Final = """#!/bin/sh
shift 2
echo "$MACHINE $*" >> asked
[ "$1" = list ] && echo '[]'
exit $STATUS
"""
RELAY: Final = "2001:db8::7"


class _Obeys(socketserver.StreamRequestHandler):
    """HAProxy's admin socket: does what it is told, and says nothing."""

    def handle(self) -> None:
        self.rfile.readline()


@contextmanager
def _haproxy(path: Path) -> Iterator[None]:
    with socketserver.ThreadingUnixStreamServer(str(path), _Obeys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class _Control(http.server.BaseHTTPRequestHandler):
    """A gateway's control endpoint; it has no call."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Gateway)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        known = self.headers["Authorization"] == f"Bearer {server.secret}"
        status = server.status if known else 401
        server.asked.append(f"{self.command} {self.path} {status}")
        body = json.dumps({"calls": 0, "pages": 0}).encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Gateway(http.server.ThreadingHTTPServer):
    """A gateway that runs with a secret and answers with a status, and what it was asked."""

    def __init__(self, secret: str, status: int) -> None:
        super().__init__((LOOPBACK, 0), _Control)
        self.secret, self.status = secret, status
        self.asked: list[str] = []


@contextmanager
def _gateway(secret: str, status: int = 200) -> Iterator[_Gateway]:
    with _Gateway(secret, status) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _program(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def _played(
    folder: Path,
    gateways: Mapping[str, Mapping[str, Any]],
    media: Mapping[str, Mapping[str, Any]],
    limit: str,
    *options: str,
    front: bool = True,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str, Sequence[str]]:
    """Drain; return the status, what the play said, and what gateways and relays were asked, in order."""
    log = folder / "asked"
    log.touch()
    _program(folder / "bin" / "python", RTPENGINE)
    hosts: dict[str, dict[str, Any]] = {}
    for name, variables in {**media, **gateways}.items():
        machine = MACHINE.format(name=name, status=variables.get("status", 0), python=sys.executable)
        hosts[name] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": _program(folder / name, machine),
            "media_agent_venv_dir": str(folder),
            "media_agent_code_dir": str(folder),
            "haproxy_admin_socket": str(folder / "admin.sock"),
            "gateway_control_secret": "0" * 32,
            **media.get(name, {}),
            **variables,
        }
    groups = {"signalling": {"hosts": dict.fromkeys(gateways)}, "media": {"hosts": dict.fromkeys(media)}}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "children": groups}}))
    with _haproxy(folder / "admin.sock") if front else nullcontext():
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "-i", str(folder / "hosts.json")),
                *("--limit", limit, "playbooks/drain.yml", *options),
            ],
            cwd=ANSIBLE,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode, " ".join((done.stdout + done.stderr).split()), log.read_text().splitlines()


def _nobody(port: int) -> dict[str, Any]:
    return {
        "ansible_connection": "ssh",
        "ansible_host": LOOPBACK,
        "ansible_port": port,
        "ansible_ssh_common_args": "-o BatchMode=yes",
    }


def test_gateways_that_are_dead_or_away_do_not_hold_up_a_drain(tmp_path: Path) -> None:
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        status, said, asked = _played(
            tmp_path,
            {"away": _nobody(ports.port()), "dead": {"status": 3}, "sig": {}},
            {"media": {"rtpengine_ng_address": RELAY}},
            "media",
        )
    assert status == 0, said
    node = f"[{RELAY}]:2223"
    assert asked == [f"dead drain {node}", f"sig drain {node}", f"sig list --json --node {node}"]
    assert "Not told of media: away, dead. A gateway that comes back gives it calls" in said


def test_a_drain_of_which_no_gateway_is_told_fails(tmp_path: Path) -> None:
    status, said, asked = _played(
        tmp_path, {"dead": {"status": 3}}, {"media": {"rtpengine_ng_address": "192.0.2.7"}}, "media"
    )
    assert status != 0
    assert asked == ["dead drain 192.0.2.7:2223"]
    assert "No gateway was told of media (192.0.2.7:2223)" in said


def test_a_machine_that_is_gateway_and_relay_is_drained_as_both(tmp_path: Path) -> None:
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        silent = {"kamailio_control_port": ports.port()}
        status, said, asked = _played(
            tmp_path,
            {"both": silent, "own": silent},
            {"both": {"rtpengine_ng_address": "192.0.2.7"}, "own": {"rtpengine_ng_address": LOOPBACK}},
            "both,own",
            *("--extra-vars", "drain_all=true"),
        )
    assert status == 0, said
    node = "192.0.2.7:2223"
    assert asked == [f"both drain {node}", f"own drain {node}", f"both list --json --node {node}"]
    # Another gateway would take the loopback address for its own relay.
    assert not [line for line in asked if LOOPBACK in line]


def _running(folder: Path, gateway: _Gateway, settings: str) -> dict[str, Any]:
    """A machine on which it runs, with the secret of its settings; the operator has another one."""
    (folder / "gateway.toml").write_text(
        f'[sip]\nsecret = "no"\n\n[control]\naddress = "{LOOPBACK}"\nport = {gateway.server_port}\n'
        f'secret = "{settings}"\n\n[registration]\nsecret = "no"\n'
    )
    return {
        "kamailio_config_dir": str(folder),
        "gateway_control_secret": "",
        "gateway_trunks": [{"name": "a", "uris": ["sip:192.0.2.1"]}],
    }


@pytest.mark.parametrize("drain", [True, False])
def test_a_gateway_is_asked_with_the_secret_that_it_has(tmp_path: Path, drain: bool) -> None:
    with _gateway("old&" * 8) as gateway:
        machine = _running(tmp_path, gateway, r"old\u0026" * 8)  # as Ansible writes it
        options = ("--extra-vars", json.dumps({"drain": drain}))
        status, said, _ = _played(tmp_path, {"sig1": machine, "sig2": {}}, {}, "sig1", *options)
    assert status == 0, said
    assert "does not answer" not in said
    assert not [line for line in gateway.asked if line.endswith("401")]
    assert {"PUT /v1/drain 200", "PUT /v1/trunks/leave 200"} <= set(gateway.asked)


@pytest.mark.parametrize("drain", [True, False])
def test_a_gateway_that_does_not_know_us_is_not_taken_for_dead(tmp_path: Path, drain: bool) -> None:
    with _gateway("old" * 12) as gateway:
        machine = _running(tmp_path, gateway, "new" * 12)
        options = ("--extra-vars", json.dumps({"drain": drain}))
        status, said, _ = _played(tmp_path, {"sig1": machine}, {}, "sig1", *options)
    assert status != 0
    assert "was not started again since gateway_control_secret changed" in said
    assert not [line for line in gateway.asked if line.startswith("PUT")]


@pytest.mark.parametrize("drain", [True, False])
def test_a_front_that_is_dead_does_not_hold_up_a_drain(tmp_path: Path, drain: bool) -> None:
    secret = "0" * 32
    with _gateway(secret) as gateway:
        machine = _running(tmp_path, gateway, secret)
        options = ("--extra-vars", json.dumps({"drain": drain}))
        status, said, _ = _played(tmp_path, {"sig1": machine, "sig2": {}}, {}, "sig1", *options, front=False)
    assert status == 0, said
    assert "PUT /v1/drain 200" in gateway.asked


def test_a_front_that_listens_elsewhere_is_not_taken_for_dead(tmp_path: Path) -> None:
    _program(tmp_path / "bin" / "systemctl", "#!/bin/sh\n[ $1 = is-active ] && [ $3 = haproxy ]\n")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    status, said, _ = _played(tmp_path, {"sig1": {}}, {}, "sig1", front=False, environment={"PATH": path})
    assert status != 0
    assert "HAProxy runs, and has its admin socket elsewhere" in said


def test_a_gateway_that_cannot_say_its_calls_is_not_taken_for_dead(tmp_path: Path) -> None:
    secret = "0" * 32
    with _gateway(secret, 500) as gateway:
        status, said, _ = _played(tmp_path, {"sig1": _running(tmp_path, gateway, secret)}, {}, "sig1")
    assert status != 0
    assert "runs, and answers 500 when it is asked for its calls" in said
    assert not [line for line in gateway.asked if line.startswith("PUT")]


def test_a_gateway_is_asked_beside_any_proxy(tmp_path: Path) -> None:
    secret = "0" * 32
    with _gateway(secret) as gateway, _gateway("of nobody", 403) as proxy:
        machine = _running(tmp_path, gateway, secret)
        environment = {"http_proxy": f"http://{LOOPBACK}:{proxy.server_port}", "no_proxy": ""}
        status, said, _ = _played(tmp_path, {"sig1": machine}, {}, "sig1", environment=environment)
    assert status == 0, said
    assert proxy.asked == []
    assert "GET /v1/drain 200" in gateway.asked


def _site(gateway: _Gateway, folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Two gateways, which one control endpoint is for, and two relays."""
    machine = _running(folder, gateway, "0" * 32)
    relays = {
        name: {"rtpengine_ng_address": f"192.0.2.{place}"} for place, name in enumerate(("m1", "m2"), 7)
    }
    return {"sig1": machine, "sig2": dict(machine)}, relays


@pytest.mark.parametrize(
    ("limit", "kind"), [("all", "signalling"), ("signalling,m1", "signalling"), ("sig1,media", "media")]
)
def test_a_site_is_not_taken_out_of_service_as_a_whole(tmp_path: Path, limit: str, kind: str) -> None:
    with _gateway("0" * 32) as gateway:
        status, said, asked = _played(tmp_path, *_site(gateway, tmp_path), limit)
    assert status != 0
    nodes = {"signalling": "sig1, sig2", "media": "m1, m2"}[kind]
    assert f"All nodes of the group {kind} would be drained ({nodes})" in said
    assert "--limit NODE" in said
    assert (gateway.asked, asked) == ([], [])


@pytest.mark.parametrize("options", [{"drain": False}, {"drain_all": True}])
def test_a_whole_site_comes_back_or_is_drained_on_purpose(tmp_path: Path, options: dict[str, bool]) -> None:
    with _gateway("0" * 32) as gateway:
        extra = ("--extra-vars", json.dumps(options))
        status, said, asked = _played(tmp_path, *_site(gateway, tmp_path), "all", *extra)
    assert status == 0, said
    assert {line.split()[2] for line in asked} >= {"192.0.2.7:2223", "192.0.2.8:2223"}
    assert "PUT /v1/drain 200" in gateway.asked
