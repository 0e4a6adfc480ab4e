"""Which release a play installs where nobody names one: the one that was built last."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.provision.operator import ANSIBLE

NAME = "webrtc-ims-gateway-0.1.0+{}.tar.gz"
PLAY = """
- name: The release
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Defaults of the role
      ansible.builtin.include_vars: {defaults}
    - name: Say it
      ansible.builtin.debug:
        msg: "chosen={{{{ common_release_archive | basename }}}}="
"""


@pytest.mark.parametrize(
    ("latest", "chosen"),
    [
        pytest.param("0a6de55f5", "0a6de55f5", id="built last"),
        pytest.param("", "ac0b2ac22", id="nobody says"),
        pytest.param("gone", "ac0b2ac22", id="gone"),
    ],
)  # fmt: skip
def test_the_release_that_was_built_last(tmp_path: Path, latest: str, chosen: str) -> None:
    releases, playbooks = tmp_path / "build" / "release", tmp_path / "ansible" / "playbooks"
    releases.mkdir(parents=True)
    playbooks.mkdir(parents=True)
    for commit in ("0a6de55f5", "9734f4a74", "ac0b2ac22"):
        (releases / NAME.format(commit)).touch()
    if latest:
        (releases / "LATEST").write_text(f"{NAME.format(latest)}\n")
    defaults = json.dumps(str(ANSIBLE / "roles" / "common" / "defaults" / "main.yml"))
    (playbooks / "play.yml").write_text(PLAY.format(defaults=defaults))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook"),
            *("-i", "localhost,", "-c", "local", str(playbooks / "play.yml")),
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"chosen=(.*)=", done.stdout)
    assert found is not None and found[1] == NAME.format(chosen)
