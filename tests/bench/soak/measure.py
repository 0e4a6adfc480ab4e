"""Mixed calls at a rate for a long time, and what every process holds meanwhile.

Knows processes as figures.  Must not know what the figures mean.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.bench.cpu import process_tree
from tests.bench.mixed.play import Play
from tests.bench.mixed.remains import Remains
from tests.bench.mixed.run import SCENARIO_WITHIN_S, Failure, mixed_options, mixed_stage, of_calls, quiet
from tests.bench.mixed.scenarios import SCENARIOS, Scenario
from tests.bench.mixed.stage import MixedStage
from tests.faults.load import Attempt
from tests.faults.web import WebRequests
from tests.lab.lab import Lab
from tests.lab.options import Part

_KEPT_S: Final = 120
"""How long Redis keeps what is over: its memory is to level off while somebody looks."""
_KEPT_TRACES: Final = 100
_WARM_UP_SLOTS: Final = 10_000
"""Pages of the warm-up are others."""
_SOCKET_TABLES: Final = {"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "unix": 6, "netlink": 9, "raw": 9}
"""Files of /proc/net, and the column of the inode."""


@dataclass(frozen=True)
class Sample:
    """What each process of the lab holds, children included, by name."""

    at_s: float
    private_bytes: dict[str, int]
    """What it has written: pages of files, programs among them, come and go as the system likes."""
    descriptors: dict[str, int]
    """Open ones, without sockets that have ended."""
    shared_bytes: int
    """Of the gateway's workers together."""
    ended_sockets: int = 0
    """Of all processes. Each of Kamailio's keeps at most eight (TCP_FD_CACHE_SIZE) until it needs the place."""


@dataclass
class Soak:
    """A whole run."""

    seconds: float = 0.0
    ran: Counter[str] = field(default_factory=Counter)
    late: int = 0
    """Calls that began later than they should have, because all slots were busy."""
    failures: list[Failure] = field(default_factory=list)
    web: list[Attempt] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    start: Sample | None = None
    end: Sample | None = None
    """With no page connected, as at the start."""
    left: dict[str, int] = field(default_factory=dict)
    sockets: int = 0
    """Of the relay, more than at the start."""


@contextmanager
def soak_lab(slots: int) -> Iterator[Lab]:
    """Run the whole gateway."""
    options = mixed_options(slots)
    kamailio = {
        **options.role_variables["kamailio"],
        "gateway_calls_kept_s": _KEPT_S,
        "gateway_trace_calls": _KEPT_TRACES,
        "gateway_trace_failed_calls": _KEPT_TRACES,
    }
    whole = frozenset({Part.MEDIA_AGENT, Part.WEB_API, Part.HAPROXY})
    with Lab(
        replace(
            options,
            parts=options.parts | whole,
            role_variables={**options.role_variables, "kamailio": kamailio},
        )
    ) as lab:
        yield lab


async def soak(
    lab: Lab, seconds: float, per_s: float, slots: int, every_s: float, say: Callable[[str], None]
) -> Soak:
    """Play calls for so long, then wait until all is quiet, and look at what is left."""
    found = Soak()
    web = WebRequests(lab.info.web.origin)
    async with mixed_stage(lab) as stage:
        web.start()
        before = await _warmed_up(lab, stage, per_s, slots)
        found.start = _sample(lab, 0.0)
        plays = [Play(stage, slot) for slot in range(slots)]
        began = time.monotonic()
        sampling = asyncio.create_task(_sample_for_ever(lab, began, every_s, found, say))
        try:
            await _play(stage, plays, seconds, per_s, found, say)
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling
        found.seconds = time.monotonic() - began
        await web.stop()
        found.web = web.attempts
        found.left = of_calls(await quiet(lab))
        for play in plays:
            await play.leave()
        after: Remains = await quiet(lab, with_pages=False)
        found.left |= after.left
        found.sockets = after.relay_sockets - before.relay_sockets
    await asyncio.sleep(2)
    found.end = _sample(lab, found.seconds)
    return found


async def _warmed_up(lab: Lab, stage: MixedStage, per_s: float, slots: int) -> Remains:
    """Play calls until every process has opened what it opens once, and see what there is without pages."""
    plays = [Play(stage, _WARM_UP_SLOTS + slot) for slot in range(slots)]
    await _play(stage, plays, slots / per_s, per_s, Soak(), _say_nothing)
    for play in plays:
        await play.leave()
    return await quiet(lab, with_pages=False)


def _say_nothing(_line: str) -> None:
    pass


async def _play(
    stage: MixedStage,
    plays: Sequence[Play],
    seconds: float,
    per_s: float,
    found: Soak,
    say: Callable[[str], None],
) -> None:
    """Begin a call at its time, on the page that has been free longest."""
    kinds = [scenario for scenario in SCENARIOS if not scenario.alone]
    chance = random.Random(1)
    free: asyncio.Queue[Play] = asyncio.Queue()
    for play in plays:
        free.put_nowait(play)
    running: set[asyncio.Task[None]] = set()
    began, number = time.monotonic(), 0
    while (due := began + number / per_s) < began + seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        play = await free.get()
        found.late += time.monotonic() - due > 1
        (scenario,) = chance.choices(kinds, [kind.weight for kind in kinds])
        task = asyncio.create_task(_one(play, scenario, number, found, free, say))
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
    await asyncio.gather(*running)
    found.failures += [Failure(-1, "any", fault) for fault in stage.faults]


async def _one(
    play: Play,
    scenario: Scenario,
    number: int,
    found: Soak,
    free: asyncio.Queue[Play],
    say: Callable[[str], None],
) -> None:
    try:
        await play.begin(f"soak/{number}")
        async with asyncio.timeout(SCENARIO_WITHIN_S):
            await scenario.run(play)
        violations = play.violations()
        assert not violations, violations
    except (AssertionError, OSError, TimeoutError) as error:
        what = f"{type(error).__name__}: {error}; calls: {', '.join(play.call_ids)}"
        found.failures.append(Failure(number, scenario.name, what))
        say(f"failed: {scenario.name}, call {number}: {what}")
        await play.abandon()
    found.ran[scenario.name] += 1
    play.end()
    free.put_nowait(play)


async def _sample_for_ever(
    lab: Lab, began: float, every_s: float, found: Soak, say: Callable[[str], None]
) -> None:
    while True:
        await asyncio.sleep(every_s)
        sample = _sample(lab, time.monotonic() - began)
        found.samples.append(sample)
        private = " ".join(f"{name} {size / 1e6:.1f}" for name, size in sample.private_bytes.items())
        say(f"{sample.at_s:.0f} s: {found.ran.total()} calls, {len(found.failures)} failed; MB: {private}")


def _sample(lab: Lab, at_s: float) -> Sample:
    trees = {name: process_tree([pid]) for name, pid in lab.process_ids.items()}
    open_files = {name: [file for pid in pids for file in _descriptors(pid)] for name, pids in trees.items()}
    living = _living_sockets()
    ended = {
        name: sum(file.startswith("socket:") and file not in living for file in files)
        for name, files in open_files.items()
    }
    return Sample(
        at_s,
        {name: sum(map(_private_bytes, pids)) for name, pids in trees.items()},
        {name: len(files) - ended[name] for name, files in open_files.items()},
        int(lab.gateway_rpc("core.shmmem")["used"]),
        sum(ended.values()),
    )


def _private_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # ended meanwhile
        return 0
    found = (line.split() for line in text.splitlines())
    return 1024 * sum(int(words[1]) for words in found if words[0] == "Private_Dirty:")


def _descriptors(pid: int) -> list[str]:
    found = []
    with suppress(OSError):  # ended, or closed meanwhile
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(str(entry.readlink()))
    return found


def _living_sockets() -> set[str]:
    """Return all sockets that the system knows, as links to them are written."""
    found = set()
    for table, column in _SOCKET_TABLES.items():
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            found.add(f"socket:[{line.split()[column]}]")
    return found
