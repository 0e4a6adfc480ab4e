"""What holds for all playbooks."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.roles import REPOSITORY

PLAYBOOKS = REPOSITORY / "ansible/playbooks"


def plays(name: str) -> list[dict[str, Any]]:
    """Return the plays of a playbook, without those that it imports."""
    read = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())
    return [play for play in read if "hosts" in play]


@pytest.mark.parametrize("name", ["site", "upgrade", "rollback", "certificate"])
def test_restarts_that_are_due_outlast_a_failed_task(name: str) -> None:
    changing = [play for play in plays(name) if not play["name"].startswith("Look before")]
    assert changing
    assert not [play["name"] for play in changing if play.get("force_handlers") is not True]


def test_new_machines_and_ports_are_let_in_before_anybody_needs_them() -> None:
    """After the relay's own filter, which the service loads, too; before the routing table goes to Redis."""
    order = [play["name"] for play in plays("site")]
    first, second, third = (
        order.index(name) for name in ("Media nodes", "The packet filter", "Signalling and web nodes")
    )
    assert first < second < third


def test_a_new_certificate_brings_nothing_else_and_waits_for_no_dead_node() -> None:
    (play,) = plays("certificate")
    roles = [
        task.get("ansible.builtin.import_role") or task["ansible.builtin.include_role"]
        for task in play["tasks"]
    ]
    assert [(role["name"], role.get("tasks_from", "main")) for role in roles] == [
        ("haproxy", "defaults"),
        ("tls", "preflight"),
        ("tls", "main"),
        ("common", "restart_is_due"),
    ]
    assert play["hosts"] == "signalling"
    assert not {"any_errors_fatal", "serial"} & play.keys()
    (page,) = re.findall(
        r"^## Certificates$.*?^## ", (REPOSITORY / "docs/operators.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert "`certificate.yml` as what it runs afterwards" in " ".join(page.split())


def test_a_way_back_is_found_on_all_nodes_before_one_is_drained() -> None:
    first, *_ = plays("rollback")
    assert first["any_errors_fatal"] is True
    assert "serial" not in first
    assert [task["ansible.builtin.import_role"]["tasks_from"] for task in first["tasks"]] == [
        "preflight_rollback"
    ]


def test_a_backup_is_nobody_elses_before_anything_is_in_it() -> None:
    for play in plays("backup"):
        named, whole, first, *_ = play["tasks"]
        assert "ansible.builtin.set_fact" in named
        assert whole["ansible.builtin.assert"]["that"] == "backup_dir is match('[/~]')"
        folder = {"path": "{{ backup_dir }}", "state": "directory", "mode": "0700"}
        assert (first["ansible.builtin.file"], first["delegate_to"]) == (folder, "localhost"), play["name"]


def test_backups_are_kept_where_nothing_removes_them_or_writes_over_them() -> None:
    """Both plays of one run have the same folder, another run has another one."""
    (folder,) = {play["vars"]["backup_dir"] for play in plays("backup")}
    below, _, last = folder.removeprefix("{{ playbook_dir }}/../../").partition("/")
    assert last == "{{ backup_time }}"
    (cleaned,) = re.findall(r"^clean:.*\n\trm -rf (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert below not in cleaned.split()
    assert f"/{below}/" in (REPOSITORY / ".gitignore").read_text().split()


def environments(tasks: Any) -> Iterator[str]:
    """Find what tasks, plays or handlers give to programs, in blocks too."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from environments(task)
    elif isinstance(tasks, dict):
        yield str(tasks.get("environment", ""))
        for part in ("tasks", "block", "rescue", "always"):
            yield from environments(tasks.get(part))


def test_no_secret_is_in_what_other_accounts_of_a_machine_see() -> None:
    """Ansible writes the environment of a task into the arguments of a shell."""
    files = [*PLAYBOOKS.glob("*.yml"), *REPOSITORY.glob("ansible/roles/*/[th]*/*.yml")]
    found = {text for file in files for text in environments(yaml.safe_load(file.read_text()))}
    assert any("WEBAPP_SETTINGS" in text for text in found)
    assert not [text for text in found if re.search("password|secret", text, re.IGNORECASE)]


ONLY_HERE = {
    "assert",
    "debug",
    "fail",
    "import_role",
    "include_role",
    "include_tasks",
    "set_fact",
    "template",
}
"""Modules that tell no machine what they were given."""
_SECRET = re.compile(r"{{[^}]*_(?:secret|password|url|text)\b[^}]*}}")


def given_a_secret(tasks: Any) -> Iterator[dict[str, Any]]:
    """Find the tasks whose module gets a secret as argument, in blocks too."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from given_a_secret(task)
    elif isinstance(tasks, dict):
        for name, arguments in tasks.items():
            module = name.removeprefix("ansible.builtin.")
            if name in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
                yield from given_a_secret(arguments)
            elif (
                module != name
                and module not in ONLY_HERE
                and _SECRET.search(yaml.safe_dump(arguments, width=9999))
            ):
                yield tasks


def test_what_modules_are_given_is_in_no_machines_journal() -> None:
    """Ansible's modules write all their arguments into the system's log, but of a task with no_log."""
    files = [*PLAYBOOKS.glob("*.yml"), *(REPOSITORY / "ansible/roles").glob("*/*/*.yml")]
    found = {
        (str(file.relative_to(REPOSITORY)), task["name"]): task.get("no_log")
        for file in files
        if file.parent.name in ("playbooks", "tasks", "handlers")
        for task in given_a_secret(yaml.safe_load(file.read_text()))
    }
    assert len(found) > 8
    assert not [where for where, hidden in found.items() if hidden is not True]


def test_nodes_that_want_sudo_do_not_have_it_used_here(tmp_path: Path) -> None:
    """`ansible_become` of all machines counts for more than the `become: false` of a task."""
    inventory = {
        "redis": {"hosts": {"gw": None}, "vars": {"ansible_host": "192.0.2.10", "ansible_user": "debian"}},
        "all": {"vars": {"ansible_become": True}},
    }
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    sudo = tmp_path / "sudo"
    sudo.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexit 1\n")
    sudo.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", str(tmp_path / "hosts.json")),
            *("playbooks/restore.yml", "--extra-vars", f"restore_state={tmp_path}/none"),
        ],
        cwd=PLAYBOOKS.parent,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "1",  # also where root runs this test
            "ANSIBLE_FORCE_COLOR": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "is no state of Redis on this machine" in " ".join(done.stdout.split()), done.stdout + done.stderr
    assert not (tmp_path / "asked").exists()
