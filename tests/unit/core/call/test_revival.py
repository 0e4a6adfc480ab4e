"""What of a call's record outlives its gateway."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.outbound import Asked, Outbound
from kemi.core.call.lifetime.revival import revive
from kemi.core.call.record import Outstanding
from kemi.core.call.states import OfferAnswer
from kemi.core.identity import one_spelling
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call import incoming_ladder
from tests.unit.core.call.ladder import Call, record_at

HOLD = sdp.core_answer().replace("a=sendrecv", "a=sendonly")


@pytest.mark.parametrize("stage", ["offered", "answered_early", "updating", "forwarded", "ringing"])
def test_a_call_that_was_being_set_up_ends(stage: str) -> None:
    assert not revive(record_at(stage))


def test_an_answered_call_goes_on_without_what_the_processes_knew() -> None:
    record = record_at("confirmed")
    record.connection_id, record.acknowledged = "7", True
    record.wic_offer_answer = OfferAnswer.OFFER_RECEIVED
    record.outstanding["3"] = Outstanding("tag", 3, [])
    before = (record.key, record.node, record.media, record.confirmed_tag, record.ims_cseq)
    assert revive(record)
    assert (record.key, record.node, record.media, record.confirmed_tag, record.ims_cseq) == before
    assert (record.connection_id, record.outstanding, record.exchange) == ("", {}, None)
    assert record.wic_offer_answer is record.ims_offer_answer is OfferAnswer.STABLE


@pytest.mark.parametrize(("state", "goes_on"), [(OfferAnswer.STABLE, True), (OfferAnswer.OFFER_SENT, False)])
def test_without_the_ack_only_what_both_sides_have_agreed_on(state: OfferAnswer, goes_on: bool) -> None:
    record = record_at("confirmed")
    record.acknowledged, record.wic_offer_answer = False, state
    record.ims_offer_answer = OfferAnswer.STABLE
    assert revive(record) is goes_on
    assert record.answer_unsure is goes_on


def test_what_a_page_has_not_heard_of_it_is_told() -> None:
    """Where an offer of ours was out, or was to be sent again."""
    call = Call.confirmed()
    call.on(call.wic_request("ACK", cseq=1))
    call.on(call.ims_request("UPDATE", body=HOLD, alive=False))
    call.on(
        ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, call.actions.only(act.ReofferFromIms).bearer)
    )
    call.on(ev.UpdateAnswered(408))  # and now it would wait
    assert revive(call.record)
    told = call.on(call.wic_request("INFO", cseq=7, connection_id="8")).only(act.SendRequest)
    assert (told.to, "a=sendonly" in told.body) == (Side.WIC, True)


def test_one_that_has_heard_of_everything_is_told_nothing() -> None:
    call = Call.confirmed()
    call.on(call.wic_request("ACK", cseq=1))
    assert revive(call.record)
    assert call.on(call.wic_request("INFO", cseq=7, connection_id="8")).names == ["ForwardRequest"]


def test_a_call_that_is_to_be_ended_is_none() -> None:
    record = record_at("confirmed")
    record.doomed = "why"
    assert not revive(record)


def test_a_call_towards_a_page_goes_on_too() -> None:
    record = incoming_ladder.record_at("confirmed")
    record.acknowledged = True
    assert revive(record)
    assert record.incoming is not None


class TestUnsureAnswer:
    """The page may never have heard that its call was answered: it is asked once it is back."""

    @staticmethod
    def revived() -> Call:
        call = Call.confirmed()
        call.record.acknowledged = False
        assert revive(call.record)
        return call

    def test_the_page_is_asked_once(self) -> None:
        call = self.revived()
        asked = call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY)).only(act.SendRequest)
        assert (asked.to, asked.method, asked.body) == (Side.WIC, "UPDATE", "")
        assert call.on(ev.UpdateAnswered(200)) == []
        assert call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY)) == []

    def test_one_without_update_is_asked_in_another_way(self) -> None:
        call = self.revived()
        call.record.wic_takes_update = False
        asked = call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY)).only(act.SendRequest)
        assert (asked.to, asked.method) == (Side.WIC, "INFO")
        call.on(ev.OwnRequestAnswered(Side.WIC, "INFO", 2, 481))
        assert call.record.ended

    def test_to_a_page_that_knows_no_such_call_it_is_over(self) -> None:
        call = self.revived()
        call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY))
        goodbye = call.on(ev.UpdateAnswered(481)).only(act.SendRequest)
        assert (goodbye.to, goodbye.method) == (Side.IMS, "BYE")
        assert call.record.ended

    def test_a_page_that_has_acknowledged_is_not_asked(self) -> None:
        call = Call.confirmed()
        call.record.acknowledged = True
        assert revive(call.record)
        assert call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY)) == []


def test_an_owner_is_spelt_as_this_release_does() -> None:
    """The release before kept it as the page wrote it, and nobody would find the call."""
    record = record_at("confirmed")
    record.acknowledged, record.owner = True, "sip:%61lice@IMS.Example.COM;user=phone"
    assert revive(record)
    assert record.owner == one_spelling("sip:alice@ims.example.com")


@pytest.mark.parametrize(
    ("event", "sends"),
    [
        (ev.FlowClosed(), ""),
        (ev.CallForbidden("ended by the operator"), "BYE"),
        (ev.MediaLost("no media for 60 s", True, None), "BYE"),
        (ev.TimerFired(ev.Due.FLOW_RECOVERY, False, None), "BYE"),
        (ev.RegistrationEnded("left", False), "BYE"),
    ],
)
def test_a_call_of_a_trunk_that_the_site_has_lost_can_be_ended(event: ev.Event, sends: str) -> None:
    """The settings have another list of trunks than those that the call began with."""
    call = of_lost_trunk()
    sent = [one.method for one in call.on(event).all(act.SendRequest) if one.to is Side.IMS]
    assert sent == ([sends] if sends else [])


@pytest.mark.parametrize("of_page", [True, False])
def test_either_side_can_hang_up_a_call_of_a_trunk_that_the_site_has_lost(of_page: bool) -> None:
    call = of_lost_trunk()
    bye = call.wic_request("BYE", cseq=9, connection_id="8") if of_page else call.ims_request("BYE")
    call.on(bye)
    assert call.record.ended


def of_lost_trunk() -> Call:
    """An answered call of before a restart, whose trunk is not in the settings any more."""
    call = Call.confirmed()
    call.record.outbound = Outbound([], "+49301", trunk="lost", hops=["sip:192.0.2.9"])
    call.record.outbound.asked = Asked(['Digest realm="r", nonce="n1", algorithm=SHA-256'], False)
    assert revive(call.record)
    return call
