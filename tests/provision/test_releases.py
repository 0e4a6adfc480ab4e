"""Releases of a machine: which stay for a way back, and their Python environments.

Runs the tasks of the role on this machine, in a folder of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.provision.operator import ANSIBLE

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="what is installed belongs to root"),
]

HERE: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
HANDLERS: Final = [
    {"name": "Note it", "ansible.builtin.debug": {"msg": "new code"}, "listen": "The code has changed"}
]


def _step(tasks: str, **variables: Any) -> dict[str, Any]:
    """One include of the role, in an order that the play does not change."""
    return {
        "name": f"Do {tasks}",
        "ansible.builtin.include_role": {"name": "common", "tasks_from": tasks},
        "vars": variables,
    }


def _played(folder: Path, tasks: Sequence[dict[str, Any]], *nodes: str, **variables: Any) -> tuple[int, str]:
    """Play these tasks, on nodes with folders of their names, if any; return the status and what was said."""
    for one in [folder / node for node in nodes] or [folder]:
        (one / "etc").mkdir(exist_ok=True, parents=True)
        (one / "etc" / "gateway.toml").touch()
        (one / "releases").mkdir(exist_ok=True)
    own = f"{folder}/{{{{ inventory_hostname }}}}" if nodes else str(folder)
    play = {
        "name": "Releases",
        "hosts": "all",
        "gather_facts": False,
        "any_errors_fatal": True,
        "vars": {
            "common_install_dir": own,
            "common_config_dir": f"{own}/etc",
            "common_redis_check": False,
            **variables,
        },
        "tasks": tasks,
        "handlers": HANDLERS,
    }
    (folder / "play.json").write_text(json.dumps([play]))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", f"{','.join(nodes) or 'localhost'},"),
            *("-c", "local"),
            *("-e", f"ansible_python_interpreter={sys.executable}", str(folder / "play.json")),
        ],
        cwd=ANSIBLE,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def _release(folder: Path, name: str, python: str = HERE) -> Path:
    """Return the folder of a release, with an environment that is complete."""
    release = folder / "releases" / name
    (release / ".venv" / "lib" / f"python{python}" / "site-packages").mkdir(parents=True)
    (release / ".venv" / ".complete").touch()
    (release / "requirements.txt").touch()
    return release


def _unpacked(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "releases" / name / ".venv" / "lib" / f"python{HERE}"
    return {"name": f"Unpack {name}", "ansible.builtin.command": {"argv": ["mkdir", "-p", str(path)]}}


def test_the_release_that_was_in_service_stays_for_a_way_back(tmp_path: Path) -> None:
    upgrades = {
        name: [_unpacked(tmp_path, name), _step("counts", common_release=name, common_code_is_new=False)]
        for name in "abcd"
    }
    back = [_step("preflight_rollback"), _step("rollback")]
    status, said = _played(
        tmp_path, [*upgrades["a"], *upgrades["b"], *upgrades["c"], *back, *back, *upgrades["d"]]
    )
    assert status == 0, said
    assert (tmp_path / "current").resolve().name == "d"
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["a", "b", "d"]
    status, said = _played(tmp_path, back)
    assert status == 0, said
    assert (tmp_path / "current").resolve().name == "a"


def test_another_python_gets_another_environment(tmp_path: Path) -> None:
    release = _release(tmp_path, "a", python="3.7")
    status, said = _played(tmp_path, [_step("environment", common_release="a")])
    assert status == 0, said
    assert [path.name for path in (release / ".venv" / "lib").iterdir()] == [f"python{HERE}"]
    assert (release / ".venv" / "site-packages").resolve().parent.name == f"python{HERE}"
    assert (release / ".venv" / ".complete").exists()
    status, said = _played(tmp_path, [_step("environment", common_release="a")])
    assert status == 0, said
    assert "changed=0" in said


def test_there_is_no_way_back_to_a_release_for_another_python(tmp_path: Path) -> None:
    (_release(tmp_path, "a", python="3.7") / "settings").mkdir()
    (tmp_path / "current").symlink_to(_release(tmp_path, "b"))
    status, said = _played(tmp_path, [_step("preflight_rollback")])
    assert status != 0
    assert "The release a on localhost was installed for another Python than" in said


BACK: Final = [_step("preflight_rollback"), {**_step("rollback"), "when": "common_goes_back"}]


def _site(folder: Path, counts: dict[str, str]) -> None:
    """Nodes that had the releases from a on; an upgrade to c has reached those where it counts."""
    for node, release in counts.items():
        steps = []
        for name in "abc"[: "abc".index(release) + 1]:
            steps += [
                _unpacked(folder / node, name),
                _step("counts", common_release=name, common_code_is_new=False),
            ]
        status, said = _played(folder, steps, node)
        assert status == 0, said


def _counts(folder: Path, *nodes: str) -> list[str]:
    return [(folder / node / "current").resolve().name for node in nodes]


def test_nodes_that_an_upgrade_has_not_reached_stay_as_they_are(tmp_path: Path) -> None:
    _site(tmp_path, {"n1": "c", "n2": "b"})
    (tmp_path / "n2/etc/gateway.toml").write_text("# written since\n")
    status, said = _played(tmp_path, BACK, "n1", "n2")
    assert status == 0, said
    assert _counts(tmp_path, "n1", "n2") == ["b", "b"]
    assert (tmp_path / "n2/etc/gateway.toml").read_text() == "# written since\n"


def test_nodes_without_a_release_in_common_have_no_way_back_unless_one_is_named(tmp_path: Path) -> None:
    _site(tmp_path, {"n1": "c", "n2": "a"})
    status, said = _played(tmp_path, BACK, "n1", "n2", rollback_to="b")
    assert status != 0
    assert "There is no release b to go back to on n2, where a counts; there are none." in said
    assert _counts(tmp_path, "n1", "n2") == ["c", "a"]
    status, said = _played(tmp_path, BACK, "n1", "n2")
    assert status == 0, said
    assert _counts(tmp_path, "n1", "n2") == ["a", "a"]


def test_settings_whose_redis_does_not_answer_are_no_way_back(tmp_path: Path) -> None:
    _site(tmp_path, {"n1": "b"})
    saved = tmp_path / "n1/releases/a/settings/gateway.toml"
    saved.write_text('redis_url = "redis://:a-password-in-no-log@127.0.0.1:1/0"\n')
    status, said = _played(tmp_path, BACK, "n1", common_redis_check=True)
    assert status != 0
    assert "The Redis in the settings that the release a had cannot be used from n1: [Errno 111]" in said
    assert "a-password-in-no-log" not in said
    assert _counts(tmp_path, "n1") == ["b"]
