"""The page's INVITE is judged: refused with a reason, or turned into a record and a reservation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call.events import InviteResumed, TransactionCreated
from kemi.core.call.states import Dialog, Media, OfferAnswer
from kemi.core.errors import GatewayError, SipReject
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import (
    ALICE,
    FULL_SUPPORT,
    GATEWAY_TAG,
    REGISTRATION,
    Call,
    invite,
)

TWO_WAY = "audio-sendrecv"


class TestRefusals:
    """RFC 3261 §8.2 and §21.4: what an INVITE needs before anything is done for it."""

    def test_a_connection_without_registration_gets_403(self) -> None:
        with pytest.raises(SipReject) as caught:
            Call(invite(), registration=None)
        assert (caught.value.status, caught.value.reason_phrase) == (403, "Not Registered")

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            pytest.param("", "", 488, id="no body: a late offer"),
            pytest.param("hello", "text/plain", 415, id="another content type"),
            pytest.param("v=0\r\no=-", "application/sdp", 400, id="broken SDP"),
            pytest.param("not a description", "application/sdp", 400, id="no SDP at all"),
        ],
    )
    def test_a_body_that_is_no_offer_is_refused(self, body: str, content_type: str, status: int) -> None:
        with pytest.raises(GatewayError) as caught:
            Call(invite(body, content_type=content_type))
        assert caught.value.status == status
        assert caught.value.detail

    def test_an_invite_without_contact_is_malformed(self) -> None:
        with pytest.raises(GatewayError, match="Contact") as caught:
            Call(invite(contact=""))
        assert caught.value.status == 400

    def test_an_offer_without_usable_media_gets_488(self) -> None:
        with pytest.raises(GatewayError) as caught:
            Call(invite(sdp.chromium("datachannel-only")))
        assert caught.value.status == 488


class TestAcceptance:
    """What is remembered and what is asked for."""

    def test_the_transaction_comes_before_the_relay(self) -> None:
        assert Call(invite()).actions.names == ["CreateTransaction", "ReserveMedia"]

    def test_local_replies_will_carry_our_tag(self) -> None:
        assert Call(invite()).actions.only(act.CreateTransaction).to_tag == GATEWAY_TAG

    def test_the_record_keeps_what_the_dialog_needs(self) -> None:
        record = Call(invite()).record
        assert record.wic_contact == "sip:x@page.invalid;transport=ws"
        assert (record.connection_id, record.source, record.owner) == ("7", "127.0.0.1:40000", ALICE)
        assert (record.invite_cseq, record.wic_cseq) == (1, 1)
        assert record.service_route == REGISTRATION.service_route
        assert record.asserted_identity == [f'"Alice" <{ALICE}>']

    def test_the_page_is_known_by_the_contact_it_registered(self) -> None:
        contact = "sip:alice@ims.example;gr=urn:uuid:1"
        record = Call(replace(invite(), contact=f"<{contact}>")).record
        assert (record.wic_contact, record.contact_of_binding) == (contact, REGISTRATION.contact)

    def test_the_machines_stand_at_an_unanswered_offer(self) -> None:
        record = Call(invite()).record
        assert (record.dialog, record.wic_offer_answer) == (Dialog.NONE, OfferAnswer.OFFER_RECEIVED)
        assert (record.ims_offer_answer, record.media_state) == (OfferAnswer.IDLE, Media.NONE)

    @pytest.mark.parametrize(
        ("case", "kinds", "transport", "reverse"),
        [
            pytest.param("audio-sendonly", ["audio"], "shared", [True], id="voice: one transport"),
            pytest.param("av-sendonly", ["audio", "video"], "split", [True, True], id="video: one each"),
            pytest.param(TWO_WAY, ["audio"], "split", [False], id="two-way: nothing to add, no group"),
        ],
    )
    def test_each_medium_is_reserved_once(
        self, case: str, kinds: list[str], transport: str, reverse: list[bool]
    ) -> None:
        reserve = Call(invite(sdp.chromium(case))).actions.only(act.ReserveMedia)
        assert [medium.kind for medium in reserve.media] == kinds
        assert [medium.reverse for medium in reserve.media] == reverse
        assert reserve.transport == transport
        assert all(len(sdp_from_text(medium.wic_offer).media) == 1 for medium in reserve.media)

    def test_capabilities_are_read_from_all_header_fields_together(self) -> None:
        headers = {"Allow": ["INVITE", "prack", "Update"], "Supported": ["outbound", "100rel"]}
        assert Call(invite(headers=headers)).record.needs_update

    def test_reliable_responses_are_required_of_us_and_of_nobody_behind(self) -> None:
        """RFC 3261 §8.2.2.3: whoever has none would refuse the call, with 420."""
        asked = {"Allow": ["INVITE, PRACK, UPDATE"], "Require": ["100rel"]}
        call = Call(invite(sdp.chromium(TWO_WAY), asked))
        call.on(TransactionCreated(1, 2))
        assert "Require: 100rel" in call.reserved().only(act.SendReply).headers
        call.on(call.prack(1))
        edits = call.on(InviteResumed()).only(act.ForwardInvite).edits
        assert "Require" in edits.remove
        assert [line for line in edits.insert if line.startswith(("Require", "Supported"))] == [
            "Supported: 100rel, timer"
        ]

    def test_the_log_line_says_why_and_holds_no_description(self) -> None:
        note = Call(invite(headers=FULL_SUPPORT)).actions.only(act.Note)
        assert note.event == "call_offered"
        assert note.fields["flow"] == "answer_then_update"
        assert note.fields["transport"] == "shared"
        assert note.fields["why"] == "both lines of one medium in a BUNDLE group"
        assert not any("ice-pwd" in str(value) for value in note.fields.values())

    def test_the_transactions_name_is_remembered(self) -> None:
        call = Call(invite())
        assert call.on(TransactionCreated(5, 6)) == []
        assert call.record.transaction == (5, 6)
