"""rtpengine.key_frames: who is asked, in which order of commands; rtpengine.rtcp: what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from rtpengine.key_frames import FEEDBACK_TAGS, Sender, has_heard, invite, leave, senders, take_part
from rtpengine.ng.commands import Query, SubscribeAnswer, Unsubscribe
from rtpengine.ng.errors import NgUnknownCall
from rtpengine.ng.replies import Done, SubscribeRequestReply
from rtpengine.ng.statistics import CallStatistics, Counters, MediaStatistics, StreamStatistics, TagStatistics
from rtpengine.profiles import video_profile
from rtpengine.rtcp import key_frame_request
from rtpengine.sessions import IMS_TAG, WIC_TAG, MediaSession, Sequence, WicTransport

SESSION = MediaSession("call", "video", "", WicTransport.SHARED)
PROFILE = video_profile()
NOTHING = Counters(0, 0, 0)


def statistics(**tags: tuple[int | None, int]) -> CallStatistics:
    """Statistics with the SSRC and the packets of each participant's one stream."""
    found = {}
    for name, (ssrc, packets) in tags.items():
        tag = name.replace("_", "-")
        ssrcs = () if ssrc is None else (ssrc,)
        stream = StreamStatistics(None, None, None, Counters(packets, 0, 0), 0, ssrcs, frozenset())
        media = MediaStatistics(1, "video", None, None, (stream,), frozenset())
        found[tag] = TagStatistics(tag, 0, (media,))
    return CallStatistics(0, 0, found, {}, NOTHING, NOTHING)


def answered(sequence: Sequence[Any], reply: object) -> tuple[Any, Any]:
    """Return the one step of a sequence, and what it makes of the reply."""
    step = next(sequence)
    with pytest.raises(StopIteration) as stop:
        sequence.send(reply)
    return step, stop.value.value


def test_only_who_has_sent_can_be_asked() -> None:
    told = statistics(wic=(7, 30), ims=(None, 0), feedback_to_wic=(None, 2))
    assert answered(senders(SESSION), told) == (Query("call-v"), {WIC_TAG: Sender(7, asked=2)})


def test_a_call_that_is_gone_has_nobody_to_ask() -> None:
    sequence = senders(SESSION)
    next(sequence)
    with pytest.raises(StopIteration) as stop:
        sequence.throw(NgUnknownCall("query", "Unknown call-id"))
    assert stop.value.value == {}


def test_we_are_heard_from_one_port_alone_and_take_no_ports_of_either_side() -> None:
    replies = [SubscribeRequestReply("a", "x", ()), SubscribeRequestReply("b", "y", ())]
    requests, offers = answered(invite(SESSION, PROFILE, [WIC_TAG, IMS_TAG]), replies)
    assert [(request.from_tag, request.to_tag, request.options.flags) for request in requests] == [
        (WIC_TAG, FEEDBACK_TAGS[WIC_TAG], ("RTCP-mirror",)),
        (IMS_TAG, FEEDBACK_TAGS[IMS_TAG], ("RTCP-mirror",)),
    ]
    assert not {WIC_TAG, IMS_TAG} & set(FEEDBACK_TAGS.values())
    assert offers == {WIC_TAG: "a", IMS_TAG: "b"}
    (answer,), _ = answered(take_part(SESSION, PROFILE, {WIC_TAG: "ours"}), [Done()])
    assert isinstance(answer, SubscribeAnswer)
    assert (answer.to_tag, answer.sdp) == (FEEDBACK_TAGS[WIC_TAG], "ours")
    assert {"strict-source", "endpoint-learning-off"} <= set(answer.options.flags)


@pytest.mark.parametrize(("wic", "ims", "heard"), [(1, 0, False), (2, 0, False), (2, 1, True)])
def test_each_of_them_has_to_have_been_asked(wic: int, ims: int, heard: bool) -> None:
    before = {WIC_TAG: Sender(7, asked=1), IMS_TAG: Sender(8, asked=0)}
    told = statistics(feedback_to_wic=(None, wic), feedback_to_ims=(None, ims))
    assert answered(has_heard(SESSION, before), told) == (Query("call-v"), heard)


def test_afterwards_we_take_nothing_any_more() -> None:
    step, _ = answered(leave(SESSION, [WIC_TAG]), [Done()])
    assert step == (Unsubscribe("call-v", FEEDBACK_TAGS[WIC_TAG]),)


def test_a_report_comes_before_the_request() -> None:
    """RFC 3550 §6.1, RFC 4585 §6.3.1, RFC 5104 §4.3.1."""
    assert key_frame_request(0x01020304, 9).hex() == (
        "80c9000100000001"  # receiver report, no block
        "81ce00020000000101020304"  # PLI: whose picture, of whom
        "84ce000400000001000000000102030409000000"  # FIR, with its number
    )
