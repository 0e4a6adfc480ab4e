"""A caller of a page that requires preconditions, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.renegotiation.core_told import told_otherwise
from kemi.core.call.states import Dialog, OfferAnswer, Precondition
from kemi.core.call.towards_page.incoming import called_registration
from kemi.core.errors import MediaUnavailable, SipReject
from kemi.core.registration import Registration
from kemi.core.registration.records import ONE_WAY_STREAMS, Sent
from kemi.core.sdp.text import sdp_from_text
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.unit.core.call.incoming_ladder import CORE_VIA, KEY, Incoming, invite, offer
from tests.unit.core.call.ladder import REGISTRATION, Actions

MISSING = "a=curr:qos local none\r\na=des:qos mandatory local sendrecv\r\n"
THERE = MISSING.replace("none", "sendrecv")
REQUIRED = {"Require": ["precondition"]}
OURS = {"RAck": ["1 5 INVITE"]}
ERROR = MediaUnavailable("relay gone")
ONE_WAY = replace(REGISTRATION, sent=Sent(f"<{REGISTRATION.contact}>;{ONE_WAY_STREAMS}"))
_AUDIO, _VIDEO = offer(video=True).split("m=video ")
BOTH_MISSING = f"{_AUDIO}{MISSING}m=video {_VIDEO}{MISSING}"
WITHOUT_VIDEO = f"{_AUDIO}{THERE}m=video 0 RTP/AVP 99\r\n"


def ports(body: str) -> list[tuple[str, bool]]:
    """Return which lines of a description are used."""
    return [(line.kind, bool(line.port)) for line in sdp_from_text(body).media]


class Waiting(Incoming):
    """A call whose caller lacks resources; our 183 is out."""

    def __init__(self, body: str = offer() + MISSING, registration: Registration = REGISTRATION) -> None:
        self.invite = invite(body, REQUIRED)
        super().__init__(self.invite, registration=registration)
        self.on(ev.TransactionCreated(1, 2))
        self.first = self.actions
        reserve = act.AnswerAhead(KEY, "", {medium.kind: "" for medium in self.record.media})
        self.on(self.answered_ahead(reserve))

    def acknowledged(self, cseq: int = 6) -> Actions:
        """The PRACK for our 183."""
        return self.on(self.ims_request("PRACK", cseq=cseq, headers=OURS))

    def updated(self, body: str, cseq: int = 7) -> Actions:
        """UPDATE, and the relay's work."""
        ahead = self.on(self.ims_request("UPDATE", cseq=cseq, body=body)).only(act.AnswerAhead)
        return self.on(self.answered_ahead(ahead))

    def resumed(self) -> Actions:
        """We are in the INVITE's transaction again."""
        return self.on(ev.InviteResumed(self.invite))

    def is_at(self, state: Precondition) -> bool:
        """Whether it stands there."""
        return self.record.incoming is not None and self.record.incoming.precondition is state


def test_the_page_is_not_called_and_the_core_has_a_reliable_answer() -> None:
    call = Waiting()
    assert call.actions.names == ["SuspendInvite", "SendReply", "Schedule"]
    reply = call.actions.only(act.SendReply)
    assert reply.status == 183
    assert {"Require: 100rel, precondition", "RSeq: 1"} <= set(reply.headers)
    assert "a=curr:qos local sendrecv" in reply.body
    assert "a=conf:qos remote sendrecv" in reply.body
    assert call.actions.only(act.Schedule).delay_s == 0.5
    assert (call.record.dialog, call.record.ims_offer_answer) == (Dialog.EARLY, OfferAnswer.ANSWER_SENT)


def test_nothing_is_promised_of_pictures_before_the_page_is_asked() -> None:
    turned = device_offer(DeviceMedia(video="VP8", orientation=True))
    (ahead,) = Incoming(invite(turned + MISSING, REQUIRED)).actions.all(act.AnswerAhead)
    assert "m=video" in ahead.media["video"]
    assert "a=extmap" not in ahead.media["video"]
    reserve = Incoming(invite(turned)).actions.only(act.ReserveIncoming)
    assert "a=extmap:7 urn:3gpp:video-orientation" in reserve.media["video"]


def test_the_prack_and_the_update_let_the_page_ring() -> None:
    call = Waiting()
    assert call.acknowledged().names == ["SendReply", "Schedule"]
    assert call.is_at(Precondition.WAITING)
    call.updated(offer() + THERE)
    assert call.actions.names == ["SendReply", "Schedule", "ResumeInvite"]
    answer = call.actions.only(act.SendReply)
    assert answer.status == 200
    assert "a=curr:qos remote sendrecv" in answer.body
    assert "o=- 4712 2 " in answer.body
    forward = call.resumed().only(act.ForwardInvite)
    assert forward.resumed
    assert forward.edits.body is not None
    assert "a=curr" not in forward.edits.body
    assert not [line for line in forward.edits.insert if "precondition" in line]
    assert call.is_at(Precondition.MET)


def test_what_the_page_answers_changes_nothing_for_the_core() -> None:
    call = Waiting()
    call.acknowledged()
    call.updated(offer() + THERE)
    call.resumed()
    edits = call.answer().only(act.ForwardReply).edits
    assert (edits.body, edits.vias) == ("", (CORE_VIA,))
    assert call.record.dialog is Dialog.CONFIRMED


def test_an_update_without_resources_is_answered_and_no_more() -> None:
    call = Waiting()
    call.acknowledged()
    assert call.updated(offer() + MISSING).names == ["SendReply"]
    assert call.is_at(Precondition.WAITING)


def test_our_183_is_repeated_until_the_prack() -> None:
    call = Waiting()
    delays = []
    for _ in range(6):
        again = call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT))
        assert again.names == ["Schedule", "ResumeInvite"]
        delays.append(again.only(act.Schedule).delay_s)
        assert call.resumed().names == ["SuspendInvite", "SendReply"]
    assert delays == [1, 2, 4, 8, 16, 0.5]
    assert call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT)).names == ["Schedule", "ResumeInvite"]
    assert call.resumed().only(act.SendReply).status == 504
    assert call.record.dialog is Dialog.TERMINATED


def test_after_the_prack_it_is_not() -> None:
    call = Waiting()
    call.acknowledged()
    assert call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT)).only(act.Schedule).due is ev.Due.PRECONDITIONS
    assert call.acknowledged(cseq=7).only(act.SendReply).status == 481


def test_an_invite_that_another_process_has_in_hand_is_resumed_again() -> None:
    call = Waiting()
    call.acknowledged()
    call.updated(offer() + THERE)
    assert call.on(ev.TimerFired(ev.Due.PRECONDITIONS)).names == ["Schedule", "ResumeInvite"]
    assert call.resumed().names == ["Unschedule", "ForwardInvite"]
    assert call.on(ev.TimerFired(ev.Due.PRECONDITIONS)) == []


@pytest.mark.parametrize(
    ("event", "status"),
    [
        pytest.param(ev.TimerFired(ev.Due.PRECONDITIONS), 580, id="no resources"),
        pytest.param(ev.FlowClosed(), 430, id="page lost"),
        pytest.param(ev.RegistrationEnded("logged out"), 480, id="page signed off"),
        pytest.param(ev.CallForbidden("by the operator"), 480, id="forbidden"),
    ],
)
def test_what_ends_it_while_the_caller_waits(event: ev.Event, status: int) -> None:
    call = Waiting()
    call.acknowledged()
    assert "ResumeInvite" in call.on(event).names
    assert call.resumed().only(act.SendReply).status == status
    assert call.actions.names[-2:] == ["ReleaseMedia", "ForgetCall"]


def test_the_caller_hangs_up() -> None:
    call = Waiting()
    call.acknowledged()
    assert call.on(call.ims_request("BYE", cseq=7)).only(act.SendReply).status == 200
    assert call.resumed().only(act.SendReply).status == 487


def test_the_caller_cancels() -> None:
    assert Waiting().on(ev.CancelReceived()).names == ["ReleaseMedia", "ForgetCall"]
    assert Incoming.ringing().on(ev.CancelReceived()) == []


class TestWhileTheRelayIsAsked:
    """Nothing is suspended yet, and the core has nothing but 100."""

    def asked(self) -> Incoming:
        return Incoming.offered(invite(offer() + MISSING, REQUIRED))

    def relay_answers(self, call: Incoming) -> Actions:
        ahead = act.AnswerAhead(KEY, "", {medium.kind: "" for medium in call.record.media})
        return call.on(call.answered_ahead(ahead))

    def test_the_caller_cancels(self) -> None:
        """Whoever asks the relay finds no call, gives the ports back and answers 487."""
        assert self.asked().on(ev.CancelReceived()).names == ["ForgetCall"]

    @pytest.mark.parametrize(
        ("event", "status"),
        [
            pytest.param(ev.FlowClosed(), 430, id="page lost"),
            pytest.param(ev.RegistrationEnded("logged out"), 480, id="page signed off"),
            pytest.param(ev.CallForbidden("by the operator"), 480, id="forbidden"),
        ],
    )
    def test_what_else_ends_it(self, event: ev.Event, status: int) -> None:
        call = self.asked()
        assert call.on(event).names == []
        assert self.relay_answers(call).names == ["SendReply", "ReleaseMedia", "ForgetCall"]
        assert call.actions.only(act.SendReply).status == status

    def test_the_relay_cannot(self) -> None:
        call = self.asked()
        assert call.on(ev.MediaFailed(ERROR)).names == ["SendReply", "ForgetCall"]
        assert call.actions.only(act.SendReply).status == 503


def test_an_invite_that_tm_has_none_of_any_more_is_not_resumed_for_ever() -> None:
    call = Waiting()
    call.acknowledged()
    call.on(ev.CallForbidden("by the operator"))
    for _ in range(200):
        if call.record.ended:
            break
        call.on(ev.TimerFired(ev.Due.PRECONDITIONS))
    assert call.actions.names == ["ReleaseMedia", "ForgetCall"]


def test_the_prack_may_say_that_the_resources_are_there() -> None:
    """An offer in it is answered in its 200 (RFC 3262 §5)."""
    call = Waiting()
    asked = call.on(call.ims_request("PRACK", cseq=6, headers=OURS, body=offer() + THERE))
    assert asked.names == ["Schedule", "AnswerAhead"]
    assert call.is_at(Precondition.WAITING)
    call.on(call.answered_ahead(asked.only(act.AnswerAhead)))
    assert call.actions.names == ["SendReply", "Schedule", "ResumeInvite"]
    answer = call.actions.only(act.SendReply)
    assert answer.status == 200
    assert "a=curr:qos remote sendrecv" in answer.body
    assert call.resumed().all(act.ForwardInvite)


def test_a_prack_with_an_offer_may_still_lack_them() -> None:
    call = Waiting()
    asked = call.on(call.ims_request("PRACK", cseq=6, headers=OURS, body=offer() + MISSING))
    assert call.on(call.answered_ahead(asked.only(act.AnswerAhead))).names == ["SendReply"]
    assert call.on(ev.TimerFired(ev.Due.PRECONDITIONS)).names == ["Schedule", "ResumeInvite"]
    assert call.resumed().only(act.SendReply).status == 580


def test_a_prack_with_an_offer_that_makes_no_sense_ends_it() -> None:
    call = Waiting()
    refused = call.on(call.ims_request("PRACK", cseq=6, headers=OURS, body="rubbish"))
    assert refused.only(act.SendReply).status == 400
    assert call.on(ev.TimerFired(ev.Due.PRECONDITIONS)).names == ["Schedule", "ResumeInvite"]
    assert call.resumed().only(act.SendReply).status == 580


def test_an_update_before_the_prack_is_too_early() -> None:
    refused = Waiting().on((call := Waiting()).ims_request("UPDATE", cseq=7, body=offer() + THERE))
    assert refused.only(act.SendReply).status == 500
    assert call.is_at(Precondition.UNACKNOWLEDGED)


def test_an_update_in_the_moment_before_the_page_is_called_comes_again() -> None:
    call = Waiting(BOTH_MISSING)
    call.acknowledged()
    call.updated(BOTH_MISSING.replace("none", "sendrecv"))
    busy = call.on(call.ims_request("UPDATE", cseq=8, body=WITHOUT_VIDEO)).only(act.SendReply)
    assert (busy.status, busy.headers) == (500, ("Retry-After: 1",))
    assert call.resumed().all(act.ForwardInvite)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param("rubbish", 400, id="rubbish"),
        pytest.param(offer() + THERE, 400, id="a line is missing"),
        pytest.param(WITHOUT_VIDEO.replace("m=audio 40000", "m=audio 0"), 488, id="no medium left"),
    ],
)
def test_an_update_that_cannot_be_taken_ends_the_call(body: str, status: int) -> None:
    call = Waiting(BOTH_MISSING)
    call.acknowledged()
    refused = call.on(call.ims_request("UPDATE", cseq=7, body=body))
    assert refused.only(act.SendReply).status == status
    assert call.resumed().only(act.SendReply).status == 580
    assert call.actions.only(act.ReleaseMedia).kinds == ("audio", "video")


class TestAMediumGivenUp:
    """The caller's network grants the resources of one medium, and not of the other (RFC 3264 §8.2)."""

    def given_up(self, body: str = WITHOUT_VIDEO, registration: Registration = REGISTRATION) -> Waiting:
        call = Waiting(BOTH_MISSING, registration)
        call.acknowledged()
        asked = call.on(call.ims_request("UPDATE", cseq=7, body=body))
        assert asked.names == ["AnswerAhead", "ReleaseMedia"]
        call.on(call.answered_ahead(asked.only(act.AnswerAhead)))
        return call

    @pytest.mark.parametrize(
        ("registration", "mids"),
        [
            pytest.param(REGISTRATION, ["0"], id="two-way line"),
            pytest.param(ONE_WAY, ["0", "r0"], id="one-way lines"),
        ],
    )
    @pytest.mark.parametrize("method", ["UPDATE", "PRACK"])
    def test_the_page_rings_with_the_other(
        self, method: str, registration: Registration, mids: list[str]
    ) -> None:
        call = Waiting(BOTH_MISSING, registration)
        if method == "UPDATE":
            call.acknowledged()
        asked = call.on(call.ims_request(method, cseq=7, headers=OURS, body=WITHOUT_VIDEO))
        assert list(asked.only(act.AnswerAhead).media) == ["audio"]
        assert asked.only(act.ReleaseMedia).kinds == ("video",)
        call.on(call.answered_ahead(asked.only(act.AnswerAhead)))
        assert call.actions.names == ["SendReply", "Schedule", "ResumeInvite"]
        assert call.actions.only(act.SendReply).status == 200
        assert ports(call.actions.only(act.SendReply).body) == [("audio", True), ("video", False)]
        offered = call.resumed().only(act.ForwardInvite).edits.body
        assert [line.mid for line in sdp_from_text(offered or "").media] == mids
        call.answer()
        assert call.record.dialog is Dialog.CONFIRMED
        assert not told_otherwise(call.record)

    @pytest.mark.parametrize(
        ("registration", "places"),
        [pytest.param(REGISTRATION, (0, None), id="two-way"), pytest.param(ONE_WAY, (0, 1), id="one-way")],
    )
    def test_it_may_be_the_first(self, registration: Registration, places: tuple[int, int | None]) -> None:
        body = BOTH_MISSING.replace("none", "sendrecv").replace("m=audio 40000", "m=audio 0")
        call = self.given_up(body, registration)
        assert ports(call.actions.only(act.SendReply).body) == [("audio", False), ("video", True)]
        (video,) = call.record.media
        assert (video.kind, video.ims_line) == ("video", 1)
        assert (video.line, video.reverse_line) == places
        assert call.resumed().all(act.ForwardInvite)
        call.answer()
        assert call.record.dialog is Dialog.CONFIRMED

    def test_the_other_may_have_to_wait_still(self) -> None:
        call = self.given_up(WITHOUT_VIDEO.replace("local sendrecv", "local none", 1))
        assert call.actions.names == ["SendReply"]
        assert call.is_at(Precondition.WAITING)
        assert call.updated(WITHOUT_VIDEO, cseq=8).names == ["SendReply", "Schedule", "ResumeInvite"]

    def test_taken_up_again_it_gets_port_0_until_the_page_has_answered(self) -> None:
        call = self.given_up(WITHOUT_VIDEO.replace("local sendrecv", "local none", 1))
        both = BOTH_MISSING.replace("none", "sendrecv")
        assert call.updated(both, cseq=8).names == ["SendReply", "Schedule", "ResumeInvite"]
        assert ports(call.actions.only(act.SendReply).body) == [("audio", True), ("video", False)]
        assert [line.kind for line in sdp_from_text(call.record.wic_description).media] == ["audio"]
        call.resumed()
        call.answer()
        call.on(call.ims_request("ACK", cseq=5))
        added = call.on(call.ims_request("INVITE", cseq=9, body=offer(video=True)))
        assert list(added.only(act.ReserveIncoming).media) == ["video"]


def test_a_medium_that_the_caller_adds_meanwhile_gets_port_0() -> None:
    call = Waiting()
    call.acknowledged()
    assert call.updated(offer(video=True) + THERE).names == ["SendReply", "Schedule", "ResumeInvite"]
    assert ports(call.actions.only(act.SendReply).body) == [("audio", True), ("video", False)]
    assert [medium.kind for medium in call.record.media] == ["audio"]
    assert call.resumed().all(act.ForwardInvite)


def test_a_relay_that_cannot_follow_the_update_ends_it_too() -> None:
    call = Waiting()
    call.acknowledged()
    call.on(call.ims_request("UPDATE", cseq=7, body=offer() + THERE))
    assert call.on(ev.MediaFailed(ERROR)).only(act.SendReply).status == 503
    assert call.resumed().only(act.SendReply).status == 580


def test_tm_gives_up_first() -> None:
    assert Waiting().on(ev.InviteGuardExpired()).only(act.SendReply).status == 580


def test_who_cannot_hear_reliably_is_told_so() -> None:
    request = invite(offer() + MISSING, {**REQUIRED, "Supported": ["replaces"]})
    assert called_registration(request, REGISTRATION) is REGISTRATION
    with pytest.raises(SipReject) as refusal:
        Incoming(request)
    assert (refusal.value.status, refusal.value.lines) == (421, ("Require: 100rel",))


def test_resources_that_are_there_make_no_difference_but_in_our_answer() -> None:
    call = Incoming.ringing(invite(offer() + THERE, REQUIRED))
    body = call.answer().only(act.ForwardReply).edits.body
    assert body is not None
    assert "a=curr:qos remote sendrecv" in body
    assert "a=conf" not in body
