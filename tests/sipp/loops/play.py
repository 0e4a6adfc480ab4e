"""Calls that go round: no hop left, back through the trunk they left by, and twice with one Call-ID."""

from __future__ import annotations

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "a call without hops left gets 483, one that comes back by the trunk it left by 404, a Call-ID that is running 482",
    calls_in=True,
)
CASES = (
    ("no_hops_left.xml", "900", "483: Max-Forwards is 0"),
    ("back.xml", "100", "404: the number that leaves by this trunk is nobody's when it comes back by it"),
)


async def play(stage: Stage) -> None:
    """Two calls of the carrier, then a page's call that is there already."""
    for xml, ending, expected in CASES:
        caller = await stage.caller(xml, to=stage.place.number(ending))
        with stage.expects(f"the carrier hears {expected}"):
            await caller.done()
    await stage.carrier()
    page, other = await stage.page(), await stage.page()
    call = await stage.dial(page)
    await call.wait_status(180)
    stage.report.note("another page calls with the same Call-ID")
    again = await other.invite(f"tel:{stage.place.number()}", AUDIO_BOTH_WAYS, call_id=call.call_id)
    await stage.refused(again, 482)
    await call.cancel()
    await stage.refused(call, 487)
