"""What a step can ask for; kemi/adapters carries the actions out, in order, after the record is saved.

Those for the relay are in media_actions.py.  An action's ``call_id`` is the record's name, ``CallRecord.key``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kemi.core import edits as message_edits
from kemi.core.call.events import Due
from kemi.core.call.media_actions import (
    DEFAULT_TERMS,
    AcceptReverse,
    Action,
    AnswerAhead,
    ConnectIncoming,
    ConnectMedia,
    Described,
    GateMedia,
    MediaTerms,
    MediumAnswer,
    MediumChange,
    MediumGate,
    MediumRequest,
    MoveMedia,
    PlayDigits,
    ReleaseMedia,
    RenewMedia,
    ReofferFromIms,
    RequestKeyFrames,
    Reservation,
    ReserveIncoming,
    ReserveMedia,
    RestartIce,
    WithholdDigits,
)
from kemi.core.messages import Side
from kemi.core.trunk.diversion import Diversion

MessageEdits = message_edits.MessageEdits

__all__ = [
    "DEFAULT_TERMS",
    "AcceptReverse",
    "Action",
    "AnswerAhead",
    "AnswerForCore",
    "AnswerForPage",
    "CancelForwardedInvite",
    "ChooseTrunk",
    "ConnectIncoming",
    "ConnectMedia",
    "CreateTransaction",
    "Described",
    "DropReply",
    "ForgetCall",
    "ForwardInvite",
    "ForwardReply",
    "ForwardRequest",
    "GateMedia",
    "MediaTerms",
    "MediumAnswer",
    "MediumChange",
    "MediumGate",
    "MediumRequest",
    "MessageEdits",
    "MoveMedia",
    "Note",
    "PlayDigits",
    "RecordEnd",
    "RecordProgress",
    "RefuseUnheard",
    "ReleaseMedia",
    "RememberRedirection",
    "RenewMedia",
    "ReofferFromIms",
    "RequestKeyFrames",
    "Reservation",
    "ReserveIncoming",
    "ReserveMedia",
    "RestartIce",
    "ResumeInvite",
    "Schedule",
    "SendReply",
    "SendRequest",
    "SuspendInvite",
    "Unschedule",
    "WithholdDigits",
]


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
    """It was suspended before."""
    again: bool = False
    """Inside ImsFailed: what the core answered shall not be the page's answer."""


@dataclass(frozen=True, slots=True)
class ChooseTrunk(Action):
    """Find the first of these trunks ("" is the home network) that lives and has room for this call, which leaves the
    one it is at.  Yields TrunkChosen."""

    call_id: str
    trunks: tuple[str, ...]
    unlimited: bool = False
    """The trunks' limits do not count."""


@dataclass(frozen=True, slots=True)
class ForwardRequest(Action):
    """Send the current in-dialog request on."""

    to: Side
    edits: MessageEdits
    change: bool = False
    """It carries or asks for an offer: ends in ChangeFailed where the other side does not answer at all."""
    trunk: str = ""
    """A trunk that may ask who sends it: that leads to ForwardChallenged."""
    again: bool = False
    """Inside ForwardChallenged: what was answered so far shall not be the answer."""


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
    trunk: str = ""
    """A trunk that may ask who sends it: that leads to OwnRequestChallenged."""
    to_former: bool = False
    """It goes where the call has been before, and knows nothing of the trunk that the call is at."""


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
    body: str = ""


@dataclass(frozen=True, slots=True)
class AnswerForCore(Action):
    """Answer a request of the page in the core's name, whose own 2xx is dropped; comes in as the core's response."""

    call_id: str
    status: int
    reason_phrase: str
    headers: tuple[str, ...]
    body: str = ""


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
class RememberRedirection(Action):
    """Keep where the core has sent a caller: a trunk may be told of it when the caller follows."""

    owner: str
    diversions: tuple[Diversion, ...]
    """Whom the call was for, the oldest first."""
    targets: tuple[tuple[str, tuple[str, ...]], ...]
    """Where it was sent: number or address, with the parameters of a ported number."""


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
    off: tuple[str, ...] = ()
    """Media that were refused or switched off, and given back before: the relay does not know them any more."""
    trunk: str = ""
    """By which it left; "": by none."""


@dataclass(frozen=True, slots=True)
class RecordProgress(Action):
    """Tell who listens how far a call is (history.py)."""

    key: str
    call_id: str
    owner: str
    peer: str
    from_page: bool
    state: str
    """started, ringing or answered; or elsewhere: the caller's CANCEL says that another device has answered."""
    at: float = 0.0
    """When it was: who carries this out may be overtaken by who carries out the next step."""


@dataclass(frozen=True, slots=True)
class TellDigit(Action):
    """Tell whose page it is which key the far end has pressed; kept nowhere, written to no log."""

    call_id: str
    owner: str
    digit: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True)
class RenewRegistration(Action):
    """Let a page register again, because the core server of its Service-Route is dead or has lost it (TS 23.380 §4.4.2,
    §4.4.3); unless it has just done so, or has other calls."""

    call_id: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class ForgetCall(Action):
    """Remove the record."""

    call_id: str
