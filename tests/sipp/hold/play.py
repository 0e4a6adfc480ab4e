"""The carrier holds the call and resumes it, by re-INVITE."""

from __future__ import annotations

from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the carrier puts the call on hold and takes it back by re-INVITE: the page is told, and the call goes on"
)


async def play(stage: Stage) -> None:
    """SIPp checks the directions in the answers."""
    carrier = await stage.carrier()
    call = await stage.dial(await stage.page())
    await stage.answered(call)
    with stage.expects("the carrier hears 200 to hold and resume"):
        for number in (1, 2):
            await carrier.wait_response("INVITE", 200, count=number)
    with stage.expects("the page was offered a line that only receives, then both directions again"):
        offers = [one.sdp for one in call.trace.requests("INVITE")]
        assert ["a=sendonly" in one for one in offers] == [True, False], offers
        assert "a=sendrecv" in offers[-1], offers[-1]
    await stage.hang_up(call)
