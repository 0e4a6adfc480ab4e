"""The sequences that change one running medium of a call, whoever called; its set-up is in `rtpengine.sessions`.

Every change is an `offer` with its `answer`: both sides as they speak now. Which side offers says what comes back.

- `renew`: the WIC has a new offer, or the far end a new answer. Gives our present offer for IMS as well.
- `reoffer_from_ims`: IMS has a new offer; the answer of the WIC may be the one it gave before.
- `gate`: which way media may pass. It is apart from the gate of the set-up, which stops the whole call.
- `closed_during`: around either change, or packets of the states in between get out.
- `move`: the node of the medium is dead, another one takes it. `reoffer_from_ims` follows with the WIC's answer.

Ports stay (but for `move`), and so do the certificate of the daemon and the WIC's payload types. rtpengine finds the
participants by their tags, so nothing here asks who called.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from rtpengine.capabilities import OLDEST, Version, capabilities
from rtpengine.ng.commands import DIRECTIONAL, Answer, BlockMedia, Offer, Query, UnblockMedia, Unsubscribe
from rtpengine.ng.errors import NgErrorReply, NgUnknownCall
from rtpengine.profiles import MediaProfile
from rtpengine.sessions import (
    IMS_TAG,
    REVERSE_TAG,
    WIC_TAG,
    MediaSession,
    Sequence,
    T,
    WicTransport,
    answer_ahead,
    ask,
    offer_of,
    release,
    subscribe_again,
    subscribe_answer,
    subscribe_request,
)

_OF_TRANSPORT: Final = ("a=ice-", "a=fingerprint:", "a=setup:", "a=tls-id:")


@dataclass(frozen=True, slots=True)
class Renewal:
    """What `renew` got from rtpengine, all of it SDP.

    relay_offer: for IMS, with all codecs of the profile.
    relay_answer: for the WIC's line; has new ICE credentials when the WIC's are new, the same port always.
    reverse_answer: the same for the WIC's reverse line where that has a port of its own; written as an offer.
    """

    relay_offer: str = field(repr=False)
    relay_answer: str = field(repr=False)
    reverse_answer: str | None = field(default=None, repr=False)


def renew(
    session: MediaSession,
    profile: MediaProfile,
    ims_answer: str,
    reverse_line: str | None,
    *,
    daemon_version: Version,
    another_association: bool = False,
) -> Sequence[Renewal]:
    """Take what the WIC offers now (`session.wic_offer`) and what IMS said last, offer or answer.

    `reverse_line` is the WIC's reverse line as it is now, None unless that has a port of its own.
    `another_association`: the WIC's lines are of another DTLS association than before.
    """
    if session.transport is not WicTransport.SPLIT:
        reverse_line = None
    if another_association and capabilities(daemon_version).keeps_srtp_index:
        yield from _forget_transport(session, profile, WIC_TAG, session.wic_offer)
        if reverse_line is not None:
            yield from _forget_transport(session, profile, REVERSE_TAG, reverse_line)
    if reverse_line is not None:
        yield from _restart_reverse(session, profile, reverse_line, daemon_version)
    relay_offer = (yield from ask(offer_of(session, profile.offer(), to_tag=IMS_TAG))).sdp
    answer = Answer(session.ng_call_id, WIC_TAG, IMS_TAG, ims_answer, profile.answer())
    relay_answer = (yield from ask(answer)).sdp
    if reverse_line is None:
        return Renewal(relay_offer, relay_answer)
    reverse_answer = yield from subscribe_again(session, profile, daemon_version)
    yield from ask(subscribe_answer(session, profile, reverse_line))
    return Renewal(relay_offer, relay_answer, reverse_answer)


def _forget_transport(session: MediaSession, profile: MediaProfile, tag: str, line: str) -> Sequence[None]:
    """Let what is sent to the WIC under other keys begin with its first packet, as the WIC expects.

    rtpengine counts anew where the address of a line changes that has neither ICE nor DTLS. Without keys nothing passes
    then, and the `offer` of the line as it is has to follow, which begins both. The address is nobody's, and heeded
    only in the family of the port; the last one is that of the line itself, or it would be another change.
    """
    bare = "".join(one for one in line.splitlines(keepends=True) if not one.startswith(_OF_TRANSPORT))
    for zeros in ("IP6 ::", "IP4 0.0.0.0"):
        there = bare.replace("IP4 0.0.0.0", zeros)
        yield from ask(Offer(session.ng_call_id, tag, there, profile.forgetting_offer(), IMS_TAG))


def _restart_reverse(
    session: MediaSession, profile: MediaProfile, reverse_line: str, daemon_version: Version
) -> Sequence[None]:
    """Let the reverse port notice new ICE credentials of the WIC.

    rtpengine begins ICE anew for the participant that sends an `offer`, never for one that sends a `subscribe answer`:
    that keeps the relay's own credentials (RFC 8445 §9 wants new ones) and the pairs of addresses that are no more.
    So the WIC's reverse participant offers once. That ties IMS to it; undone by the `offer` that follows,
    and here where it is not.
    """
    yield from ask(Offer(session.ng_call_id, REVERSE_TAG, reverse_line, profile.offer(), IMS_TAG))
    if not capabilities(daemon_version).offer_takes_over:
        yield from ask(Unsubscribe(session.ng_call_id, IMS_TAG))


def reoffer_from_ims(
    session: MediaSession,
    profile: MediaProfile,
    ims_offer: str,
    reverse_line: str | None,
    *,
    daemon_version: Version,
    offered: bool = False,
) -> Sequence[str]:
    """Take what IMS offers now, and the WIC's line as an answer in `session.wic_offer`; returns the answer for IMS.

    `offered`: this is the answer to what `move` offered, and the first of this WIC at this node. From 12 on an `offer`
    to a WIC that has not answered would be one to somebody else.

    The WIC need not be asked: its port and payload types stay, rtpengine transcodes to what it takes already. What
    rtpengine would offer it (other payload types among that) is not sent to anybody.
    """
    offer = Offer(session.ng_call_id, IMS_TAG, ims_offer, profile.terminating_offer(), WIC_TAG)
    if not offered:
        yield from ask(offer)
    answer = Answer(session.ng_call_id, IMS_TAG, WIC_TAG, session.wic_offer, profile.wic_answer())
    relay_answer = (yield from ask(answer)).sdp
    if reverse_line is not None and session.transport is WicTransport.SPLIT:
        yield from subscribe_again(session, profile, daemon_version)
        yield from ask(subscribe_answer(session, profile, reverse_line))
    return relay_answer


def restart_ice(session: MediaSession, profile: MediaProfile, ims_line: str) -> Sequence[str]:
    """Begin ICE anew at the WIC's port; returns the line of an offer to the WIC, with other credentials of ours.

    Both sides as they spoke last: nothing else is new. `reoffer_from_ims` follows with the WIC's answer, whose
    credentials are no further restart, because they come in an `answer`. Not for a WIC whose reverse line has a port of
    its own.
    """
    options = profile.terminating_offer()
    options = replace(options, flags=(*options.flags, "reset"))
    wic_offer = (yield from ask(Offer(session.ng_call_id, IMS_TAG, ims_line, options, WIC_TAG))).sdp
    # An answer at once, or rtpengine would send with codecs of neither side's choice until the WIC's is here.
    yield from ask(Answer(session.ng_call_id, IMS_TAG, WIC_TAG, session.wic_offer, profile.wic_answer()))
    return wic_offer


@dataclass(frozen=True, slots=True)
class Moved:
    """What `move` got from the new node, all of it SDP: its addresses, ports, ICE and DTLS are what matters.

    ims_answer: for the line of IMS.
    wic_offer: for the WIC's line.
    reverse_offer: for the WIC's reverse line where that has a port of its own.
    """

    ims_answer: str = field(repr=False)
    wic_offer: str = field(repr=False)
    reverse_offer: str | None = field(default=None, repr=False)


def move(
    session: MediaSession,
    profile: MediaProfile,
    ims_line: str,
    placeholder: Callable[[str], str],
    *,
    reverse: bool,
) -> Sequence[Moved]:
    """Make a medium of a running call anew, on another node; nothing passes before the WIC's answer.

    That node may have been given up under the same call a moment ago: what it still knows goes first, because it would
    go on with the DTLS association of then, and say nothing to a WIC that begins another.
    `ims_line` is what IMS said last. Both sides can be told at once: the WIC is sent an offer with the new transport,
    IMS one with the new port. With the WIC's answer, and with another line of IMS, `reoffer_from_ims` follows. An
    `offer` with the WIC's last line is no way: its answer has new ICE credentials, which would be a restart once more.
    `reverse`: the WIC's reverse line has a port of its own. A refused command leaves no call.
    """
    yield from release(session)
    ims_answer, wic_offer = yield from answer_ahead(session, profile, ims_line, placeholder)
    try:
        yield from _close(session, profile.daemon_version)
        reverse_offer = (yield from ask(subscribe_request(session, profile))).sdp if reverse else None
    except NgErrorReply:
        yield from release(session)
        raise
    return Moved(ims_answer, wic_offer, reverse_offer)


def closed_during(
    session: MediaSession,
    change: Sequence[T],
    *,
    wic_to_ims: bool,
    ims_to_wic: bool,
    daemon_version: Version = OLDEST,
) -> Sequence[T]:
    """Carry a change out with both directions closed, then let media pass as wanted; a refused change, too.

    Between an `offer` and its `answer` rtpengine sends in codecs, SSRCs and timestamps of neither side's choice. One
    such packet, and Chromium discarded the next 132: 2.6 s of silence. Closed, at most a packet or two are lost.
    """
    yield from _close(session, daemon_version)
    try:
        result = yield from change
    except NgErrorReply:
        yield from gate(session, wic_to_ims=wic_to_ims, ims_to_wic=ims_to_wic, daemon_version=daemon_version)
        raise
    yield from gate(session, wic_to_ims=wic_to_ims, ims_to_wic=ims_to_wic, daemon_version=daemon_version)
    return result


def _close(session: MediaSession, daemon_version: Version) -> Sequence[None]:
    """Let nothing pass. From 12 on a WIC that has not answered is unknown: then IMS alone is blocked."""
    try:
        yield from gate(session, wic_to_ims=False, ims_to_wic=False, daemon_version=daemon_version)
    except NgUnknownCall:
        raise
    except NgErrorReply:
        pass


def gate(
    session: MediaSession, *, wic_to_ims: bool, ims_to_wic: bool, daemon_version: Version = OLDEST
) -> Sequence[None]:
    """Let media pass in each direction or drop it; rtpengine 10.5 does not heed SDP directions.

    What IMS sends is stopped at its source, so the reverse port gets none either. RTCP, STUN and DTLS pass always. The
    participants have to be known: not before the answer, or its placeholder.
    """
    yield gate_commands(session, wic_to_ims=wic_to_ims, ims_to_wic=ims_to_wic, daemon_version=daemon_version)


def gate_commands(
    session: MediaSession, *, wic_to_ims: bool, ims_to_wic: bool, daemon_version: Version = OLDEST
) -> tuple[BlockMedia | UnblockMedia, ...]:
    """Return the commands of `gate`, in any order."""
    flags = DIRECTIONAL if capabilities(daemon_version).knows_directional else None
    return tuple(
        (UnblockMedia if is_open else BlockMedia)(session.ng_call_id, tag, flags)
        for tag, is_open in ((WIC_TAG, wic_to_ims), (IMS_TAG, ims_to_wic))
    )


def last_packet_s(session: MediaSession) -> Sequence[int | None]:
    """Return when the last packet of either side came, in seconds since 1970; None: there is no such call any more.

    A medium that never had one counts from its beginning.
    """
    try:
        statistics = yield from ask(Query(session.ng_call_id))
    except NgUnknownCall:
        return None
    return max(
        (stream.last_packet_s for tag in statistics.tags.values() for stream in tag.streams()),
        default=statistics.created_s,
    )
