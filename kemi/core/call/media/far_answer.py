"""The far end's answer to an offer of ours in a running session: put into its media, and followed by the relay."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import partial

from kemi.core.call import actions as act
from kemi.core.call.errands import Errand, noted, run_errands
from kemi.core.call.events import Renewed
from kemi.core.call.media.running import gated, holds_digits, line_change, media_at_relay, renewal
from kemi.core.call.media.session import is_news, medium_change
from kemi.core.call.record import CallRecord, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.errors import NotAcceptableHere
from kemi.core.sdp.interwork.ims_reoffer import ims_answer_lines, with_its_address
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text


def take_far_answer(media: Sequence[Medium], ours: str, answer: str) -> None:
    """Put an answer into ``media``; raise what a bad one deserves.

    A direction that was not offered says nothing of what the far end wants: that stays as it was.
    """
    offered = sdp_from_text(ours)
    answers = ims_answer_lines(ours, answer, {one.kind: one.ims_line for one in media if one.active})
    for medium in media:
        found = answers.get(medium.kind)
        if found is None:
            continue
        medium.answered, medium.active = True, found.sdp is not None
        if found.sdp is None:
            continue
        told = offered.media[medium.ims_line].direction
        medium.ims_direction = Direction.of(
            sends=found.direction.sends if told.receives else medium.ims_direction.sends,
            receives=found.direction.receives if told.sends else medium.ims_direction.receives,
        )
        medium.ims_answer = with_its_address(found.sdp, medium.ims_answer)
        if medium.kind == "video":
            medium.codec = found.codec or medium.codec
    if not any(medium.active for medium in media):
        raise NotAcceptableHere("the far end refused every medium")


def follow_far_end(record: CallRecord, before: Sequence[Medium], settings: CallSettings) -> list[act.Action]:
    """Let relay and page follow what the far end's answer has changed; ``before``: the media as they were."""
    was = {medium.kind: medium for medium in before}
    running = [medium for medium in record.media if medium.active]
    moved = [medium for medium in running if line_change(was.get(medium.kind), medium)]
    stayed = [medium for medium in running if medium not in moved]
    gone = tuple(one.kind for one in record.media if not one.active and was[one.kind].active)
    record.page_behind = record.page_behind or any(map(is_news, before, record.media))
    held = [
        one for one in running if holds_digits(record, one) and not _held_before(record, was.get(one.kind))
    ]
    errands: list[Errand] = []
    if moved:
        # An answer is as good as an offer for the relay, and the page keeps its lines.
        changes = tuple(map(medium_change, moved))
        drops = any(medium in held for medium in moved)
        errands.append(
            act.ReofferFromIms(record.key, record.node, record.transport, changes, new_encoder=drops)
        )
    if silenced := [medium for medium in stayed if medium in held]:
        errands.append(replace(renewal(record, silenced), new_encoder=True))
    gate = partial(_gate, frozenset(medium.kind for medium in stayed))
    release = [act.ReleaseMedia(record.key, record.node, gone)] if gone else []
    return [*run_errands(record, errands, gate, noted, settings), *release]


def _held_before(record: CallRecord, was: Medium | None) -> bool:
    return was is not None and holds_digits(record, was)


def _gate(
    kinds: Container[str], record: CallRecord, _renewed: Mapping[str, Renewed], settings: CallSettings
) -> list[act.Action]:
    """Nothing of ours is open while the relay is at it: what flows may be something else by now."""
    return gated(record, [one for one in media_at_relay(record) if one.kind in kinds], settings)
