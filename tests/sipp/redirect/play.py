"""302: what the carrier wants called instead is not called by the gateway behind the page's back."""

from __future__ import annotations

from tests.integration.calls.stage import warning_of
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the carrier redirects (302) to another number: the gateway does not follow, and the page hears 480 with the reason"
)


async def play(stage: Stage) -> None:
    """One INVITE, one answer."""
    carrier = await stage.carrier(keys={"moved": stage.place.number("200")})
    call = await stage.dial(await stage.page())
    answer = await stage.refused(call, 480)
    with stage.expects("the page is told why"):
        assert "redirects" in warning_of(answer), warning_of(answer) or "no Warning"
    with stage.expects("the carrier has heard one INVITE"):
        assert len(carrier.requests("INVITE")) == 1, carrier.ladder()
