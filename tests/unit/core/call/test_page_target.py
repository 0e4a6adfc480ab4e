"""Where a page is reached: its newest Contact, in requests and in 2xx (RFC 3261 §12.2, RFC 3311 §5.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.setup import begin_call
from kemi.core.call.page_target import page_target
from kemi.core.errors import RemoteProtocolError
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import PAGE_CONTACT, Incoming
from tests.unit.core.call.ladder import REGISTRATION, SETTINGS, Call, invite

OTHER = "sip:other@page.invalid;transport=ws"
HOLD = sdp.core_answer().replace("a=sendrecv", "a=sendonly")


def test_an_update_without_a_description_moves_it() -> None:
    call = Call.confirmed()
    call.on(call.wic_request("UPDATE", cseq=5, contact=f"<{OTHER}>"))
    assert call.on(call.ims_request("BYE")).only(act.ForwardRequest).edits.request_uri == OTHER


@pytest.mark.parametrize(("status", "moves"), [(200, True), (488, False)])
def test_its_answer_to_an_update_of_ours_may(status: int, moves: bool) -> None:
    call = Call.confirmed()
    before = call.record.wic_contact
    call.on(ev.UpdateAnswered(status, contact=f"<{OTHER}>"))
    assert call.record.wic_contact == (OTHER if moves else before)


def test_so_may_that_to_a_re_invite_of_ours_whose_ack_goes_there() -> None:
    call = Call.confirmed()
    call.record.wic_takes_update = False
    asked = call.on(call.ims_request("UPDATE", body=HOLD)).only(act.ReofferFromIms)
    told = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, asked.bearer)).only(act.SendRequest)
    cseq = call.record.gateway_cseq
    reply = call.wic_reply(200, method="INVITE", cseq=cseq, contact=f"<{OTHER}>").reply
    reply.body, reply.content_type = sdp.page_answer(told.body), "application/sdp"
    done = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, 200, reply))
    assert done.only(act.SendRequest).request_uri == OTHER


def test_and_that_to_a_re_invite_of_the_core() -> None:
    call = Call.confirmed()
    cseq = call.on(call.ims_request("INVITE", body=HOLD)).only(act.ForwardRequest).edits.cseq
    assert cseq
    taken = call.wic_reply(200, method="INVITE", cseq=cseq, contact=f"<{OTHER}>")
    call.on(taken)
    assert call.record.wic_contact == OTHER


ANONYMOUS = "<sip:anonymous@anonymous.invalid;transport=ws;ob>"


@pytest.mark.parametrize(
    ("contact", "target"),
    [
        pytest.param(f"<{OTHER};ob>;+sip.ice", f"{OTHER};ob", id="its own"),
        pytest.param(
            "<sip:alice@ims.example;gr=urn:uuid:1>", "sip:alice@ims.example;gr=urn:uuid:1", id="GRUU"
        ),
        pytest.param(ANONYMOUS, "sip:otherwise", id="anonymous"),
        pytest.param("<sip:tgruu.7hs==jd7@ims.example;gr>", "sip:otherwise", id="temporary GRUU"),
        pytest.param(
            "<sip:tgruu.7hs==jd7@ims.example;gr;ob>", "sip:otherwise", id="temporary GRUU, outbound"
        ),
        pytest.param(
            "<sip:a@anonymous.invalid.example>", "sip:a@anonymous.invalid.example", id="another host"
        ),
        pytest.param("<sip:a@b;group>", "sip:a@b;group", id="another parameter"),
        pytest.param("", "sip:otherwise", id="none"),
    ],
)
def test_a_contact_that_stock_clients_do_not_know_as_theirs_is_no_target(contact: str, target: str) -> None:
    assert page_target(contact, "sip:otherwise") == target


def anonymous() -> Call:
    """A page calls anonymously, as SIP.js and JsSIP do it."""
    call = Call.confirmed()
    request = replace(invite(), contact=ANONYMOUS)
    begun, _ = begin_call(request, REGISTRATION, SETTINGS, gateway_tag="gw", session_id=1, node="n")
    call.record.wic_contact = begun.wic_contact
    return call


def test_an_anonymous_page_is_reached_at_what_it_registered() -> None:
    call = anonymous()
    assert call.on(call.ims_request("BYE")).only(act.ForwardRequest).edits.request_uri == REGISTRATION.contact


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_so_it_is_when_it_changes_the_call(method: str) -> None:
    call = anonymous()
    call.on(call.wic_request(method, cseq=5, contact=ANONYMOUS))
    assert call.record.wic_contact == REGISTRATION.contact


def test_so_it_is_when_it_answers_a_change() -> None:
    call = anonymous()
    call.on(ev.UpdateAnswered(200, contact=ANONYMOUS))
    cseq = call.on(call.ims_request("INVITE", body=HOLD)).only(act.ForwardRequest).edits.cseq
    assert cseq
    call.on(call.wic_reply(200, method="INVITE", cseq=cseq, contact=ANONYMOUS))
    assert call.record.wic_contact == REGISTRATION.contact


def test_so_is_one_that_is_called() -> None:
    call = Incoming.sent()
    call.on(call.wic_reply(180, contact=ANONYMOUS))
    assert call.record.wic_contact == PAGE_CONTACT


def test_a_call_needs_a_contact_all_the_same() -> None:
    with pytest.raises(RemoteProtocolError):
        begin_call(
            replace(invite(), contact=""), REGISTRATION, SETTINGS, gateway_tag="gw", session_id=1, node="n"
        )
