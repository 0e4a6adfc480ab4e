"""The kinds of site that faults need, and what this machine must have for them.

Knows mounts, preloaded libraries and networks.  Must not know faults.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.bench.delay_line import NoDelayLineError
from tests.faults.lines import far_ends
from tests.faults.scale import Scale
from tests.faults.world import SiteOptions
from tests.lab.relay_program import relay_command

_CLOCK: Final = Path(__file__).parent / "clock_offset.c"
_LOG_SIZE: Final = "64m"
PORTS_OF_A_CALL: Final = 4
_FREE_FOR: Final = 1.5
"""Seconds of new calls that the small range of ports has room for, beside those that stand."""


class NotHereError(RuntimeError):
    """This machine, or this user, cannot have such a site; the text says what is missing."""


class Kind(StrEnum):
    """What a site is for."""

    WHOLE = "whole"
    """Two relay nodes; logs on a small file system of their own, for root."""
    FEW_PORTS = "few ports"
    """One relay node with few ports."""
    LINES = "lines"
    """Page, core, relay node and Redis behind lines; root alone."""
    CLOCK = "clock"
    """All processes have a clock of their own, by a library that is loaded into each."""


@contextmanager
def site(kind: Kind, folder: Path, scale: Scale) -> Iterator[SiteOptions]:
    """Prepare such a site.

    Raises:
        NotHereError: something is missing.
    """
    with ExitStack() as stack:
        match kind:
            case Kind.WHOLE:
                yield SiteOptions(log_dir=stack.enter_context(_small_disk(folder)))
            case Kind.FEW_PORTS:
                calls = scale.running + int(_FREE_FOR * scale.per_s) + 5
                yield SiteOptions(nodes=1, ports=PORTS_OF_A_CALL * calls)
            case Kind.LINES:
                try:
                    yield SiteOptions(nodes=1, networks=stack.enter_context(far_ends()))
                except NoDelayLineError as error:
                    raise NotHereError(str(error)) from error
            case Kind.CLOCK:
                command = stack.enter_context(_own_clock(folder))
                yield SiteOptions(relay_command=command, clock=folder / "clock")


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system for the logs; None where that is not allowed."""
    place = folder / "log"
    place.mkdir()
    options = ["-o", f"size={_LOG_SIZE},mode=700"]
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "faults", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def _own_clock(folder: Path) -> Iterator[tuple[str, ...]]:
    """Give whatever starts a clock that a file moves; returns the command of a relay node."""
    library, file = folder / "clock_offset.so", folder / "clock"
    options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *options, "-o", library, _CLOCK], check=True)
    move_clock(file, 0)
    values = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(file)}
    os.environ.update(values)
    program, preload, *rest = relay_command()
    try:
        yield (program, f"{preload}:{library}", *rest)
    finally:
        for name in values:
            del os.environ[name]


def move_clock(file: Path, offset_s: int) -> None:
    """Let the clock of all processes jump to so far from the machine's."""
    with file.open("r+b" if file.exists() else "wb") as clock:
        clock.write(struct.pack("@l", offset_s))
