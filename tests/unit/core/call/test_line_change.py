"""What of a running session the relay has to be told of, and by what gates and key frames it is followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call.media.far_answer import follow_far_end
from kemi.core.call.media.pictures import request_key_frames
from kemi.core.call.media.running import gate_of, given_back, held_back, line_change, media_at_relay, renewal
from kemi.core.call.media.session import take_page_answer
from kemi.core.call.record import CallRecord, Exchange, Medium, Offerer
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call.ladder import SETTINGS, Call

HEAD = "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n"
LINE = (
    "m=audio 40000 RTP/SAVP 8 101\r\na=rtcp:40001\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n"
)
SEND, RECEIVE, BOTH, NONE = Direction.SENDONLY, Direction.RECVONLY, Direction.SENDRECV, Direction.INACTIVE


def audio(answer: str = HEAD + LINE, **changes: object) -> Medium:
    return replace(Medium("audio", wic_offer=HEAD + LINE, line=0, ims_answer=answer), **changes)  # type: ignore[arg-type]


def running(audio_line: Medium, *others: Medium) -> CallRecord:
    record = Call.confirmed().record
    record.media = [audio_line, *others]
    return record


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("c=IN IP4 198.51.100.9", "c=IN IP4 198.51.100.10", id="address"),
        pytest.param("audio 40000", "audio 40002", id="port"),
        pytest.param("a=rtcp:40001", "a=rtcp:40003", id="port of RTCP"),
        pytest.param("RTP/SAVP", "RTP/AVP", id="protocol"),
        pytest.param("inline:AAAA", "inline:BBBB", id="key"),
        pytest.param("PCMA/8000", "PCMU/8000", id="codec"),
    ],
)
def test_a_far_end_whose_media_move_is_followed(old: str, new: str) -> None:
    assert old in HEAD + LINE
    assert line_change(audio(), audio((HEAD + LINE).replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("o=- 1 1", "o=- 1 2", id="version"),
        pytest.param("s=-", "s=call", id="name"),
        pytest.param("a=rtcp:", "a=ptime:20\r\na=rtcp:", id="packet time"),
        pytest.param("a=rtcp:", "a=sendonly\r\na=rtcp:", id="direction"),
    ],
)
def test_one_whose_media_stay_leaves_the_relay_alone(old: str, new: str) -> None:
    changed = (HEAD + LINE).replace(old, new, 1)
    assert changed != HEAD + LINE
    assert not line_change(audio(), audio(changed))


def test_one_of_which_nothing_was_known_is_news() -> None:
    assert line_change(None, audio())
    assert line_change(audio(""), audio())


@pytest.mark.parametrize(
    ("before", "now", "anew"),
    [
        pytest.param("a=fingerprint:sha-256 AA", "a=fingerprint:sha-256 BB", True, id="certificate"),
        pytest.param("a=tls-id:a", "a=tls-id:b", True, id="association"),
        pytest.param("a=ice-ufrag:a", "a=ice-ufrag:b", False, id="ICE restart"),
    ],
)
def test_a_page_s_other_association_is_another_one_for_the_relay(before: str, now: str, anew: bool) -> None:
    record = running(audio(wic_offer=f"{HEAD}{LINE}{before}\r\n"))
    told = renewal(record, [audio(wic_offer=f"{HEAD}{LINE}{now}\r\n")])
    assert [one.another_association for one in told.media] == [anew]


# ---------------------------------------------------------------- gates


@pytest.mark.parametrize("wic", list(Direction))
@pytest.mark.parametrize("ims", list(Direction))
def test_the_gate_lets_pass_what_one_side_sends_and_the_other_takes(wic: Direction, ims: Direction) -> None:
    line = audio(wic_direction=wic, ims_direction=ims)
    record = running(line)
    to_ims, to_wic = wic.sends and ims.receives, wic.receives and ims.sends
    (gate,) = gate_of(record, [line]).media
    assert gate == act.MediumGate("audio", to_ims, to_wic)
    (change,) = renewal(record, [line]).media
    assert (change.wic_to_ims, change.ims_to_wic) == (to_ims, to_wic)
    closed = [one for one in held_back(record, [line], SETTINGS) if isinstance(one, act.GateMedia)]
    assert [one.media for one in closed] == ([] if to_ims and to_wic else [(gate,)])


def test_a_medium_that_is_off_has_no_gate() -> None:
    line = audio(ims_direction=NONE, active=False)
    assert held_back(running(line), [line], SETTINGS) == []


def test_what_is_offered_counts_at_the_relay_once_it_is_told_of_it() -> None:
    record = running(audio(), replace(audio(), kind="video", active=False))
    held = replace(audio(), wic_direction=SEND)
    record.exchange = Exchange(Offerer.WIC, "INVITE", 12, media=[held])
    assert media_at_relay(record) == record.media[:1]
    record.exchange.settling = True
    assert media_at_relay(record) == [held]
    held.active = False
    assert media_at_relay(record) == []


def test_ports_of_what_is_off_now_are_given_back() -> None:
    off = replace(audio(), kind="video", active=False)
    record = running(audio(), off)
    before = [audio(), replace(off, active=True)]
    assert given_back(record, before) == [act.ReleaseMedia(record.key, record.node, ("video",))]
    assert given_back(record, record.media) == []


# ---------------------------------------------------------------- a far end's answer to an offer of ours


def test_who_moves_is_told_to_the_relay_who_stays_is_gated_and_who_is_gone_is_given_back() -> None:
    video, further = replace(audio(), kind="video"), replace(audio(), kind="application")
    before = [audio(), video, further]
    moved = audio((HEAD + LINE).replace("40000", "40002"))
    held = replace(video, ims_direction=SEND)
    record = running(moved, held, replace(further, active=False))
    actions = follow_far_end(record, before, SETTINGS)
    (told,) = [one for one in actions if isinstance(one, act.ReofferFromIms)]
    assert [one.kind for one in told.media] == ["audio"]
    assert actions[-1] == act.ReleaseMedia(record.key, record.node, ("application",))
    assert record.page_behind
    record = running(audio(), held)
    (gate,) = [one for one in follow_far_end(record, before[:2], SETTINGS) if isinstance(one, act.GateMedia)]
    assert gate.media == (act.MediumGate("audio", True, True), act.MediumGate("video", False, True))


def test_what_was_off_before_is_not_given_back_twice() -> None:
    off = replace(audio(), kind="video", active=False)
    record = running(audio(), off)
    actions = follow_far_end(record, [audio(), replace(off)], SETTINGS)
    assert not [one for one in actions if isinstance(one, act.ReleaseMedia)]
    assert not [one for one in actions if isinstance(one, act.ReofferFromIms)]
    assert not record.page_behind
    record.page_behind = True
    follow_far_end(record, record.media, SETTINGS)
    assert record.page_behind


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("wic", "ims", "asked"),
    [
        (BOTH, BOTH, (True, True)),
        (SEND, BOTH, (True, False)),
        (RECEIVE, BOTH, (False, True)),
        (BOTH, SEND, (False, True)),
        (BOTH, RECEIVE, (True, False)),
        (NONE, BOTH, None),
        (SEND, SEND, None),
    ],
)
def test_whoever_s_video_passes_is_asked_for_a_picture(
    wic: Direction, ims: Direction, asked: tuple[bool, bool] | None
) -> None:
    video = replace(audio(), kind="video", wic_direction=wic, ims_direction=ims)
    record = running(audio(), video)
    found = [(one.of_wic, one.of_ims) for one in request_key_frames(record)]
    assert found == ([] if asked is None else [asked])
    of_wic = [(one.of_wic, one.of_ims) for one in request_key_frames(record, of_ims=False)]
    assert of_wic == ([(True, False)] if asked and asked[0] else [])
    of_ims = [(one.of_wic, one.of_ims) for one in request_key_frames(record, of_wic=False)]
    assert of_ims == ([(False, True)] if asked and asked[1] else [])
    video.active = False
    assert request_key_frames(record) == []


# ---------------------------------------------------------------- a page's answer


def described(port: int, direction: str) -> str:
    return (
        f"{HEAD}m=audio {port} UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=mid:0\r\na={direction}\r\n"
        "a=setup:active\r\na=fingerprint:sha-256 AA\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
        "a=rtcp-mux\r\n"
    )


@pytest.mark.parametrize(
    ("offered", "answered", "before", "after"),
    [
        ("sendrecv", "sendrecv", NONE, BOTH),
        ("sendrecv", "recvonly", BOTH, RECEIVE),
        ("sendrecv", "sendonly", BOTH, SEND),
        ("sendonly", "recvonly", BOTH, BOTH),
        ("sendonly", "inactive", BOTH, SEND),
        ("recvonly", "sendonly", BOTH, BOTH),
        ("recvonly", "inactive", BOTH, RECEIVE),
        ("inactive", "inactive", BOTH, BOTH),
    ],
)
def test_a_direction_that_was_not_offered_stays(
    offered: str, answered: str, before: Direction, after: Direction
) -> None:
    medium = audio(wic_direction=before)
    take_page_answer([medium], sdp_from_text(described(9, offered)), described(9, answered))
    assert (medium.wic_direction, medium.active) == (after, True)


def test_a_line_that_is_off_stays_as_it_was() -> None:
    off = audio(active=False, wic_direction=NONE)
    take_page_answer([off], sdp_from_text(described(9, "sendrecv")), described(9, "sendrecv"))
    assert (off.active, off.wic_direction) == (False, NONE)
