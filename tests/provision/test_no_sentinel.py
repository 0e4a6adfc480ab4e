"""A Sentinel that the inventory has no more is stopped, and what it knew of the master is forgotten.

Plays the role's tasks on this machine, as several machines; what stops the service is a script of the test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.provision.operator import ANSIBLE

TASKS = ANSIBLE / "roles/redis/tasks"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}


def test_a_sentinel_is_taken_away_and_a_machine_without_one_is_left_alone(tmp_path: Path) -> None:
    tasks = yaml.safe_load((TASKS / "no_sentinel.yml").read_text())
    looked_at = tasks[0]["ansible.builtin.stat"]
    looked_at["path"] = looked_at["path"].replace("/etc/systemd/system", "{{ redis_sentinel_dir }}")
    service = tasks[1]["block"][0]
    asked = service.pop("ansible.builtin.systemd_service")
    assert asked == {"name": "redis-sentinel.service", "enabled": False, "state": "stopped"}
    service["ansible.builtin.command"] = {"argv": ["touch", "{{ redis_sentinel_dir }}/stopped"]}
    play = [{"name": "Redis", "hosts": "all", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))

    hosts: dict[str, Any] = {}
    for name in ("had-one", "never-had-one"):
        folder = tmp_path / name
        (folder / "redis-sentinel.service.d").mkdir(parents=True)
        (folder / "redis.conf").touch()
        hosts[name] = {**HERE, "redis_sentinel_dir": str(folder)}
    had = tmp_path / "had-one"
    (had / "sentinel.conf").touch()
    (had / "redis-sentinel.service.d/webrtc-ims-gateway.conf").touch()
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", str(tmp_path / "hosts.json")),
            str(tmp_path / "play.yml"),
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(file.name for file in had.rglob("*") if file.is_file()) == ["redis.conf", "stopped"]
    (never,) = [
        line for line in done.stdout.splitlines() if line.startswith("never-had-one ") and "ok=" in line
    ]
    assert "changed=0" in never


def test_all_sentinels_are_away_before_a_redis_is_restarted() -> None:
    """Handlers come when the tasks of all machines are done."""
    tasks = yaml.safe_load((TASKS / "main.yml").read_text())
    (taken,) = [task for task in tasks if task.get("ansible.builtin.include_tasks") == "no_sentinel.yml"]
    assert taken["when"] == "redis_sentinel_port | int == 0"
    (started,) = [task["name"] for task in tasks if "ansible.builtin.systemd_service" in task]
    names = [task["name"] for task in tasks]
    assert names.index(taken["name"]) < names.index(started)
