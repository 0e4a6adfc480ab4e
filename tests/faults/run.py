"""One fault from before to after: calls stand, others begin, it strikes, all is looked at.

Knows the order of things.  Must not know single faults.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.faults.load import Attempt, End
from tests.faults.rows import Promise, Row, ends, judge, recovered_after
from tests.faults.running import Fate
from tests.faults.sites import Kind
from tests.faults.world import FaultWorld

_BEFORE_S: Final = 2.0
_BEFORE_SHORT_S: Final = 1.2
_WINDOW_S: Final = 1.5
_SETTLED_S: Final = 1.2
"""An attempt has ended by then, unless something is wrong."""
_GIVE_UP_S: Final = 75.0
_CLEAN_WITHIN_S: Final = 40.0
_LOOK_S: Final = 0.1

Step = Callable[[FaultWorld], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """What happens to the site.

    `strike` begins it. One that lasts is lifted after `lasts_s` by `lift`. `of_web`: it is requests to the web API that
    tell when all is as before.
    """

    name: str
    what: str
    promise: Promise
    strike: Step
    lift: Step | None = None
    lasts_s: float = 0.0
    of_web: bool = False
    kind: Kind = Kind.WHOLE
    meanwhile: Callable[[FaultWorld], Awaitable[list[str]]] | None = None
    """Looks at something while the fault lasts; returns what is against the promise."""
    afterwards: Callable[[FaultWorld], Awaitable[list[str]]] | None = None
    """The same once all is as before."""
    known: str = ""
    """Why the promise is known not to hold, "" where it does."""


async def measure(world: FaultWorld, fault: Fault) -> Row:
    """Let it strike, wait until all is as before, and say what it did."""
    row = Row(fault.what, fault.promise.text)
    there_before = world.left()
    await world.running.set_up(world.scale.running, world.scale.heard)
    calls, web = world.new_calls(), world.web_requests()
    calls.start()
    web.start()
    try:
        await asyncio.sleep(_BEFORE_SHORT_S if world.scale.is_short else _BEFORE_S)
        before = [attempt for attempt in calls.newest if attempt.end is not End.DONE]
        assert not before, f"before the fault: {before[:3]}"
        for call in world.running.calls:
            call.begin()
        world.ticker.late_s = 0.0
        struck = time.monotonic()
        await fault.strike(world)
        if fault.lift is not None:
            await asyncio.sleep(fault.lasts_s)
            if fault.meanwhile is not None:
                row.broken += await fault.meanwhile(world)
            await fault.lift(world)
        lifted = time.monotonic() if fault.lift is not None else struck
        whole_s = await _until_as_before(world, calls.attempts, web.attempts, lifted)
        if fault.afterwards is not None:
            row.broken += await fault.afterwards(world)
        late_s = world.ticker.late_s
        pauses = [call.silence_s for call in world.running.calls if call.silence_s is not None]
    finally:
        await calls.stop()
        await web.stop()
    during = [one for one in calls.newest if one.began_at + one.took_s >= struck]
    asked = [one for one in web.attempts if one.began_at + one.took_s >= struck]
    row.new, row.web = ends(during), ends(asked)
    row.told = dict(Counter(one.what for one in during if one.end is End.TOLD))
    row.slowest_s = round(max((one.took_s for one in during if one.end is End.DONE), default=0.0), 2)
    decisive = asked if fault.of_web else during
    seconds = None if whole_s is None else recovered_after(decisive, lifted)
    row.recovery_s = None if seconds is None else round(seconds, 2)
    if whole_s is not None:
        row.notes.append(f"everything up again after {whole_s:.1f} s")
    row.notes += [
        f"{name} had ended after {at - struck:.1f} s"
        for name, at in world.supervisor.ended.items()
        if at > struck
    ]
    fates = await asyncio.gather(*(call.fate() for call in world.running.calls))
    row.running = dict(Counter(fate.value for fate, _ in fates))
    row.notes += sorted({why for fate, why in fates if fate is Fate.HUNG})[:3]
    if row.running.get(Fate.KEPT, 0) == len(fates) and pauses:
        row.late_s = round(late_s, 2)
        row.silence_s = round(max(0.0, max(pauses) - late_s), 2)
    await world.running.take_down()
    began = time.monotonic()
    row.left = await world.until_clean(_CLEAN_WITHIN_S, there_before)
    row.clean_s = round(time.monotonic() - began, 1)
    row.notes += [one.what for one in during if one.end is End.SILENT][:3]
    judge(row, fault.promise, world.scale.slack, world.stage.faults)
    world.stage.faults.clear()
    row.why = fault.known if row.broken else ""
    return row


async def _until_as_before(
    world: FaultWorld, calls: list[Attempt], web: list[Attempt], lifted: float
) -> float | None:
    """Wait until whatever is tried succeeds and everything runs; return when that began to be seen, None if never."""
    whole_at: float | None = None
    while (now := time.monotonic()) < lifted + _GIVE_UP_S:
        await asyncio.sleep(_LOOK_S)
        if not await asyncio.to_thread(world.is_whole):
            whole_at = None
            continue
        whole_at = whole_at or now
        begins = max(lifted, now - _SETTLED_S - _WINDOW_S)
        if now < lifted + _SETTLED_S + _WINDOW_S:
            continue
        seen = [one for one in calls if begins <= one.began_at < now - _SETTLED_S]
        asked = [one for one in web if begins <= one.began_at < now - _SETTLED_S]
        enough = len(seen) >= 0.6 * _WINDOW_S * world.scale.per_s and asked
        if enough and all(one.end is End.DONE for one in (*seen, *asked)):
            return whole_at - lifted
    return None
