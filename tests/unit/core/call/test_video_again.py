"""Video that comes and goes in one call: its lines are used anew (RFC 3264 §8.2, RFC 8829 §5.2.2)."""

from __future__ import annotations

from copy import deepcopy
from types import MappingProxyType

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.node_loss.answers import take_from_page
from kemi.core.call.record import Exchange, Offerer
from kemi.core.sdp.build import media_description, session_description
from kemi.core.sdp.interwork.wic import rejected_line
from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import MAX_MEDIA, sdp_from_text, sdp_to_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.incoming_ladder import invite as core_invite
from tests.unit.core.call.incoming_ladder import offer as core_offer
from tests.unit.core.call.ladder import NO_100REL, SETTINGS, Call
from tests.unit.core.call.test_core_offer import cseq_of, page_answers, relay_knows
from tests.unit.core.call.test_page_offer import done

PAGES = MappingProxyType({"one-way": "audio-sendonly", "two-way": "audio-sendrecv"})
WITH_VIDEO = sdp.core_answer("audio", "video", port=41000)
WITHOUT = sdp.core_answer("audio", "video", port=41000, refuse=("video",))
ROUNDS = 40


class FarEnd:
    """Adds video and takes it away; remembers what the page was offered."""

    def __init__(self, page: str) -> None:
        self.call = Call.confirmed(body=sdp.chromium(PAGES[page]))
        self.cseq = 10
        self.offers: list[SessionDescription] = []

    def add(self, *, refused: bool = False) -> str:
        """Offer video, which the page takes or not; our answer."""
        self.cseq += 1
        body = sdp.core_answer("audio", "video", port=41000 + self.cseq)
        reserve = self.call.on(self.call.ims_request("INVITE", cseq=self.cseq, body=body))
        action = reserve.only(act.ReserveIncoming)
        relayed = {"video": sdp.relay_answer("video", 30300)}
        asked = self.call.on(ev.IncomingReserved(relayed, action.edits, action.bearer))
        self.offers.append(sdp_from_text(asked.only(act.ForwardRequest).edits.body or ""))
        video = tuple(line.mid or "" for line in self.offers[-1].media if line.kind == "video")
        answered = page_answers(self.call, asked, cseq_of(asked), refuse=video if refused else ())
        connect = answered.only(act.ConnectIncoming)
        answers = {} if refused else {"video": sdp.relay_offer("video", 30400)}
        told = self.call.on(ev.IncomingConnected(answers, connect.reply, connect.bearer))
        done = relay_knows(self.call, told).only(act.ForwardReply)
        self.call.on(self.call.ims_request("ACK", cseq=self.cseq))
        return done.edits.body or ""

    def remove(self) -> None:
        """Offer audio alone."""
        self.cseq += 1
        asked = self.call.on(self.call.ims_request("INVITE", cseq=self.cseq, body=WITHOUT))
        self.offers.append(sdp_from_text(asked.only(act.ForwardRequest).edits.body or ""))
        relay_knows(self.call, page_answers(self.call, asked, cseq_of(asked)))
        self.call.on(self.call.ims_request("ACK", cseq=self.cseq))


@pytest.mark.parametrize("page", PAGES)
def test_the_description_does_not_grow(page: str) -> None:
    far_end = FarEnd(page)
    own = len(sdp_from_text(far_end.call.record.wic_description).media)
    for _ in range(ROUNDS):
        assert "m=video 30400 " in far_end.add()
        far_end.remove()
    assert {len(offer.media) for offer in far_end.offers} == {own + (2 if page == "one-way" else 1)}
    assert far_end.call.record.exchange is None


@pytest.mark.parametrize("page", PAGES)
def test_a_line_used_anew_has_a_name_of_its_own(page: str) -> None:
    """RFC 8829 §5.2.2: a browser takes the name for the line's former use otherwise."""
    far_end = FarEnd(page)
    far_end.add()
    far_end.remove()
    far_end.add()
    first, gone, again = far_end.offers
    live = [line.mid for line in again.media if not line.rejected]
    assert len(set(live)) == len(live)
    added = {line.mid for line in again.media if line.kind == "video"}
    assert added.isdisjoint(line.mid for line in first.media)
    for offer in (first, gone, again):
        bundled = [mid for group in offer.bundle_groups for mid in group]
        assert set(bundled) <= {line.mid for line in offer.media if not line.rejected}
    if page == "one-way":
        away, towards = (line for line in again.media if line.kind == "video")
        assert again.bundle_group_of(away.mid) == (away.mid, towards.mid)
        assert (away.direction, towards.direction) == ("recvonly", "sendonly")


@pytest.mark.parametrize("page", PAGES)
def test_nor_does_it_for_a_page_that_never_takes_the_video(page: str) -> None:
    far_end = FarEnd(page)
    for _ in range(ROUNDS):
        assert "m=video 0 " in far_end.add(refused=True)
    assert len({len(offer.media) for offer in far_end.offers}) == 1


@pytest.mark.parametrize("page", PAGES)
def test_where_there_is_no_room_the_call_goes_on_without_video(page: str) -> None:
    """A page's answer has as many lines, and with more than MAX_MEDIA it is not read."""
    far_end = FarEnd(page)
    record = far_end.call.record
    told = sdp_from_text(record.wic_description)
    others = [rejected_line(told.media[0])] * (MAX_MEDIA - len(told.media))
    record.wic_description = sdp_to_text(session_description(told.session, [*told.media, *others]))
    asked = far_end.call.on(far_end.call.ims_request("INVITE", cseq=11, body=WITH_VIDEO))
    answer = relay_knows(far_end.call, asked).only(act.SendReply)
    assert [(line.kind, line.rejected) for line in sdp_from_text(answer.body).media] == [
        ("audio", False),
        ("video", True),
    ]


def test_video_that_the_page_refuses_in_its_ack_leaves_a_free_line() -> None:
    call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
    offer = call.on(call.wic_request("INVITE", cseq=7)).only(act.SendReply).body
    settled = call.on(call.wic_request("ACK", cseq=7, body=sdp.page_answer(offer, refuse=("1",))))
    for action in (*settled.all(act.RenewMedia), *settled.all(act.GateMedia)):
        settled = done(call, action)
    assert [line.rejected for line in sdp_from_text(call.record.wic_description).media] == [False, True]


def test_video_that_the_page_refuses_when_the_call_moves_leaves_a_free_line() -> None:
    record = Call.confirmed(body=sdp.chromium("av-sendrecv")).record
    record.exchange = Exchange(
        Offerer.GATEWAY_TO_WIC,
        "UPDATE",
        9,
        media=deepcopy(record.media),
        wic_description=record.wic_description,
    )
    take_from_page(record, sdp.page_answer(record.wic_description, refuse=("1",)), SETTINGS)
    assert [line.rejected for line in sdp_from_text(record.exchange.wic_description).media] == [False, True]


def test_what_there_is_no_room_for_is_wanted_no_more() -> None:
    call = Call.offered(sdp.chromium("audio-sendonly"), NO_100REL)
    call.reserved()
    call.answer(body=sdp.core_answer("audio"))
    told = sdp_from_text(call.record.wic_description)
    audio = rejected_line(told.media[0])
    video = media_description("video", 0, audio.proto, audio.formats, ["a=inactive"])
    lines = [*told.media, *[video] * (MAX_MEDIA - 1)]
    call.record.wic_description = sdp_to_text(session_description(told.session, lines))
    assert call.on(call.wic_request("ACK", cseq=1)).all(act.SendRequest) == []
    assert [medium.reverse_wanted for medium in call.record.media] == [False]


def test_what_we_have_told_ourselves_is_read_however_long_it_is() -> None:
    far_end = FarEnd("two-way")
    record = far_end.call.record
    told = sdp_from_text(record.wic_description)
    others = [rejected_line(told.media[0])] * (MAX_MEDIA + 1)
    record.wic_description = sdp_to_text(session_description(told.session, [*told.media, *others]))
    asked = far_end.call.on(far_end.call.ims_request("INVITE", cseq=11, body=WITH_VIDEO))
    assert relay_knows(far_end.call, asked).reply == (200, "OK")


def test_a_line_that_the_far_end_leaves_out_is_made_anew_behind_those_that_are_left() -> None:
    """Else the description would have to name one of a kind that nobody knows."""
    audio, video = core_offer(video=True).split("m=video")
    text = "m=text 40010 RTP/AVP 98\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:98 t140/1000\r\n"
    call = Incoming.ringing(core_invite(f"{audio}{text}m=video{video}"))
    call.answer(call.page_answer(refuse=("1",)))
    call.on(call.ims_request("ACK", cseq=5))
    asked = call.on(call.ims_request("INVITE", cseq=6, body=audio.replace("m=audio 4", "m=audio 5")))
    told = {"audio": sdp.relay_offer("audio")}
    shorter = call.on(ev.ImsReoffered(told, asked.only(act.ReofferFromIms).bearer)).only(act.SendReply)
    assert shorter.body.count("m=") == 1
    call.on(call.ims_request("ACK", cseq=6))
    wanted = call.on(call.wic_request("INVITE", cseq=9, body=sdp.chromium("av-sendrecv")))
    given = ev.Reserved(sdp.relay_offer("video", 30500), sdp.relay_answer("video", 30600), None)
    more = call.on(ev.MediaReserved({"video": given}, wanted.only(act.ReserveMedia).context))
    body = more.only(act.ForwardRequest).edits.body or ""
    assert [(line.kind, line.port) for line in sdp_from_text(body).media] == [
        ("audio", 30000),
        ("video", 30500),
    ]
