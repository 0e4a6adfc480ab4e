"""Which rtpengine the tests run: Debian's own, or the one that the environment variable RTPENGINE names.

Either is started with what the role rtpengine loads before it: the library that keeps it to the SRTP profiles we want,
and a memory allocator.
"""

import functools
import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from rtpengine.pool import version_from_text
from tests.lab.roles import role_defaults

VARIABLE: Final = "RTPENGINE"
_REPOSITORY: Final = Path(__file__).parents[2]
_SOURCE: Final = _REPOSITORY / "ansible" / "roles" / "rtpengine" / "files" / "srtp_profiles.c"
_SHOWN: Final = re.compile(r"Version: (\S+)")


def relay_command() -> list[str]:
    """Return the command and its first arguments."""
    allocator = role_defaults("rtpengine")["rtpengine_allocator"]
    return ["/usr/bin/env", f"LD_PRELOAD={srtp_library()}:{allocator}", *bare_command()]


def bare_command() -> list[str]:
    """Return the same without what the role loads."""
    return shlex.split(os.environ.get(VARIABLE, "")) or ["/usr/bin/rtpengine"]


@functools.cache
def srtp_library() -> Path:
    """Compile the library of the role, unless that has been done."""
    library = _REPOSITORY / "build" / "srtp_profiles.so"
    if library.exists() and library.stat().st_mtime >= _SOURCE.stat().st_mtime:
        return library
    library.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as directory:
        made = Path(directory) / library.name
        options = ["-shared", "-fPIC", "-O2", "-nostdlib", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["gcc", *options, "-o", made, _SOURCE], check=True)
        made.replace(library)  # several processes may do this at once
    return library


@functools.cache
def relay_version() -> str:
    """Return what the program calls its version, e.g. ``10.5.3.5-1+deb12u1``; no ng command tells it."""
    shown = subprocess.run(
        [*bare_command(), "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    found = _SHOWN.search(shown.stdout + shown.stderr)
    assert found, f"{bare_command()[0]} names no version: {shown.stdout}{shown.stderr}"
    return found[1]


def daemon_version() -> tuple[int, int]:
    """Return the same as the sequences take it, e.g. ``(10, 5)``."""
    return version_from_text(relay_version())
