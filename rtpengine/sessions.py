"""The sequences of ng commands that make, change and end one medium of a call, as generators without I/O.

A sequence yields commands, is sent their replies, gets errors thrown in where it waits, and returns its
result. Commands whose order does not matter it yields together, as a tuple, to wait for the daemon once. `run`
drives it with a blocking client, `run_async` with an asyncio client. It knows the order rtpengine needs and why;
it does not know SDP (the caller makes and reads it), sockets or SIP.

The life of a medium: reserve → [accept_reverse] → connect, once per different IMS answer → release.
Of one that IMS offers: reserve_terminating → connect_terminating → release.
One rtpengine call per medium, so audio and video come and go independently. The participants' tags are
constant whatever the SIP tags are: a new to-tag would get new WIC ports, ICE credentials and certificates.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

from rtpengine.capabilities import Version, capabilities
from rtpengine.ng.commands import (
    DIRECTIONAL,
    Answer,
    BlockMedia,
    Command,
    Delete,
    MediaOptions,
    Offer,
    Query,
    R,
    RawQuery,
    SubscribeAnswer,
    SubscribeRequest,
    UnblockMedia,
    Unsubscribe,
)
from rtpengine.ng.errors import NgBadDatagram, NgError, NgErrorReply, NgUnknownCall
from rtpengine.ng.replies import Reply, SdpReply
from rtpengine.ng.statistics import CallStatistics, RawStatistics
from rtpengine.profiles import MediaProfile

WIC_TAG: Final = "wic"
IMS_TAG: Final = "ims"
REVERSE_TAG: Final = "wic-in"
_VIDEO: Final = "-v"
"""What the relay's name of a call's video ends with."""
STAND_IN_TAG: Final = "stand-in"

T = TypeVar("T")
Step: TypeAlias = Command[Any] | tuple[Command[Any], ...]
Sequence: TypeAlias = Generator[Step, Any, T]


class WicTransport(StrEnum):
    """How the WIC gets the two one-way streams of a medium."""

    SHARED = "shared"
    """Both m-lines in one BUNDLE group, on one port."""
    SPLIT = "split"
    """No BUNDLE group; the reverse m-line has its own port, made by `subscribe request`."""


@dataclass(frozen=True, slots=True)
class MediaSession:
    """One medium of a call.

    `wic_offer` is the WIC's SDP with one m-line, the same in every `offer`; "" where IMS offers.
    """

    call_id: str
    medium: str
    wic_offer: str = field(repr=False)
    transport: WicTransport

    @property
    def ng_call_id(self) -> str:
        """Return the call-id of the rtpengine call."""
        return f"{self.call_id}{_VIDEO}" if self.medium == "video" else self.call_id


def namesakes(call_id: str) -> tuple[str, ...]:
    """Return the calls that may not run beside this one: the video of one would be the audio of the other."""
    return (f"{call_id}{_VIDEO}", *([call_id.removesuffix(_VIDEO)] if call_id.endswith(_VIDEO) else []))


@dataclass(frozen=True, slots=True)
class Reservation:
    """What `reserve` got from rtpengine, all of it SDP.

    relay_offer: for the INVITE to IMS.
    relay_answer: for the WIC's first m-line.
    reverse_offer: for the WIC's reverse m-line; None unless it has a port of its own.
    """

    relay_offer: str = field(repr=False)
    relay_answer: str = field(repr=False)
    reverse_offer: str | None = field(repr=False)


def reserve(
    session: MediaSession,
    profile: MediaProfile,
    placeholder: Callable[[str], str],
    *,
    reverse: bool,
    widened_offer: str | None = None,
) -> Sequence[Reservation]:
    """Get ports, ICE and DTLS for the WIC before IMS was asked; no media passes yet.

    `placeholder` makes a complete answer out of the offer to IMS: same m-line, port 9, our own address, and
    for video the `a=rtcp-fb` lines, or the WIC would never send PLI. When the daemon refuses one of the
    commands, the call it may have made is deleted before the error goes on.

    `widened_offer` is the WIC's offer with all codecs of an earlier offer to IMS, as if the WIC had them: rtpengine
    repeats them to IMS and makes no encoder for any of them, which is two thirds of the work of a reservation. Only
    for a placeholder that answers with a codec the WIC does have.
    """
    if widened_offer is None:
        first_offer = offer_of(session, profile.offer(), to_tag=None)
        answer_options = profile.answer()
    else:
        first_offer = Offer(session.ng_call_id, WIC_TAG, widened_offer, profile.passing_offer())
        answer_options = profile.passing_answer()
    try:
        relay_offer = (yield from ask(first_offer)).sdp
        stand_in = Answer(session.ng_call_id, WIC_TAG, IMS_TAG, placeholder(relay_offer), answer_options)
        relay_answer = cast("SdpReply", (yield stand_in, BlockMedia(session.ng_call_id))[0]).sdp
        reverse_offer = None
        if reverse and session.transport is WicTransport.SPLIT:
            subscription = yield from ask(subscribe_request(session, profile))
            reverse_offer = subscription.sdp
    except NgErrorReply:
        yield from release(session)
        raise
    return Reservation(relay_offer, relay_answer, reverse_offer)


def accept_reverse(session: MediaSession, profile: MediaProfile, reverse_answer: str) -> Sequence[None]:
    """Hand in the WIC's answer to the reverse offer (one m-line); only for the split transport."""
    yield from ask(subscribe_answer(session, profile, reverse_answer))


def connect(
    session: MediaSession,
    profile: MediaProfile,
    ims_answer: str,
    reverse_answer: str | None,
    *,
    daemon_version: Version,
    answered: frozenset[str] | None = None,
) -> Sequence[str]:
    """Connect the WIC with the far end that sent `ims_answer`, and let media pass; returns the answer for the WIC.

    That is what `reserve` got, but for a daemon that was started again: it has made a new call of the `offer`.
    May be repeated for every different answer (183, 200, a fork). `reverse_answer` is what `accept_reverse`
    got, None without a reverse port. `answered` names the codecs of `ims_answer`, in lower case: rtpengine then
    makes ready for these only. Leave it out for a WIC without telephone-event/8000 when IMS has events: their number
    would change.
    """
    # An `answer` alone would leave the codecs of the placeholder in force towards IMS (rtpengine 10.5, 12.5).
    # Without to-tag, rtpengine 10.5 crashes on an `offer` of a participant that was unsubscribed (below).
    yield from ask(offer_of(session, profile.offer(answered), to_tag=IMS_TAG))
    answer = Answer(session.ng_call_id, WIC_TAG, IMS_TAG, ims_answer, profile.answer())
    # The far end has answered: a gate that opens a moment early lets nothing through that may not pass.
    opened = UnblockMedia(session.ng_call_id)
    if reverse_answer is None or session.transport is not WicTransport.SPLIT:
        return cast("SdpReply", (yield answer, opened)[0]).sdp
    relay_answer = (yield from ask(answer)).sdp
    yield from subscribe_again(session, profile, daemon_version)
    yield subscribe_answer(session, profile, reverse_answer), opened
    return relay_answer


def subscribe_again(session: MediaSession, profile: MediaProfile, daemon_version: Version) -> Sequence[str]:
    """Give the reverse port the codecs of an `answer` that was just made; returns that line's SDP.

    It still has those of the former answer; its port and the WIC's payload type stay. `subscribe_answer` has to follow.
    """
    if session.medium != "video" and not capabilities(daemon_version).unsubscribe_removes_participant:
        # Every `answer` subscribes the WIC's first port to IMS: without this it gets all media twice. Not for
        # video: the far end's requests for a key frame (PLI) come to the sending line by that subscription.
        yield from ask(Unsubscribe(session.ng_call_id, WIC_TAG))
    return (yield from ask(subscribe_request(session, profile))).sdp


def reserve_terminating(session: MediaSession, profile: MediaProfile, ims_offer: str) -> Sequence[str]:
    """Take the offer of IMS (one m-line) and return the offer for the WIC, with ICE and DTLS.

    Nothing passes before `connect_terminating`. A refused command leaves no call.
    """
    try:
        try:
            return (yield from _offered_to_wic(session, profile, ims_offer))
        except NgUnknownCall:
            # Who takes back an offer that this one has crossed was about to give back what that had reserved.
            return (yield from _offered_to_wic(session, profile, ims_offer))
    except NgErrorReply:
        yield from release(session)
        raise


def _offered_to_wic(session: MediaSession, profile: MediaProfile, ims_offer: str) -> Sequence[str]:
    offer = Offer(session.ng_call_id, IMS_TAG, ims_offer, profile.terminating_offer(), WIC_TAG)
    wic_offer = (yield from ask(offer)).sdp
    yield from _deafen(session, profile)
    return wic_offer


def answer_ahead(
    session: MediaSession, profile: MediaProfile, ims_offer: str, placeholder: Callable[[str], str]
) -> Sequence[tuple[str, str]]:
    """Answer IMS before the WIC is asked: returns the answer for IMS and the offer for the WIC.

    May be repeated for a further offer of IMS; `connect_terminating` follows with the WIC's own answer. `placeholder`
    makes an answer out of an offer of plain RTP. It answers for a participant of its own: what rtpengine knows of an
    address, of ICE and of DTLS before the WIC speaks would settle roles in which the WIC's first packets are errors.
    """
    try:
        plain = Offer(session.ng_call_id, IMS_TAG, ims_offer, profile.plain_terminating_offer(), STAND_IN_TAG)
        stand_in = placeholder((yield from ask(plain)).sdp)
        answer = Answer(session.ng_call_id, IMS_TAG, STAND_IN_TAG, stand_in, profile.stand_in_answer())
        ims_answer = (yield from ask(answer)).sdp
        offer = replace(plain, options=profile.terminating_offer(), to_tag=WIC_TAG)
        # Its port stays as long as the call: whoever finds it has no keys to know.
        flags = DIRECTIONAL if capabilities(profile.daemon_version).knows_directional else None
        _, offered = yield BlockMedia(session.ng_call_id, STAND_IN_TAG, flags), offer
        yield from _deafen(session, profile)
        return ims_answer, cast("SdpReply", offered).sdp
    except NgErrorReply:
        yield from release(session)
        raise


def _deafen(session: MediaSession, profile: MediaProfile) -> Sequence[None]:
    """Let IMS hear nobody before the WIC's `answer`, which makes it listen to the WIC.

    The WIC's ICE and DTLS are ready before its answer comes.
    """
    if not capabilities(profile.daemon_version).offer_takes_over:
        yield from ask(Unsubscribe(session.ng_call_id, IMS_TAG))


def connect_terminating(
    session: MediaSession, profile: MediaProfile, wic_answer: str, passing: str = ""
) -> Sequence[str]:
    """Take the WIC's answer (one m-line), let media pass, and return the answer for IMS.

    `passing` is the offer of IMS with nothing but what the WIC takes as it is and rtpengine cannot transcode: it leaves
    that out of every offer for which it transcodes, so the WIC was told of it by others. Port, ICE and DTLS of the WIC
    stay.
    """
    answer = Answer(session.ng_call_id, IMS_TAG, WIC_TAG, wic_answer, profile.wic_answer())
    ims_answer = (yield from ask(answer)).sdp
    if (
        passing
    ):  # after an answer: from 12 on an `offer` to a WIC that has not answered is one to somebody else
        yield from ask(Offer(session.ng_call_id, IMS_TAG, passing, profile.terminating_offer(), WIC_TAG))
        ims_answer = (yield from ask(answer)).sdp
    return ims_answer


def release(session: MediaSession, *, with_statistics: bool = False) -> Sequence[CallStatistics | None]:
    """End the medium, with its final statistics if wanted; one that is gone already counts as released.

    A `delete` that names a participant returns statistics but may leave the others; one that names none ends
    the whole call, and says nothing else before rtpengine 12. So they are asked for first.
    """
    statistics = None
    if with_statistics:
        try:
            statistics = yield from ask(Query(session.ng_call_id))
        except NgUnknownCall:
            return None
        except (NgErrorReply, NgBadDatagram):
            pass  # no reason to keep the call
    with suppress(NgUnknownCall):
        yield from ask(Delete(session.ng_call_id))
    return statistics


def release_all(sessions: Iterable[MediaSession]) -> Sequence[None]:
    """End all media of a call at once; those that are gone already count as released."""
    with suppress(NgUnknownCall):
        yield tuple(Delete(session.ng_call_id) for session in sessions)


def knows_all(sessions: Iterable[MediaSession]) -> Sequence[bool]:
    """Return whether the daemon has all these media."""
    for session in sessions:
        try:
            yield from ask(Query(session.ng_call_id))
        except NgUnknownCall:
            return False
    return True


def last_statistics(sessions: Iterable[MediaSession]) -> Sequence[dict[str, RawStatistics]]:
    """Return what there is to say of all media of a call, by medium and unread; nothing of one that is gone.

    To be asked before they end: not together, because rtpengine may work on two datagrams at a time.
    """
    sessions = tuple(sessions)
    found: dict[str, RawStatistics] = {}
    # Of commands that go together an error is all one hears: one by one where one is unknown.
    with suppress(NgErrorReply):
        together = yield tuple(RawQuery(session.ng_call_id) for session in sessions)
        return {session.medium: reply for session, reply in zip(sessions, together, strict=True)}
    if len(sessions) > 1:
        for session in sessions:
            with suppress(NgErrorReply):
                found[session.medium] = yield from ask(RawQuery(session.ng_call_id))
    return found


class Requester(Protocol):
    """A blocking client, such as `rtpengine.transport.udp.UdpClient`."""

    def request(self, command: Command[R]) -> R:
        """Carry out a command."""

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Carry out commands in any order and wait for all of them; raises the first error."""


class AsyncRequester(Protocol):
    """An asyncio client, such as `rtpengine.transport.aio.AioClient`."""

    async def request(self, command: Command[R]) -> R:
        """Carry out a command."""

    async def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Carry out commands in any order and wait for all of them; raises the first error."""


def run(sequence: Sequence[T], client: Requester) -> T:
    """Carry out a sequence; raises the NgError that ends it."""
    try:
        step = next(sequence)
        while True:
            try:
                reply = client.request_all(step) if isinstance(step, tuple) else client.request(step)
            except NgError as error:
                step = sequence.throw(error)
            else:
                step = sequence.send(reply)
    except StopIteration as stop:
        return cast("T", stop.value)


async def run_async(sequence: Sequence[T], client: AsyncRequester) -> T:
    """Carry out a sequence; raises the NgError that ends it."""
    try:
        step = next(sequence)
        while True:
            try:
                reply = await (client.request_all(step) if isinstance(step, tuple) else client.request(step))
            except NgError as error:
                step = sequence.throw(error)
            else:
                step = sequence.send(reply)
    except StopIteration as stop:
        return cast("T", stop.value)


def ask(command: Command[R]) -> Sequence[R]:
    """Yield one command and return its reply with its type."""
    return cast("R", (yield command))


def offer_of(session: MediaSession, options: MediaOptions, *, to_tag: str | None) -> Offer:
    return Offer(session.ng_call_id, WIC_TAG, session.wic_offer, options, to_tag)


def subscribe_request(session: MediaSession, profile: MediaProfile) -> SubscribeRequest:
    return SubscribeRequest(session.ng_call_id, IMS_TAG, REVERSE_TAG, profile.subscribe_request())


def subscribe_answer(session: MediaSession, profile: MediaProfile, sdp: str) -> SubscribeAnswer:
    if profile.packet_ms is not None:  # has no option for that: only what the SDP says counts
        lines = [line for line in sdp.splitlines(keepends=True) if not line.startswith("a=ptime:")]
        sdp = f"{''.join(lines)}a=ptime:{profile.packet_ms[1]}\r\n"
    return SubscribeAnswer(session.ng_call_id, REVERSE_TAG, sdp, profile.subscribe_answer())
