"""The far end's video codec changes, with a fork or in a running call: nobody transcodes, so the page has to follow."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from kemi.core.sdp.text import sdp_from_text
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming, invite
from tests.unit.core.call.ladder import Actions, Call

_MODE_1 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
_VIDEO = (
    "108 114 96",
    "a=rtpmap:108 H264/90000",
    f"a=fmtp:108 {_MODE_1}",
    "a=rtpmap:114 H264/90000",
    f"a=fmtp:114 {_MODE_1.replace('mode=1', 'mode=0')}",
    "a=rtpmap:96 VP8/90000",
    "a=rtcp-fb:96 nack pli",
)
VP8 = sdp.core_answer("audio", "video")


@pytest.fixture(autouse=True)
def _all_of_chromiums_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay passes all formats on, as it does."""
    for codecs in (sdp.WEB_CODECS, sdp.CORE_CODECS):
        monkeypatch.setitem(codecs, "video", _VIDEO)


def h264(number: str = "108", port: int = 41000) -> str:
    """Return a description of a far end with H.264 under this payload type."""
    lines = f"a=rtpmap:{number} H264/90000\r\na=fmtp:{number} packetization-mode=1;profile-level-id=42e01f"
    text = sdp.core_answer("audio", "video", port=port).replace("RTP/AVPF 96", f"RTP/AVPF {number}")
    return text.replace("a=rtpmap:96 VP8/90000", lines)


def video_formats(text: str) -> set[tuple[str, ...]]:
    """Return the payload types of the video lines."""
    return {line.formats for line in sdp_from_text(text).media if line.kind == "video"}


def told_vp8() -> Call:
    """A running call whose callee has answered VP8; the page has only that on its line."""
    call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
    sent = call.actions.only(act.SendRequest)
    assert video_formats(sent.body) == {("96",)}
    call.on(ev.UpdateAnswered(200, sdp.page_answer(sent.body)))
    return call


def progress(call: Call, tag: str, body: str, status: int) -> Actions:
    """A fork describes its media; the relay takes them."""
    event = call.ims_reply(status, tag, body=body)
    call.on(event).only(act.ConnectMedia)
    return call.on(ev.MediaConnected(event.reply))


def test_a_fork_that_answers_with_another_codec_than_the_one_before() -> None:
    call = Call.forwarded(sdp.chromium("av-sendonly"))
    sent = progress(call, "core1", VP8, 183).only(act.SendRequest)
    call.on(ev.UpdateAnswered(200, sdp.page_answer(sent.body)))
    again = progress(call, "core2", h264(), 200).only(act.SendRequest)
    assert (again.method, video_formats(again.body)) == ("UPDATE", {("108",)})
    lines = [line for line in sdp_from_text(again.body).media if line.kind == "video"]
    assert [line.codecs[0].fmtp for line in lines] == [_MODE_1, _MODE_1]
    call.on(ev.UpdateAnswered(200, sdp.page_answer(again.body)))
    assert video_formats(call.record.wic_description) == {("108",)}


def test_a_reinvite_with_a_codec_that_the_page_offered() -> None:
    call = told_vp8()
    asked = call.on(call.ims_request("INVITE", cseq=5, body=h264())).only(act.ForwardRequest)
    assert video_formats(asked.edits.body or "") == {("108",)}


def test_a_page_that_offers_before_it_was_told_is_answered_with_the_codec_of_now() -> None:
    call = told_vp8()
    told = call.on(call.ims_request("UPDATE", cseq=5, body=h264(), alive=False)).only(act.ReofferFromIms)
    answers = {medium.kind: sdp.relay_offer(medium.kind) for medium in told.media}
    sent = call.on(ev.ImsReoffered(answers, told.bearer)).only(act.SendRequest)
    assert video_formats(sent.body) == {("108",)}
    call.on(ev.UpdateAnswered(491))
    answered = call.on(call.wic_request("INVITE", cseq=9, body=sdp.chromium("av-sendrecv")))
    assert video_formats(answered.only(act.SendReply).body) == {("108",)}


class TestPayloadTypes:
    """The relay passes video on under the numbers it came with: the far end's have to be the page's."""

    @pytest.mark.parametrize("number", ["96", "99"], ids=["another codec of the page", "free at the page"])
    def test_a_reinvite_that_numbers_otherwise_is_answered_without_video(self, number: str) -> None:
        call = told_vp8()
        asked = call.on(call.ims_request("INVITE", cseq=5, body=h264(number)))
        assert [note.event for note in asked.all(act.Note)] == ["video_not_passed"]
        offer = asked.only(act.ForwardRequest).edits.body or ""
        assert [line.port == 0 for line in sdp_from_text(offer).media] == [False, True]
        reply = call.wic_reply(200, method="INVITE", cseq=asked.only(act.ForwardRequest).edits.cseq or 0)
        reply.reply.body, reply.reply.content_type = sdp.page_answer(offer), "application/sdp"
        told = call.on(reply).only(act.ReofferFromIms)
        assert [medium.kind for medium in told.media] == ["audio"]
        done = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, told.bearer))
        answer = sdp_from_text(done.only(act.ForwardReply).edits.body or "")
        assert [line.port for line in answer.media] == [30000, 0]
        assert done.only(act.ReleaseMedia).kinds == ("video",)

    def test_of_several_formats_those_with_the_page_s_numbers_count(self) -> None:
        call = told_vp8()
        both = h264("96").replace("RTP/AVPF 96", "RTP/AVPF 96 108 97")
        both += "a=rtpmap:108 H264/90000\r\na=rtpmap:97 VP8/90000\r\n"
        call.on(call.ims_request("INVITE", cseq=5, body=both))
        video = call.record.exchange.media[1]  # type: ignore[union-attr]
        assert (video_formats(video.ims_answer), video.codec) == ({("108",)}, "h264")

    def test_an_answer_that_numbers_otherwise_counts_as_a_refusal_and_the_core_hears_of_it(self) -> None:
        call = Call.forwarded(sdp.chromium("av-sendonly"))
        sent = call.answer("core1", h264("99")).only(act.SendRequest)
        assert [line.port == 0 for line in sdp_from_text(sent.body).media] == [False, True, False, True]
        assert call.record.media[1].active is False
        call.on(ev.UpdateAnswered(200, sdp.page_answer(sent.body)))
        told = call.on(call.wic_request("ACK", cseq=1)).only(act.SendRequest)
        assert (told.to, [line.port for line in sdp_from_text(told.body).media]) == (Side.IMS, [30000, 0])

    def test_video_that_the_page_adds_is_refused_so_too(self) -> None:
        call = Call.confirmed(body=sdp.chromium("audio-sendrecv"))
        wanted = sdp.chromium("av-sendrecv")
        reserve = call.on(call.wic_request("INVITE", cseq=9, body=wanted)).only(act.ReserveMedia)
        given = {"video": ev.Reserved(sdp.relay_offer("video"), sdp.relay_answer("video"), None)}
        asked = call.on(ev.MediaReserved(given, reserve.context)).only(act.ForwardRequest)
        reply = call.ims_reply(200, cseq=asked.edits.cseq or 9, body=h264("99"))
        call.on(reply)
        assert call.record.core_behind


def test_a_called_page_s_video_is_off_where_it_has_no_such_codec() -> None:
    call = Incoming.confirmed(invite(device_offer(DeviceMedia(video="VP8"))))
    other = device_offer(DeviceMedia(video="VP8", version=2)).replace("VP8/90000", "H264/90000")
    asked = call.on(call.ims_request("INVITE", cseq=6, body=other)).only(act.ForwardRequest)
    assert [line.port == 0 for line in sdp_from_text(asked.edits.body or "").media] == [False, True]
