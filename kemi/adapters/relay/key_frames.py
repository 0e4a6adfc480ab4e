"""Asks for key frames when video begins to pass: what was sent before then is lost, the first key frame with it.

It must not hurt the call: what goes wrong here is logged, and the far end asks by itself a little later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from secrets import randbelow
from typing import Any, Final, Protocol

from kemi.adapters.log import log_event
from kemi.core.errors import GatewayError
from kemi.core.sdp.interwork.feedback import feedback_answer, feedback_port
from rtpengine.key_frames import Sender, has_heard, invite, leave, leave_commands, senders, take_part
from rtpengine.ng.commands import Command
from rtpengine.pool import NodeAddress
from rtpengine.profiles import MediaProfile
from rtpengine.rtcp import key_frame_request
from rtpengine.sessions import MediaSession, Sequence, T
from rtpengine.transport.feedback import FeedbackSocket

_LOOKS: Final = 4
"""How often the relay is asked whether it has had our packet: a fraction of a millisecond each."""


class Run(Protocol):
    """Carries a sequence out at one node."""

    def __call__(self, sequence: Sequence[T]) -> T:
        """Return its result; raise MediaUnavailable."""


def ask_for_key_frames(
    session: MediaSession,
    profile: MediaProfile,
    tags: Collection[str],
    run: Run,
    throw: Callable[[tuple[Command[Any], ...]], None],
) -> frozenset[str]:
    """Ask those of these sides for a key frame that have sent media; returns their tags.

    ``throw`` sends commands that nobody waits for.
    """
    try:
        sending = {tag: sender for tag, sender in run(senders(session)).items() if tag in tags}
        if not sending:
            return frozenset()
        offers = run(invite(session, profile, sending))
        try:
            heard = _is_heard(session, profile, sending, offers, run)
        except (GatewayError, OSError):
            # Perhaps it was only slow, and we take part by now.
            throw(leave_commands(session, sending))
            raise
        run(leave(session, sending))
    except (GatewayError, OSError) as error:
        _complain(session, str(error))
        return frozenset()
    if not heard:
        _complain(session, "the relay has not taken our packet")
    return frozenset(sending)


def _is_heard(
    session: MediaSession,
    profile: MediaProfile,
    sending: Mapping[str, Sender],
    offers: Mapping[str, str],
    run: Run,
) -> bool:
    """Take part and ask; return whether the relay has had all of it."""
    with ExitStack() as sockets:
        opened = {
            tag: sockets.enter_context(FeedbackSocket(NodeAddress(*feedback_port(offer))))
            for tag, offer in offers.items()
        }
        answers = {
            tag: feedback_answer(offers[tag], opened[tag].local.host, opened[tag].local.port)
            for tag in offers
        }
        run(take_part(session, profile, answers))
        for tag, sender in sending.items():
            opened[tag].send(key_frame_request(sender.ssrc, randbelow(256)))
        return any(run(has_heard(session, sending)) for _ in range(_LOOKS))


def _complain(session: MediaSession, detail: str) -> None:
    log_event(logging.WARNING, "key_frame_not_asked", call_id=session.call_id, detail=detail)
