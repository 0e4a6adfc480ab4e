"""What the forks of a page's call and we have told each other before one of them answers.

Each early dialog is a session of its own (RFC 3261 §13.2.2.4): each fork answers the offer of our INVITE, and may then
offer anew by UPDATE (RFC 3311 §5.1).  The relay works with one of them, which early_media.py chooses.
"""

from __future__ import annotations

from typing import Final

from kemi.core.call.record import CallRecord, Leg, checksum
from kemi.core.messages import Reply
from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

MOST_FORKS: Final = 16
"""Of one call or subscription: further ones are not learnt, or whoever is called says how much a call costs."""


def applied(tag: str, description: str) -> str:
    """Return the name of a fork's description in ``record.applied_answer``."""
    return f"{tag}/{checksum(description)}"


def heard(record: CallRecord) -> str:
    """Return the tag of the fork that the relay works with, "" for none."""
    return record.applied_answer.partition("/")[0]


def is_early(record: CallRecord) -> bool:
    """Whether the core may still have several forks of a page's call."""
    return record.incoming is None and not record.confirmed_tag


def has_media(record: CallRecord, tag: str) -> bool:
    """Whether the relay works, or is to work, with this leg of the core's."""
    if record.incoming is not None:
        return True
    return tag == (record.confirmed_tag or heard(record)) and tag in record.legs


def is_one_too_many(record: CallRecord, tag: str) -> bool:
    """Whether this is a fork that nothing is known of, and there are as many as there may be."""
    return tag not in record.legs and len(record.legs) >= MOST_FORKS


def invite_offer(record: CallRecord) -> str:
    """Return what our INVITE offered to all forks."""
    return record.ims_invite_offer or record.ims_description


def told(record: CallRecord, tag: str) -> str:
    """Return our last description to a fork."""
    return record.legs[tag].told or invite_offer(record)


def has_answered(leg: Leg) -> bool:
    """Whether our INVITE's offer is answered; by a description that cannot be used only if it came reliably."""
    return bool(leg.answer or (leg.unusable and leg.rseq))


def answer_in(leg: Leg, reply: Reply) -> str:
    """Return the description that counts with a response: a fork that has offered anew only repeats an old one."""
    return reply.body if reply.has_sdp and not leg.told else leg.answer


def offered_anew(record: CallRecord, tag: str, offer: str, answer: str) -> None:
    """A fork has made an offer, and gets this answer, which is not yet what the whole call was told."""
    leg = record.legs[tag]
    description = sdp_from_text(offer)
    # Lines that it adds before the call is answered are refused: the others are what an answer to our INVITE may say.
    kept = SessionDescription(description.session, description.media[: len(record.media)])
    leg.answer, leg.told, leg.unusable = sdp_to_text(kept), answer, ""
    if tag == heard(record):
        record.ims_invite_offer = invite_offer(record)
        record.applied_answer = applied(tag, leg.answer)
