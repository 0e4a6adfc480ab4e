"""The media of a running session: what flows, what the relay is to be told, what an offer of the page makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.errands import run_alone
from kemi.core.call.media.session import direction_for_core, medium_change
from kemi.core.call.record import CallRecord, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.errors import LocalProtocolError
from kemi.core.sdp.interwork.page_reoffer import KnownMedium, OfferedMedium, PageOffer
from kemi.core.sdp.interwork.relay import repertoire
from kemi.core.sdp.judge import WicTransport
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text

SPLIT: Final = WicTransport.SPLIT.value
"""How the relay is asked in a running session: a line towards the page has a transport of its own where the page has
answered one with ``reverse_answer``, and shares the other line's where it has not."""


def known_media(record: CallRecord) -> list[KnownMedium]:
    """Return the media as reading a description of the page needs them."""
    return [
        KnownMedium(
            medium.kind,
            medium.line,
            medium.reverse_line,
            medium.wic_offer,
            medium.reverse_answer,
            medium.unaddressed,
        )
        for medium in record.media
    ]


def running_directions(media: Iterable[Medium]) -> dict[str, Direction]:
    """Return what flows as both sides have said, seen from the page, per kind that is on."""
    return {medium.kind: direction_for_core(medium) for medium in media if medium.active}


def gate_of(record: CallRecord, media: Sequence[Medium]) -> act.GateMedia:
    """Let the relay pass what flows, and nothing else."""
    gates = []
    for medium in media:
        direction = direction_for_core(medium)
        gates.append(act.MediumGate(medium.kind, direction.sends, direction.receives))
    return act.GateMedia(record.key, record.node, tuple(gates))


def held_back(record: CallRecord, media: Iterable[Medium], settings: CallSettings) -> list[act.Action]:
    """Close what does not pass of media whose answer the relay has just been told: it lets all of them pass."""
    one_way = [one for one in media if one.active and direction_for_core(one) is not Direction.SENDRECV]
    return gated(record, one_way, settings)


def media_at_relay(record: CallRecord) -> list[Medium]:
    """Return what is on as the relay has it: of an open exchange once it is told of that."""
    opened = record.exchange
    told = {one.kind: one for one in opened.media} if opened is not None and opened.settling else {}
    media = (told.get(one.kind, one) for one in record.media if one.active)
    return [one for one in media if one.active]


def gated(record: CallRecord, media: Sequence[Medium], settings: CallSettings) -> list[act.Action]:
    """Let the relay pass what flows of these media, if there are any, where nothing follows."""
    return run_alone(record, [gate_of(record, media)], settings) if media else []


def renewal(record: CallRecord, media: Sequence[Medium]) -> act.RenewMedia:
    """Let the relay work with what both sides have said last; the record has its media as they were before."""
    changes = tuple(
        replace(medium_change(medium), another_association=_reassociated(record.medium(medium.kind), medium))
        for medium in media
    )
    return act.RenewMedia(record.key, record.node, SPLIT, changes)


def holds_digits(record: CallRecord, now: Medium) -> bool:
    """Whether digits may wait in the relay that nobody is to hear now.  A gate keeps them until it opens, and then they
    come into whatever menu is there; a new encoder drops them."""
    return now.kind == "audio" and record.digits_armed and not direction_for_core(now).sends


def _reassociated(before: Medium | None, now: Medium) -> bool:
    """Whether a page has begun another DTLS association, with one certificate for all its lines (RFC 8842 §5.1)."""
    return before is not None and _association(before.wic_offer) != _association(now.wic_offer)


def _association(wic_line: str) -> set[str]:
    return {line for line in wic_line.splitlines() if line.startswith(("a=fingerprint:", "a=tls-id:"))}


def given_back(record: CallRecord, before: Iterable[Medium]) -> list[act.Action]:
    """Return what gives the relay ports of media back that were on and are not any more."""
    gone = tuple(one.kind for one in before if one.active and not _is_on(record, one.kind))
    return [act.ReleaseMedia(record.key, record.node, gone)] if gone else []


def _is_on(record: CallRecord, kind: str) -> bool:
    medium = record.medium(kind)
    return medium is not None and medium.active


def line_change(before: Medium | None, now: Medium) -> bool:
    """Whether the far end's line needs the relay: another address, key or codec."""
    if before is None or not before.ims_answer:
        return True
    if before.ims_answer == now.ims_answer:
        return False
    return _essence(before.ims_answer) != _essence(now.ims_answer)


def _essence(ims_line: str) -> tuple[object, ...]:
    line = sdp_from_text(ims_line).media[0]
    keys = tuple(line.attributes("crypto"))  # each answer may bring another one (RFC 4568 §7.1.4)
    where = (line.proto, line.connection_address, line.port, line.attribute("rtcp"))
    return *where, keys, repertoire(ims_line)


def medium_of_offer(record: CallRecord, offered: OfferedMedium) -> Medium:
    """Return the medium of the call that a line of the page is about."""
    medium = record.medium(offered.kind)
    if medium is None:
        raise LocalProtocolError(f"the call has no {offered.kind}")
    return medium


def changed_media(record: CallRecord, offer: PageOffer) -> list[Medium]:
    """Return the media of the call as they are once a page's offer is answered; the far end's part is as before."""
    changed = {offered.kind: offered for offered in offer.media}
    added = {offered.kind: offered for offered in offer.added}
    lines = len(sdp_from_text(record.ims_description).media)
    further = count(lines)
    media = []
    for medium in record.media:
        if medium.kind in added:
            # its line may be gone: far ends may leave out those that are off (core_reoffer.py)
            place = medium.ims_line if medium.ims_line < lines else next(further)
            media.append(_switched_on(place, added.pop(medium.kind)))
        elif medium.kind in changed:
            media.append(_changed(medium, changed[medium.kind]))
        else:
            media.append(replace(medium))
    return media + [_switched_on(next(further), one) for one in added.values()]


def _switched_on(ims_line: int, offered: OfferedMedium) -> Medium:
    return Medium(
        kind=offered.kind,
        wic_offer=offered.wic_offer,
        line=offered.line,
        reverse_line=offered.reverse_line,
        ims_line=ims_line,
        wic_direction=offered.direction,
        reverse_wanted=offered.reverse_wanted,
        unaddressed=offered.unaddressed,
    )


def _changed(medium: Medium, offered: OfferedMedium) -> Medium:
    return replace(
        medium,
        wic_offer=offered.wic_offer or medium.wic_offer,
        reverse_answer=offered.reverse_answer or medium.reverse_answer,
        wic_direction=offered.direction,
        active=offered.is_on,
        # a page that has stopped sending has no use for what its sending was to be completed by
        reverse_wanted=medium.reverse_wanted and offered.is_on,
    )
