"""The page's digits by SIP INFO are telephone-events (RFC 4733) in the carrier's packets."""

from __future__ import annotations

from tests.integration.calls.test_dtmf import event_type, with_events
from tests.peers.media import RtpEndpoint
from tests.peers.rtp import KeyPress, key_presses
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

SCENARIO = Scenario(
    "the page sends 1, 9 and # by SIP INFO: the carrier gets them as telephone-events (RFC 4733) in RTP"
)
DIGITS = "19#"
LENGTH_MS, TOLERANCE_MS = 160, 20


def pressed(listener: RtpEndpoint, payload_type: int) -> list[KeyPress]:
    """Return the digits in the packets so far."""
    return key_presses(listener.packets(payload_type), 8000)


async def play(stage: Stage) -> None:
    """The packets go to a listener, whose port SIPp writes into its answer."""
    with RtpEndpoint(stage.place.address) as listener:
        carrier = await stage.carrier(keys={"listener": str(listener.port)})
        page = await stage.page_with_media()
        media = page.new_media()
        call = await stage.dial(page, offer=with_events(await media.offer(audio="sendrecv")), media=media)
        await stage.answered(call)
        with stage.expects("the carrier hears the page"):
            await listener.until(lambda heard: heard.packets_received > 10, what="RTP from the page")
        events = event_type(carrier.requests("INVITE")[0].sdp)
        for digit in DIGITS:
            with stage.expects(f"the INFO with {digit} is answered 200"):
                response = await call.info_dtmf(digit, LENGTH_MS)
                assert response.status == 200, response.start_line
        with stage.expects(f"the carrier's packets hold the digits {DIGITS}, each {LENGTH_MS} ms long"):
            await listener.until(
                lambda heard: sum(one.ended for one in pressed(heard, events)) == len(DIGITS),
                what=f"the digits {DIGITS}",
            )
            presses = pressed(listener, events)
            assert "".join(press.digit for press in presses) == DIGITS, presses
            assert all(abs(press.duration_ms - LENGTH_MS) <= TOLERANCE_MS for press in presses), presses
        await stage.hang_up(call)
