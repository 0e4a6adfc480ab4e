"""The role's library and its packet filter each keep from rtpengine what it would die of, and the firewall's role keeps
floods from media ports, SIP of strangers from signalling nodes, and no DHCPv6 server from the machine; in a network
namespace, which needs root."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["short_report", "media_floods", "dhcp_answers", "sip_of_strangers"])
def test_in_a_network_of_its_own(program: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("a packet filter needs root (a network namespace and nftables)")
    command = ["unshare", "--net", sys.executable, "-m", f"tests.contract.rtpengine.{program}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
