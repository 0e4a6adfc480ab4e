"""What can happen to a call.  Each event is handled by one function in a step module (see flow.py)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kemi.core.errors import GatewayError
from kemi.core.messages import Reply, Request, Side

if TYPE_CHECKING:
    from kemi.core.call.actions import Action, ForwardRequest, SendRequest
    from kemi.core.call.record import CallRecord
    from kemi.core.call.settings import CallSettings
    from kemi.core.edits import MessageEdits
    from kemi.core.registration import Flow, Registration


class Due(enum.StrEnum):
    """Why a call asked to be woken up."""

    PRACK_TIMEOUT = "prack_timeout"
    CREDENTIALS = "credentials"
    RELIABLE_REPEAT = "reliable_repeat"
    PRECONDITIONS = "preconditions"
    UPDATE_RETRY = "update_retry"
    TELL_PAGE = "tell_page"
    TELL_CORE = "tell_core"
    TELL_RELAY = "tell_relay"
    ANSWER_TIMEOUT = "answer_timeout"
    FLOW_RECOVERY = "flow_recovery"
    FORGET = "forget"
    TOO_LONG = "too_long"
    SESSION_REFRESH = "session_refresh"
    SESSION_EXPIRED = "session_expired"
    TARGET_REFRESH = "target_refresh"
    PAGE_SESSION_EXPIRED = "page_session_expired"
    RECOVERY = "recovery"
    ICE_RESTART = "ice_restart"


@dataclass(frozen=True, slots=True)
class Event:
    """Base class."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A bearer that says how a step goes on once the relay has done what it was asked, or has failed.

    Each gets the record, the event and the settings, as any step does; nothing of the record may be kept in them.
    """

    done: Callable[[CallRecord, Any, CallSettings], list[Action]]
    failed: Callable[[CallRecord, MediaFailed, CallSettings], list[Action]]


@dataclass(frozen=True, slots=True)
class TransactionCreated(Event):
    """The INVITE has a server transaction, named by tm's index and label."""

    index: int
    label: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the relay gave for one medium: its offer for the core, its answer for the page, its line for the page."""

    relay_offer: str
    relay_answer: str
    reverse_offer: str | None = None


@dataclass(frozen=True, slots=True)
class MediaReserved(Event):
    """The relay has ports; ``context`` is what the reservation was asked with."""

    reserved: Mapping[str, Reserved]
    context: Any = None
    node: str = ""
    """Which node has it, here and below; "": the one that the record names."""


@dataclass(frozen=True, slots=True)
class ReverseAccepted(Event):
    """The relay knows the page's answer for the added lines."""

    bearer: Any = None
    """What the action was given to bring back, here and below."""


@dataclass(frozen=True, slots=True)
class MediaConnected(Event):
    """The relay works with the far end's answer; ``reply`` is the one that brought it."""

    reply: Reply
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class MediaFailed(Event):
    """The relay did not do what it was asked; ``reply`` is the core's reply that asked for it, if one did."""

    error: GatewayError
    reply: Reply | None = None
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class IncomingReserved(Event):
    """The relay has ports for a call towards the page; ``offers``: its offer for the page, for each medium."""

    offers: Mapping[str, str]
    edits: MessageEdits
    """How the INVITE will look to the page, but for its description."""
    bearer: Any = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredAhead(Event):
    """The relay works with the core's offer although the page has not been asked."""

    answers: Mapping[str, str]
    """Its answer for the core, for each medium."""
    offers: Mapping[str, str]
    """Its offer for the page."""
    bearer: Any = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class IncomingConnected(Event):
    """The relay works with the page's answer, which ``reply`` brought; ``answers``: its answer for the core."""

    answers: Mapping[str, str]
    reply: Reply
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What the relay says of one medium now: its offer for the core, its answer for the page, and the same for the
    page's line that only receives, where that has its own transport."""

    relay_offer: str
    relay_answer: str
    reverse_answer: str | None = None


@dataclass(frozen=True, slots=True)
class MediaRenewed(Event):
    """The relay works with what both sides said last."""

    renewed: Mapping[str, Renewed]
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class ImsReoffered(Event):
    """The relay works with the core's new offer; ``answers``: its answer for the core, for each medium."""

    answers: Mapping[str, str]
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class MovedMedium:
    """What a new node gave for one medium: its line for the core, its line for the page, and the same for the page's
    line that only receives, where that has its own transport."""

    ims_answer: str
    wic_offer: str
    reverse_offer: str | None = None


@dataclass(frozen=True, slots=True)
class MediaMoved(Event):
    """Another node has the call's media, closed until the page has answered."""

    node: str
    moved: Mapping[str, MovedMedium]
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class MediaStays(Event):
    """The node of a call that was to move answers again, and has the call's media as they were."""

    bearer: Any = None


@dataclass(frozen=True, slots=True)
class IceRestarted(Event):
    """The relay has other ICE credentials for the page; ``offers``: its line for an offer to it, for each medium."""

    offers: Mapping[str, str]
    bearer: Any = None


@dataclass(frozen=True, slots=True)
class MediaGated(Event):
    """Media passes as it was asked."""

    bearer: Any = None


@dataclass(frozen=True, slots=True)
class DigitsPlayed(Event):
    """The relay has taken digits of the page and sends them to the core."""

    bearer: Any = None


@dataclass(frozen=True, slots=True)
class DigitReceived(Event):
    """Somebody at the far end has pressed a key, and let go of it."""

    digit: str = field(repr=False)
    duration_ms: int = 0
    """By the relay's arithmetic, see kemi/core/dtmf.py."""


@dataclass(frozen=True, slots=True)
class PageSentEvents(Event):
    """The page has sent telephone-events itself."""


@dataclass(frozen=True, slots=True)
class UpdateAnswered(Event):
    """The page's final response to our UPDATE; 408 when none came."""

    status: int
    body: str = ""
    retry_after_s: float | None = None
    jitter: float = 0.0
    """0 ≤ jitter < 1, drawn by the caller: where in the allowed interval a retry is put."""
    contact: str = ""
    """Contact of the response, as it came."""
    session_expires: str = ""
    """The same of Session-Expires."""
    cseq: int | None = None
    """As we counted towards the page; None: of the UPDATE that is out."""


@dataclass(frozen=True, slots=True)
class OwnRequestAnswered(Event):
    """The final response to any other request of our own whose response was wanted: a re-INVITE or BYE to the page,
    a PRACK, UPDATE or re-INVITE to the core."""

    to: Side
    method: str
    cseq: int
    """As we counted on that side."""
    status: int
    """408 when nobody answered."""
    reply: Reply | None = None
    retry_after_s: float | None = None
    jitter: float = 0.0
    """As in UpdateAnswered."""


@dataclass(frozen=True, slots=True)
class InviteResumed(Event):
    """We are in the suspended INVITE's transaction again and may forward it or answer it."""

    request: Request | None = None
    """The INVITE."""


@dataclass(frozen=True, slots=True)
class InviteGuardExpired(Event):
    """The suspended INVITE's transaction is about to die of old age."""


@dataclass(frozen=True, slots=True)
class CredentialsSent(Event):
    """The page's INVITE that the core has challenged came again, with credentials."""

    request: Request


@dataclass(frozen=True, slots=True)
class CancelReceived(Event):
    """The page cancelled; tm has answered or forwarded the CANCEL already."""

    elsewhere: bool = False
    """Another device has answered the call (RFC 3326 §2: Reason with the SIP cause 200)."""


@dataclass(frozen=True, slots=True)
class WicRequest(Event):
    """A request from the page inside the dialog."""

    request: Request
    registration: Callable[[], Registration | None] = lambda: None
    """Looks up the live registration of the connection it came in on: only asked when that connection is new to the
    call."""


@dataclass(frozen=True, slots=True)
class ImsRequest(Event):
    """A request from the core inside a dialog; ``flow_alive``: the page's connection still stands."""

    request: Request
    flow_alive: bool = True
    successor: Flow | None = None
    """The connection the page came back on, when the one the call knows is gone."""


@dataclass(frozen=True, slots=True)
class WicReply(Event):
    """The page's response to a request we forwarded."""

    reply: Reply
    forbidden: str = ""
    """Why the caller is not sent where a redirection wants; "" for no reason against it."""


@dataclass(frozen=True, slots=True)
class ImsReply(Event):
    """The core's response to a request we forwarded."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class ImsFailed(Event):
    """The forwarded INVITE ended without a 2xx; ``local``: nobody answered, tm made the status up."""

    status: int
    local: bool = False
    heard: bool = False
    """Some provisional response had come, if only 100."""
    timed_out: bool = False
    """No final response came in time, to a CANCEL of the page either, which is not ``local``."""
    unknown: bool = False
    """The core does not know the page any more, which is to register again (TS 24.229 §5.4.3.2: restoration)."""


@dataclass(frozen=True, slots=True)
class ForwardChallenged(Event):
    """The trunk wants to know who sends a request that was forwarded; ``forward``: how it was."""

    method: str
    cseq: int
    """The page's."""
    forward: ForwardRequest


@dataclass(frozen=True, slots=True)
class OwnRequestChallenged(Event):
    """The same of a request of our own."""

    request: SendRequest
    cseq: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class TrunkChosen(Event):
    """Where the call goes on."""

    trunk: str | None
    """"": the home network; None: no trunk has room."""
    hops: tuple[str, ...] = ()
    """Its next hops, best first."""
    left: tuple[str, ...] = ()
    """What else could be tried, in order."""
    retry_after_s: int = 0
    """Where all trunks are full: when one may have room."""


@dataclass(frozen=True, slots=True)
class WicFailed(Event):
    """The INVITE to the page ended without a 2xx; ``local``: not by the page, and the core has yet to be told."""

    status: int
    local: bool = False


@dataclass(frozen=True, slots=True)
class ChangeFailed(Event):
    """A forwarded re-INVITE or UPDATE with an offer: the other side did not answer, or could not be reached."""

    to: Side
    method: str
    status: int = 408
    """What its sender gets."""


@dataclass(frozen=True, slots=True)
class FlowClosed(Event):
    """The page's connection is gone.

    ``with_many``: together with those of others, so not for the page's network; ``came_here``: it left another gateway.
    """

    with_many: bool = False
    came_here: bool = False


@dataclass(frozen=True, slots=True)
class RegistrationEnded(Event):
    """The page's registration is over; ``flow_alive``: its connection still stands."""

    why: str
    flow_alive: bool = True


@dataclass(frozen=True, slots=True)
class MediaLost(Event):
    """A running call has no media any more.  The rest as in TimerFired."""

    why: str
    flow_alive: bool = True
    successor: Flow | None = None


@dataclass(frozen=True, slots=True)
class NodeLost(Event):
    """A media node is dead.  The rest as in TimerFired."""

    node: str
    flow_alive: bool = True
    successor: Flow | None = None


@dataclass(frozen=True, slots=True)
class CallForbidden(Event):
    """The site ends this call: it took too long, or an operator says so.  The rest as in TimerFired."""

    why: str
    flow_alive: bool = True
    successor: Flow | None = None


@dataclass(frozen=True, slots=True)
class TimerFired(Event):
    """What was scheduled is due; ``flow_alive``: the page's connection stands (again)."""

    due: Due
    flow_alive: bool = field(default=True)
    successor: Flow | None = None
    """As in ImsRequest."""
