"""A fork that negotiates RTP/AVPF (RFC 5939) by an offer of its own, before it answers the call, keeps it."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.test_forks import OTHER, offers_anew, progress

LIKES_FEEDBACK = sdp.core_answer("audio", "video", port=43000).replace(
    "RTP/AVPF 96\r\n", "RTP/AVP 96\r\na=tcap:1 RTP/AVPF\r\na=pcfg:1 t=1\r\n"
)


def video_lines(description: str) -> list[str]:
    """Return the video line and what was chosen for it."""
    lines = description.split("\r\n")
    return [line for line in lines if line.startswith(("m=video", "a=acfg:", "a=tcap:", "a=pcfg:"))]


@pytest.mark.parametrize("heard", [pytest.param(True, id="heard"), pytest.param(False, id="not heard")])
def test_what_it_was_answered_holds_when_it_answers_and_later(heard: bool) -> None:
    call = Call.forwarded(sdp.chromium("av-sendrecv"))
    progress(call, "core1", sdp.core_answer("audio", "video"))
    if not heard:
        progress(call, "core2", OTHER)
    offers_anew(call, "core1", LIKES_FEEDBACK)
    told = call.actions.only(act.SendReply).body
    assert video_lines(told) == ["m=video 30002 RTP/AVPF 96", "a=acfg:1 t=1"]
    progress(call, "core1", status=200)
    assert call.record.ims_description == told
    call.on(call.wic_request("ACK", cseq=1))
    call.on(call.ims_request("INVITE", body=LIKES_FEEDBACK, cseq=9))
    assert video_lines(call.actions.only(act.SendReply).body) == video_lines(told)
