"""Media actions as ng sequences: one rtpengine call for each medium, blocking, within the deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from kemi.adapters.log import log_event
from kemi.core.call import actions as act
from kemi.core.call.events import (
    IncomingConnected,
    IncomingReserved,
    MediaConnected,
    MediaReserved,
    Reserved,
    ReverseAccepted,
)
from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.interwork import placeholder_answer
from kemi.settings import MediaSettings
from rtpengine.ng.errors import NgError, NgErrorReply
from rtpengine.pool import Node, NodeAddress, NodePool, node_from_text, node_to_text, version_from_text
from rtpengine.profiles import MediaProfile, audio_profile, video_profile
from rtpengine.sessions import (
    MediaSession,
    Sequence,
    T,
    WicTransport,
    accept_reverse,
    connect,
    connect_terminating,
    release,
    reserve,
    reserve_terminating,
    run,
)
from rtpengine.transport.udp import UdpClient

_PLACEHOLDERS: Final[Mapping[WicTransport, Callable[[str], str]]] = {
    WicTransport.SHARED: partial(placeholder_answer, preferred="opus"),
    # A line with its own transport is offered to the page from what the placeholder sends: that must be
    # transcoded, or the line would be bound to the far end's payload type.
    WicTransport.SPLIT: placeholder_answer,
}


class MediaRelay:
    """The relay nodes as one worker process sees them."""

    def __init__(self, settings: MediaSettings) -> None:
        nodes = [
            Node(NodeAddress(node.address, node.port), daemon_version=version_from_text(node.version))
            for node in settings.nodes
        ]
        self._pool = NodePool(nodes)
        self._versions = {node_to_text(node.address): node.daemon_version for node in nodes}
        self._clients = {
            node_to_text(node.address): UdpClient(node.address, deadline_s=settings.ng_deadline_ms / 1000)
            for node in nodes
        }
        self._profiles: Mapping[str, MediaProfile] = {
            "audio": audio_profile(settings.audio_codecs),
            "video": video_profile(),
        }

    def choose_node(self, call_id: str) -> str:
        """Return the node that takes a new call; raise MediaUnavailable when none can."""
        try:
            return node_to_text(self._pool.choose(call_id, time.monotonic()).address)
        except NgError as error:
            raise MediaUnavailable(str(error)) from error

    def reserve(self, action: act.ReserveMedia) -> MediaReserved:
        """Reserve every medium, or none."""
        transport = WicTransport(action.transport)
        placeholder = _PLACEHOLDERS[transport]
        reserved: dict[str, Reserved] = {}
        sessions: list[MediaSession] = []
        try:
            for medium in action.media:
                session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
                sessions.append(session)
                found = self._run(
                    action.node,
                    reserve(session, self._profiles[medium.kind], placeholder, reverse=medium.reverse),
                )
                reserved[medium.kind] = Reserved(found.relay_offer, found.relay_answer, found.reverse_offer)
        except MediaUnavailable:
            self._release_all(action.node, sessions)
            raise
        return MediaReserved(reserved, action.context)

    def accept_reverse(self, action: act.AcceptReverse) -> ReverseAccepted:
        """Hand the page's answers for lines with a transport of their own to the relay."""
        transport = WicTransport(action.transport)
        for medium in action.media:
            if transport is WicTransport.SPLIT and medium.reverse_answer is not None:
                session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
                self._run(
                    action.node, accept_reverse(session, self._profiles[medium.kind], medium.reverse_answer)
                )
        return ReverseAccepted()

    def connect(self, action: act.ConnectMedia) -> MediaConnected:
        """Apply the far end's answer to every medium it took; give back those it refused."""
        transport = WicTransport(action.transport)
        for medium in action.media:
            session = MediaSession(action.call_id, medium.kind, medium.wic_offer, transport)
            if medium.ims_answer is None:
                self._release_all(action.node, [session])
                continue
            self._run(
                action.node,
                connect(
                    session,
                    self._profiles[medium.kind],
                    medium.ims_answer,
                    medium.reverse_answer,
                    daemon_version=self._versions[action.node],
                ),
            )
        return MediaConnected(action.reply)

    def reserve_incoming(self, action: act.ReserveIncoming) -> IncomingReserved:
        """Reserve every medium of the core's offer, or none."""
        offers: dict[str, str] = {}
        sessions: list[MediaSession] = []
        try:
            for kind, ims_offer in action.media.items():
                sessions.append(_named(action.call_id, kind))
                sequence = reserve_terminating(sessions[-1], self._profiles[kind], ims_offer)
                offers[kind] = self._run(action.node, sequence)
        except MediaUnavailable:
            self._release_all(action.node, sessions)
            raise
        return IncomingReserved(offers, action.edits)

    def connect_incoming(self, action: act.ConnectIncoming) -> IncomingConnected:
        """Apply the page's answer to every medium it took; give back those it refused."""
        answers: dict[str, str] = {}
        for kind, wic_answer in action.media.items():
            session = _named(action.call_id, kind)
            if wic_answer is None:
                self._release_all(action.node, [session])
                continue
            sequence = connect_terminating(session, self._profiles[kind], wic_answer)
            answers[kind] = self._run(action.node, sequence)
        return IncomingConnected(answers, action.reply)

    def release(self, action: act.ReleaseMedia) -> None:
        """Give all ports back; what cannot be reached now ends by the daemon's own time-out."""
        sessions = [_named(action.call_id, kind) for kind in action.kinds]
        self._release_all(action.node, sessions)

    def _release_all(self, node: str, sessions: list[MediaSession]) -> None:
        for session in sessions:
            try:
                self._run(node, release(session))
            except MediaUnavailable as error:
                log_event(
                    logging.WARNING,
                    "media_not_released",
                    call_id=session.call_id,
                    medium=session.medium,
                    node=node,
                    detail=error.detail,
                )
                return  # a dead node is asked once, not once for each medium

    def _run(self, node: str, sequence: Sequence[T]) -> T:
        client = self._clients.get(node)
        if client is None:
            raise MediaUnavailable(f"media relay {node} is no longer configured")
        try:
            result = run(sequence, client)
        except NgErrorReply as error:
            raise MediaUnavailable(f"media relay {node}: {error}") from error
        except NgError as error:
            self._pool.mark_failed(node_from_text(node), time.monotonic())
            raise MediaUnavailable(f"media relay {node} does not answer: {error}") from error
        self._pool.mark_alive(node_from_text(node))
        return result


def _named(call_id: str, kind: str) -> MediaSession:
    """Return a session whose relay call is all that matters, or that the core offered."""
    return MediaSession(call_id, kind, "", WicTransport.SHARED)
