"""The carrier calls a number of ours; the user's page rings, answers, and what it says comes back to it."""

from __future__ import annotations

from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "a call comes in by the trunk, its number leads to a user's page, which answers and hears its own tone",
    calls_in=True,
)


async def play(stage: Stage) -> None:
    """The page answers and speaks; the caller hangs up."""
    page = await stage.page_with_media()
    await stage.caller(arguments=("-rtp_echo", "-mp", str(stage.media_port())))
    with stage.expects(f"the page is called when {stage.place.number('900')} is dialled"):
        call = await page.wait_incoming()
    with stage.expects("the page sees the caller's number"):
        assert "+4940777001" in (call.invite.headers.get("From") or ""), call.invite.headers.get("From")
    await call.ring()
    with stage.expects("the page answers, and the carrier's ACK reaches it"):
        await call.answer()
    media = call.media
    assert isinstance(media, AiortcMedia)
    with stage.expects(f"the page hears its own {TONE_HZ:.0f} Hz, which the carrier sends back"):
        await media.until_heard(TONE_HZ, mid=media.mids[0])
    with stage.expects("the carrier hangs up, and the page hears BYE"):
        await call.wait_request("BYE")
