"""A trunk says 100 at once and rings late: there is no reason to leave it."""

from __future__ import annotations

from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the trunk says 100, rings after 3.5 s and answers later still: the page hears it, no other trunk is tried",
    trunks=(TrunkPlan("first"), TrunkPlan("second")),
)


async def play(stage: Stage) -> None:
    """Ringing, then the answer, both from the first trunk."""
    await stage.carrier(role="first")
    second = await stage.carrier("unheard.xml", "second")
    call = await stage.dial(await stage.page())
    with stage.expects("the page hears 180"):
        await call.wait_status(180)
    await stage.answered(call)
    await stage.heard_nothing(second)
    await stage.hang_up(call)
