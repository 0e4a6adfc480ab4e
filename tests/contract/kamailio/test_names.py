"""Names of next hops are looked up in the worker that sends: how long it stands still while nobody answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.contract

LONGEST_S = 6.0
"""Two questions, SRV and A, each with and without the search domain; all else that the worker has waits meanwhile."""


def test_a_name_server_that_is_silent_costs_seconds_and_not_half_a_minute() -> None:
    if os.geteuid() != 0:
        pytest.skip("a name server of its own needs root (network and mount namespaces)")
    program = [sys.executable, "-m", "tests.contract.kamailio.silent_name_server"]
    done = subprocess.run(
        ["unshare", "--net", "--mount", *program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    took_s, is_sent = json.loads(done.stdout)
    assert not is_sent
    assert 0.5 < took_s < LONGEST_S
