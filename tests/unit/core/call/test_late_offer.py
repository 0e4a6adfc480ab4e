"""An INVITE of the core without an offer, step by step."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.states import Dialog, Media, OfferAnswer
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import KEY, Incoming, invite
from tests.unit.core.call.ladder import Actions

BOTH_WAYS = sdp.chromium("audio-sendrecv")
ERROR = MediaUnavailable("relay gone")


class Late(Incoming):
    """A call whose offer the page makes."""

    def __init__(self) -> None:
        super().__init__(invite("", content_type=""))
        self.on(ev.TransactionCreated(1, 2))

    def page_offers(self, body: str = BOTH_WAYS) -> Actions:
        """The page answers 200 with its offer."""
        return self.on(self.wic_reply(200, body=body))

    def answered(self) -> Actions:
        """The 200 with our offer is with the core."""
        return self.on(self.reserved_late(self.page_offers().only(act.ReserveMedia)))

    def acknowledged(self, body: str | None = None) -> Actions:
        """The core's ACK with its answer."""
        return self.on(self.ims_request("ACK", cseq=5, body=sdp.core_answer() if body is None else body))


def test_the_page_is_called_without_a_description_and_without_100rel() -> None:
    call = Incoming(invite("", content_type=""))
    assert call.actions.names == ["CreateTransaction", "ForwardInvite"]
    forward = call.actions.only(act.ForwardInvite)
    assert (forward.to, forward.edits.body) == (Side.WIC, None)
    assert "Supported: replaces" in forward.edits.insert


def test_its_offer_becomes_ours_its_answer_waits_for_the_ack() -> None:
    call = Late()
    reserve = call.page_offers().only(act.ReserveMedia)
    assert (reserve.call_id, [medium.kind for medium in reserve.media]) == (KEY, ["audio"])
    edits = call.on(call.reserved_late(reserve)).only(act.ForwardReply).edits
    assert edits.body is not None
    assert "RTP/AVP " in edits.body
    assert (call.record.dialog, call.record.media_state) == (Dialog.CONFIRMED, Media.GATED)
    call.acknowledged()
    assert call.actions.names == ["ForwardRequest", "ConnectMedia"]
    ack = call.actions.only(act.ForwardRequest).edits
    assert ack.body is not None
    assert "UDP/TLS/RTP/SAVPF" in ack.body
    assert "a=setup:passive" in ack.body
    connect = call.actions.only(act.ConnectMedia)
    assert connect.call_id == KEY
    call.on(ev.MediaConnected(connect.reply))
    assert call.record.media_state is Media.CONNECTED
    states = (call.record.wic_offer_answer, call.record.ims_offer_answer)
    assert states == (OfferAnswer.STABLE, OfferAnswer.STABLE)


def test_video_of_the_page_is_left_out() -> None:
    call = Late()
    reserve = call.page_offers(sdp.chromium("av-sendrecv")).only(act.ReserveMedia)
    assert [medium.kind for medium in reserve.media] == ["audio"]
    call.on(call.reserved_late(reserve))
    assert "m=video 0 " in call.record.wic_answer


def test_a_description_before_the_200_is_no_offer() -> None:
    call = Late()
    edits = call.on(call.wic_reply(183, body=BOTH_WAYS)).only(act.ForwardReply).edits
    assert edits.body == ""


def test_the_200_and_the_ack_may_come_twice() -> None:
    call = Late()
    first = call.answered().only(act.ForwardReply).edits.body
    assert call.page_offers().only(act.ForwardReply).edits.body == first
    call.acknowledged()
    assert call.acknowledged().names == ["ForwardRequest"]
    assert call.actions.only(act.ForwardRequest).edits.body == call.record.wic_answer


def test_a_200_that_comes_twice_before_the_relay_has_ports() -> None:
    call = Late()
    first = call.page_offers().only(act.ReserveMedia)
    second = call.page_offers().only(act.ReserveMedia)
    assert call.on(call.reserved_late(first)).names == ["ForwardReply", "Schedule"]
    assert call.on(call.reserved_late(second)).names == ["ForwardReply"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param("", 502, id="none"),
        pytest.param("rubbish", 502, id="rubbish"),
        pytest.param(sdp.chromium("audio-sendonly"), 488, id="one way"),
    ],
)
def test_an_offer_we_cannot_take(body: str, status: int) -> None:
    call = Late()
    call.page_offers(body)
    assert call.actions.only(act.AnswerForPage).status == status
    assert [request.method for request in call.actions.all(act.SendRequest)] == ["ACK", "BYE"]


def test_a_relay_without_ports_for_it() -> None:
    call = Late()
    reserve = call.page_offers().only(act.ReserveMedia)
    call.on(ev.MediaFailed(ERROR, reserve.reply))
    assert call.actions.only(act.AnswerForPage).status == 500


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="none"),
        pytest.param("rubbish", id="rubbish"),
        pytest.param(sdp.core_answer("audio", refuse=("audio",)), id="refused"),
    ],
)
def test_an_answer_that_does_not_fit_ends_the_call_on_both_sides(body: str) -> None:
    call = Late()
    call.answered()
    call.acknowledged(body)
    assert call.actions.names[0] == "ForwardRequest"
    byes = call.actions.all(act.SendRequest)
    assert [(bye.to, bye.method) for bye in byes] == [(Side.IMS, "BYE"), (Side.WIC, "BYE")]
    assert call.actions.only(act.ForgetCall).call_id == KEY


def test_a_relay_that_fails_at_the_answer_ends_it_too() -> None:
    call = Late()
    call.answered()
    connect = call.acknowledged().only(act.ConnectMedia)
    call.on(ev.MediaFailed(ERROR, connect.reply))
    assert [bye.method for bye in call.actions.all(act.SendRequest)] == ["BYE", "BYE"]


def test_hung_up_while_the_relay_was_at_it() -> None:
    call = Late()
    call.answered()
    connect = call.acknowledged().only(act.ConnectMedia)
    call.on(call.ims_request("BYE"))
    assert call.on(ev.MediaConnected(connect.reply)).names == ["ReleaseMedia"]


def test_over_before_the_relay_had_ports() -> None:
    call = Late()
    reserve = call.page_offers().only(act.ReserveMedia)
    call.on(ev.WicFailed(430, local=True))
    assert call.on(call.reserved_late(reserve)).names == ["DropReply", "ReleaseMedia"]
