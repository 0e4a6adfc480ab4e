"""An UPDATE of the core without a description that names somebody else (RFC 4916)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.incoming_ladder import invite as core_invite
from tests.unit.core.call.ladder import BOB, Actions, Call, header_reader
from tests.unit.core.call.test_core_offer import HOLD, MOVED, cseq_of, page_answers, relay_knows

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


class TestWithDescription:
    """A re-INVITE or UPDATE with a description, or a re-INVITE that asks for one, says who is there by the way."""

    NAMED = MappingProxyType({"P-Asserted-Identity": [f'"Carol" <{CAROL}>']})

    def moved(self, call: Call, method: str = "INVITE", **more: Any) -> Actions:
        """The far end moves, which is no business of the page's."""
        asked = call.on(call.ims_request(method, cseq=3, body=MOVED, **{"headers": self.NAMED, **more}))
        return relay_knows(call, asked)

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_the_page_is_told_when_all_is_settled(self, method: str) -> None:
        call = Call.confirmed()
        done = self.moved(call, method)
        assert done.names == ["SendReply", "SendRequest"]
        told = done.only(act.SendRequest)
        assert (told.to, told.method, told.body, told.report) == (Side.WIC, "UPDATE", "", False)
        assert f'P-Asserted-Identity: "Carol" <{CAROL}>' in told.headers
        assert not any(line.startswith("Content-Type") for line in told.headers)
        assert call.record.remote_identity == CAROL
        again = call.on(call.ims_request("INVITE", cseq=4, body=HOLD, headers=self.NAMED))
        assert again.only(act.ForwardRequest).edits.cseq == call.record.gateway_cseq  # behind our own number

    def test_once(self) -> None:
        call = Call.confirmed()
        self.moved(call)
        assert not call.on(call.ims_request("ACK", cseq=3)).all(act.SendRequest)
        refreshed = call.on(call.ims_request("UPDATE", cseq=4, body=MOVED, headers=self.NAMED))
        assert (refreshed.names[0], refreshed.all(act.SendRequest)) == ("SendReply", [])

    def test_what_the_page_is_asked_tells_it_by_itself(self) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", cseq=3, body=HOLD, headers=self.NAMED))
        assert "P-Asserted-Identity" not in asked.only(act.ForwardRequest).edits.remove
        answered = relay_knows(call, page_answers(call, asked, cseq_of(asked)))
        assert not answered.all(act.SendRequest)
        assert not call.on(call.ims_request("ACK", cseq=3)).all(act.SendRequest)
        assert call.record.remote_identity == CAROL

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({}, id="nobody is asserted"),
            pytest.param({**NAMED, "Privacy": ["id"]}, id="in private"),
            pytest.param(
                {"P-Asserted-Identity": ["<tel:+4930123>", f"<{BOB}>"]}, id="one more URI of the same"
            ),
        ],
    )
    def test_nobody_else_is_no_news(self, headers: dict[str, list[str]]) -> None:
        call = Call.confirmed()
        call.record.remote_identity = BOB
        assert not self.moved(call, headers=headers).all(act.SendRequest)
        assert call.record.remote_identity == BOB

    def test_another_from_alone_means_nothing(self) -> None:
        call = Call.confirmed()
        event = call.ims_request("INVITE", cseq=3, body=MOVED)
        asked = call.on(replace(event, request=replace(event.request, from_uri=CAROL)))
        assert relay_knows(call, asked).names == ["SendReply"]
        assert call.record.target_uri == BOB

    @pytest.mark.parametrize("why", ["no UPDATE", "away"])
    def test_a_page_that_cannot_be_told_keeps_its_call(self, why: str) -> None:
        call = Call.confirmed()
        call.record.wic_takes_update = why != "no UPDATE"
        assert not self.moved(call, alive=why != "away").all(act.SendRequest)
        assert call.record.remote_identity == CAROL  # the call history has it

    def test_a_change_that_is_refused_names_nobody(self) -> None:
        call = Call.confirmed()
        refused = call.on(call.ims_request("INVITE", cseq=3, body="rubbish", headers=self.NAMED))
        assert refused.names[0] == "SendReply"
        assert (call.record.remote_identity, call.record.far_end_untold) == ("", [])

    def test_of_a_call_to_the_page_too(self) -> None:
        call = taken()
        asked = call.on(call.ims_request("UPDATE", cseq=7, body=MOVED, headers=self.NAMED))
        answers = {"audio": sdp.relay_offer("audio", 30000)}
        done = call.on(ev.ImsReoffered(answers, asked.only(act.ReofferFromIms).bearer))
        told = done.only(act.SendRequest)
        assert any(line.startswith(f"From: <{BOB}>;tag=") for line in told.headers)


FOCUS = "<sip:conf1@conf.ims.example>;isfocus"
OURS = "<sip:gateway@ims.example;transport=ws>"
PHONE = "<sip:bob@198.51.100.7:5080>"


def in_conference() -> Call:
    """The page has called a conference."""
    call = Call.forwarded()
    answer = call.ims_reply(200, body=sdp.core_answer(), contact=f"{FOCUS};expires=60")
    call.on(answer)
    call.on(ev.MediaConnected(answer.reply))
    call.on(call.wic_request("ACK", cseq=1))
    return call


def contacts_for_page(done: Actions) -> list[str]:
    """Return what the page is told as our Contact in what we write ourselves."""
    written: list[act.SendRequest | act.SendReply] = [*done.all(act.SendRequest), *done.all(act.SendReply)]
    lines = [line for one in written for line in one.headers]
    return [line.removeprefix("Contact: ") for line in lines if line.startswith("Contact: ")]


class TestConference:
    """A conference is known by its Contact (RFC 4579 §5.2), which each request and 2xx of ours writes anew."""

    def test_ours_keeps_it(self) -> None:
        call = in_conference()
        update = call.on(call.wic_request("UPDATE", cseq=10, contact="<sip:x@page.invalid>"))
        assert contacts_for_page(update) == [FOCUS]
        late = call.on(call.wic_request("INVITE", cseq=11))
        assert contacts_for_page(late) == [FOCUS]

    def test_so_does_an_answer_given_here(self) -> None:
        call = in_conference()
        moved = sdp.page_answer(call.record.wic_description)
        renew = call.on(call.wic_request("INVITE", cseq=10, body=moved)).only(act.RenewMedia)
        (medium,) = renew.media
        renewed = ev.Renewed(sdp.relay_offer(medium.kind), sdp.relay_answer(medium.kind))
        assert contacts_for_page(call.on(ev.MediaRenewed({medium.kind: renewed}, renew.bearer))) == [FOCUS]

    def test_of_one_that_calls_the_page_too(self) -> None:
        call = Incoming.ringing(replace(core_invite(), contact=FOCUS))
        call.answer()
        call.on(call.ims_request("ACK", cseq=5))
        assert contacts_for_page(call.on(call.wic_request("UPDATE", cseq=10))) == [FOCUS]

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_a_call_that_becomes_one_is_told(self, method: str) -> None:
        call = made()
        done = relay_knows(call, call.on(call.ims_request(method, cseq=3, body=MOVED, contact=FOCUS)))
        told = done.only(act.SendRequest)
        assert (told.to, told.method, told.body) == (Side.WIC, "UPDATE", "")
        assert f"Contact: {FOCUS}" in told.headers
        assert not any(line.startswith("P-Asserted-Identity") for line in told.headers)
        again = call.on(call.ims_request(method, cseq=4, body=MOVED, contact=FOCUS))
        assert not again.all(act.SendRequest)  # it knows

    @pytest.mark.parametrize("how", KINDS)
    def test_without_a_description_the_core_s_own_says_so(self, how: type[Call]) -> None:
        call = how()  # type: ignore[call-arg]
        forward = call.on(call.ims_request("UPDATE", contact=FOCUS)).only(act.ForwardRequest)
        assert f"Contact: {FOCUS}" in forward.edits.insert

    def test_one_that_ends_as_such_is_told_as_well(self) -> None:
        call = in_conference()
        done = relay_knows(call, call.on(call.ims_request("INVITE", cseq=3, body=MOVED, contact=PHONE)))
        assert f"Contact: {OURS}" in done.only(act.SendRequest).headers
        assert contacts_for_page(call.on(call.wic_request("UPDATE", cseq=10))) == [OURS]

    def test_a_refused_change_makes_none(self) -> None:
        call = made()
        call.on(call.ims_request("INVITE", cseq=3, body="rubbish", contact=FOCUS))
        assert contacts_for_page(call.on(call.wic_request("UPDATE", cseq=10))) == [OURS]

    def test_who_is_private_stays_so(self) -> None:
        call = made()
        named = {"P-Asserted-Identity": [f"<{CAROL}>"], "Privacy": ["id"]}
        asked = call.on(call.ims_request("INVITE", cseq=3, body=MOVED, contact=FOCUS, headers=named))
        told = relay_knows(call, asked).only(act.SendRequest)
        assert not any(CAROL in line for line in told.headers)

    @pytest.mark.parametrize("features", ["", ';+g.3gpp.icsi-ref="urn%3Aurn-7%3Ax"'])
    @pytest.mark.parametrize("body", ["", MOVED])
    def test_nor_is_the_same_one_with_other_features(self, body: str, features: str) -> None:
        """A conference server names more of them in its 2xx than in its UPDATE, or fewer."""
        call = in_conference()
        refreshed = call.on(call.ims_request("UPDATE", cseq=3, body=body, contact=f"{FOCUS};text{features}"))
        done = relay_knows(call, refreshed) if body else refreshed
        assert done.names[0] == "SendReply"
        assert not done.all(act.SendRequest)

    def test_another_phone_is_no_news(self) -> None:
        call = made()
        asked = call.on(call.ims_request("INVITE", cseq=3, body=MOVED, contact="<sip:bob@198.51.100.8>"))
        assert not relay_knows(call, asked).all(act.SendRequest)
