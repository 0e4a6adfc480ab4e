"""What a step can ask for; kemi/adapters carries the actions out, in order, after the record is saved.

An action's ``call_id`` is the record's name, ``CallRecord.key``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from kemi.core import edits as message_edits
from kemi.core.call.events import Due
from kemi.core.messages import Reply, Side

MessageEdits = message_edits.MessageEdits


@dataclass(frozen=True, slots=True)
class Action:
    """Base class."""


@dataclass(frozen=True, slots=True)
class CreateTransaction(Action):
    """Make the INVITE's server transaction; every local reply will carry ``to_tag``.  Yields TransactionCreated."""

    to_tag: str


@dataclass(frozen=True, slots=True)
class SuspendInvite(Action):
    """Keep the INVITE's transaction waiting, for ``guard_s`` seconds at most."""

    guard_s: float


@dataclass(frozen=True, slots=True)
class RefuseUnheard(Action):
    """Refuse an INVITE of the core whose page has not said a word; leads to ``WicFailed`` unless Kamailio cannot."""

    sip_call_id: str
    cseq: int
    status: int
    reason_phrase: str


@dataclass(frozen=True, slots=True)
class ResumeInvite(Action):
    """Go back into the suspended INVITE's transaction.  Yields InviteResumed there."""

    transaction: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SendReply(Action):
    """Answer the current request (or resumed INVITE) ourselves.  ``headers`` are whole lines without CRLF."""

    status: int
    reason_phrase: str
    headers: tuple[str, ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True)
class ForwardInvite(Action):
    """Send the INVITE on.  Ends in ImsFailed or WicFailed where there is no 2xx."""

    edits: MessageEdits
    response_timeout_s: float
    answer_timeout_s: float
    to: Side = Side.IMS
    resumed: bool = False
    """It was suspended before, which matters on the way to a page."""
    again: bool = False
    """Inside ImsFailed: what the core answered shall not be the page's answer."""


@dataclass(frozen=True, slots=True)
class ForwardRequest(Action):
    """Send the current in-dialog request on."""

    to: Side
    edits: MessageEdits
    change: bool = False
    """It carries or asks for an offer: ends in ChangeFailed where the other side does not answer at all."""


@dataclass(frozen=True, slots=True)
class ForwardReply(Action):
    """Let the current reply go on, changed."""

    edits: MessageEdits


@dataclass(frozen=True, slots=True)
class DropReply(Action):
    """The current reply ends here."""


@dataclass(frozen=True, slots=True)
class SendRequest(Action):
    """Send a request of our own.  ``report``: the final response comes back: for a call as UpdateAnswered where it
    was an UPDATE to the page, else as OwnRequestAnswered.

    Without ``next_hop`` it goes to an entry point of the home network.
    """

    to: Side
    method: str
    request_uri: str
    next_hop: str
    headers: tuple[str, ...]
    body: str = ""
    report: bool = False


@dataclass(frozen=True, slots=True)
class CancelForwardedInvite(Action):
    """Cancel the INVITE we forwarded as the page would, although it did not; ``headers`` are those of its CANCEL."""

    call_id: str
    cseq: int
    request_uri: str = ""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerForPage(Action):
    """Answer the INVITE that is out to a page in that page's name; it comes in again as the page's own response."""

    call_id: str
    status: int
    reason_phrase: str
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerForCore(Action):
    """Answer a request of the page in the core's name, whose own 2xx is dropped; comes in as the core's response."""

    call_id: str
    status: int
    reason_phrase: str
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MediumRequest:
    """One medium to reserve."""

    kind: str
    wic_offer: str
    reverse: bool


class MediaTerms(NamedTuple):
    """What the relay is to know of a call's media beside its descriptions; flow.py writes it into actions.

    profile: name of the site's media profile, "" for the default. digits: whether they can be played afterwards.
    """

    profile: str = ""
    digits: bool = False


DEFAULT_TERMS: Final = MediaTerms()


@dataclass(frozen=True, slots=True)
class ReserveMedia(Action):
    """Reserve relay ports, closed by a gate.  Yields MediaReserved or MediaFailed."""

    call_id: str
    node: str
    transport: str
    media: tuple[MediumRequest, ...]
    context: Any = field(default=None, compare=False)
    begins: bool = False
    """It is the call's first: another node may take the call where this one fails; the event names it."""
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class MediumAnswer:
    """One medium's far end: its answer, and the page's answer for the added line where that has its own transport."""

    kind: str
    wic_offer: str
    reverse: bool
    ims_answer: str | None
    """None: the far end refused this medium; its relay ports are given back."""
    reverse_answer: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptReverse(Action):
    """Tell the relay the page's answers for the added lines.  Yields ReverseAccepted or MediaFailed."""

    call_id: str
    node: str
    transport: str
    media: tuple[MediumAnswer, ...]
    bearer: Any = field(default=None, compare=False)
    """Whatever the event is to bring back: the message that asked for it, or what a step has to know afterwards."""
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class ConnectMedia(Action):
    """Apply the far end's answer and open the gate.  Yields MediaConnected or MediaFailed."""

    call_id: str
    node: str
    transport: str
    media: tuple[MediumAnswer, ...]
    reply: Reply
    bearer: Any = field(default=None, compare=False)
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class ReserveIncoming(Action):
    """Reserve relay ports for the core's offer, per medium.  Yields IncomingReserved or MediaFailed."""

    call_id: str
    node: str
    media: Mapping[str, str]
    edits: MessageEdits
    """How the INVITE will look to the page; comes back with the event."""
    bearer: Any = field(default=None, compare=False)
    begins: bool = False
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class AnswerAhead(Action):
    """Answer the core's offer before the page is asked, per medium; may be repeated.  Yields AnsweredAhead or
    MediaFailed."""

    call_id: str
    node: str
    media: Mapping[str, str]
    bearer: Any = field(default=None, compare=False)
    begins: bool = False
    terms: MediaTerms = DEFAULT_TERMS


Reservation: TypeAlias = ReserveMedia | ReserveIncoming | AnswerAhead


@dataclass(frozen=True, slots=True)
class ConnectIncoming(Action):
    """Apply the page's answer, per medium; None: refused, its ports are given back.  Yields IncomingConnected or
    MediaFailed."""

    call_id: str
    node: str
    media: Mapping[str, str | None]
    reply: Reply
    bearer: Any = field(default=None, compare=False)
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class MediumChange:
    """One medium of a running call as both sides describe it now, each in a text with that one line.

    A side that has not said anything new is given as it spoke last.
    """

    kind: str
    wic_line: str
    """The page's line that sends; where it has two on one transport, either of them, written as sendrecv."""
    ims_line: str
    """The far end's line, of its last offer or answer."""
    reverse_line: str | None = None
    """The page's line that only receives, where that has its own transport."""
    wic_to_ims: bool = True
    """Whether media of the page may pass."""
    ims_to_wic: bool = True
    """Whether media of the far end may pass."""


@dataclass(frozen=True, slots=True)
class RenewMedia(Action):
    """The page has a new offer, or the far end a new answer.  Yields MediaRenewed or MediaFailed.

    Also gives our full offer for the core, without changing anything, when both sides are given as they spoke last.
    """

    call_id: str
    node: str
    transport: str
    media: tuple[MediumChange, ...]
    bearer: Any = field(default=None, compare=False)
    new_encoder: bool = False
    """The page has sent telephone-events itself: what is played for it would be lost."""
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class ReofferFromIms(Action):
    """The core has a new offer, and the page an answer, perhaps its former one.  Yields ImsReoffered or MediaFailed.

    ``first``: the answer is the first since MoveMedia, whose offer holds.
    """

    call_id: str
    node: str
    transport: str
    media: tuple[MediumChange, ...]
    first: bool = field(default=False, kw_only=True)
    bearer: Any = field(default=None, compare=False)
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class MoveMedia(Action):
    """Make the media of a running call anew on another node than ``lost``, closed until the page has answered, by
    ReofferFromIms.  Yields MediaMoved or MediaFailed."""

    call_id: str
    lost: str
    media: tuple[MediumChange, ...]
    bearer: Any = field(default=None, compare=False)
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class MediumGate:
    """Which way a medium may pass."""

    kind: str
    wic_to_ims: bool
    ims_to_wic: bool


@dataclass(frozen=True, slots=True)
class GateMedia(Action):
    """Let media pass one way, both ways or not at all.  Yields MediaGated or MediaFailed."""

    call_id: str
    node: str
    media: tuple[MediumGate, ...]
    bearer: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PlayDigits(Action):
    """Send digits to the core in the audio stream.  Yields DigitsPlayed or MediaFailed."""

    call_id: str
    node: str
    digits: str = field(repr=False)
    duration_ms: int
    event_clock_hz: int | None
    """Of the telephone-events that the far end takes beside its codec; None: tones."""
    tone_ratio: int
    """Clock of the page's codec by that of the far end's."""
    bearer: Any = field(default=None, compare=False)
    settle: bool = False
    """Tones of a relay that has just been told: it needs a packet of the page first."""


@dataclass(frozen=True, slots=True)
class WithholdDigits(Action):
    """Keep the far end's telephone-events from the page, which hears of them by INFO."""

    call_id: str
    node: str


@dataclass(frozen=True, slots=True)
class RequestKeyFrames(Action):
    """Ask the senders of video for a key frame (RFC 4585), those who have sent any; nothing follows.

    Where a gate opens or the relay changes, that is done without being asked for.
    """

    call_id: str
    node: str
    of_wic: bool = True
    of_ims: bool = True


@dataclass(frozen=True, slots=True)
class ReleaseMedia(Action):
    """Give all relay ports of the call back."""

    call_id: str
    node: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schedule(Action):
    """Wake this call up after ``delay_s`` seconds; replaces what was scheduled before."""

    call_id: str
    due: Due
    delay_s: float


@dataclass(frozen=True, slots=True)
class Unschedule(Action):
    """Nothing is due any more."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Note(Action):
    """One line in the log."""

    event: str
    level: int
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordEnd(Action):
    """Keep for the call's history that it is over, and how (history.py).  Times are in seconds since the epoch."""

    key: str
    call_id: str
    owner: str
    peer: str
    from_page: bool
    since: float
    answered_at: float
    """0.0: never."""
    by: str
    """Who ended it: page, core or gateway."""
    why: str
    status: int
    """SIP status of a call that was not answered, else 0."""
    relay: str
    """The relay's node."""
    kinds: tuple[str, ...]
    """Media whose last figures are still to come."""


@dataclass(frozen=True, slots=True)
class ForgetCall(Action):
    """Remove the record."""

    call_id: str


Described: TypeAlias = (
    Reservation | AcceptReverse | ConnectMedia | ConnectIncoming | RenewMedia | ReofferFromIms | MoveMedia
)
