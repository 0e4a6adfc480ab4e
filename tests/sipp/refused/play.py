"""Busy and declined: the page hears the carrier's status and its reason, and no other trunk is tried."""

from __future__ import annotations

from tests.sipp.scenario import Scenario, TrunkPlan
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the carrier says 486, then 603, with Q.850 causes: the page hears both, and no other trunk is tried",
    trunks=(TrunkPlan("first"), TrunkPlan("second")),
)


async def play(stage: Stage) -> None:
    """Two calls; nobody listens at the second trunk, so that trying it would end in 503."""
    page = await stage.page()
    for xml, status, cause in (("busy.xml", 486, 17), ("declined.xml", 603, 21)):
        carrier = await stage.carrier(xml, "first")
        answer = await stage.refused(await stage.dial(page), status)
        with stage.expects(f"the page is told the carrier's reason (Q.850 cause {cause})"):
            reason = answer.headers.get("Reason") or ""
            assert reason.startswith(f"Q.850;cause={cause};"), reason or "no Reason"
        await carrier.done()
