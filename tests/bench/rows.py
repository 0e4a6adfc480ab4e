"""How a bench hands over what it measured, for the one table of ``make bench`` and docs/performance.md.

A bench makes rows, and ladders where it raised a load until something broke, and calls ``hand_over``::

    hand_over("webload", [
        Row.of("web.cpu", 3.6, runs=[3.5, 3.6, 3.9], peers=[Peer("Janus 1.1.2", 6.0)], generator=0.55),
        Row.of("web.silent", 0, peers=[Peer("Janus 1.1.2", 9, "of 26")]),
        Row.of(Figure("web.setup", "INVITE → 200", "ms", Sense.AT_MOST), 210.0),     # a figure of its own
    ], ladders=[Ladder("web", "calls with ICE and DTLS", "calls/s", "gateway", steps, "5 % failed")], machine=machine)

Figures of the spine, with units and bars, are in ``figures``. The value is the median of alternating runs where there
are several; a peer is measured in the same run, or its ``value`` is None and its ``note`` says why it cannot do the
case. The file is build/bench/NAME-TIME.json; its shape is tests/bench/page/schema.json.

Knows values and files. Must not run anything but ``git`` and programs that say their version.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.bench.cpu import Machine
from tests.bench.figures import FIGURES, Figure, Sense

ROOT: Final = Path(__file__).parents[2]
OUTPUT: Final = ROOT / "build" / "bench"
SCHEMA: Final = 1
HANDED_OVER: Final = frozenset(
    {"schema", "command", "date", "revision", "machine", "versions", "rows", "ladders"}
)
"""Keys of a bench's file that anybody but the bench reads."""


@dataclass(frozen=True)
class Peer:
    """What somebody else's program did in the same run; ``value`` None where it cannot do the case, with the reason."""

    name: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One figure as measured."""

    figure: Figure
    value: float | None
    """In the figure's unit; None: not measured, and ``note`` says why."""
    runs: tuple[float, ...] = ()
    """The single runs whose median ``value`` is."""
    peers: tuple[Peer, ...] = ()
    generator: float | None = None
    """Share (0 to 1) of all CPU time used in the measurement that went to load generator and callee."""
    note: str = ""
    """Whatever the reader must know: scale, version, what was left out."""
    failed: bool = False
    """Something that was tried failed or was silent, and ``note`` says how much of it: what the others did keeps no
    bar."""

    @property
    def is_measured(self) -> bool:
        """Whether there is a result: a value, or a failure."""
        return self.value is not None or self.failed

    @classmethod
    def of(
        cls,
        figure: str | Figure,
        value: float | None,
        *,
        runs: Sequence[float] = (),
        peers: Sequence[Peer] = (),
        generator: float | None = None,
        note: str = "",
        failures: str = "",
    ) -> Row:
        """Make a row; a figure may be named by its id.

        Args:
            failures: what failed, with its number; stands first in the note.

        Raises:
            KeyError: no figure has this id.
        """
        found = FIGURES[figure] if isinstance(figure, str) else figure
        told = "; ".join(part for part in (failures, note) if part)
        return cls(found, value, tuple(runs), tuple(peers), generator, told, bool(failures))

    @classmethod
    def median(
        cls,
        figure: str | Figure,
        runs: Sequence[float],
        *,
        peers: Sequence[Peer] = (),
        generator: float | None = None,
        note: str = "",
        failures: str = "",
    ) -> Row:
        """Make a row of the median of some runs; not measured without any."""
        value = statistics.median(runs) if runs else None
        return cls.of(
            figure, value, runs=runs, peers=peers, generator=generator, note=note, failures=failures
        )

    @property
    def is_kept(self) -> bool | None:
        """Whether the bar is kept; None without a bar, or where nothing was measured."""
        if self.failed and self.figure.bar is not None:
            return False
        return None if self.value is None else self.figure.is_kept(self.value)


@dataclass(frozen=True)
class Step:
    """One rung of a ladder: so much load, for some seconds."""

    offered: float
    """In the ladder's unit."""
    done: float
    """What of it came about, in the same unit."""
    p99_ms: float | None = None
    failed: float = 0.0
    """Share (0 to 1) of calls that failed, or of packets that were lost."""
    busy: float | None = None
    """Share (0 to 1) of all cores that were at work."""


@dataclass(frozen=True)
class Ladder:
    """More and more load until something breaks."""

    id: str
    """Ladders of one id are drawn into one picture."""
    what: str
    unit: str
    who: str
    """The gateway, or the peer."""
    steps: tuple[Step, ...]
    breaks: str = ""
    """What ended it; "" where the last step was still good."""


def revision() -> str:
    """Return the commit, with a plus when the tree has changes; "" outside a repository."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of the programs that take part; "" for one that is not here."""
    asked = {
        "kamailio": ("kamailio", "-v"),
        "rtpengine": ("rtpengine", "--version"),
        "haproxy": ("haproxy", "-v"),
        "redis": ("redis-server", "--version"),
        "janus": ("janus", "--version"),
    }
    found = {name: _version(*command) for name, command in asked.items()}
    return {"python": sys.version.split()[0], "kernel": os.uname().release, **found}


def _version(program: str, flag: str) -> str:
    where = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    if where is None:
        return ""
    try:
        told = subprocess.run([where, flag], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:  # the machine is busy
        return ""
    number = re.search(r"\d+\.\d+[\w.~+-]*", told.stdout + told.stderr)
    return number[0] if number else ""


def handed_over(
    command: str, rows: Sequence[Row], ladders: Sequence[Ladder], machine: Machine
) -> dict[str, Any]:
    """Return what a file of rows holds."""
    return {
        "schema": SCHEMA,
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "machine": asdict(machine),
        "versions": dict(versions()),
        "rows": [row_to_json(row) for row in rows],
        "ladders": [asdict(ladder) for ladder in ladders],
    }


def command_typed() -> str:
    """Return the command that runs this, with its options."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"-m {spec.name.removesuffix('.__main__')}" if spec else sys.argv[0]
    return " ".join(["python", program, shlex.join(sys.argv[1:])]).strip()


def hand_over(
    name: str,
    rows: Sequence[Row],
    ladders: Sequence[Ladder] = (),
    *,
    machine: Machine,
    details: Mapping[str, Any] | None = None,
) -> Path:
    """Write build/bench/NAME-TIME.json and return its path.

    Args:
        machine: the calibration made when the bench began, before its own load.
        details: more keys of the bench's own, which nobody but itself reads.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    document = {**handed_over(command_typed(), rows, ladders, machine), **(details or {})}
    path.write_text(json.dumps(document, indent=1))
    return path


def row_to_json(row: Row) -> dict[str, Any]:
    """Print a row."""
    figure = row.figure
    return {
        "figure": figure.id, "what": figure.what, "unit": figure.unit, "sense": str(figure.sense), "bar": figure.bar,
        "value": row.value, "runs": list(row.runs), "peers": [asdict(peer) for peer in row.peers],
        "generator": row.generator, "note": row.note, "failed": row.failed,
    }  # fmt: skip


def row_from_json(row: Mapping[str, Any]) -> Row:
    """Parse a row; a figure we know has the bar of today.

    Raises:
        KeyError, ValueError: not a row.
    """
    figure = FIGURES.get(row["figure"]) or Figure(
        row["figure"], row["what"], row["unit"], Sense(row["sense"]), row["bar"]
    )
    peers = tuple(Peer(**peer) for peer in row["peers"])
    return Row(
        figure,
        row["value"],
        tuple(row["runs"]),
        peers,
        row["generator"],
        row["note"],
        row.get("failed", False),
    )


def ladder_from_json(ladder: Mapping[str, Any]) -> Ladder:
    """Parse a ladder.

    Raises:
        KeyError, TypeError: not a ladder.
    """
    steps = tuple(Step(**step) for step in ladder["steps"])
    return Ladder(**{**ladder, "steps": steps})
