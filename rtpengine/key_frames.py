"""Asking who sends video for a key frame, which ng has no command for.

A PLI from us to the port of one of the two sides would have to come from that side's address, or it is dropped as a
stranger's; where it is not, RTCP for that side may go to us from then on. So we become a participant of our own: it
subscribes to the sender with the flag `RTCP-mirror`, which carries its RTCP to the sender, takes no media (its address
is zeros) and RTCP from our one port alone. Nothing of the two sides changes.

    senders → invite → take_part → (the caller sends a PLI to the port) → has_heard → leave
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, cast

from rtpengine.ng.commands import Query, SubscribeAnswer, SubscribeRequest, Unsubscribe
from rtpengine.ng.errors import NgUnknownCall
from rtpengine.ng.replies import SubscribeRequestReply
from rtpengine.ng.statistics import CallStatistics
from rtpengine.profiles import MediaProfile
from rtpengine.sessions import IMS_TAG, WIC_TAG, MediaSession, Sequence, ask

FEEDBACK_TAGS: Final[Mapping[str, str]] = {WIC_TAG: "feedback-to-wic", IMS_TAG: "feedback-to-ims"}
"""Sender → the participant that asks it; constant, so that its ports are the same each time."""


class Sender(NamedTuple):
    """A side that has sent media."""

    ssrc: int
    asked: int
    """RTCP packets that were taken from us for it."""


def senders(session: MediaSession) -> Sequence[Mapping[str, Sender]]:
    """Return the sides that have sent RTP so far, by tag; dropped by a gate or not.

    Who has sent nothing begins with a key frame by itself.
    """
    try:
        statistics = yield from ask(Query(session.ng_call_id))
    except NgUnknownCall:
        return {}
    found = {}
    for tag in (WIC_TAG, IMS_TAG):
        if tag in statistics.tags:
            ssrc = next((stream.ssrc for stream in statistics.tags[tag].streams() if stream.ssrc), None)
            if ssrc is not None:
                found[tag] = Sender(ssrc, _asked(statistics, tag))
    return found


def _asked(statistics: CallStatistics, tag: str) -> int:
    feedback = statistics.tags.get(FEEDBACK_TAGS[tag])
    return 0 if feedback is None else sum(stream.counters.packets for stream in feedback.streams())


def invite(session: MediaSession, profile: MediaProfile, tags: Collection[str]) -> Sequence[dict[str, str]]:
    """Make our participant for each of these senders; returns the relay's offer to it, by tag."""
    options = profile.feedback_request()
    replies = yield tuple(
        SubscribeRequest(session.ng_call_id, tag, FEEDBACK_TAGS[tag], options) for tag in tags
    )
    return {tag: cast("SubscribeRequestReply", reply).sdp for tag, reply in zip(tags, replies, strict=True)}


def take_part(session: MediaSession, profile: MediaProfile, answers: Mapping[str, str]) -> Sequence[None]:
    """Hand in our answers to the offers: RTCP comes from the port they name."""
    options = profile.feedback_answer()
    yield tuple(
        SubscribeAnswer(session.ng_call_id, FEEDBACK_TAGS[tag], sdp, options) for tag, sdp in answers.items()
    )


def has_heard(session: MediaSession, before: Mapping[str, Sender]) -> Sequence[bool]:
    """Say whether the relay has taken a packet of ours for each of these senders since `before`."""
    try:
        statistics = yield from ask(Query(session.ng_call_id))
    except NgUnknownCall:
        return True
    return all(_asked(statistics, tag) > sender.asked for tag, sender in before.items())


def leave(session: MediaSession, tags: Collection[str]) -> Sequence[None]:
    """Hear no more of these senders; the ports stay until the call ends (rtpengine 10.5)."""
    yield leave_commands(session, tags)


def leave_commands(session: MediaSession, tags: Collection[str]) -> tuple[Unsubscribe, ...]:
    """Return the same for who does not wait, because the relay has not answered."""
    return tuple(Unsubscribe(session.ng_call_id, FEEDBACK_TAGS[tag]) for tag in tags)
