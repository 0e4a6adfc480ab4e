"""A service that an earlier run of a playbook left older than its files is restarted by the next one, and no other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.roles import REPOSITORY, ROLES

PROGRAM = ROLES / "common/files/newer_files.py"
SYSTEMCTL = """#!/bin/sh
echo "ActiveState={state}"
echo "ActiveEnterTimestamp=@{by_then}"
echo "ActiveEnterTimestampMonotonic={since}"
echo "MainPID={pid}"
"""
SETTLED_S = 0.05


def _systemd(
    folder: Path, since_s: float, *, state: str = "active", pid: int = 0, put_back_s: float = 0
) -> dict[str, str]:
    """Return the environment of a machine whose services run since then; its clock was put back after that."""
    since = round((since_s - time.time() + time.monotonic()) * 1e6)
    program = folder / "systemctl"
    by_then = int(since_s + put_back_s)
    program.write_text(SYSTEMCTL.format(state=state, by_then=by_then, since=since, pid=pid))
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def _newer(environment: dict[str, str], how: str, *paths: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "service", how, *map(str, paths)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_what_changed_after_the_start_is_newer(tmp_path: Path) -> None:
    settings, link, none = tmp_path / "settings", tmp_path / "current", tmp_path / "none"
    settings.touch()
    time.sleep(SETTLED_S)
    began = time.time()
    time.sleep(SETTLED_S)
    link.symlink_to(settings)
    environment = _systemd(tmp_path, began)
    assert _newer(environment, "restart", settings, link, none) == [str(link)]
    # A way back brings the settings with the times they had.
    os.utime(settings, (0, 0))
    assert _newer(environment, "restart", settings, none) == [str(settings)]


def test_a_clock_that_was_put_back_makes_nothing_newer(tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.touch()
    environment = _systemd(tmp_path, time.time() - 60, put_back_s=120)
    assert _newer(environment, "restart", settings) == []


def test_a_service_that_does_not_run_is_older_than_nothing(tmp_path: Path) -> None:
    assert _newer(_systemd(tmp_path, 0, state="inactive"), "restart", PROGRAM) == []
    assert _newer(_systemd(tmp_path, 0), "restart", PROGRAM) == [str(PROGRAM)]


def test_of_one_that_reloads_the_newest_child_counts(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.touch()
    time.sleep(SETTLED_S)
    program = ["sh", "-c", "sleep 60 & wait"]
    with subprocess.Popen(program, start_new_session=True) as main:
        time.sleep(SETTLED_S * 4)
        after.touch()
        environment = _systemd(tmp_path, 0, pid=main.pid)
        assert _newer(environment, "reload", before, after) == [str(after)]
        assert _newer(environment, "restart", before, after) == [str(before), str(after)]
        os.killpg(main.pid, signal.SIGKILL)


def _play(folder: Path, environment: dict[str, str], files: list[str]) -> str:
    play: dict[str, Any] = {
        "name": "One service",
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {
                "name": "What an earlier run did not restart",
                "ansible.builtin.include_role": {"name": "common", "tasks_from": "restart_is_due"},
                "vars": {
                    "common_service": "kamailio",
                    "common_service_handler": "Restart it",
                    "common_service_files": files,
                },
            }
        ],
        "handlers": [{"name": "Restart it", "ansible.builtin.debug": {"msg": "it was restarted"}}],
    }
    (folder / "play.json").write_text(json.dumps([play]))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            str(folder / "play.json"),
        ],
        cwd=REPOSITORY / "ansible",
        env={**environment, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_ROLES_PATH": str(ROLES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_next_run_restarts_what_is_older_than_its_files(tmp_path: Path) -> None:
    assert "it was restarted" in _play(tmp_path, _systemd(tmp_path, 0), [str(PROGRAM)])
    said = _play(tmp_path, _systemd(tmp_path, time.time()), [str(PROGRAM)])
    assert "it was restarted" not in said
    assert "changed=0" in said


@pytest.mark.parametrize("role", ["haproxy", "kamailio", "media_agent", "redis", "rtpengine", "webapp_api"])
def test_every_file_that_wants_a_restart_is_looked_at(role: str) -> None:
    """Of each role: what its tasks write and notify a handler for."""
    tasks = yaml.safe_load((ROLES / role / "tasks/main.yml").read_text())
    written = {
        (task["ansible.builtin.template"]["dest"], task["notify"])
        for task in tasks
        if "ansible.builtin.template" in task and "packet filter" not in task.get("notify", "packet filter")
    }
    assert written
    looked_at = {
        (file, task["vars"]["common_service_handler"])
        for task in tasks
        if task.get("ansible.builtin.include_role", {}).get("tasks_from") == "restart_is_due"
        for file in task["vars"]["common_service_files"]
    }
    assert written <= looked_at
    handlers = yaml.safe_load((ROLES / role / "handlers/main.yml").read_text())
    assert {handler for _, handler in looked_at} <= {handler["name"] for handler in handlers}
