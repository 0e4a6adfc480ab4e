"""The role's library lets libssl use contexts again, and only those that nobody has."""

import os
import subprocess
import sys

import pytest

from tests.lab.relay_program import srtp_library

pytestmark = pytest.mark.contract


def looked_at(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.contract.rtpengine.dtls_contexts"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contexts_of_ended_calls_are_used_again_as_good_as_new() -> None:
    ran = looked_at(LD_PRELOAD=str(srtp_library()))
    assert ran.returncode == 0, ran.stderr


def test_libssl_alone_does_not_do_that() -> None:
    assert "AssertionError" in looked_at(LD_PRELOAD="").stderr
