"""What a step can ask of the relay, and the base of all actions (actions.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from kemi.core.edits import MessageEdits
from kemi.core.messages import Reply


@dataclass(frozen=True, slots=True)
class Action:
    """Base class."""


@dataclass(frozen=True, slots=True)
class MediumRequest:
    """One medium to reserve."""

    kind: str
    wic_offer: str
    reverse: bool


class MediaTerms(NamedTuple):
    """What the relay is to know of a call's media beside its descriptions; flow.py writes it into actions.

    profile: name of the site's media profile, "" for the default. digits: whether they can be played afterwards.
    keyed: whether the far end has keys in its descriptions (SDES): a medium that is added has some, too.
    """

    profile: str = ""
    digits: bool = False
    keyed: bool = False


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
    told: str = ""
    """What the page knows of the relay, if anything: one that was started again meanwhile has forgotten it."""


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
    MediaFailed.

    ``passing`` has the core's line of what the page has taken as it is (EVS): until now the relay had what it can
    transcode.
    """

    call_id: str
    node: str
    media: Mapping[str, str | None]
    reply: Reply
    bearer: Any = field(default=None, compare=False)
    terms: MediaTerms = DEFAULT_TERMS
    passing: Mapping[str, str] = field(default_factory=dict, kw_only=True)


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
    another_association: bool = False
    """Whether the page has begun another DTLS association since the relay heard of it (another certificate); counts in
    a renewal."""


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
    """Of its audio: what is played would be lost, as the page has sent telephone-events itself, or wait for the end of
    a hold."""
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
    new_encoder: bool = False
    """As in RenewMedia."""
    terms: MediaTerms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class MoveMedia(Action):
    """Make the media of a running call anew on another node than ``lost``, closed until the page has answered, by
    ReofferFromIms; on ``lost`` itself where it is back without them and no other takes them.  ``may_stay``: if it is
    back with them, nothing is to be done.  Yields MediaMoved, MediaStays or MediaFailed."""

    call_id: str
    lost: str
    media: tuple[MediumChange, ...]
    bearer: Any = field(default=None, compare=False)
    terms: MediaTerms = DEFAULT_TERMS
    may_stay: bool = False


@dataclass(frozen=True, slots=True)
class RestartIce(Action):
    """Begin ICE anew at the page's ports, and nothing else; the page's answer follows by ReofferFromIms.  Yields
    IceRestarted or MediaFailed."""

    call_id: str
    node: str
    transport: str
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


Described: TypeAlias = (
    Reservation
    | AcceptReverse
    | ConnectMedia
    | ConnectIncoming
    | RenewMedia
    | ReofferFromIms
    | MoveMedia
    | RestartIce
)
