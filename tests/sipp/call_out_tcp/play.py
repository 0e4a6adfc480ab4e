"""A trunk that is reached by TCP: the call, and what the carrier sends inside it."""

from __future__ import annotations

from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the trunk is reached by TCP: the call is answered, and the carrier's BYE comes back over TCP",
    trunks=(TrunkPlan(transport="tcp"),),
)


async def play(stage: Stage) -> None:
    """The page calls, the carrier hangs up."""
    carrier = await stage.carrier()
    call = await stage.dial(await stage.page())
    await stage.answered(call)
    with stage.expects("our Via and Contact say TCP"):
        invite = await carrier.wait_request("INVITE")
        via, contact = invite.headers.get("Via") or "", invite.contact_uri or ""
        assert "SIP/2.0/TCP " in via and ";transport=tcp" in contact, (via, contact)
    with stage.expects("the carrier hangs up, and the page hears BYE"):
        await call.wait_request("BYE")
