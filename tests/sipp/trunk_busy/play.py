"""The first trunk takes the INVITE (100) and says 503 after a while: the second one is tried."""

from __future__ import annotations

from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the first trunk says 100 and, late, 503: the second one answers, and the page hears nothing of the 503",
    trunks=(TrunkPlan("first"), TrunkPlan("second")),
)


async def play(stage: Stage) -> None:
    """The page hears the second trunk only."""
    first = await stage.carrier("unavailable.xml", "first")
    await stage.carrier(role="second")
    call = await stage.dial(await stage.page())
    await stage.answered(call)
    await first.done()
    await stage.hang_up(call)
