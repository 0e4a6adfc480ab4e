"""Runs the drawn calls, many at once, and collects what went wrong.

Knows slots, order and clean-up.  Must not know what a scenario does.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from tests.bench.mixed.play import Play
from tests.bench.mixed.remains import Recorded, Remains, look, recorded
from tests.bench.mixed.scenarios import Scenario, draw
from tests.bench.mixed.stage import MixedStage
from tests.integration.calls.stage import gateway_options
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part

CLEAN_WITHIN_S: Final = 90.0
"""Transactions of a lost page take 32 s, and tables for one message at a time expire after a minute."""
SCENARIO_WITHIN_S: Final = 60.0
_TIMERS: Final = {
    "gateway_prack_timeout_s": 8,
    "gateway_update_timeout_s": 8,
    "gateway_ims_response_timeout_s": 8,
    "gateway_ims_answer_timeout_s": 12,
    "gateway_flow_recovery_s": 8,
    "gateway_entry_point_timeout_s": 8,
    "gateway_ng_deadline_ms": 4000,
}
"""Shorter than an operator's, but long enough for fifty calls at once on two busy cores."""
_APART_S: Final = 0.05
"""Between the first calls of the slots."""


@dataclass(frozen=True)
class Failure:
    """A call that did not go as its scenario says."""

    number: int
    scenario: str
    what: str


@dataclass
class Outcome:
    """What ran and what was left."""

    ran: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    measured_calls: int = 0
    """Calls between the last two looks with pages connected."""
    start: Remains | None = None
    """Before the first page came."""
    warm: Remains | None = None
    """After the first calls."""
    middle: Remains | None = None
    """After about half of them."""
    after: Remains | None = None
    """After all calls, with the pages still connected."""
    end: Remains | None = None
    """After the pages have gone."""
    recorded: Recorded | None = None
    """What Redis knows of the calls then."""


def mixed_options(at_once: int) -> LabOptions:
    """Return a lab of gateway, relay and Redis for so many calls at once."""
    options = gateway_options(**_TIMERS)
    return replace(options, parts=options.parts | {Part.REDIS}, media_ports=10 * at_once)


@contextmanager
def mixed_lab(at_once: int) -> Iterator[Lab]:
    """Run one."""
    with Lab(mixed_options(at_once)) as lab:
        yield lab


@asynccontextmanager
async def mixed_stage(lab: Lab) -> AsyncIterator[MixedStage]:
    """Let the core listen until the block ends."""
    stage = MixedStage(lab)
    await stage.open()
    try:
        yield stage
    finally:
        for page in stage.pages:
            await page.close()
        await stage.core.close()


async def run(lab: Lab, scenarios: Sequence[Scenario], calls: int, seed: int, at_once: int) -> Outcome:
    """Play the calls, wait until all is quiet, and look at what is left."""
    outcome = Outcome()
    drawn = list(enumerate(draw(scenarios, calls, seed)))
    together = [(number, scenario) for number, scenario in drawn if not scenario.alone]
    alone = [(number, scenario) for number, scenario in drawn if scenario.alone]
    warm_up = max(at_once, len(together) // 5)
    outcome.start = look(lab)
    began = time.monotonic()
    async with mixed_stage(lab) as stage:
        plays = [Play(stage, slot) for slot in range(at_once)]
        await _play_all(stage, plays, together[:warm_up], seed, outcome)
        await _play_all(stage, plays[:1], alone, seed, outcome)
        outcome.warm = await quiet(lab)
        rest = together[warm_up:]
        half = len(rest) // 2
        await _play_all(stage, plays, rest[:half], seed, outcome)
        outcome.middle = await quiet(lab)
        outcome.measured_calls = len(rest[half:])
        await _play_all(stage, plays, rest[half:], seed, outcome)
        outcome.seconds = time.monotonic() - began
        outcome.after = await quiet(lab)
        for play in plays:
            await play.leave()
        outcome.end = await quiet(lab, with_pages=False)
        outcome.recorded = recorded(lab)
    return outcome


async def quiet(lab: Lab, *, with_pages: bool = True) -> Remains:
    """Wait until nothing is left that need not be, and return what there is; in vain after a while."""
    deadline = time.monotonic() + CLEAN_WITHIN_S
    while True:
        remains = look(lab)
        left = of_calls(remains) if with_pages else remains.left
        if not left or time.monotonic() > deadline:
            return remains
        await asyncio.sleep(0.5)


_OF_PAGES: Final = frozenset(
    f"table {name}" for name in ("flow", "registration", "binding_of", "port", "subscription")
)


def of_calls(remains: Remains) -> dict[str, int]:
    """Return what is left while pages are still there."""
    return {name: count for name, count in remains.left.items() if name not in _OF_PAGES}


async def _play_all(
    stage: MixedStage,
    plays: Sequence[Play],
    todo: Sequence[tuple[int, Scenario]],
    seed: int,
    outcome: Outcome,
) -> None:
    waiting = iter(todo)

    async def slot(place: int, play: Play) -> None:
        await asyncio.sleep(place * _APART_S)
        for number, scenario in waiting:
            try:
                await play.begin(f"{seed}/{number}")
                async with asyncio.timeout(SCENARIO_WITHIN_S):
                    await scenario.run(play)
                violations = play.violations()
                assert not violations, violations
            except (AssertionError, OSError, TimeoutError) as error:
                outcome.failures.append(Failure(number, scenario.name, f"{type(error).__name__}: {error}"))
                await play.abandon()
            outcome.ran[scenario.name] += 1
            play.end()

    await asyncio.gather(*(slot(place, play) for place, play in enumerate(plays)))
    outcome.failures += [Failure(-1, "any", fault) for fault in stage.faults]
    stage.faults.clear()
