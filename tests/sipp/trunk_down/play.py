"""Nobody listens at the first trunk: the second one is tried; when that is dead as well the page hears 504 in time."""

from __future__ import annotations

from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "nobody listens at the first trunk, the second answers; when both are dead the page hears 504 within 9 s",
    trunks=(TrunkPlan("first"), TrunkPlan("second")),
)
NEXT_WITHIN_S = 6.0
GIVEN_UP_WITHIN_S = 9.0


async def play(stage: Stage) -> None:
    """One call that the second trunk takes, one that nobody takes."""
    carrier = await stage.carrier(role="second")
    page = await stage.page()
    call = await stage.dial(page)
    await stage.answered(call, within_s=NEXT_WITHIN_S)
    await stage.hang_up(call)
    await carrier.done()
    stage.report.note("now nobody listens at the second trunk either")
    await stage.refused(await stage.dial(page), 504, within_s=GIVEN_UP_WITHIN_S)
