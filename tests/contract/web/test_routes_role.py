"""The role's tasks load a routing table: real Ansible on this machine, the real command, real Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from kemi.state.web.routes import RoutesStore

ROOT = Path(__file__).resolve().parents[3]
TABLE = """
routes:
  - {id: everything, number: "*", to: core}
  - {id: service, number: "+49900*", to: refuse, status: 403, reason: no service numbers}
plans:
  ims.example.com: {country: DE, short_codes: {"600": ""}}
permissions:
  "*": {classes: [free, national, mobile], calls: 2}
"""


def play(folder: Path, table: Any, times: int = 1) -> subprocess.CompletedProcess[str]:
    """Let Ansible include the tasks, as a playbook of the operator's would."""
    include = {"ansible.builtin.include_role": {"name": "webapp_api", "tasks_from": "routing_table"}}
    variables = {
        "gateway_routing_table": table,
        "webapp_api_config_dir": str(folder),
        "webapp_api_code_dir": str(ROOT),
        "webapp_api_venv_dir": sys.prefix,
        "webapp_api_user": "root",
        "ansible_python_interpreter": sys.executable,
    }
    playbook = folder / "play.yml"
    playbook.write_text(
        yaml.safe_dump(
            [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [include] * times}]
        )
    )
    environment = {
        **os.environ,
        "ANSIBLE_ROLES_PATH": str(ROOT / "ansible" / "roles"),
        "ANSIBLE_HOME": str(folder),
    }
    program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
    return subprocess.run(
        [program, "-i", "localhost,", "-c", "local", str(playbook)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("operator")
def test_a_table_is_loaded_once_and_a_bad_one_fails_and_changes_nothing(
    tmp_path: Path, store: redis.Redis
) -> None:
    (tmp_path / "webapp.toml").rename(tmp_path / "webapp_api.toml")
    loaded = play(tmp_path, yaml.safe_load(TABLE), times=2)
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert "changed=2 " in loaded.stdout  # file and table, not once more the second time
    version, document = RoutesStore(store).get()
    assert [route.id for route in document.routes] == ["everything", "service"]
    assert document.permissions["*"].calls == 2

    bad = play(tmp_path, {"routes": [{"id": "everything", "number": "x", "to": "core"}]})
    assert bad.returncode != 0
    assert "the old table stays" in bad.stdout
    assert "row 'everything'" in bad.stdout
    assert RoutesStore(store).get() == (version, document)
