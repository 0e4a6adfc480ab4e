"""Whose SIP the packet filter lets in where trunks say only where they are: that of next hops that are addresses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.provision.operator import ANSIBLE

PLAY = """
- name: The networks
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Defaults of the role
      ansible.builtin.include_vars: {defaults}
    - name: Say them
      ansible.builtin.debug:
        msg: "let in={{{{ firewall_sip_networks | to_json }}}}="
"""
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


@pytest.mark.parametrize(
    ("core", "let_in"),
    [
        (["198.51.100.0/24"], ["198.51.100.0/24", "203.0.113.0/24", "192.0.2.1", "192.0.2.2", "2001:db8::1"]),
        ([], []),
    ],
    ids=["a core", "everybody"],
)
def test_trunks_are_let_in_by_network_or_address(tmp_path: Path, core: list[str], let_in: list[str]) -> None:
    defaults = json.dumps(str(ANSIBLE / "roles" / "firewall" / "defaults" / "main.yml"))
    (tmp_path / "play.yml").write_text(PLAY.format(defaults=defaults))
    (tmp_path / "vars.json").write_text(json.dumps({"gateway_core_networks": core, "gateway_trunks": TRUNKS}))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"),
            *("-e", f"@{tmp_path / 'vars.json'}", str(tmp_path / "play.yml")),
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.partition("let in=")[2].partition("=")[0].replace('\\"', '"')
    assert json.loads(said) == let_in
