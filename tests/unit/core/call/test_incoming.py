"""The steps of a call towards a page, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call.record_key import record_key
from kemi.core.call.towards_page.incoming import called_registration
from kemi.core.errors import (
    MediaUnavailable,
    NotAcceptableHere,
    RemoteProtocolError,
    SipReject,
)
from kemi.core.messages import Side
from kemi.core.registration import Registration
from tests.unit.core.call import ladder
from tests.unit.core.call.incoming_ladder import (
    KEY,
    TAG,
    Incoming,
    invite,
    offer,
)
from tests.unit.core.call.ladder import REGISTRATION

ERROR = MediaUnavailable("relay gone")


def values(edits: act.MessageEdits, name: str) -> list[str]:
    """Return the values of the header lines that edits insert."""
    return [line.partition(": ")[2] for line in edits.insert if line.partition(": ")[0] == name]


class TestName:
    """Which record a message belongs to."""

    @pytest.mark.parametrize(
        ("tag", "key"),
        [
            pytest.param(TAG, KEY, id="towards a page"),
            pytest.param("0123456789abcdef", "call-in", id="from a page"),
            pytest.param("", "call-in", id="no tag yet"),
        ],
    )
    def test_our_own_tag_decides(self, tag: str, key: str) -> None:
        assert record_key("call-in", tag) == key

    def test_records_of_one_call_id_have_names_of_their_own(self) -> None:
        assert Incoming.offered().record.key == KEY
        assert ladder.record_at("offered").key == "call-1"


class TestWhoIsCalled:
    """Only the page that is registered with the Contact of the Request-URI."""

    def test_the_page_is_there(self) -> None:
        assert called_registration(invite(), REGISTRATION) is REGISTRATION

    @pytest.mark.parametrize(
        ("registration", "status"),
        [
            pytest.param(None, 430, id="lost since its token was looked at"),
            pytest.param(replace(REGISTRATION, contact="sip:y@page.invalid"), 480, id="another Contact"),
        ],
    )
    def test_it_is_not(self, registration: Registration | None, status: int) -> None:
        with pytest.raises(SipReject) as refusal:
            called_registration(invite(), registration)
        assert refusal.value.status == status
        assert refusal.value.detail


class TestTheInvite:
    """What we refuse, and what the page is sent."""

    @pytest.mark.parametrize(
        ("request_", "error", "status"),
        [
            pytest.param(invite("x", content_type="text/plain"), SipReject, 415, id="content type"),
            pytest.param(invite("rubbish"), RemoteProtocolError, 400, id="no description"),
            pytest.param(invite(contact=""), RemoteProtocolError, 400, id="no Contact"),
            pytest.param(invite(offer().replace("PCMA", "iLBC")), NotAcceptableHere, 488, id="codec"),
            pytest.param(invite(headers={"Session-Expires": ["60"]}), SipReject, 422, id="session"),
        ],
    )
    def test_refused(self, request_: object, error: type[SipReject], status: int) -> None:
        with pytest.raises(error) as refusal:
            Incoming(request_)  # type: ignore[arg-type]
        assert refusal.value.status == status

    def test_the_transaction_has_our_tag_before_the_relay_is_asked(self) -> None:
        call = Incoming(invite())
        assert call.actions.names == ["CreateTransaction", "ReserveIncoming"]
        assert call.actions.only(act.CreateTransaction).to_tag == TAG
        reserve = call.actions.only(act.ReserveIncoming)
        assert (reserve.call_id, list(reserve.media)) == (KEY, ["audio"])

    def test_it_goes_to_the_page_over_its_connection(self) -> None:
        call = Incoming.sent()
        forward = call.actions.only(act.ForwardInvite)
        edits = forward.edits
        assert (forward.to, forward.response_timeout_s, forward.answer_timeout_s) == (Side.WIC, 5.0, 180.0)
        assert edits.next_hop == "sip:127.0.0.1:40000;transport=ws"
        assert edits.request_uri is None
        assert (edits.from_tag, edits.to_tag) == (TAG, "")
        assert values(edits, "Contact") == ["<sip:gateway@ims.example;transport=ws>"]
        assert values(edits, "Supported") == ["100rel, replaces"]
        assert {"Record-Route", "Route", "Contact", "P-Charging-Vector"} <= set(edits.remove)
        assert edits.body == call.record.wic_description
        assert "m=audio" in call.record.wic_description

    def test_what_is_required_is_offered_where_it_is_100rel_and_required_where_not(self) -> None:
        call = Incoming.sent(invite(headers={"Require": ["100rel, made-up"], "Supported": []}))
        edits = call.actions.only(act.ForwardInvite).edits
        assert values(edits, "Require") == ["made-up"]
        assert values(edits, "Supported") == ["100rel, made-up"]

    @pytest.mark.parametrize(
        ("privacy", "hidden"),
        [
            pytest.param([], False, id="none"),
            pytest.param(["id"], True, id="id"),
            pytest.param(["header;ID"], True, id="among others"),
            pytest.param(["identity"], False, id="another word"),
        ],
    )
    def test_privacy(self, privacy: list[str], hidden: bool) -> None:
        edits = Incoming.sent(invite(headers={"Privacy": privacy})).actions.only(act.ForwardInvite).edits
        assert ("P-Asserted-Identity" in edits.remove) is hidden


def test_an_offer_in_the_prack_of_a_response_of_the_pages_own_goes_to_nobody() -> None:
    """The page could not use a description without ICE and DTLS, nor the core the page's."""
    call = Incoming.sent(invite(headers={"Supported": ["100rel"]}))
    passed = call.on(call.wic_reply(180, headers={"Require": ["100rel"], "RSeq": ["3"]})).only(
        act.ForwardReply
    )
    (rseq,) = (line.removeprefix("RSeq: ") for line in passed.edits.insert if line.startswith("RSeq: "))
    acknowledges = {"RAck": [f"{rseq} 5 INVITE"]}
    refused = call.on(call.ims_request("PRACK", cseq=6, body=offer(), headers=acknowledges))
    assert (refused.names, refused.reply[0]) == (["SendReply"], 488)
    assert call.on(call.ims_request("PRACK", cseq=7, headers=acknowledges)).names == ["ForwardRequest"]
