"""183 with a tone, then 404: the caller hears the announcement before the call ends."""

from __future__ import annotations

from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the carrier announces something at 425 Hz (183 with SDP), which the page hears, and refuses with 404"
)
ANNOUNCEMENT_HZ = 425.0


async def play(stage: Stage) -> None:
    """The page listens before anybody has answered."""
    await stage.carrier()
    page = await stage.page_with_media()
    media = page.new_media()
    call = await stage.dial(page, offer=await media.offer(audio="sendrecv"), media=media)
    with stage.expects(f"the page hears {ANNOUNCEMENT_HZ:.0f} Hz before an answer"):
        await media.until_heard(ANNOUNCEMENT_HZ, mid=media.mids[0])
    answer = await stage.refused(call, 404)
    with stage.expects("the page is told the carrier's reason (Q.850 cause 1)"):
        reason = answer.headers.get("Reason") or ""
        assert reason.startswith("Q.850;cause=1;"), reason or "no Reason"
