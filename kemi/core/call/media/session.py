"""The media of a running session: who sends what to whom, as the relay has to be told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.sdp.interwork import check_reverse_answer
from kemi.core.sdp.interwork.avpf import offering_feedback
from kemi.core.sdp.interwork.client_offer import Shown
from kemi.core.sdp.interwork.incoming import answered_line
from kemi.core.sdp.interwork.orientation import agreed_line
from kemi.core.sdp.interwork.relay import both_ways, comparable, protocol_of
from kemi.core.sdp.interwork.video import demands
from kemi.core.sdp.interwork.wic import ReverseAnswer
from kemi.core.sdp.model import Direction, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text


def with_terms(record: CallRecord, actions: list[act.Action]) -> list[act.Action]:
    """Let the relay know on which terms this call has its media."""
    if not any(isinstance(one, act.Described) for one in actions):
        return actions
    terms = terms_of(record)
    return [replace(one, terms=terms) if isinstance(one, act.Described) else one for one in actions]


def terms_of(record: CallRecord) -> act.MediaTerms:
    """Return them: the relay is ready for digits where it was told to be; or, of a call from a page, from the beginning
    where they will be tones in what it transcodes anyway, because it would lose those that follow at once."""
    audio = record.medium("audio") if record.incoming is None else None
    tones = (
        audio is not None
        and bool(audio.ims_answer)
        and "telephone-event/" not in audio.ims_answer
        and not passes(audio)
    )
    keyed = any(one.active and "SAVP" in protocol_of(one.ims_answer).upper() for one in record.media)
    return act.MediaTerms(record.profile, record.digits_armed or tones, keyed)


def passes(medium: Medium) -> bool:
    """Whether both sides speak one codec, so that the relay need not transcode."""
    wic, ims = (
        next((comparable(one.encoding) for one in sdp_from_text(text).media[0].codecs), "")
        for text in (medium.wic_offer, medium.ims_answer)
    )
    return wic == ims


def keep_what_is_agreed(media: Iterable[Medium], answer: SessionDescription) -> None:
    """Leave out of the far end's offered lines what our answer to them lacks."""
    for medium in media:
        if medium.active and medium.ims_answer and medium.ims_line < len(answer.media):
            medium.ims_answer = answered_line(medium.ims_answer, answer.media[medium.ims_line])


def direction_for_core(medium: Medium) -> Direction:
    """Return the direction of our line towards the core: what the page wants, as far as the far end takes it."""
    wic, ims = medium.wic_direction, medium.ims_direction
    return Direction.of(sends=wic.sends and ims.receives, receives=wic.receives and ims.sends)


def offer_to_text(offer: SessionDescription, settings: CallSettings) -> str:
    """Return an offer of ours for the core, which may answer video with feedback where the site says so."""
    return sdp_to_text(offering_feedback(offer) if settings.feedback_towards_core else offer)


def medium_change(medium: Medium) -> act.MediumChange:
    """Return a medium as both sides have it, for the relay."""
    passing = direction_for_core(medium)
    return act.MediumChange(  # lines of a call that began under the release before have a direction
        kind=medium.kind,
        wic_line=both_ways(medium.wic_offer),
        ims_line=both_ways(medium.ims_answer),
        reverse_line=medium.reverse_answer,
        wic_to_ims=passing.sends,
        ims_to_wic=passing.receives,
    )


def far_line(medium: Medium) -> str:
    """Return the far end's line of a medium as the page may hear of it; only of video does it matter."""
    return agreed_line(medium.ims_answer, medium.wic_offer) if medium.kind == "video" else ""


def shown_media(media: Sequence[Medium], *, flips: bool = True) -> list[Shown]:
    """Return how the page is to see its media, as the far end has them now.

    ``flips``: a line it only sends on may become one for both directions, where a stream towards it is wanted.
    """
    return [
        Shown(
            kind=medium.kind,
            line=medium.line,
            reverse_line=medium.reverse_line,
            direction=_shown_direction(medium, flips=flips) if medium.active else None,
            codec=medium.codec if medium.kind == "video" and medium.codec else None,
            far=far_line(medium),
            own=medium.wic_offer if medium.kind == "video" else "",
        )
        for medium in media
    ]


def is_news(old: Medium, new: Medium) -> bool:
    """Whether the page has to do something else for a medium now: also to send less video, or other video."""
    if (old.active, old.ims_direction, old.codec) != (new.active, new.ims_direction, new.codec):
        return True
    if new.kind != "video" or old.ims_answer == new.ims_answer:
        return False
    return demands(old.ims_answer, new.codec) != demands(new.ims_answer, new.codec)


def _shown_direction(medium: Medium, *, flips: bool) -> Direction:
    if medium.reverse_wanted and not flips:
        return Direction.of(sends=False, receives=medium.ims_direction.receives)
    return medium.ims_direction


def take_page_answer(media: Sequence[Medium], offer: SessionDescription, answer_text: str) -> ReverseAnswer:
    """Put the page's answer to an offer of ours into its media; raise what a bad answer deserves.

    A direction that was not offered says nothing of what the page wants: that stays as it was.
    """
    answered = check_reverse_answer(offer, answer_text)
    lines = answered.description.media
    for medium in media:
        if not medium.active:
            continue
        out, back = medium.line, medium.line if medium.reverse_line is None else medium.reverse_line
        sends, receives = medium.wic_direction.sends, medium.wic_direction.receives
        if offer.media[out].direction.receives:
            sends = not lines[out].rejected and lines[out].direction.sends
        if offer.media[back].direction.sends:
            receives = not lines[back].rejected and lines[back].direction.receives
        medium.wic_direction = Direction.of(sends=sends, receives=receives)
        if lines[out].rejected and lines[back].rejected:
            medium.active = False
    return answered
