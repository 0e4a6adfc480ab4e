"""What variables of roles come to where the inventory says nothing of them."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tests.provision.operator import ANSIBLE

PLAY = """
- name: A default
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Defaults of the role
      ansible.builtin.include_vars: {file}
    - name: Keep it
      ansible.builtin.debug:
        msg: "{{{{ {name} | to_json | b64encode | regex_replace('^', 'said:') }}}}"
"""
RELEASE = "webrtc-ims-gateway-0.1.0+{}.tar.gz"
TRUNKS = [
    {
        "name": "a",
        "uris": [
            "sip:192.0.2.1:5060",
            "sip:x@192.0.2.2;transport=tcp",
            "sip:[2001:db8::1]:5061;transport=tls",
        ],
    },
    {"name": "b", "uris": ["sip:192.0.2.7"], "networks": ["203.0.113.0/24"]},
    {"name": "c", "uris": ["sip:carrier.example:5060", "sip:10.carrier.example"]},
]


def default(folder: Path, role: str, name: str, **variables: Any) -> Any:
    """Return what a variable of a role comes to, as Ansible reads it, in a play in ``folder``."""
    file = json.dumps(str(ANSIBLE / "roles" / role / "defaults" / "main.yml"))
    (folder / "play.yml").write_text(PLAY.format(file=file, name=name))
    (folder / "vars.json").write_text(json.dumps(variables))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"),
            *("-e", f"@{folder / 'vars.json'}", str(folder / "play.yml")),
        ],
        cwd=folder,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(b64decode(done.stdout.partition("said:")[2].partition('"')[0]))


@pytest.mark.parametrize(
    ("latest", "chosen"),
    [
        pytest.param("0a6de55f5", "0a6de55f5", id="built last"),
        pytest.param("", "ac0b2ac22", id="nobody says"),
        pytest.param("gone", "ac0b2ac22", id="gone"),
    ],
)
def test_the_release_that_was_built_last_is_installed(tmp_path: Path, latest: str, chosen: str) -> None:
    releases, playbooks = tmp_path / "build" / "release", tmp_path / "ansible" / "playbooks"
    releases.mkdir(parents=True)
    playbooks.mkdir(parents=True)
    for commit in ("0a6de55f5", "9734f4a74", "ac0b2ac22"):
        (releases / RELEASE.format(commit)).touch()
    if latest:
        (releases / "LATEST").write_text(f"{RELEASE.format(latest)}\n")
    assert Path(default(playbooks, "common", "common_release_archive")).name == RELEASE.format(chosen)


@pytest.mark.parametrize(
    ("core", "let_in"),
    [
        (["198.51.100.0/24"], ["198.51.100.0/24", "203.0.113.0/24", "192.0.2.1", "192.0.2.2", "2001:db8::1"]),
        ([], []),
    ],
    ids=["a core", "everybody"],
)
def test_the_packet_filter_lets_trunks_in_by_network_or_address(
    tmp_path: Path, core: list[str], let_in: list[str]
) -> None:
    found = default(
        tmp_path, "firewall", "firewall_sip_networks", gateway_core_networks=core, gateway_trunks=TRUNKS
    )
    assert found == let_in
