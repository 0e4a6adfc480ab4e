"""The machines of a call, as tables.

A missing pair is a bug of ours and says so: ``advance`` raises LocalProtocolError.  The diagrams of docs/flow.md are
drawn from these tables (``make docs``).

* ``DIALOG``: the dialog the page sees (RFC 3261 §12), whatever the core forks behind it.
* ``OFFER_ANSWER``: one instance for each side (RFC 3264, RFC 6337 table 1: patterns 1, 2, 3 and 6).
* ``MEDIA``: the relay's streams of the call.
* ``PRECONDITION``: what a caller of a page has to have before the page rings (RFC 3312).
* ``MOVING``: a call whose media node is dead, on its way to another one; ``TELLING``: one instance for each side.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from kemi.core.errors import LocalProtocolError


class Dialog(enum.StrEnum):
    """The dialog between the page and us."""

    NONE = "none"  #: INVITE received, nothing but 100 sent
    EARLY = "early"  #: a provisional response with our To-tag was sent
    CONFIRMED = "confirmed"  #: a 2xx was sent
    TERMINATED = "terminated"  #: final failure, CANCEL, BYE or a dead flow


class DialogEvent(enum.StrEnum):
    """What moves the dialog."""

    PROVISIONAL_SENT = "provisional sent"
    ANSWERED = "answered"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    BYE = "bye"
    FLOW_LOST = "flow lost"


class OfferAnswer(enum.StrEnum):
    """Offer/answer exchange with one side."""

    IDLE = "idle"  #: no offer yet
    OFFER_RECEIVED = "offer received"
    ANSWER_SENT = "answer sent"  #: in a reliable provisional response, PRACK outstanding (RFC 3262 §5)
    OFFER_SENT = "offer sent"
    STABLE = "stable"


class OfferAnswerEvent(enum.StrEnum):
    """What moves the offer/answer exchange."""

    OFFER_RECEIVED = "offer received"
    ANSWER_SENT = "answer sent"
    ANSWER_SENT_RELIABLY = "answer sent reliably"
    ACKNOWLEDGED = "acknowledged"
    OFFER_SENT = "offer sent"
    ANSWER_RECEIVED = "answer received"
    OFFER_REFUSED = "offer refused"
    CHALLENGED = "challenged"  #: who offers has to say first who it is: nothing was offered yet


class Media(enum.StrEnum):
    """The relay's streams."""

    NONE = "none"
    GATED = "gated"  #: ports reserved, ICE and DTLS may come up, nothing passes
    CONNECTED = "connected"  #: the far end's answer is applied and the gate is open
    RELEASED = "released"


class MediaEvent(enum.StrEnum):
    """What moves the streams."""

    RESERVED = "reserved"
    CONNECTED = "connected"
    RELEASED = "released"


DIALOG: Final[Mapping[Dialog, Mapping[DialogEvent, Dialog]]] = MappingProxyType(
    {
        Dialog.NONE: {
            DialogEvent.PROVISIONAL_SENT: Dialog.EARLY,
            DialogEvent.ANSWERED: Dialog.CONFIRMED,  # a page need not ring before it answers (RFC 3261 §13.3.1)
            DialogEvent.REJECTED: Dialog.TERMINATED,
            DialogEvent.CANCELLED: Dialog.TERMINATED,
        },
        Dialog.EARLY: {
            DialogEvent.PROVISIONAL_SENT: Dialog.EARLY,
            DialogEvent.ANSWERED: Dialog.CONFIRMED,
            DialogEvent.REJECTED: Dialog.TERMINATED,
            DialogEvent.CANCELLED: Dialog.TERMINATED,
        },
        Dialog.CONFIRMED: {
            DialogEvent.BYE: Dialog.TERMINATED,
            DialogEvent.FLOW_LOST: Dialog.TERMINATED,
        },
        Dialog.TERMINATED: {},
    }
)

OFFER_ANSWER: Final[Mapping[OfferAnswer, Mapping[OfferAnswerEvent, OfferAnswer]]] = MappingProxyType(
    {
        OfferAnswer.IDLE: {
            OfferAnswerEvent.OFFER_RECEIVED: OfferAnswer.OFFER_RECEIVED,
            OfferAnswerEvent.OFFER_SENT: OfferAnswer.OFFER_SENT,
        },
        OfferAnswer.OFFER_RECEIVED: {
            OfferAnswerEvent.ANSWER_SENT: OfferAnswer.STABLE,
            OfferAnswerEvent.ANSWER_SENT_RELIABLY: OfferAnswer.ANSWER_SENT,
            OfferAnswerEvent.OFFER_REFUSED: OfferAnswer.STABLE,  # 4xx-6xx: the session stays as it was (RFC 3261 §14.2)
        },
        OfferAnswer.ANSWER_SENT: {
            # RFC 3311 §5.1: only after this may we put an offer into an UPDATE
            OfferAnswerEvent.ACKNOWLEDGED: OfferAnswer.STABLE,
        },
        OfferAnswer.OFFER_SENT: {
            OfferAnswerEvent.ANSWER_RECEIVED: OfferAnswer.STABLE,
            OfferAnswerEvent.OFFER_REFUSED: OfferAnswer.STABLE,  # RFC 3311 §5.2: as if it had never been sent
            OfferAnswerEvent.CHALLENGED: OfferAnswer.IDLE,  # RFC 3261 §22.2: the INVITE comes again
        },
        OfferAnswer.STABLE: {
            OfferAnswerEvent.OFFER_RECEIVED: OfferAnswer.OFFER_RECEIVED,
            OfferAnswerEvent.OFFER_SENT: OfferAnswer.OFFER_SENT,
            # another fork's answer to the same INVITE (RFC 3261 §13.2.2.4)
            OfferAnswerEvent.ANSWER_RECEIVED: OfferAnswer.STABLE,
        },
    }
)

MEDIA: Final[Mapping[Media, Mapping[MediaEvent, Media]]] = MappingProxyType(
    {
        Media.NONE: {MediaEvent.RESERVED: Media.GATED, MediaEvent.RELEASED: Media.RELEASED},
        Media.GATED: {MediaEvent.CONNECTED: Media.CONNECTED, MediaEvent.RELEASED: Media.RELEASED},
        Media.CONNECTED: {MediaEvent.CONNECTED: Media.CONNECTED, MediaEvent.RELEASED: Media.RELEASED},
        Media.RELEASED: {MediaEvent.RELEASED: Media.RELEASED},
    }
)


class Precondition(enum.StrEnum):
    """A call towards a page whose caller requires preconditions (RFC 3312)."""

    NONE = "none"  #: nothing required
    ANSWERING = "answering"  #: the caller lacks resources, the relay is asked for what our answer needs
    UNACKNOWLEDGED = "unacknowledged"  #: our answer is out in a reliable 183, the caller lacks resources
    WAITING = "waiting"  #: the caller has our answer and will tell us by UPDATE
    RESUMING = "resuming"  #: it has: the page is being called
    MET = "met"  #: nothing is missing (any more)


class PreconditionEvent(enum.StrEnum):
    """What moves them."""

    LACKING = "lacking"
    ANSWERED = "answered"
    ACKNOWLEDGED = "acknowledged"
    READY = "ready"
    MET = "met"


PRECONDITION: Final[Mapping[Precondition, Mapping[PreconditionEvent, Precondition]]] = MappingProxyType(
    {
        Precondition.NONE: {
            PreconditionEvent.MET: Precondition.MET,
            PreconditionEvent.LACKING: Precondition.ANSWERING,
        },
        Precondition.ANSWERING: {PreconditionEvent.ANSWERED: Precondition.UNACKNOWLEDGED},
        Precondition.UNACKNOWLEDGED: {PreconditionEvent.ACKNOWLEDGED: Precondition.WAITING},
        Precondition.WAITING: {PreconditionEvent.READY: Precondition.RESUMING},
        Precondition.RESUMING: {PreconditionEvent.MET: Precondition.MET},
        Precondition.MET: {},
    }
)


class Moving(enum.StrEnum):
    """A call whose media node is dead."""

    WAITING = "waiting"  #: for another offer to be answered, for the page to come back, or for a node
    RESERVING = "reserving"  #: another node is asked for ports, or whether it is back this one
    OFFERED = "offered"  #: both sides are told, each by an offer of its own
    MOVED = "moved"  #: or where it was


class MovingEvent(enum.StrEnum):
    """What moves it."""

    BEGUN = "begun"
    NO_NODE = "no node"  #: that takes it, for now
    NODE_BACK = "node back"  #: with the call
    RESERVED = "reserved"
    SETTLED = "settled"
    NODE_LOST = "node lost"  #: this or the new one
    AGAIN = "again"  #: the new node was lost as well


MOVING: Final[Mapping[Moving, Mapping[MovingEvent, Moving]]] = MappingProxyType(
    {
        Moving.WAITING: {MovingEvent.BEGUN: Moving.RESERVING},
        Moving.RESERVING: {
            MovingEvent.RESERVED: Moving.OFFERED,
            MovingEvent.NO_NODE: Moving.WAITING,
            MovingEvent.NODE_BACK: Moving.MOVED,
            MovingEvent.NODE_LOST: Moving.RESERVING,
        },
        Moving.OFFERED: {
            MovingEvent.SETTLED: Moving.MOVED,
            MovingEvent.AGAIN: Moving.WAITING,
            MovingEvent.NODE_LOST: Moving.OFFERED,
        },
        Moving.MOVED: {},
    }
)


class Telling(enum.StrEnum):
    """One side's offer of a call that moves."""

    NOT_YET = "not yet"
    SENT = "sent"
    REFUSED = "refused"  #: for now (RFC 3261 §14.1)
    UNREACHED = "unreached"  #: no response: it may be away
    ANSWERED = "answered"


class TellingEvent(enum.StrEnum):
    """What moves it."""

    SENT = "sent"
    REFUSED = "refused"
    UNREACHED = "unreached"
    ANSWERED = "answered"


TELLING: Final[Mapping[Telling, Mapping[TellingEvent, Telling]]] = MappingProxyType(
    {
        Telling.NOT_YET: {TellingEvent.SENT: Telling.SENT},
        Telling.SENT: {
            TellingEvent.REFUSED: Telling.REFUSED,
            TellingEvent.UNREACHED: Telling.UNREACHED,
            TellingEvent.ANSWERED: Telling.ANSWERED,
        },
        Telling.REFUSED: {TellingEvent.SENT: Telling.SENT},
        Telling.UNREACHED: {TellingEvent.SENT: Telling.SENT},
        Telling.ANSWERED: {},
    }
)

_S = TypeVar("_S", bound=enum.StrEnum)
_E = TypeVar("_E", bound=enum.StrEnum)


def advance(table: Mapping[_S, Mapping[_E, _S]], state: _S, event: _E) -> _S:
    """Return the state after ``event``; raise LocalProtocolError when the table has no such row."""
    try:
        return table[state][event]
    except KeyError:
        name = type(state).__name__
        raise LocalProtocolError(f"no transition in {name}: {state.value} + {event.value}") from None
