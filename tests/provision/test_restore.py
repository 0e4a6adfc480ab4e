"""A state that cannot be put back on all Redis machines leaves all of them as they were, and running.

Plays restore.yml on this machine, as several machines; what starts and stops Redis is a script of the test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.provision.operator import ANSIBLE

# Of a newer Redis, as it were: one that is told to refuse it does not start with it.
SERVICE = """#!/bin/sh
echo $1 >>$2/service
if [ $1 = started ] && [ -e $2/refuses ] && grep -qr REDIS9999 $2/appendonlydir; then exit 1; fi
"""
HERE: dict[str, Any] = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
DEAD: dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def restore(folder: Path, machines: dict[str, dict[str, Any]], state: str = "") -> str:
    """Play it; return what was said."""
    service = folder / "service.sh"
    service.write_text(SERVICE)

    def scripted(tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            scripted(task.get("block", []) + task.get("rescue", []))
            if asked := task.pop("ansible.builtin.systemd_service", None):
                command = ["/bin/sh", str(service), asked["state"], "{{ redis_data_dir }}"]
                task["ansible.builtin.command"] = {"argv": command}
            if asked := task.get("ansible.builtin.file") or task.get("ansible.builtin.copy"):
                del asked["owner"], asked["group"]
            if task["name"] == "Wait until it has read the state":
                task["ansible.builtin.command"] = {"argv": ["echo", "1"]}

    plays = yaml.safe_load((ANSIBLE / "playbooks/restore.yml").read_text())
    scripted(plays[0]["tasks"])
    (folder / "restore.yml").write_text(yaml.safe_dump(plays))
    (folder / "hosts.json").write_text(json.dumps({"redis": {"hosts": machines}}))
    (folder / "redis.rdb").write_bytes(b"REDIS9999")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", str(folder / "hosts.json")),
            *("-e", f"restore_state={state or folder / 'redis.rdb'}", str(folder / "restore.yml")),
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return f"{done.returncode} " + " ".join(done.stdout.split()) + done.stderr


def machine(folder: Path, name: str) -> dict[str, Any]:
    """Make a machine with a state."""
    data = folder / name
    (data / "appendonlydir").mkdir(parents=True)
    (data / "appendonlydir" / "old").touch()
    return {**HERE, "redis_data_dir": str(data)}


def service(folder: Path, name: str) -> list[str]:
    """Return what was asked of the service, in order."""
    asked = folder / name / "service"
    return asked.read_text().split() if asked.exists() else []


def test_a_state_is_put_there(tmp_path: Path) -> None:
    said = restore(tmp_path, {name: machine(tmp_path, name) for name in ("one", "two")})
    assert said.startswith("0 "), said
    for name in ("one", "two"):
        assert service(tmp_path, name) == ["stopped", "started"]
        assert (tmp_path / name / "appendonlydir/appendonly.aof.1.base.rdb").read_bytes() == b"REDIS9999"
        assert len(list((tmp_path / name).glob("before-restore-*/appendonlydir/old"))) == 1


def test_a_path_from_here_stops_nothing(tmp_path: Path) -> None:
    """It is looked for here, and taken from beside the playbook."""
    here = os.path.relpath(tmp_path / "redis.rdb", ANSIBLE)
    said = restore(tmp_path, {"one": machine(tmp_path, "one")}, here)
    assert f"restore_state is {here}" in said
    assert "by its whole path" in said
    assert service(tmp_path, "one") == []


def test_nothing_is_stopped_while_a_machine_is_dead(tmp_path: Path) -> None:
    said = restore(tmp_path, {"one": machine(tmp_path, "one"), "two": DEAD})
    assert "two cannot be reached" in said
    assert "--limit 'redis:!two'" in said.replace("''", "'")
    assert service(tmp_path, "one") == []


def test_a_machine_that_does_not_take_it_has_all_go_on_as_they_were(tmp_path: Path) -> None:
    machines = {name: machine(tmp_path, name) for name in ("one", "two")}
    (tmp_path / "two" / "refuses").touch()
    said = restore(tmp_path, machines)
    assert "put back on no machine" in said
    for name in machines:
        assert service(tmp_path, name) == ["stopped", "started", "stopped", "started"]
        assert [file.name for file in (tmp_path / name / "appendonlydir").iterdir()] == ["old"]
