"""`drain.yml` of media nodes, beside gateways that are alive, dead, or not even there.

Runs the playbook on this machine, as many machines; what would speak to gateways and relays notes what it is asked.
"""

import json
import os
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
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
    with _haproxy(folder / "admin.sock"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "-i", str(folder / "hosts.json")),
                *("--limit", limit, "playbooks/drain.yml"),
            ],
            cwd=ANSIBLE,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
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
        )
    assert status == 0, said
    node = "192.0.2.7:2223"
    assert asked == [f"both drain {node}", f"own drain {node}", f"both list --json --node {node}"]
    # Another gateway would take the loopback address for its own relay.
    assert not [line for line in asked if LOOPBACK in line]
