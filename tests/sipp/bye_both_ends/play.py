"""A call out that the carrier ends, and a call in that the page ends: with call-out and call-in, every end ends one."""

from __future__ import annotations

from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the carrier hangs up a call out, the page a call in: the other end hears BYE each time",
    calls_in=True,
)


async def play(stage: Stage) -> None:
    """One call each way."""
    carrier = await stage.carrier()
    page = await stage.page()
    call = await stage.dial(page)
    await stage.answered(call)
    with stage.expects("the carrier hangs up, and the page hears BYE"):
        await call.wait_request("BYE")
    await carrier.done()

    await stage.caller()
    with stage.expects("the page is called"):
        incoming = await page.wait_incoming()
    await incoming.ring()
    await incoming.answer()
    await stage.hang_up(incoming)
