"""The steps inside the dialog of a call towards a page."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.errors import (
    MediaUnavailable,
)
from kemi.core.messages import Side
from tests.unit.core.call.incoming_ladder import (
    CALLER_CONTACT,
    CALLER_TAG,
    KEY,
    PAGE_CONTACT,
    PAGE_TAG,
    ROUTES,
    TAG,
    Incoming,
)
from tests.unit.core.call.ladder import ALICE, BOB

ERROR = MediaUnavailable("relay gone")


def values(edits: act.MessageEdits, name: str) -> list[str]:
    """Return the values of the header lines that edits insert."""
    return [line.partition(": ")[2] for line in edits.insert if line.partition(": ")[0] == name]


class TestInsideTheDialog:
    """Requests both ways."""

    def test_the_ack_reaches_the_page(self) -> None:
        call = Incoming.confirmed()
        edits = call.actions.only(act.ForwardRequest).edits
        assert (edits.from_tag, edits.to_tag, edits.cseq) == (TAG, PAGE_TAG, 5)
        assert edits.request_uri == f"{PAGE_CONTACT};ob"
        assert edits.next_hop == "sip:127.0.0.1:40000;transport=ws"
        assert call.record.acknowledged

    @pytest.mark.parametrize("cseq", [4, 6])
    def test_an_ack_of_something_else_does_not(self, cseq: int) -> None:
        call = Incoming.ringing()
        call.answer()
        assert call.on(call.ims_request("ACK", cseq=cseq)) == []

    def test_an_ack_of_the_page_means_nothing(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.wic_request("ACK", cseq=5)) == []

    def test_info_from_the_core_and_the_pages_response(self) -> None:
        call = Incoming.confirmed()
        forward = call.on(call.ims_request("INFO", cseq=6)).only(act.ForwardRequest)
        assert forward.to is Side.WIC
        assert (forward.edits.from_tag, forward.edits.to_tag, forward.edits.cseq) == (TAG, PAGE_TAG, 6)
        edits = call.on(call.wic_reply(200, method="INFO", cseq=6, contact="")).only(act.ForwardReply).edits
        assert (edits.from_tag, edits.to_tag, edits.cseq) == (CALLER_TAG, TAG, 6)

    def test_info_from_the_page_and_the_cores_response(self) -> None:
        call = Incoming.confirmed()
        forward = call.on(call.wic_request("INFO", cseq=1)).only(act.ForwardRequest)
        assert forward.to is Side.IMS
        edits = forward.edits
        assert (edits.from_tag, edits.to_tag) == (TAG, CALLER_TAG)
        assert edits.request_uri == CALLER_CONTACT
        assert edits.next_hop == "sip:scscf.ims.example;lr"
        assert values(edits, "Route") == list(ROUTES)
        reply = call.on(call.ims_reply(200, method="INFO", cseq=1)).only(act.ForwardReply).edits
        assert (reply.from_tag, reply.to_tag) == (PAGE_TAG, TAG)

    @pytest.mark.parametrize(
        ("from_tag", "to_tag"),
        [pytest.param("x", TAG, id="From"), pytest.param(CALLER_TAG, "gw-in-2", id="To")],
    )
    def test_wrong_tags(self, from_tag: str, to_tag: str) -> None:
        call = Incoming.confirmed()
        assert call.on(call.ims_request("BYE", from_tag=from_tag, to_tag=to_tag)).reply[0] == 481
        page_tag = PAGE_TAG if from_tag == CALLER_TAG else "x"
        assert call.on(call.wic_request("BYE", from_tag=page_tag, to_tag=to_tag)).reply[0] == 481

    def test_a_prack_reaches_the_page(self) -> None:
        call = Incoming.sent()
        call.on(call.wic_reply(180, headers={"Require": ["100rel"], "RSeq": ["9"]}))
        forward = call.on(call.ims_request("PRACK", cseq=6)).only(act.ForwardRequest)
        assert forward.to is Side.WIC
        assert "RAck" not in forward.edits.remove

    def test_a_prack_of_the_page_answers_nothing(self) -> None:
        call = Incoming.confirmed()
        rack = {"RAck": ["1 5 INVITE"]}
        assert call.on(call.wic_request("PRACK", headers=rack)).reply[0] == 481

    def test_bye_by_the_core(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.ims_request("BYE")).names == ["Schedule", "ForwardRequest", "ReleaseMedia"]
        done = call.on(call.wic_reply(200, method="BYE", cseq=6))
        assert done.names == ["ForwardReply", "ForgetCall"]
        assert done.only(act.ForgetCall).call_id == KEY

    def test_bye_by_the_page(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.wic_request("BYE")).names == ["Schedule", "ForwardRequest", "ReleaseMedia"]
        assert call.on(call.ims_reply(200, method="BYE", cseq=1)).names == ["ForwardReply", "ForgetCall"]

    def test_an_early_bye_by_the_core_leaves_the_end_to_the_invite(self) -> None:
        call = Incoming.ringing()
        assert call.on(call.ims_request("BYE")).names == ["ForwardRequest"]
        assert call.on(call.wic_reply(200, method="BYE", cseq=6)).names == ["ForwardReply"]
        assert call.on(call.wic_reply(487)).names == ["ForwardReply"]
        assert call.on(ev.WicFailed(487)).names == ["ReleaseMedia", "ForgetCall"]

    def test_an_early_bye_by_the_page_is_none(self) -> None:
        call = Incoming.ringing()
        assert call.on(call.wic_request("BYE")).reply[0] == 481

    def test_a_page_that_came_back_takes_its_call_along(self) -> None:
        call = Incoming.confirmed()
        call.on(ev.FlowClosed())
        assert call.actions.only(act.Schedule).call_id == KEY
        call.on(call.wic_request("INFO", connection_id="8"))
        assert (call.record.connection_id, call.record.source) == ("8", "127.0.0.1:40777")
        assert call.on(call.wic_request("INFO", connection_id="9", owner=BOB)).reply[0] == 481

    def test_one_that_stays_away_ends_it(self) -> None:
        call = Incoming.confirmed()
        call.on(ev.FlowClosed())
        call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY, flow_alive=False))
        bye = call.actions.only(act.SendRequest)
        assert (bye.to, bye.method, bye.request_uri) == (Side.IMS, "BYE", CALLER_CONTACT)
        assert f"From: <{ALICE}>;tag={TAG}" in bye.headers
        assert f"To: <{BOB}>;tag={CALLER_TAG}" in bye.headers
