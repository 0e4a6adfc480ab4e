"""Media actions as ng sequences: one rtpengine call for each medium, blocking, within the deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from kemi.adapters.key_frames import ask_for_key_frames
from kemi.adapters.knocking import knock_at
from kemi.adapters.log import log_event
from kemi.adapters.relay_profiles import RelayProfiles
from kemi.adapters.relay_sessions import named, running, taking
from kemi.adapters.repertoires import Repertoires, answered_codecs, without_ptime
from kemi.core.call import actions as act
from kemi.core.call.events import (
    AnsweredAhead,
    DigitsPlayed,
    ImsReoffered,
    IncomingConnected,
    IncomingReserved,
    MediaConnected,
    MediaGated,
    MediaMoved,
    MediaRenewed,
    MediaReserved,
    MovedMedium,
    Renewed,
    Reserved,
    ReverseAccepted,
)
from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.interwork import (
    placeholder_answer,
    repertoire,
)
from kemi.settings import MediaSettings
from kemi.state.nodes import NodeStore
from rtpengine.dtmf import DigitPath, play, withhold
from rtpengine.ng.commands import Delete, RawQuery
from rtpengine.ng.errors import NgBadDatagram, NgError, NgErrorReply
from rtpengine.ng.replies import RawStatistics
from rtpengine.pinning import pinning
from rtpengine.pool import Candidate, Node, NodeAddress, choose, node_to_text, version_from_text
from rtpengine.profiles import MediaSource
from rtpengine.running import Renewal, closed_during, gate, last_packet_s, move, renew, reoffer_from_ims
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
    last_statistics,
    release_all,
    reserve,
    reserve_terminating,
    run,
)
from rtpengine.transport.udp import UdpClient

NODES_ASKED: Final = 2
"""How many nodes are asked to take a call of a dead one."""
HASTY_S: Final = 0.25
"""How long housekeeping waits, which everything else waits for."""
_GONE: Final = "the media relay has no such call"


class MediaRelay:
    """The relay nodes as one worker process sees them."""

    def __init__(self, settings: MediaSettings, store: NodeStore) -> None:
        self._nodes = {
            node.name: Node(
                NodeAddress(node.address, node.port), node.weight, version_from_text(node.version)
            )
            for node in settings.nodes
        }
        self._store = store
        self._asked_at = 0.0
        """When this worker began what it waits for; it does one thing at a time."""
        self._profiles = RelayProfiles(
            settings, {name: node.daemon_version for name, node in self._nodes.items()}
        )
        deadline_s = settings.ng_deadline_ms / 1000
        self._clients, self._hasty = (
            {
                name: UdpClient(node.address, deadline_s=longest_s, give_up=partial(self._is_lost, name))
                for name, node in self._nodes.items()
            }
            for longest_s in (deadline_s, min(deadline_s, HASTY_S))
        )
        self._is_pinned = MediaSource(settings.core_source) is MediaSource.SIGNALLED
        self._repertoires = Repertoires()

    def choose_node(self, call_id: str, leave_out: Collection[str] = ()) -> str:
        """Return the node that takes a call; raise MediaUnavailable when none can."""
        others = [name for name in self._nodes if name not in leave_out]
        views = [view for view in self._store.view(others, time.time()) if view.takes_calls]
        steady = [view for view in views if view.state != "suspect"]
        candidates = [Candidate(self._nodes[view.node], view.calls) for view in steady or views]
        try:
            chosen = node_to_text(choose(call_id, candidates).address)
        except NgError as error:
            raise MediaUnavailable(str(error)) from error
        self._store.taken(chosen, time.time())
        major, minor = self._profiles.version(chosen)
        log_event(logging.INFO, "media_node_chosen", call_id=call_id, node=chosen, daemon=f"{major}.{minor}")
        return chosen

    def reserve(self, action: act.ReserveMedia) -> MediaReserved:
        """Reserve every medium, or none."""
        transport = WicTransport(action.transport)
        reserved: dict[str, Reserved] = {}
        with self._all_or_none(action.node) as sessions:
            for medium in action.media:
                session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
                sessions.append(session)
                found = self._run(
                    action.node, self._reservation(session, action.node, reverse=medium.reverse)
                )
                relay_answer = without_ptime(found.relay_answer)
                reserved[medium.kind] = Reserved(found.relay_offer, relay_answer, found.reverse_offer)
        return MediaReserved(reserved, action.context)

    def _reservation(self, session: MediaSession, node: str, *, reverse: bool) -> Sequence[Reservation]:
        profile = self._profiles.of_placeholder(node, session.medium, session.wic_offer)
        split = session.transport is not WicTransport.SHARED
        if session.medium != "audio" or (split and reverse):
            # A line with its own transport is offered to the page from what the placeholder sends: that must be
            # transcoded, or the line would be bound to the far end's payload type.
            return (yield from reserve(session, profile, placeholder_answer, reverse=reverse))
        placeholder = partial(placeholder_answer, preferred="opus")
        own = repertoire(session.wic_offer)
        widened = self._repertoires.widened(node, session.wic_offer, own)
        found = yield from reserve(session, profile, placeholder, reverse=reverse, widened_offer=widened)
        if widened is None:
            self._repertoires.learn(node, own, found.relay_offer)
        return found

    def accept_reverse(self, action: act.AcceptReverse) -> ReverseAccepted:
        """Hand the page's answers for lines with a transport of their own to the relay."""
        transport = WicTransport(action.transport)
        for medium in action.media:
            if transport is WicTransport.SPLIT and medium.reverse_answer is not None:
                session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
                profile = self._profiles.of_placeholder(action.node, medium.kind, medium.wic_offer)
                self._run(action.node, accept_reverse(session, profile, medium.reverse_answer))
        return ReverseAccepted(action.bearer)

    def connect(self, action: act.ConnectMedia) -> MediaConnected:
        """Apply the far end's answer to every medium it took; give back those it refused."""
        transport = WicTransport(action.transport)
        for medium in action.media:
            session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
            if medium.ims_answer is None:
                self._release_all(action.node, [session])
                continue
            sequence = connect(
                session,
                self._profiles.of_page(action.node, medium.kind, medium.wic_offer, medium.ims_answer),
                medium.ims_answer,
                medium.reverse_answer,
                daemon_version=self._profiles.version(action.node),
                answered=answered_codecs(medium.wic_offer, medium.ims_answer),
            )
            self._run(action.node, sequence)
            self._ask_for_key_frames(action.node, session)
        return MediaConnected(action.reply, action.bearer)

    def reserve_incoming(self, action: act.ReserveIncoming) -> IncomingReserved:
        """Reserve every medium of the core's offer, or none."""
        offers: dict[str, str] = {}
        with self._all_or_none(action.node) as sessions:
            for kind, ims_offer in action.media.items():
                sessions.append(named(action.call_id, kind))
                sequence = reserve_terminating(
                    sessions[-1], self._profiles.of_core(action.node, kind, ims_offer), ims_offer
                )
                offers[kind] = self._run(action.node, sequence)
        return IncomingReserved(offers, action.edits, action.bearer)

    def answer_ahead(self, action: act.AnswerAhead) -> AnsweredAhead:
        """Answer every medium of the core's offer, or none, in the place of a page that is asked later."""
        placeholder = partial(placeholder_answer, preferred="opus")
        answers: dict[str, str] = {}
        offers: dict[str, str] = {}
        with self._all_or_none(action.node) as sessions:
            for kind, ims_offer in action.media.items():
                sessions.append(named(action.call_id, kind))
                profile = self._profiles.of_core(action.node, kind, ims_offer)
                sequence = answer_ahead(sessions[-1], profile, ims_offer, placeholder)
                answers[kind], offers[kind] = self._run(action.node, sequence)
        return AnsweredAhead(answers, offers, action.bearer)

    def connect_incoming(self, action: act.ConnectIncoming) -> IncomingConnected:
        """Apply the page's answer to every medium it took; give back those it refused."""
        answers: dict[str, str] = {}
        for kind, wic_answer in action.media.items():
            session = named(action.call_id, kind)
            if wic_answer is None:
                self._release_all(action.node, [session])
                continue
            sequence = connect_terminating(
                session, self._profiles.of_page(action.node, kind, wic_answer), wic_answer
            )
            answers[kind] = self._run(action.node, sequence)
        return IncomingConnected(answers, action.reply, action.bearer)

    def renew(self, action: act.RenewMedia) -> MediaRenewed:
        """Work with what both sides said last; the page may have moved."""
        renewed: dict[str, Renewed] = {}
        for medium in map(taking, action.media):
            session = running(action.call_id, action.transport, medium.kind, medium.wic_line)
            found = self._change(action.node, session, medium, self._renewal(action.node, session, medium))
            reverse_answer = found.reverse_answer and without_ptime(found.reverse_answer)
            renewed[medium.kind] = Renewed(
                found.relay_offer, without_ptime(found.relay_answer), reverse_answer
            )
        return MediaRenewed(renewed, action.bearer)

    def reoffer_from_ims(self, action: act.ReofferFromIms) -> ImsReoffered:
        """Work with the core's new offer; the page notices nothing."""
        answers: dict[str, str] = {}
        for medium in map(taking, action.media):
            session = running(action.call_id, action.transport, medium.kind, medium.wic_line)
            change = self._reoffer(action.node, session, medium, first=action.first)
            answers[medium.kind] = self._change(action.node, session, medium, change)
        return ImsReoffered(answers, action.bearer)

    def _renewal(self, node: str, session: MediaSession, medium: act.MediumChange) -> Sequence[Renewal]:
        renewal = yield from renew(
            session,
            self._profiles.of_page(node, medium.kind, medium.wic_line, medium.ims_line),
            medium.ims_line,
            medium.reverse_line,
            daemon_version=self._profiles.version(node),
        )
        if (
            not repertoire(medium.ims_line).encodings_by_type
            <= repertoire(renewal.relay_offer).encodings_by_type
        ):
            # Payload types of the far end's own: as an answer the relay takes them for audio only, and of several
            # codecs it may take another one than before.  As an offer it understands them.
            yield from self._reoffer(node, session, medium)
        return renewal

    def _reoffer(
        self, node: str, session: MediaSession, medium: act.MediumChange, *, first: bool = False
    ) -> Sequence[str]:
        return reoffer_from_ims(
            session,
            self._profiles.of_page(node, medium.kind, medium.wic_line, medium.ims_line),
            medium.ims_line,
            medium.reverse_line,
            daemon_version=self._profiles.version(node),
            offered=first,
        )

    def move(self, action: act.MoveMedia) -> MediaMoved:
        """Make every medium anew on another node, or none; a node that fails is not the last one that is asked."""
        left_out = [action.lost]
        failed: MediaUnavailable | None = None
        for _ in range(NODES_ASKED):
            try:
                node = self.choose_node(action.call_id, left_out)
            except MediaUnavailable as error:
                raise failed or error from error
            try:
                return self._moved_to(node, action)
            except MediaUnavailable as error:
                left_out.append(node)
                failed = error
        raise failed or MediaUnavailable("no media relay was asked")

    def _moved_to(self, node: str, action: act.MoveMedia) -> MediaMoved:
        placeholder = partial(placeholder_answer, preferred="opus")
        moved: dict[str, MovedMedium] = {}
        with self._all_or_none(node) as sessions:
            for medium in action.media:
                sessions.append(named(action.call_id, medium.kind))
                sequence = move(
                    sessions[-1],
                    self._profiles.of_core(node, medium.kind, medium.ims_line),
                    medium.ims_line,
                    placeholder,
                    reverse=medium.reverse_line is not None,
                )
                found = self._run(node, sequence)
                moved[medium.kind] = MovedMedium(found.ims_answer, found.wic_offer, found.reverse_offer)
        return MediaMoved(node, moved, action.bearer)

    def gate(self, action: act.GateMedia) -> MediaGated:
        """Let media pass as the action says."""
        for medium in action.media:
            session = named(action.call_id, medium.kind)
            sequence = gate(
                session,
                wic_to_ims=medium.wic_to_ims,
                ims_to_wic=medium.ims_to_wic,
                daemon_version=self._profiles.version(action.node),
            )
            self._run(action.node, sequence)
            self._ask_for_key_frames(action.node, session, medium.wic_to_ims, medium.ims_to_wic)
        return MediaGated(action.bearer)

    def play_digits(self, action: act.PlayDigits) -> DigitsPlayed:
        """Send digits to the core."""
        path = DigitPath(action.event_clock_hz, action.tone_ratio)
        session = named(action.call_id, "audio")
        version = self._profiles.version(action.node)
        sequence = play(session, path, action.digits, action.duration_ms, daemon_version=version)
        self._run(action.node, sequence)
        return DigitsPlayed(action.bearer)

    def withhold_digits(self, action: act.WithholdDigits) -> None:
        """Keep telephone-events from the page; where that fails it has its digits twice."""
        try:
            self._run(action.node, withhold(named(action.call_id, "audio")))
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
            ask_for_key_frames(session, self._profiles.of_page(node, "video"), tags, partial(self._run, node))

    def _change(self, node: str, session: MediaSession, medium: act.MediumChange, change: Sequence[T]) -> T:
        sequence = closed_during(
            session,
            change,
            wic_to_ims=medium.wic_to_ims,
            ims_to_wic=medium.ims_to_wic,
            daemon_version=self._profiles.version(node),
        )
        result = self._run(node, sequence)
        self._ask_for_key_frames(node, session, medium.wic_to_ims, medium.ims_to_wic)
        return result

    def silence(self, node: str, call_id: str, kind: str, now: float) -> float | None:
        """Return how many seconds ago a medium had its last packet; None: the node does not know it.

        ``now`` is in seconds since the epoch, by the node's clock too.
        """
        client = self._hasty.get(node)
        if client is None or not self._store.is_prompt(node, now):
            raise MediaUnavailable(f"media relay {node} does not answer: not waited for")
        self._asked_at = now
        try:
            last_s = run(last_packet_s(named(call_id, kind)), client)
        except NgError as error:
            raise MediaUnavailable(f"media relay {node}: {error}") from error
        return None if last_s is None else now - last_s

    def release(self, action: act.ReleaseMedia) -> dict[str, RawStatistics | str]:
        """Give all ports back; what cannot be reached now ends by the daemon's own time-out.

        Returns for each medium what the relay said last, or why it said nothing.
        """
        sessions = [named(action.call_id, kind) for kind in action.kinds]
        try:
            self._check_prompt(action.node)
            found = self._run(action.node, last_statistics(sessions))
        except MediaUnavailable as error:
            self._not_released(action.node, sessions, error)
            return dict.fromkeys(action.kinds, error.detail)
        self._release_all(action.node, sessions)
        return {session.medium: found.get(session.medium, _GONE) for session in sessions}

    def statistics(self, node: str, call_id: str, kind: str) -> RawStatistics:
        """Return what the relay says of a running medium."""
        return self._run(node, ask(RawQuery(named(call_id, kind).ng_call_id)))

    @contextmanager
    def _all_or_none(self, node: str) -> Iterator[list[MediaSession]]:
        """Collect sessions; when one is refused the others are given back."""
        sessions: list[MediaSession] = []
        try:
            yield sessions
        except MediaUnavailable:
            self._release_all(node, sessions)
            raise

    def _release_all(self, node: str, sessions: list[MediaSession]) -> None:
        try:
            self._check_prompt(node)
            self._run(node, release_all(sessions))
        except MediaUnavailable as error:
            self._not_released(node, sessions, error)

    def _check_prompt(self, node: str) -> None:
        if not self._store.is_prompt(node, time.time()):
            raise MediaUnavailable(f"media relay {node} does not answer: not waited for")

    def _not_released(self, node: str, sessions: list[MediaSession], error: MediaUnavailable) -> None:
        names = [session.ng_call_id for session in sessions]
        self._store.not_released(node, names, time.time())
        if node in self._clients:  # it hears of it when it wakes up
            self._clients[node].send_only(tuple(map(Delete, names)))
        log_event(
            logging.WARNING,
            "media_not_released",
            call_id=sessions[0].call_id,
            medium="+".join(session.medium for session in sessions),
            node=node,
            detail=error.detail,
        )

    def _run(self, node: str, sequence: Sequence[T]) -> T:
        client = self._clients.get(node)
        if client is None:
            raise MediaUnavailable(f"media relay {node} is no longer configured")
        if not self._store.may_try(node, time.time()):
            raise MediaUnavailable(f"media relay {node} does not answer: known to be down")
        self._asked_at = time.time()
        try:
            result = run(pinning(sequence, knock_at) if self._is_pinned else sequence, client)
        except (NgErrorReply, NgBadDatagram) as error:  # it answers
            raise MediaUnavailable(f"media relay {node}: {error}") from error
        except NgError as error:
            self._store.missed(node, time.time())
            self._repertoires.forget()
            raise MediaUnavailable(f"media relay {node} does not answer: {error}") from error
        self._store.answered(node)
        return result

    def _is_lost(self, node: str) -> bool:
        return not self._store.usable(node, time.time(), self._asked_at)
