"""A fork that offers keys (RFC 4568) by an UPDATE of its own, where our INVITE has none, before it answers the call."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.test_forks import MOVED, OTHER, audio_port, offers_anew, progress, two_forks

KEY = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}\r\n"
KEYED = MOVED.replace("RTP/AVP", "RTP/SAVP") + KEY
OFFERS_UNUSABLE_VIDEO = sdp.core_answer("audio", "video", port=43000).replace("RTP/AVPF", "RTP/SAVPF")


def test_one_that_is_heard_keeps_what_it_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    call = two_forks()
    plain = sdp.relay_offer
    monkeypatch.setattr(sdp, "relay_offer", lambda *args: plain(*args).replace("RTP/AVP ", "RTP/SAVP ") + KEY)
    assert offers_anew(call, "core2", KEYED) == ["ReofferFromIms", "SendReply"]
    told = call.actions.only(act.SendReply)
    assert (told.status, KEY in told.body) == (200, True)
    progress(call, "core3", sdp.core_answer(port=46000))
    answer = call.ims_reply(200, "core2")
    call.on(answer)
    assert (audio_port(call), call.record.doomed) == ("43000", "")
    assert call.record.ims_description == told.body


def test_one_that_is_not_heard_offers_them_later() -> None:
    """Our answer, which the relay has no part in, would have no key."""
    call = two_forks()
    assert offers_anew(call, "core1", KEYED) == ["SendReply"]
    assert call.actions.reply == (500, "Server Internal Error")
    call.on(call.ims_reply(200, "core1"))
    assert (audio_port(call), call.record.doomed) == ("40000", "")


def test_a_line_that_we_have_refused_costs_it_no_call() -> None:
    call = Call.forwarded(sdp.chromium("av-sendrecv"))
    progress(call, "core1", sdp.core_answer("audio", "video"))
    offers_anew(call, "core1", OFFERS_UNUSABLE_VIDEO)
    assert "m=video 0 RTP/SAVPF " in call.actions.only(act.SendReply).body
    progress(call, "core2", OTHER)
    call.on(call.ims_reply(200, "core1"))
    assert (audio_port(call), call.record.doomed) == ("43000", "")
