"""Media actions as ng sequences: one rtpengine call for each medium, blocking, within the deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from kemi.adapters.log import log_event
from kemi.adapters.relay.families import check_families, check_moved
from kemi.adapters.relay.key_frames import ask_for_key_frames
from kemi.adapters.relay.knocking import knock_at
from kemi.adapters.relay.relay_nodes import RelayNodes
from kemi.adapters.relay.relay_sessions import answering, named, running, taking
from kemi.adapters.relay.repertoires import Repertoires, answered_codecs, needs_offer, without_ptime
from kemi.adapters.relay.site_profiles import SiteProfiles
from kemi.core.call import actions as act
from kemi.core.call.events import (
    AnsweredAhead,
    DigitsPlayed,
    IceRestarted,
    ImsReoffered,
    IncomingConnected,
    IncomingReserved,
    MediaConnected,
    MediaGated,
    MediaMoved,
    MediaRenewed,
    MediaReserved,
    MediaStays,
    MovedMedium,
    Renewed,
    Reserved,
    ReverseAccepted,
)
from kemi.core.errors import GatewayError, MediaForgotten, MediaUnavailable
from kemi.core.sdp.interwork import is_known, placeholder_answer, repertoire
from kemi.settings import MediaSettings
from kemi.state.nodes import NodeStore
from rtpengine.dtmf import DigitPath, play, refresh, withhold
from rtpengine.ng.commands import Delete, RawQuery
from rtpengine.ng.statistics import RawStatistics
from rtpengine.pinning import pinning
from rtpengine.running import (
    Renewal,
    closed_during,
    gate,
    gate_commands,
    last_packet_s,
    move,
    renew,
    reoffer_from_ims,
    restart_ice,
)
from rtpengine.sessions import (
    IMS_TAG,
    WIC_TAG,
    MediaSession,
    Reservation,
    Sequence,
    T,
    WicTransport,
    accept_reverse,
    answer_ahead,
    ask,
    connect,
    connect_terminating,
    knows_all,
    last_statistics,
    release_all,
    reserve,
    reserve_terminating,
)

SETTLE_S: Final = 0.05
"""How long a packet of the page takes, which comes every 20 ms."""
_GONE: Final = "the media relay has no such call"


class MediaRelay:
    """The relay nodes as one worker process sees them."""

    def __init__(self, settings: MediaSettings, store: NodeStore) -> None:
        self._store = store
        self._repertoires = Repertoires()
        self._nodes = RelayNodes(settings, store, self._repertoires.forget)
        self._profiles = SiteProfiles(settings, self._nodes.versions)

    def choose_node(self, call_id: str) -> str:
        """Return the node that takes a call; raise MediaUnavailable when none can."""
        return self._nodes.choose(call_id)

    def _begin(self, action: act.Reservation, attempt: Callable[[str], T]) -> T:
        """The first media of a call may go to another node; after that it stays where it is."""
        if not action.begins:
            return attempt(action.node)
        return self._nodes.on_one(action.call_id, action.node, attempt)

    def reserve(self, action: act.ReserveMedia) -> MediaReserved:
        """Reserve every medium, or none."""
        return self._begin(action, partial(self._reserved, action))

    def _reserved(self, action: act.ReserveMedia, node: str) -> MediaReserved:
        transport = WicTransport(action.transport)
        reserved: dict[str, Reserved] = {}
        with self._all_or_none(node) as sessions:
            for medium in action.media:
                session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
                sessions.append(session)
                sequence = self._reservation(session, node, action.terms, reverse=medium.reverse)
                found = self._run(node, action.terms, sequence)
                relay_answer = without_ptime(found.relay_answer)
                reserved[medium.kind] = Reserved(found.relay_offer, relay_answer, found.reverse_offer)
        return MediaReserved(reserved, action.context, node)

    def _reservation(
        self, session: MediaSession, node: str, terms: act.MediaTerms, *, reverse: bool
    ) -> Sequence[Reservation]:
        profile = self._profiles.reserving(node, terms, session.medium, session.wic_offer)
        split = session.transport is not WicTransport.SHARED
        if session.medium != "audio" or (split and reverse):
            # A line with its own transport is offered to the page from what the placeholder sends: that must be
            # transcoded, or the line would be bound to the far end's payload type.
            return (yield from reserve(session, profile, placeholder_answer, reverse=reverse))
        placeholder = partial(placeholder_answer, preferred="opus")
        own = repertoire(session.wic_offer)
        widened = self._repertoires.widened(node, terms.profile, session.wic_offer, own)
        found = yield from reserve(session, profile, placeholder, reverse=reverse, widened_offer=widened)
        if widened is None:
            self._repertoires.learn(node, terms.profile, own, found.relay_offer)
        return found

    def accept_reverse(self, action: act.AcceptReverse) -> ReverseAccepted:
        """Hand the page's answers for lines with a transport of their own to the relay."""
        transport = WicTransport(action.transport)
        for medium in action.media:
            if transport is WicTransport.SPLIT and medium.reverse_answer is not None:
                session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
                profile = self._profiles.reserving(action.node, action.terms, medium.kind, medium.wic_offer)
                self._run(action.node, action.terms, accept_reverse(session, profile, medium.reverse_answer))
        return ReverseAccepted(action.bearer)

    def connect(self, action: act.ConnectMedia) -> MediaConnected:
        """Apply the far end's answer to every medium it took; give back those it refused."""
        transport = WicTransport(action.transport)
        for medium in action.media:
            session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
            if medium.ims_answer is None:
                self._release_all(action.node, [session])
                continue
            said = (medium.kind, medium.wic_offer, medium.ims_answer)
            sequence = connect(
                session,
                self._profiles.of(action.node, action.terms, *said),
                medium.ims_answer,
                medium.reverse_answer,
                daemon_version=self._nodes.version(action.node),
                answered=answered_codecs(medium.wic_offer, medium.ims_answer),
            )
            relay_answer = self._run(action.node, action.terms, sequence)
            if action.told and not is_known(action.told, relay_answer):
                self._release_all(action.node, [session])  # the call it has made of this
                raise MediaForgotten(f"media relay {action.node} was started again, and has lost the call")
            self._ask_for_key_frames(action.node, session)
        return MediaConnected(action.reply, action.bearer)

    def reserve_incoming(self, action: act.ReserveIncoming) -> IncomingReserved:
        """Reserve every medium of the core's offer, or none."""
        return self._begin(action, partial(self._reserved_incoming, action))

    def _reserved_incoming(self, action: act.ReserveIncoming, node: str) -> IncomingReserved:
        offers: dict[str, str] = {}
        with self._all_or_none(node) as sessions:
            for kind, ims_offer in action.media.items():
                sessions.append(named(action.call_id, kind))
                sequence = reserve_terminating(
                    sessions[-1], self._profiles.terminating(node, action.terms, kind, ims_offer), ims_offer
                )
                offers[kind] = self._run(node, action.terms, sequence)
                check_families(partial(self._nodes.run, node), sessions[-1], ims_offer)
        return IncomingReserved(offers, action.edits, action.bearer, node)

    def answer_ahead(self, action: act.AnswerAhead) -> AnsweredAhead:
        """Answer every medium of the core's offer, or none, in the place of a page that is asked later."""
        return self._begin(action, partial(self._answered_ahead, action))

    def _answered_ahead(self, action: act.AnswerAhead, node: str) -> AnsweredAhead:
        placeholder = partial(placeholder_answer, preferred="opus")
        answers: dict[str, str] = {}
        offers: dict[str, str] = {}
        with self._all_or_none(node) as sessions:
            for kind, ims_offer in action.media.items():
                sessions.append(named(action.call_id, kind))
                profile = self._profiles.terminating(node, action.terms, kind, ims_offer)
                sequence = answer_ahead(sessions[-1], profile, ims_offer, placeholder)
                answers[kind], offers[kind] = self._run(node, action.terms, sequence)
                check_families(partial(self._nodes.run, node), sessions[-1], ims_offer)
        return AnsweredAhead(answers, offers, action.bearer, node)

    def connect_incoming(self, action: act.ConnectIncoming) -> IncomingConnected:
        """Apply the page's answer to every medium it took; give back those it refused."""
        answers: dict[str, str] = {}
        for kind, wic_answer in action.media.items():
            session = named(action.call_id, kind)
            if wic_answer is None:
                self._release_all(action.node, [session])
                continue
            profile = self._profiles.of(action.node, action.terms, kind, wic_answer)
            sequence = connect_terminating(session, profile, wic_answer, action.passing.get(kind, ""))
            answers[kind] = self._run(action.node, action.terms, sequence)
        return IncomingConnected(answers, action.reply, action.bearer)

    def renew(self, action: act.RenewMedia) -> MediaRenewed:
        """Work with what both sides said last; the page may have moved."""
        renewed: dict[str, Renewed] = {}
        for medium in map(taking, action.media):
            session = running(action.call_id, action.transport, medium.kind, medium.wic_line)
            if action.new_encoder and medium.kind == "audio":
                self._nodes.run(action.node, refresh(session))
            found = self._change(action, session, medium, self._renewal(action, session, medium))
            answer = without_ptime(found.relay_answer)
            reverse_answer = found.reverse_answer and without_ptime(found.reverse_answer)
            renewed[medium.kind] = Renewed(found.relay_offer, answer, reverse_answer)
        return MediaRenewed(renewed, action.bearer)

    def reoffer_from_ims(self, action: act.ReofferFromIms) -> ImsReoffered:
        """Work with the core's new offer; the page notices nothing."""
        answers: dict[str, str] = {}
        for medium in map(taking, action.media):
            session = running(action.call_id, action.transport, medium.kind, medium.wic_line)
            if action.new_encoder and medium.kind == "audio":
                self._nodes.run(action.node, refresh(session))
            change = self._reoffer(action, session, medium, first=action.first)
            answers[medium.kind] = self._change(action, session, medium, change)
        return ImsReoffered(answers, action.bearer)

    def restart_ice(self, action: act.RestartIce) -> IceRestarted:
        """Begin ICE anew at the page's ports."""
        offers: dict[str, str] = {}
        for medium in map(taking, action.media):
            session = running(action.call_id, action.transport, medium.kind, medium.wic_line)
            profile = self._profiles.of(
                action.node, action.terms, medium.kind, medium.wic_line, medium.ims_line
            )
            sequence = restart_ice(answering(session), profile, medium.ims_line)
            offers[medium.kind] = without_ptime(self._change(action, session, medium, sequence))
        return IceRestarted(offers, action.bearer)

    def _renewal(
        self, action: act.RenewMedia, session: MediaSession, medium: act.MediumChange
    ) -> Sequence[Renewal]:
        renewal = yield from renew(
            session,
            self._profiles.of(action.node, action.terms, medium.kind, medium.wic_line, medium.ims_line),
            medium.ims_line,
            medium.reverse_line,
            daemon_version=self._nodes.version(action.node),
            another_association=medium.another_association,
        )
        if needs_offer(medium.kind, medium.ims_line, renewal.relay_offer):
            yield from self._reoffer(action, session, medium)
        return renewal

    def _reoffer(
        self,
        action: act.RenewMedia | act.ReofferFromIms,
        session: MediaSession,
        medium: act.MediumChange,
        *,
        first: bool = False,
    ) -> Sequence[str]:
        return reoffer_from_ims(
            answering(session),
            self._profiles.of(action.node, action.terms, medium.kind, medium.wic_line, medium.ims_line),
            medium.ims_line,
            medium.reverse_line,
            daemon_version=self._nodes.version(action.node),
            offered=first,
        )

    def move(self, action: act.MoveMedia) -> MediaMoved | MediaStays:
        """Make every medium anew on another node, or none; a node that fails is not the last one that is asked."""
        if action.may_stay:
            sessions = [named(action.call_id, medium.kind) for medium in action.media]
            with suppress(MediaUnavailable):
                if self._nodes.run(action.lost, knows_all(sessions)):
                    return MediaStays(action.bearer)
        attempt = partial(self._moved_to, action)
        try:
            return self._nodes.on_one(action.call_id, "", attempt, [action.lost])
        except MediaUnavailable:
            if not self._nodes.takes_calls(action.lost):
                raise
            return attempt(action.lost)

    def _moved_to(self, action: act.MoveMedia, node: str) -> MediaMoved:
        placeholder = partial(placeholder_answer, preferred="opus")
        moved: dict[str, MovedMedium] = {}
        with self._all_or_none(node) as sessions:
            for medium in action.media:
                sessions.append(named(action.call_id, medium.kind))
                sequence = move(
                    sessions[-1],
                    self._profiles.terminating(node, action.terms, medium.kind, medium.ims_line),
                    medium.ims_line,
                    placeholder,
                    reverse=medium.reverse_line is not None,
                )
                found = self._run(node, action.terms, sequence)
                check_moved(partial(self._nodes.run, node), sessions[-1], medium.ims_line)
                moved[medium.kind] = MovedMedium(found.ims_answer, found.wic_offer, found.reverse_offer)
        return MediaMoved(node, moved, action.bearer)

    def gate(self, action: act.GateMedia) -> MediaGated:
        """Let media pass as the action says."""
        for medium in action.media:
            session = named(action.call_id, medium.kind)
            passing = {"wic_to_ims": medium.wic_to_ims, "ims_to_wic": medium.ims_to_wic}
            version = self._nodes.version(action.node)
            self._nodes.run(action.node, gate(session, **passing, daemon_version=version))
            self._ask_for_key_frames(action.node, session, medium.wic_to_ims, medium.ims_to_wic)
        return MediaGated(action.bearer)

    def play_digits(self, action: act.PlayDigits) -> DigitsPlayed:
        """Send digits to the core."""
        path = DigitPath(action.event_clock_hz, action.tone_ratio)
        session = named(action.call_id, "audio")
        if action.settle:
            time.sleep(SETTLE_S)
        version = self._nodes.version(action.node)
        sequence = play(session, path, action.digits, action.duration_ms, daemon_version=version)
        self._nodes.run(action.node, sequence)
        return DigitsPlayed(action.bearer)

    def withhold_digits(self, action: act.WithholdDigits) -> None:
        """Keep telephone-events from the page; where that fails it has its digits twice."""
        try:
            self._nodes.run(action.node, withhold(named(action.call_id, "audio")))
        except MediaUnavailable as error:
            log_event(logging.WARNING, "digits_not_withheld", call_id=action.call_id, detail=error.detail)

    def request_key_frames(self, action: act.RequestKeyFrames) -> None:
        """Ask who sends video for a key frame."""
        session = named(action.call_id, "video")
        self._ask_for_key_frames(action.node, session, action.of_wic, action.of_ims)

    def _ask_for_key_frames(
        self, node: str, session: MediaSession, of_wic: bool = True, of_ims: bool = True
    ) -> None:
        """Let both sides see the picture at once, where it has begun to pass."""
        tags = [tag for tag, wanted in ((WIC_TAG, of_wic), (IMS_TAG, of_ims)) if wanted]
        if session.medium == "video" and tags:
            ask_for_key_frames(
                session,
                self._profiles.of(node, act.DEFAULT_TERMS, "video", ""),
                tags,
                partial(self._nodes.run, node),
                partial(self._nodes.throw, node),
            )

    def _change(
        self,
        action: act.RenewMedia | act.ReofferFromIms | act.RestartIce,
        session: MediaSession,
        medium: act.MediumChange,
        change: Sequence[T],
    ) -> T:
        version = self._nodes.version(action.node)
        passing = {"wic_to_ims": medium.wic_to_ims, "ims_to_wic": medium.ims_to_wic}
        sequence = closed_during(session, change, **passing, daemon_version=version)
        try:
            result = self._run(action.node, action.terms, sequence)
        except MediaUnavailable:
            # Perhaps it was only slow, and has closed the gate by now: it hears of this when it wakes up.
            self._nodes.throw(action.node, gate_commands(session, **passing, daemon_version=version))
            raise
        self._ask_for_key_frames(action.node, session, medium.wic_to_ims, medium.ims_to_wic)
        return result

    def _run(self, node: str, terms: act.MediaTerms, sequence: Sequence[T]) -> T:
        """Let a node carry out what is said of a medium."""
        return self._nodes.run(
            node, pinning(sequence, knock_at) if self._profiles.pinned(terms) else sequence
        )

    def silence(self, node: str, call_id: str, kind: str, now: float) -> float | None:
        """Return how many seconds ago a medium had its last packet; None: the node does not know it.

        ``now`` is in seconds since the epoch, by the node's clock too.
        """
        last_s = self._nodes.run_hastily(node, last_packet_s(named(call_id, kind)), now)
        return None if last_s is None else now - last_s

    def statistics_hastily(self, node: str, call_id: str, kind: str, now: float) -> RawStatistics:
        """Return what the relay says of a running medium, for who must not wait long; ``now`` as in ``silence``."""
        return self._nodes.run_hastily(node, ask(RawQuery(named(call_id, kind).ng_call_id)), now)

    def release(self, action: act.ReleaseMedia) -> dict[str, RawStatistics | str]:
        """Give all ports back; what cannot be reached now ends by the daemon's own time-out.

        Returns for each medium what the relay said last, or why it said nothing.
        """
        sessions = [named(action.call_id, kind) for kind in action.kinds]
        try:
            self._nodes.check_prompt(action.node)
            found = self._nodes.run(action.node, last_statistics(sessions))
        except MediaUnavailable as error:
            self._not_released(action.node, sessions, error)
            return dict.fromkeys(action.kinds, error.detail)
        self._release_all(action.node, sessions)
        return {session.medium: found.get(session.medium, _GONE) for session in sessions}

    def statistics(self, node: str, call_id: str, kind: str) -> RawStatistics:
        """Return what the relay says of a running medium."""
        return self._nodes.run(node, ask(RawQuery(named(call_id, kind).ng_call_id)))

    @contextmanager
    def _all_or_none(self, node: str) -> Iterator[list[MediaSession]]:
        """Collect sessions; when one is refused the others are given back."""
        sessions: list[MediaSession] = []
        try:
            yield sessions
        except GatewayError:
            self._release_all(node, sessions)
            raise

    def _release_all(self, node: str, sessions: list[MediaSession]) -> None:
        try:
            self._nodes.check_prompt(node)
            self._nodes.run(node, release_all(sessions))
        except MediaUnavailable as error:
            self._not_released(node, sessions, error)

    def _not_released(self, node: str, sessions: list[MediaSession], error: MediaUnavailable) -> None:
        names = [session.ng_call_id for session in sessions]
        self._store.not_released(node, names, time.time())
        self._nodes.throw(node, tuple(map(Delete, names)))
        log_event(
            logging.WARNING,
            "media_not_released",
            call_id=sessions[0].call_id,
            medium="+".join(session.medium for session in sessions),
            node=node,
            detail=error.detail,
        )
