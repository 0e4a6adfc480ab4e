"""Sessions of four seconds (RFC 4028): the gateway refreshes where the carrier wants it to, else the carrier does."""

from __future__ import annotations

from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "a session of 4 s is refreshed by the gateway after 2 s, or by the carrier; the page hears nothing of it",
    variables={"gateway_session_expires_s": 4, "gateway_min_se_s": 2},
)


async def play(stage: Stage) -> None:
    """Two calls at once, one for each refresher."""
    page = await stage.page()
    for xml in ("we_refresh.xml", "carrier_refreshes.xml"):
        carrier = await stage.carrier(xml)
        call = await stage.dial(page)
        await stage.answered(call)
        if xml == "we_refresh.xml":
            with stage.expects("the carrier hears a refresh within 3 s"):
                await carrier.wait_request("UPDATE", timeout_s=3)
        else:
            with stage.expects("the carrier's refresh is answered 200"):
                await carrier.wait_response("UPDATE", 200, timeout_s=3)
        await stage.hang_up(call)
        await carrier.done()
