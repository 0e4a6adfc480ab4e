"""What tests of one machine and of several have in common."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.lab.roles import REPOSITORY
from tests.peers.aiortc_wic import TONE_HZ
from tests.provision.machine import Machine
from tests.provision.operator import ANSIBLE
from tests.provision.world import KEYS, PHONE, TOLERANCE_HZ

MOST_EXPOSED: Final = 3.0
"""Of systemd-analyze security: 0 is confined, 10 is not at all."""


def make_release() -> Path:
    """Make a release of the working copy."""
    done = subprocess.run([ANSIBLE / "make_release"], capture_output=True, text=True, check=True)
    return REPOSITORY / done.stdout.strip()


def make_releases(folder: Path) -> tuple[Path, Path]:
    """Make a release of the working copy, and one of another version that has the same code."""
    release = make_release()
    later = folder / "webrtc-ims-gateway-99.0.tar.gz"
    later.write_bytes(release.read_bytes())
    return release, later


class Page:
    """A page that does something on its own (pages.py)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def says(self) -> str:
        """Wait for its next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> list[str]:
        """Let it come to its end; return what else it said."""
        said, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, said
        return said.splitlines()


@contextmanager
def page(inside: Sequence[str], *arguments: str, given: str = "") -> Iterator[Page]:
    """Let a page do something in a network: ``inside`` begins the command, ``given`` is what it reads."""
    with subprocess.Popen(
        [*inside, sys.executable, "-m", "tests.provision.pages", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if given:
                assert process.stdin is not None
                process.stdin.write(given)
            yield Page(process)
        finally:
            process.kill()


def exposure_of(machine: Machine, service: str) -> float:
    """Return how exposed a service is."""
    said = machine.run("systemd-analyze", "security", "--no-pager", f"{service}.service").stdout
    return float(said.strip().splitlines()[-1].split(":")[1].split()[0])


def heard_both_ways(said: dict[str, Any]) -> bool:
    """Tell whether page and phone heard each other, whoever called, and the page what keys the phone pressed."""
    return said["keys"] == KEYS and all(
        abs(call["page_heard_hz"] - PHONE.tone_hz) <= TOLERANCE_HZ
        and abs(call["phone_heard_hz"] - TONE_HZ) <= TOLERANCE_HZ
        for call in (said["page_calls"], said["phone_calls"])
    )
