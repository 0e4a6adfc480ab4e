"""A stream towards a page that only sends, offered once it has acknowledged: of stock clients with one-way offers, and
of video that was added one way.

A page whose Allow has UPDATE (JsSIP) gets a line of its own for it; stock SIP.js, which has not, gives all its lines
one direction, so that its own line is turned instead.  Until it has taken the offer the relay sends it nothing.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import partial

from kemi.core.call import actions as act
from kemi.core.call.errands import noted, run_errands, run_on
from kemi.core.call.events import Renewed
from kemi.core.call.media.running import SPLIT, gated, media_at_relay, renewal
from kemi.core.call.record import CallRecord, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.sdp.interwork.places import places_for
from kemi.core.sdp.interwork.wic import Reverse, reversed_lines
from kemi.core.sdp.judge import ReverseShape
from kemi.core.sdp.model import Origin, SessionDescription
from kemi.core.sdp.text import MAX_MEDIA


def with_reverse_lines(
    record: CallRecord,
    told: SessionDescription,
    offer: SessionDescription | None,
    media: list[Medium],
    origin: Origin,
) -> SessionDescription | None:
    """Add a line for each stream that is wanted, and note in ``media`` where it stands; ``offer`` is what the page is
    offered besides, None for nothing."""
    wanted = [medium for medium in media if medium.reverse_wanted and medium.active]
    if not wanted or not record.wic_takes_update:
        return offer
    end = len(told.media)
    lines = []
    for medium in wanted:
        (place,) = places_for(told.media, medium.kind, 1, end, after=medium.line)
        if place >= MAX_MEDIA:
            medium.reverse_wanted = False  # no client would answer with more lines that we could read
            continue
        end, medium.reverse_line = max(end, place + 1), place
        lines.append(Reverse(medium.line, medium.reverse_offer or None, place))
    return reversed_lines(offer or told, lines, ReverseShape.ADD_LINES, origin) if lines else offer


def take_reverse_lines(
    record: CallRecord, answer: SessionDescription, settings: CallSettings
) -> list[act.Action]:
    """The page has answered: let the relay send where it listens, and open the gate.

    Nothing of ours is open meanwhile, so either side may change the media while the relay is at it: each errand is of
    what holds when its turn comes.
    """
    lines = []
    for medium in record.media:
        if not medium.reverse_wanted:
            continue
        medium.reverse_wanted, medium.reverse_offer = False, ""
        if medium.reverse_line is None:
            continue
        if answer.media[medium.reverse_line].rejected:
            medium.reverse_line = None
            continue
        medium.reverse = True
        if medium.reverse_answer is not None:
            lines.append(act.MediumAnswer(medium.kind, medium.wic_offer, True, None, medium.reverse_answer))
    if not lines:
        return _open(record, {}, settings)
    accept = act.AcceptReverse(record.key, record.node, SPLIT, tuple(lines))
    renew = partial(_renew, frozenset(line.kind for line in lines))
    return run_errands(record, [accept], renew, noted, settings)


def _renew(
    kinds: Container[str], record: CallRecord, _renewed: Mapping[str, Renewed], settings: CallSettings
) -> list[act.Action]:
    media = [medium for medium in media_at_relay(record) if medium.kind in kinds]
    errands = [renewal(record, media)] if media else []
    return run_on(record, errands, _open, noted, settings)


def _open(record: CallRecord, _renewed: Mapping[str, Renewed], settings: CallSettings) -> list[act.Action]:
    return gated(record, media_at_relay(record), settings)
