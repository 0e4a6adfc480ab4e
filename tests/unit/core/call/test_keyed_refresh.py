"""A far end with keys in SDP refreshes its session, or offers anew: it is told one key of ours, the same again."""

from __future__ import annotations

from typing import Final

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call

KEYS: Final = [
    f"a=crypto:{tag} {suite} inline:{'QUJD' * 10}\r\n"
    for tag, suite in enumerate(("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"), start=1)
]
ANSWER: Final = sdp.core_answer().replace("RTP/AVP", "RTP/SAVP") + KEYS[0].replace("QUJD", "REVG")


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


def test_a_late_offer_names_the_key_in_use_alone() -> None:
    """The relay adds one of the suite that it offers itself, and forgets it before it could be answered."""
    call = Call.forwarded()
    call.answer("core1", ANSWER)
    call.on(call.wic_request("ACK", cseq=1))
    asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
    offered = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
    told = call.on(ev.MediaRenewed(offered, asked.bearer)).only(act.SendReply)
    assert KEYS[0] in told.body
    assert keys_of(told.body) == 1


def test_a_fork_that_is_not_heard_offers_anew_later() -> None:
    call = Call.forwarded()
    for tag in ("core1", "core2"):
        event = call.ims_reply(183, tag, body=ANSWER.replace("40000", "40100" if tag == "core2" else "40000"))
        if call.on(event).all(act.ConnectMedia):
            call.on(ev.MediaConnected(event.reply))
    refused = call.on(call.ims_request("UPDATE", tag="core1", cseq=5, body=ANSWER))
    assert refused.reply == (500, "Server Internal Error")
    assert call.record.exchange is None
