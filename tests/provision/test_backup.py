"""backup.yml fetches the state of real Redis servers, at whatever address of the machine each of them listens.

Plays it on this machine, as several machines.
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until
from tests.provision.operator import ANSIBLE

PASSWORD = "abcdefghijkl.~-_"
ADDRESSES = {
    "every": "* -::*",
    "six-if-it-is-there": "-::1",
    "all-of-six": "::*",
    # An address for documentation, which no machine has.
    "another-if-it-is-there": f"-192.0.2.1 {LOOPBACK}",
}


def listens(address: str, port: int) -> bool:
    """Tell whether it does; raise OSError where not."""
    socket.create_connection((address, port), 1).close()
    return True


def test_the_state_is_fetched_from_wherever_redis_listens(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ports = stack.enter_context(PortBlocks(PortMode.FREE, rtp_ports=0))
        machines: dict[str, dict[str, Any]] = {}
        for name, address in ADDRESSES.items():
            folder = tmp_path / name
            folder.mkdir()
            variables: dict[str, Any] = {
                "redis_address": address,
                "redis_port": ports.port(),
                "redis_password": PASSWORD if name == "every" else "",
                "redis_data_dir": str(folder),
                "redis_config_dir": str(folder),
            }
            (folder / "redis.conf").write_text(render_role("redis", "redis.conf.j2", variables))
            server = subprocess.Popen(["redis-server", str(folder / "redis.conf")], stdout=subprocess.DEVNULL)
            stack.callback(server.wait, 10)
            stack.callback(server.terminate)
            machines[name] = {
                "ansible_connection": "local",
                "ansible_python_interpreter": "/usr/bin/python3",
                **variables,
            }
        for name, variables in machines.items():
            place = "::1" if "six" in name else LOOPBACK
            wait_until(partial(listens, place, variables["redis_port"]), f"Redis {name} listens", 10)
        (tmp_path / "hosts.json").write_text(json.dumps({"redis": {"hosts": machines}}))
        status, said = _played(tmp_path / "hosts.json", f"{tmp_path}/somewhere/../backup")
        assert status == 0, said
        assert f"The backup is in {tmp_path}/backup; it holds secrets." in said
    for name in ADDRESSES:
        assert (tmp_path / "backup" / name / "redis.rdb").read_bytes().startswith(b"REDIS"), name


def _played(inventory: Path, folder: str) -> tuple[int, str]:
    """Back up; return the status, and what the play said."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "--forks", "2", "-i", str(inventory)),
            *("-e", f"backup_dir={folder}", "playbooks/backup.yml"),
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("group", ["redis", "web"])
def test_no_secret_comes_into_the_repository(tmp_path: Path, group: str) -> None:
    machine = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    (tmp_path / "hosts.json").write_text(json.dumps({group: {"hosts": {"one": machine}}}))
    folder = os.path.relpath(tmp_path / "backup", ANSIBLE / "playbooks")
    status, said = _played(tmp_path / "hosts.json", folder)
    assert status != 0
    assert f"backup_dir is {folder}: name its whole path" in said
    assert not (tmp_path / "backup").exists()
