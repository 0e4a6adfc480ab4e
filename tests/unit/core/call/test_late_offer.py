"""An INVITE of the core without an offer, step by step."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.states import Dialog, Media, OfferAnswer
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import CALLER_CONTACT, KEY, Incoming, invite
from tests.unit.core.call.ladder import Actions

ERROR = MediaUnavailable("relay gone")
CALLER = f"<{CALLER_CONTACT}>"


class Late(Incoming):
    """A call whose offer we make."""

    def __init__(self, contact: str = CALLER, wants: str = "*;audio") -> None:
        request = invite("", {"Accept-Contact": [wants]}, content_type="", contact=contact)
        super().__init__(request)
        self.on(ev.TransactionCreated(1, 2))
        self.reserved()

    def acknowledged(self, body: str | None = None) -> Actions:
        """The core's ACK with its answer."""
        answer = sdp.core_answer(*[medium.kind for medium in self.record.media]) if body is None else body
        return self.on(self.ims_request("ACK", cseq=5, body=answer))


def kinds(text: str) -> list[str]:
    """Return kinds of the m-lines."""
    return [media.kind for media in sdp_from_text(text).media]


def test_the_relay_is_given_a_stand_in_for_the_offer_that_did_not_come() -> None:
    call = Incoming(invite("", content_type=""))
    assert call.actions.names == ["CreateTransaction", "ReserveIncoming"]
    reserve = call.actions.only(act.ReserveIncoming)
    assert list(reserve.media) == ["audio"]
    (audio,) = sdp_from_text(reserve.media["audio"]).media
    assert [codec.encoding for codec in audio.codecs] == [
        "opus/48000/2",
        "AMR-WB/16000/1",
        "PCMA/8000",
        "PCMU/8000",
        "telephone-event/48000",
        "telephone-event/16000",
        "telephone-event/8000",
    ]
    assert "Supported: replaces" in reserve.edits.insert


@pytest.mark.parametrize(
    ("contact", "wants", "offered"),
    [
        pytest.param(CALLER, "*;audio", ["audio"], id="nobody speaks of video"),
        pytest.param(f"{CALLER};video", "*;audio", ["audio", "video"], id="the caller has it"),
        pytest.param(CALLER, "*;video", ["audio", "video"], id="the caller wants it"),
        pytest.param(f'{CALLER};video="FALSE"', "*;audio", ["audio"], id="the caller has none"),
    ],
)
def test_video_is_offered_where_it_is_spoken_of(contact: str, wants: str, offered: list[str]) -> None:
    assert kinds(Late(contact, wants).record.wic_description) == offered


def test_our_offer_goes_out_with_the_200_and_the_ack_answers() -> None:
    call = Late()
    edits = call.answer().only(act.ForwardReply).edits
    assert edits.body is not None
    (audio,) = sdp_from_text(edits.body).media
    assert (audio.proto, audio.direction, len(audio.codecs)) == ("RTP/AVP", "sendrecv", 7)
    assert (call.record.dialog, call.record.media_state) == (Dialog.CONFIRMED, Media.GATED)
    call.acknowledged()
    assert call.actions.names == ["ForwardRequest", "ReofferFromIms"]
    assert call.actions.only(act.ForwardRequest).edits.body == ""
    (change,) = call.actions.only(act.ReofferFromIms).media
    assert "a=ice-ufrag:page" in change.wic_line
    assert "PCMA" in change.ims_line
    assert (change.wic_to_ims, change.ims_to_wic) == (True, True)
    assert call.on(ev.ImsReoffered({})) == []
    states = (call.record.wic_offer_answer, call.record.ims_offer_answer, call.record.media_state)
    assert states == (OfferAnswer.STABLE, OfferAnswer.STABLE, Media.CONNECTED)


def test_media_pass_as_both_want_them() -> None:
    call = Late()
    call.answer()
    answer = sdp.core_answer().replace("a=sendrecv", "a=sendonly")
    (change,) = call.acknowledged(answer).only(act.ReofferFromIms).media
    assert (change.wic_to_ims, change.ims_to_wic) == (False, True)


def test_the_core_is_offered_the_video_codecs_the_page_has() -> None:
    call = Late(f"{CALLER};video")
    edits = call.answer().only(act.ForwardReply).edits
    assert edits.body is not None
    video = sdp_from_text(edits.body).media[1]
    assert [codec.name for codec in video.codecs] == ["vp8"]


def test_the_page_is_told_what_the_core_refused() -> None:
    call = Late(f"{CALLER};video")
    call.answer()
    call.acknowledged(sdp.core_answer("audio", "video", refuse=("video",)))
    told = call.actions.only(act.SendRequest)
    assert (told.to, told.method) == (Side.WIC, "INVITE")
    assert "m=video 0 " in told.body


@pytest.mark.parametrize("by", [pytest.param("page", id="the page"), pytest.param("core", id="the core")])
def test_refused_video_keeps_its_line_and_gives_its_ports_back(by: str) -> None:
    call = Late(f"{CALLER};video")
    page = by == "page"
    taken = call.on(call.wic_reply(200, body=call.page_answer(refuse=("1",) if page else ())))
    connect = taken.only(act.ConnectIncoming)
    assert (connect.media["video"] is None) is page
    body = call.on(call.connected(connect)).only(act.ForwardReply).edits.body
    assert body is not None
    assert kinds(body) == ["audio", "video"]
    assert ("m=video 0 " in body) is page
    call.acknowledged(sdp.core_answer("audio", "video", refuse=("video",)))
    assert len(call.actions.only(act.ReofferFromIms).media) == 1
    released = [action.kinds for action in call.actions.all(act.ReleaseMedia)]
    assert released == ([] if page else [("video",)])


def test_a_description_before_the_200_is_not_for_the_core() -> None:
    call = Late()
    edits = call.on(call.wic_reply(183, body=call.page_answer())).only(act.ForwardReply).edits
    assert edits.body == ""


def test_the_200_and_the_ack_may_come_twice() -> None:
    call = Late()
    first = call.answer().only(act.ForwardReply).edits.body
    again = call.on(call.wic_reply(200, body=call.page_answer()))
    assert again.only(act.ForwardReply).edits.body == first
    call.acknowledged()
    assert call.acknowledged().names == ["ForwardRequest"]


def test_a_200_that_comes_twice_before_the_relay_has_answered() -> None:
    call = Late()
    first, second = (
        call.on(call.wic_reply(200, body=call.page_answer())).only(act.ConnectIncoming) for _ in range(2)
    )
    assert call.on(call.connected(first)).names == ["ForwardReply", "Schedule"]
    assert call.on(call.connected(second)).names == ["ForwardReply"]


@pytest.mark.parametrize("body", [pytest.param("", id="none"), pytest.param("rubbish", id="rubbish")])
def test_an_answer_of_the_page_that_cannot_be_taken(body: str) -> None:
    call = Late()
    call.on(call.wic_reply(200, body=body))
    assert call.actions.only(act.AnswerForPage).status == 502
    assert [request.method for request in call.actions.all(act.SendRequest)] == ["ACK", "BYE"]


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
    call.answer()
    call.acknowledged(body)
    assert call.actions.names[0] == "ForwardRequest"
    byes = call.actions.all(act.SendRequest)
    assert [(bye.to, bye.method) for bye in byes] == [(Side.IMS, "BYE"), (Side.WIC, "BYE")]
    assert call.actions.only(act.ForgetCall).call_id == KEY


def test_a_relay_that_fails_at_the_answer_ends_it_too() -> None:
    call = Late()
    call.answer()
    asked = call.acknowledged().only(act.ReofferFromIms)
    call.on(ev.MediaFailed(ERROR, bearer=asked.bearer))
    assert [bye.method for bye in call.actions.all(act.SendRequest)] == ["BYE", "BYE"]


def test_hung_up_while_the_relay_was_at_it() -> None:
    call = Late()
    call.answer()
    asked = call.acknowledged().only(act.ReofferFromIms)
    call.on(call.ims_request("BYE"))
    assert call.on(ev.ImsReoffered({}, asked.bearer)).names == ["ReleaseMedia"]


@pytest.mark.parametrize("works", [True, False])
def test_the_cores_next_change_while_the_relay_was_at_it(works: bool) -> None:
    call = Late()
    call.answer()
    asked = call.acknowledged().only(act.ReofferFromIms)
    moved = call.on(call.ims_request("INVITE", cseq=6, body=sdp.core_answer(port=43000), contact=CALLER))
    change = moved.only(act.ReofferFromIms)
    if works:
        assert call.on(ev.ImsReoffered({}, asked.bearer)) == []
    else:
        byes = call.on(ev.MediaFailed(ERROR, bearer=asked.bearer)).all(act.SendRequest)
        assert [bye.method for bye in byes] == ["BYE", "BYE"]
    answer = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, change.bearer)).only(act.SendReply)
    assert answer.status == (200 if works else 487)
