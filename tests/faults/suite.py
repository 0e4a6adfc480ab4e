"""Faults one after the other, each on a site of its kind, and the file that a run leaves.

Knows order and files.  Must not know single faults.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.bench.cpu import Machine
from tests.faults.report import REPOSITORY, to_json
from tests.faults.rows import Row
from tests.faults.run import Fault, measure
from tests.faults.scale import Scale
from tests.faults.sites import NotHereError, site
from tests.faults.world import FaultWorld, fault_world

_LONGEST_S: Final = 300.0
OUTPUT: Final = REPOSITORY / "build" / "faults"


async def run(faults: Sequence[Fault], scale: Scale, say: Callable[[str], None], rows: list[Row]) -> None:
    """Measure all, one after the other, on one site for each kind; each row is added when it is known."""
    for kind, some in groupby(faults, lambda fault: fault.kind):
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            try:
                with site(kind, Path(folder), scale) as options:
                    async with fault_world(Path(folder), scale, options) as world:
                        await _on_one_site(world, list(some), say, rows)
            except NotHereError as error:
                say(f"left out, {kind}: {error}")


async def _on_one_site(
    world: FaultWorld, faults: Sequence[Fault], say: Callable[[str], None], rows: list[Row]
) -> None:
    for fault in faults:
        try:
            async with asyncio.timeout(_LONGEST_S):
                rows.append(await measure(world, fault))
        except NotHereError as error:
            say(f"left out, {fault.name}: {error}")
            continue
        finally:
            OUTPUT.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(world.lab.info.log_dir) / "gateway.log", OUTPUT / "gateway.log")
        say(f"{fault.name}: {rows[-1]}")


def written(rows: Sequence[Row], scale: Scale, machine: Machine) -> Path:
    """Write a run, and return where."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"faults-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(to_json(rows, scale, machine))
    return path
