"""The role's library and its packet filter each keep from rtpengine what it would die of; in a network namespace, which
needs root."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def test_short_reports_do_not_end_the_relay() -> None:
    if os.geteuid() != 0:
        pytest.skip("a packet filter needs root (a network namespace and nftables)")
    command = ["unshare", "--net", sys.executable, "-m", "tests.contract.rtpengine.short_report"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
