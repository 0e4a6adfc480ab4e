"""What each party of a call is told: the web client, the media relay and IMS."""

from kemi.core.sdp.interwork.ims import ImsMedium, ims_answer_media, ims_offer
from kemi.core.sdp.interwork.relay import (
    Repertoire,
    first_codec,
    is_known,
    placeholder_answer,
    protocol_of,
    relay_offer,
    repertoire,
    widened_offer,
    with_events_of_its_clock,
    without_events,
)
from kemi.core.sdp.interwork.wic import (
    ReverseAnswer,
    as_agreed,
    check_reverse_answer,
    reverse_offer,
    wic_answer,
)
from kemi.core.sdp.model import Origin

__all__ = [
    "ImsMedium",
    "Origin",
    "Repertoire",
    "ReverseAnswer",
    "as_agreed",
    "check_reverse_answer",
    "first_codec",
    "ims_answer_media",
    "ims_offer",
    "is_known",
    "placeholder_answer",
    "protocol_of",
    "relay_offer",
    "repertoire",
    "reverse_offer",
    "wic_answer",
    "widened_offer",
    "with_events_of_its_clock",
    "without_events",
]
