"""A far end with keys in SDP refreshes its session, or offers anew: it is told one key of ours, the same again."""

from __future__ import annotations

from typing import Final

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from kemi.core.sdp.text import sdp_from_text
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming, invite
from tests.unit.core.call.ladder import Call

KEYS: Final = [
    f"a=crypto:{tag} {suite} inline:{'QUJD' * 10}\r\n"
    for tag, suite in enumerate(("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"), start=1)
]
ANSWER: Final = sdp.core_answer().replace("RTP/AVP", "RTP/SAVP") + KEYS[0].replace("QUJD", "REVG")
ZEROS: Final = ("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0")


@pytest.fixture(autouse=True)
def _relay_offers_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sdp.relay_offer
    monkeypatch.setattr(sdp, "relay_offer", lambda kind, port=30000: keyed(plain(kind, port), *KEYS))


def keyed(text: str, *keys: str) -> str:
    return text.replace("RTP/AVP ", "RTP/SAVP ") + "".join(keys)


def keys_of(text: str) -> int:
    return len(sdp_from_text(text).media[0].attributes("crypto"))


def test_our_offer_has_one_key_which_answers_a_refresh() -> None:
    call = Call.forwarded()
    assert keys_of(call.record.ims_description) == 1
    call.answer("core1", ANSWER)
    call.on(call.wic_request("ACK", cseq=1))
    for cseq in (5, 6):
        told = call.on(call.ims_request("INVITE", cseq=cseq, body=ANSWER)).only(act.SendReply)
        assert (told.status, keys_of(told.body)) == (200, 1)


@pytest.mark.parametrize(
    ("changes", "is_new"),
    [
        pytest.param([], False, id="the same key"),
        pytest.param([ZEROS], False, id="held as RFC 2543 had it"),
        pytest.param([ZEROS, ("REVG", "R0hJ")], True, id="held, with another key"),
        pytest.param([("REVG", "R0hJ")], True, id="another key"),
    ],
)
def test_an_answer_with_another_key_renews_the_relay(changes: list[tuple[str, str]], is_new: bool) -> None:
    """RFC 4568 §7.1.4: or neither side hears anything but noise."""
    page = sdp.chromium("audio-sendrecv")
    call = Call.forwarded(page)
    call.answer("core1", ANSWER)
    call.on(call.wic_request("ACK", cseq=1))
    answer = ANSWER
    for old, new in changes:
        answer = answer.replace(old, new)
    call.on(call.wic_request("INVITE", cseq=7, body=offer_again(page, {"0": "sendonly"})))
    answered = call.on(call.ims_reply(200, "core1", method="INVITE", cseq=7, body=answer))
    assert answered.names == (["RenewMedia"] if is_new else ["GateMedia"])
    if is_new:
        (change,) = answered.only(act.RenewMedia).media
        (key,) = sdp_from_text(answer).media[0].attributes("crypto")
        assert f"a=crypto:{key}\r\n" in change.ims_line
        assert "0.0.0.0" not in change.ims_line


def asked_for_offer(page: str = "audio-sendrecv", answer: str = ANSWER) -> Call:
    """A call whose far end has our late offer, the last thing that was done."""
    call = Call.forwarded(sdp.chromium(page))
    call.answer("core1", answer)
    call.on(call.wic_request("ACK", cseq=1))
    asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
    kinds = [one.kind for one in asked.media]
    offered = {kind: ev.Renewed(sdp.relay_offer(kind), sdp.relay_answer(kind)) for kind in kinds}
    call.on(ev.MediaRenewed(offered, asked.bearer))
    return call


def test_a_late_offer_names_the_key_in_use_alone() -> None:
    """The relay adds one of the suite that it offers itself, and forgets it before it could be answered."""
    told = asked_for_offer().actions.only(act.SendReply)
    assert KEYS[0] in told.body
    assert keys_of(told.body) == 1


MOVED: Final = ANSWER.replace("m=audio 40000", "m=audio 50000").replace("REVG", "R0hJ")


def test_its_answer_has_a_key_of_that_suite() -> None:
    call = asked_for_offer()
    taken = call.on(call.ims_request("ACK", cseq=5, body=MOVED))
    (audio,) = taken.only(act.RenewMedia).media
    assert "m=audio 50000 RTP/SAVP " in audio.ims_line
    assert KEYS[0].replace("QUJD", "R0hJ") in audio.ims_line
    assert not call.record.ended


def test_its_suite_may_be_in_lower_case() -> None:
    call = asked_for_offer()
    taken = call.on(call.ims_request("ACK", cseq=5, body=MOVED.replace("AES_CM_128_HMAC", "aes_cm_128_hmac")))
    assert taken.names == ["Unschedule", "RenewMedia"]


def test_one_that_holds_as_of_old_leaves_the_relay_the_address_it_has() -> None:
    """With another one it would begin its SRTP index anew."""
    call = asked_for_offer()
    zeros = ANSWER.replace(*ZEROS)
    assert zeros != ANSWER
    (audio,) = call.on(call.ims_request("ACK", cseq=5, body=zeros)).only(act.RenewMedia).media
    assert ("c=IN IP4 198.51.100.7" in audio.ims_line, audio.wic_to_ims) == (True, False)


HEAD: Final = sdp.core_answer().partition("m=")[0]
IN_CLEAR: Final = "m=audio 50000 RTP/AVP 8\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(sdp.core_answer(port=50000), id="in clear"),
        pytest.param(MOVED.replace("RTP/SAVP", "RTP/AVP"), id="in clear, beside a key"),
        pytest.param(MOVED.partition("a=crypto:")[0], id="no key"),
        pytest.param(MOVED.replace("crypto:1", "crypto:7"), id="another tag"),
        pytest.param(MOVED.replace("_80", "_32"), id="another suite"),
        pytest.param(MOVED.replace("R0hJ" * 10, "R0hJ"), id="no whole key"),
        pytest.param(MOVED.replace("SAVP 8", "SAVP 9").replace("8 PCMA", "9 G722"), id="another codec"),
        pytest.param("nothing that can be read", id="no description"),
        pytest.param(f"{HEAD}m=audio 0 RTP/SAVP 8\r\n{IN_CLEAR}", id="in clear on a line more"),
    ],
)
def test_another_answer_ends_the_call(answer: str) -> None:
    """The far end goes by it, an ACK cannot be refused, and nothing goes on in clear that was encrypted."""
    call = asked_for_offer()
    ended = call.on(call.ims_request("ACK", cseq=5, body=answer))
    assert [note.event for note in ended.all(act.Note)] == ["late_answer_refused", "call_ended"]
    assert [(one.to, one.method) for one in ended.all(act.SendRequest)] == [
        (Side.IMS, "BYE"),
        (Side.WIC, "BYE"),
    ]
    assert (call.record.ended, call.record.exchange, ended.all(act.RenewMedia)) == (True, None, [])


def test_so_does_one_in_clear_in_another_order() -> None:
    video = "".join(sdp.core_answer("audio", "video").partition("m=video")[1:])
    call = asked_for_offer("av-sendrecv", ANSWER + video)
    lines = sdp_from_text(call.actions.only(act.SendReply).body).media
    assert (lines[0].kind, lines[0].port > 0, lines[0].proto) == ("audio", True, "RTP/SAVP")
    ended = call.on(call.ims_request("ACK", cseq=5, body=f"{HEAD}m=video 0 RTP/AVPF 96\r\n{IN_CLEAR}"))
    assert [one.method for one in ended.all(act.SendRequest)] == ["BYE", "BYE"]


def refused_alone(call: Call | Incoming, answer: str, cseq: int = 5) -> bool:
    """Whether an answer that is no use to us leaves the call as it was."""
    before = (call.record.media, call.record.ims_description)
    refused = call.on(call.ims_request("ACK", cseq=cseq, body=answer))
    assert (refused.only(act.Note).event, refused.names) == ("late_answer_refused", ["Unschedule"])
    return (call.record.media, call.record.ims_description) == before and not call.record.ended


def test_one_that_takes_nothing_leaves_the_call_as_it_was() -> None:
    """RFC 3264 §6: port 0 is an answer, and lets nothing go on in clear."""
    assert refused_alone(asked_for_offer(), MOVED.replace("m=audio 50000", "m=audio 0"))


@pytest.mark.parametrize("answered", ["0 RTP/AVP 8", "40010 RTP/AVP 18", "40010 RTP/SAVP 8"])
def test_so_does_a_bad_one_for_a_line_in_clear_beside_one_with_keys_that_is_off(
    monkeypatch: pytest.MonkeyPatch, answered: str
) -> None:
    monkeypatch.undo()
    head, _, _ = sdp.core_answer().partition("m=")
    key = "a=crypto:1 AES_CM_256_HMAC_SHA1_80 inline:QUJD\r\n"  # which the relay does not read
    offer = f"{head}m=audio 40000 RTP/SAVP 8\r\n{key}m=audio 40002 RTP/AVP 8\r\n"
    call = Incoming.confirmed(invite(offer))
    lines = sdp_from_text(call.record.ims_description).media
    assert [(line.port > 0, line.proto) for line in lines] == [(False, "RTP/SAVP"), (True, "RTP/AVP")]
    asked = call.on(call.ims_request("INVITE", cseq=6)).only(act.RenewMedia)
    offered = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
    call.on(ev.MediaRenewed(offered, asked.bearer))
    assert refused_alone(call, f"{head}m=audio 0 RTP/SAVP 8\r\nm=audio {answered}\r\n", cseq=6)


def test_an_ack_without_an_answer_changes_nothing() -> None:
    call = asked_for_offer()
    refused = call.on(call.ims_request("ACK", cseq=5, body=""))
    assert (refused.only(act.Note).event, refused.names) == ("late_answer_refused", ["Unschedule"])
    assert not call.record.ended


def test_a_fork_that_is_not_heard_offers_anew_later() -> None:
    call = Call.forwarded()
    for tag in ("core1", "core2"):
        event = call.ims_reply(183, tag, body=ANSWER.replace("40000", "40100" if tag == "core2" else "40000"))
        if call.on(event).all(act.ConnectMedia):
            call.on(ev.MediaConnected(event.reply))
    refused = call.on(call.ims_request("UPDATE", tag="core1", cseq=5, body=ANSWER))
    assert refused.reply == (500, "Server Internal Error")
    assert call.record.exchange is None
