"""Sessions of four seconds (RFC 4028): the gateway refreshes where the carrier wants it to, else the carrier does."""

from __future__ import annotations

import time

from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "a session of 4 s is refreshed by the gateway after 2 s, or by the carrier; the page hears nothing of it",
    variables={"gateway_session_expires_s": 4, "gateway_min_se_s": 2},
)


REFRESHED_AFTER_S = (1.5, 3.0)
"""Half of the session, and what messages take."""
_CHANGES = ("UPDATE", "INVITE")


async def play(stage: Stage) -> None:
    """Two calls at once, one for each refresher."""
    page = await stage.page()
    for xml in ("we_refresh.xml", "carrier_refreshes.xml"):
        carrier = await stage.carrier(xml)
        call = await stage.dial(page)
        await stage.answered(call)
        answered, least_s, most_s = time.monotonic(), *REFRESHED_AFTER_S
        told = sum(len(call.trace.requests(method)) for method in _CHANGES)
        if xml == "we_refresh.xml":
            with stage.expects(f"the carrier hears a refresh {least_s} to {most_s} s after its answer"):
                await carrier.wait_request("UPDATE", timeout_s=most_s)
                took_s = time.monotonic() - answered
                assert took_s >= least_s, f"after {took_s:.1f} s"
        else:
            with stage.expects("the carrier's refresh is answered 200"):
                await carrier.wait_response("UPDATE", 200, timeout_s=most_s)
        with stage.expects("the page hears nothing of it"):
            heard = sum(len(call.trace.requests(method)) for method in _CHANGES)
            assert heard == told, f"{heard - told} requests"
        await stage.hang_up(call)
        await carrier.done()
