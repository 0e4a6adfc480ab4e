"""A trunk says 100 and nothing more: the call is taken back from it, and nobody waits for ever."""

from __future__ import annotations

from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the trunk says 100 and no more: the gateway takes the call back (CANCEL), and the page is told in time",
    trunks=(TrunkPlan("first"), TrunkPlan("second")),
)
GIVEN_UP_WITHIN_S = 12.0


async def play(stage: Stage) -> None:
    """The page waits, as long as the operator lets callers wait."""
    carrier = await stage.carrier("trying.xml", "first")
    second = await stage.carrier("unheard.xml", "second")
    call = await stage.dial(await stage.page())
    with stage.expects(f"the carrier hears CANCEL within {GIVEN_UP_WITHIN_S:.0f} s"):
        await carrier.wait_request("CANCEL", timeout_s=GIVEN_UP_WITHIN_S)
    await stage.refused(call, 504)
    await stage.heard_nothing(second)
