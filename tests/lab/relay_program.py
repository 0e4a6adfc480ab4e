"""Which rtpengine the tests run: Debian's own, or the one that the environment variable RTPENGINE names."""

import functools
import os
import re
import shlex
import subprocess
from typing import Final

from rtpengine.pool import version_from_text

VARIABLE: Final = "RTPENGINE"
_SHOWN: Final = re.compile(r"Version: (\S+)")


def relay_command() -> list[str]:
    """Return the command and its first arguments, e.g. ``["/usr/bin/rtpengine"]``."""
    return shlex.split(os.environ.get(VARIABLE, "")) or ["/usr/bin/rtpengine"]


@functools.cache
def relay_version() -> str:
    """Return what the program calls its version, e.g. ``10.5.3.5-1+deb12u1``; no ng command tells it."""
    shown = subprocess.run(
        [*relay_command(), "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    found = _SHOWN.search(shown.stdout + shown.stderr)
    assert found, f"{relay_command()[0]} names no version: {shown.stdout}{shown.stderr}"
    return found[1]


def daemon_version() -> tuple[int, int]:
    """Return the same as the sequences take it, e.g. ``(10, 5)``."""
    return version_from_text(relay_version())
