"""A page calls a number; the carrier answers, and what the page says comes back to it."""

from __future__ import annotations

from tests.peers.aiortc_wic import TONE_HZ
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "a call leaves by the trunk, is answered, and the page hears its own tone back from the carrier"
)


async def play(stage: Stage) -> None:
    """The page calls, speaks, hears itself and hangs up."""
    carrier = await stage.carrier(arguments=("-rtp_echo", "-mp", str(stage.media_port())))
    page = await stage.page_with_media()
    media = page.new_media()
    call = await stage.dial(page, offer=await media.offer(audio="sendrecv"), media=media)
    await stage.answered(call)
    invite = (await carrier.wait_request("INVITE")).request_uri
    with stage.expects("the carrier is asked for the number in the trunk's form, as a telephone's"):
        assert invite.startswith(f"sip:{stage.place.number()}@") and "user=phone" in invite, invite
    with stage.expects(f"the page hears its own {TONE_HZ:.0f} Hz, which the carrier sends back"):
        await media.until_heard(TONE_HZ, mid=media.mids[0])
    await stage.hang_up(call)
