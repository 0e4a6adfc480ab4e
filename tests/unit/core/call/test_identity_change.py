"""An UPDATE of the core without a description that names somebody else (RFC 4916)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.incoming_ladder import invite as core_invite
from tests.unit.core.call.ladder import BOB, Call, header_reader

CAROL = "sip:carol@ims.example"


def update(call: Call | Incoming, uri: str = CAROL, **fields: list[str]) -> ev.ImsRequest:
    """The core says who is there."""
    event = call.ims_request("UPDATE")
    shown = header_reader({name.replace("_", "-"): values for name, values in fields.items()})
    return replace(event, request=replace(event.request, from_uri=uri, headers=shown))


def made() -> Call:
    """A call the page made; it takes UPDATE."""
    return Call.confirmed()


def taken() -> Incoming:
    """A call the page answered; it takes UPDATE."""
    call = Incoming.ringing(core_invite(headers={"P-Asserted-Identity": [f"<{BOB}>"]}))
    call.on(call.wic_reply(180, headers={"Allow": ["INVITE, UPDATE"]}))
    call.answer()
    call.on(call.ims_request("ACK", cseq=5))
    return call


KINDS = [pytest.param(made, id="made"), pytest.param(taken, id="answered")]


@pytest.mark.parametrize("how", KINDS)
def test_reaches_the_page_once(how: type[Call]) -> None:
    call = how()  # type: ignore[call-arg]
    forward = call.on(update(call)).only(act.ForwardRequest)
    assert forward.to is Side.WIC
    assert call.on(update(call)).names[0] == "SendReply"


@pytest.mark.parametrize("how", KINDS)
def test_so_does_another_asserted_identity(how: type[Call]) -> None:
    call = how()  # type: ignore[call-arg]
    assert call.on(update(call, BOB, P_Asserted_Identity=[f"<{CAROL}>"])).all(act.ForwardRequest)
    assert call.on(update(call, BOB, P_Asserted_Identity=[f"<{CAROL}>"])).names[0] == "SendReply"
    assert call.on(update(call, BOB)).names[0] == "SendReply"  # says nothing of it


@pytest.mark.parametrize("how", KINDS)
def test_a_private_one_is_none(how: type[Call]) -> None:
    call = how()  # type: ignore[call-arg]
    hidden = update(call, BOB, P_Asserted_Identity=[f"<{CAROL}>"], Privacy=["id"])
    assert call.on(hidden).names[0] == "SendReply"


@pytest.mark.parametrize("how", KINDS)
def test_a_page_that_takes_none_or_is_away_is_spared(how: type[Call]) -> None:
    call = how()  # type: ignore[call-arg]
    assert call.on(replace(update(call), flow_alive=False)).names[0] == "SendReply"
    call.record.wic_takes_update = False
    assert call.on(update(call)).names[0] == "SendReply"


def test_our_own_requests_name_who_is_there_now() -> None:
    call = made()
    call.on(update(call))
    call.on(ev.CallForbidden("enough"))
    (bye,) = (request for request in call.actions.all(act.SendRequest) if request.to is Side.WIC)
    assert any(line.startswith(f"From: <{CAROL}>") for line in bye.headers)
