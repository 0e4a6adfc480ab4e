"""The page hangs up before anybody answered: before 180, after it, and when the answer is on its way."""

from __future__ import annotations

from tests.peers.call_plan import CallPlan, Step, cancel_and_go_on
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the page cancels before 180, after 180, and crossing the answer: the carrier hears CANCEL, or ACK and BYE"
)


async def play(stage: Stage) -> None:
    """Three calls."""
    page = await stage.page()
    for xml in ("before_180.xml", "after_180.xml"):
        carrier = await stage.carrier(xml)
        call = await stage.dial(page)
        await carrier.wait_request("INVITE")
        if xml == "after_180.xml":
            await call.wait_status(180)
        await call.cancel()
        await stage.refused(call, 487)
        await carrier.done()

    await stage.carrier("crossing_200.xml")
    call = await stage.dial(page, plan=CallPlan(hooks={Step.RINGING_RECEIVED: cancel_and_go_on}))
    await stage.answered(call)
    await stage.hang_up(call)
