"""What is remembered of a call between two messages: plain data, small, written as JSON by kemi/state."""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass, field

from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.in_dialog.referral import Referral
from kemi.core.call.lifetime.session_record import OwnRefresh, SessionTimer
from kemi.core.call.node_loss.record import Recovery
from kemi.core.call.record_key import record_key
from kemi.core.call.states import (
    DIALOG,
    MEDIA,
    OFFER_ANSWER,
    Dialog,
    DialogEvent,
    Media,
    MediaEvent,
    OfferAnswer,
    OfferAnswerEvent,
    advance,
)
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.sdp.model import Direction

SCHEMA = 3


class Offerer(enum.StrEnum):
    """Who made an offer in the running session."""

    WIC = "wic"
    IMS = "ims"
    GATEWAY_TO_WIC = "gateway_to_wic"
    GATEWAY_TO_IMS = "gateway_to_ims"
    GATEWAY = "gateway"
    """To both sides at once: the call moves to another media node."""
    GATEWAY_RESTARTS_ICE = "gateway_restarts_ice"
    """To the page: nothing but its ICE is new (renegotiation/ice_restart.py)."""


@dataclass(slots=True)
class Leg:
    """One dialog of the core's side: a forked INVITE has several (RFC 3261 §12.1)."""

    contact: str
    focus: str = ""
    """A conference's Contact as the page is told it, with its features; "": it is none."""
    route_set: list[str] = field(default_factory=list)
    """Route values in sending order, each with its angle brackets."""
    cseq: int = -1
    """Highest CSeq seen from it; -1: none yet."""
    refused: bool = False
    """A second answer of a forked INVITE that we hung up."""
    rseq: int = 0
    """The last reliable response that we acknowledged for the page (RFC 3262 §4)."""
    answer: str = ""
    """What this fork described, as long as no fork has answered the call."""
    told: str = ""
    """Our answer where it has offered anew before that."""
    early_media: list[str] = field(default_factory=list)
    """The last P-Early-Media of this fork: a direction for each line (RFC 5009 §8)."""
    takes_digits: bool = False
    """It wants digits as INFO (Recv-Info: infoDtmf)."""
    takes_media_control: bool = False
    """It may be asked for whole pictures by INFO (RFC 5168)."""
    takes_update: bool = False
    """Its Allow, where it has said one, has UPDATE."""
    unusable: str = ""
    """Why what it has described before its 2xx cannot be used."""


@dataclass(slots=True)
class Medium:
    """One medium of the call, which is one rtpengine call."""

    kind: str
    wic_offer: str
    """The page's side: the one-m-line description given to the relay in each ng offer."""
    line: int = 0
    """Which line of the page's descriptions carries it, both ways or from the page."""
    reverse_line: int | None = None
    """Which line brings it to the page, where that is another one."""
    ims_line: int = 0
    """Which line of the core's descriptions carries it."""
    ims_answer: str = ""
    """The far end's side: the one-m-line description the relay works with; "" before there is one."""
    wic_direction: Direction = Direction.SENDRECV
    """As the page said last, over all its lines and seen from it."""
    ims_direction: Direction = Direction.SENDRECV
    """As the far end said last, seen from it."""
    reverse: bool = False
    """Whether the relay sends to the page on a line of its own."""
    reverse_answer: str | None = None
    """The page's answer for that line, where it has its own transport."""
    reverse_wanted: bool = False
    """The page only sends: it is to be offered a stream of the far end once it has acknowledged."""
    reverse_offer: str = ""
    """The relay's line for that, where it has its own transport."""
    active: bool = True
    """Whether the far end took this medium."""
    answered: bool = False
    """Whether the far end has said so yet."""
    codec: str = ""
    """The far end's codec, lower case; of a call towards the page the page's."""
    unaddressed: bool = False
    """Whether the page's first description of it had zeros in place of an address, so that they are no hold later."""


@dataclass(slots=True)
class Outstanding:
    """A request of the core that the page has not answered yet."""

    tag: str
    """Leg it came from."""
    cseq: int
    """The core's CSeq."""
    vias: list[str]
    """The core's Via values, which the page never sees, as its response has to carry them."""
    former: Former | None = None
    """What a refusal brings back, of an UPDATE without an offer."""


@dataclass(slots=True)
class Former:
    """What a request that offers has changed before its 2xx makes it so (RFC 4028 §7.2, RFC 6141 §3.4)."""

    tag: str
    """Leg it came from, "" for the page."""
    contact: str
    session: SessionTimer | None
    focus: str = ""


@dataclass(slots=True)
class Exchange:
    """An offer in the running session that is not settled yet; one at a time, whoever made it (RFC 3264 §4)."""

    offerer: Offerer
    method: str
    cseq: int
    """CSeq as the offerer counts; an ACK names it too."""
    offer: str = ""
    """The offerer's description; "" where the other side was asked to offer."""
    media: list[Medium] = field(default_factory=list)
    """What the call has when the exchange succeeds."""
    wic_description: str = ""
    """What we will have described to the page then; "" where that stays as it is."""
    ims_description: str = ""
    """The same for the core."""
    relayed: dict[str, str] = field(default_factory=dict)
    """The relay's answers for the page, per kind that is new."""
    reserved: list[str] = field(default_factory=list)
    """Kinds whose relay ports are new: given back when the exchange fails."""
    answered: bool = False
    """The final response is out; only its ACK is missing."""
    settling: bool = False
    """The answer is here, and the relay is told: the same answer once more means nothing, and no timer ends this."""
    former: Former | None = None
    """What its refusal brings back."""


@dataclass(slots=True)
class Rejection:
    """The final answer a suspended INVITE will get when it is resumed."""

    status: int
    reason_phrase: str
    detail: str = ""
    warn_code: int = 399


def checksum(description: str) -> str:
    """Return what is kept of a description to know it again."""
    return f"{zlib.crc32(description.encode()):08x}"


@dataclass(slots=True)
class CallRecord:
    """One call from a page, or towards one."""

    call_id: str
    wic_tag: str
    """The page's tag; "" until a page that is called has responded."""
    gateway_tag: str
    """Our tag towards the page, the same whatever the core's forks say; of a call towards the page to both sides."""
    wic_contact: str
    """Where the page's requests go inside this dialog: a GRUU, an anonymous one, or whatever it named last."""
    wic_uri: str
    target_uri: str
    request_uri: str
    invite_cseq: int
    wic_cseq: int
    """Highest CSeq seen from the page; -1: none yet."""
    ims_cseq: int
    """Last CSeq used towards the core, own and forwarded requests alike."""
    connection_id: str
    source: str
    """``address:port`` of the page's flow as Kamailio sees it."""
    owner: str
    """Public identity the flow registered: who may take this call over after a reconnect."""
    registered_contact: str = ""
    """Contact the flow registered, by which the page is known when it is back; "": of the release before."""
    since: float = 0.0
    """When the call began, in seconds since the epoch."""
    longest_s: float | None = None  # where that is less than for all calls; 0.0: a call for help has no limit
    answered_at: float = 0.0  # when it was; 0.0: not yet
    dialled: str = ""  # the page's Request-URI, as it wrote it; "": of the release before
    service_route: list[str] = field(default_factory=list)
    asserted_identity: list[str] = field(default_factory=list)
    """P-Asserted-Identity values for this page."""
    remote_identity: str = ""
    """P-Asserted-Identity URIs of the far end, as the page was told last."""
    far_end_untold: list[str] = field(default_factory=list)
    """P-Asserted-Identity values of the far end that the page is to be told yet, or "" (in_dialog/far_end.py)."""
    caller_lines: list[str] = field(default_factory=list)
    """Further header lines of the INVITE we forward, decided when it came in; taken away once somebody rings."""
    caller_from: str = ""
    """From as the core gets it, where it is not as the page wrote it."""
    charging_vector: str = ""
    """P-Charging-Vector value of this dialog, the same in all its messages towards the core (TS 24.229 §4.5.2)."""
    dialog: Dialog = Dialog.NONE
    wic_offer_answer: OfferAnswer = OfferAnswer.IDLE
    ims_offer_answer: OfferAnswer = OfferAnswer.IDLE
    media_state: Media = Media.NONE
    node: str = ""
    profile: str = ""
    """Name of the site's media profile that the call was given when its INVITE was routed; "": the default."""
    transport: str = ""
    media: list[Medium] = field(default_factory=list)
    session_id: int = 0
    needs_update: bool = False
    reliable_answer: bool = True
    offer_checksum: str = ""
    """Of the description in the page's INVITE."""
    challenged: bool = False
    """The core has asked who calls, and the page's INVITE with credentials is awaited (from_page/challenged.py)."""
    first_cseq: int = 0
    """CSeq of the page's INVITE that was challenged; 0: none was."""
    transaction: tuple[int, int] | None = None
    invite_via: str = ""
    """Topmost Via of the page's INVITE, which names it in a CANCEL."""
    cancelled: bool = False
    """The INVITE is being cancelled, by the page or by us."""
    acknowledged: bool = False
    """The page has sent its ACK."""
    answer_unsure: bool = False
    """The gateway was restarted between the answer and the ACK: perhaps the page has never heard of the answer."""
    abandoned: bool = False
    """The page is gone or hung up before the answer: nobody there will acknowledge one."""
    rejection: Rejection | None = None
    doomed: str = ""
    """Why this call is to be ended as soon as the page has acknowledged the answer."""
    update_attempts: int = 0
    update_offer: str = ""
    """Our offer that is out, or to be sent (again)."""
    wic_description: str = ""
    """What we described last to the page."""
    wic_version: int = 1
    """Version in the o= line of that description."""
    ims_description: str = ""
    """What we described last to the core."""
    far_checksum: str = ""
    """Of what the far end described last, whole, where it may come again to refresh the session; "" if unknown."""
    ims_version: int = 1
    """Version in the o= line of that description."""
    wic_takes_parts: bool = False
    """The page says that it takes bodies of several parts (kemi/core/bodies.py)."""
    picture_passes: bool = False
    """Whether the far end's video has reached the page since it began to."""
    wic_takes_digits: str = ""
    """Content-Type of the INFO the page wants the far end's digits in; "": it wants none (media/digits.py)."""
    digits_armed: bool = False
    """The relay can play digits for the page; until the first one it need not, and passes what it can as it is."""
    page_events: bool = False
    """The page has sent telephone-events itself since digits were played for it last."""
    digits_withheld: bool = False
    """The relay keeps the far end's telephone-events from the page."""
    wic_takes_update: bool = False
    """The page's Allow has UPDATE (of an early dialog that is no promise, see sdp/judge.py)."""
    correctable: bool = False
    """The page takes an UPDATE that puts its video right once the far end has answered."""
    page_behind: bool = False
    """The far end has changed something the page has not heard of yet."""
    core_behind: bool = False
    """The core has perhaps been told something else than the page wants (core_told.py)."""
    core_attempts: int = 0  # how often it has been offered the right thing, without success
    relay_behind: bool = False  # the relay has perhaps not what holds (media/relay_told.py)
    relay_attempts: int = 0  # how often it has been told since, without success
    own_ims_offer: int = 0
    """CSeq of our newest offer to the core in the running session."""
    exchange: Exchange | None = None
    """An offer in the running session that is not settled."""
    recovery: Recovery | None = None
    """The media node is dead."""
    ice_before: str = ""
    """The page's ICE when its connection was lost, or a restart refused, until it has begun anew (ice_restart.py)."""
    ims_offer: str = ""
    wic_answer: str = ""
    """Repeated in the 2xx for pages without reliable provisional responses."""
    rseq: int = 0
    gateway_cseq: int = 0
    """Last CSeq we used towards the page, own and forwarded requests alike."""
    cseq_offset: int = 0
    ims_cseq_offset: int = 0
    """What is added to the page's CSeq towards the core, because we sent requests of our own there."""
    to_core: dict[str, int] = field(default_factory=dict)
    """Our CSeq towards the core -> the page's, of requests not answered yet whose numbers differ."""
    core_invites: list[tuple[int, int]] = field(default_factory=list)
    """CSeq of the core's newest re-INVITEs that went to the page: their own and ours towards the page, for the ACK."""
    overdue: dict[str, str] = field(default_factory=dict)
    """Our CSeq towards the page -> an offer that was given up: a page that takes it all the same has that since."""
    ack_awaited: int | None = None
    """CSeq of the page's re-INVITE that it has not acknowledged yet."""
    ims_invite_cseq: int = 0
    """CSeq of the INVITE the core has: another one than the page's once we sent it again."""
    longer_sessions: int = 0
    """How often the INVITE was sent again after a 422, where the call is now."""
    wanted_se_s: int = 0
    """Min-SE of a 422 to the INVITE that is out, where that is more than this said; 0: none."""
    min_se_s: int = 0
    """The longest Min-SE a 422 of the core asked for that was heeded."""
    ims_session: SessionTimer | None = None
    """RFC 4028 with the core."""
    own_refresh: OwnRefresh = field(default_factory=OwnRefresh)
    wic_session: SessionTimer | None = None  # the same with the page, which always refreshes itself
    last_invite: tuple[int, int] | None = None
    """CSeq of the page's newest re-INVITE: its own and ours towards the core, for the ACK."""
    reliable: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Our RSeq to the page -> (leg tag, the core's); of calls towards pages: to the core -> ("", the page's or 0)."""
    outstanding: dict[str, Outstanding] = field(default_factory=dict)
    """Our CSeq towards the page -> the core's request."""
    legs: dict[str, Leg] = field(default_factory=dict)
    early_gates: list[str] = field(default_factory=list)
    """Which way each medium may pass before the answer, as seen from the far end; empty: both ways."""
    confirmed_tag: str = ""
    reports_due: int = 0
    """Transfers whose last report has not passed yet."""
    referrals: list[Referral] = field(default_factory=list)
    """The newest REFERs, oldest first (in_dialog/transfers.py)."""
    bye_answered: bool = False
    incoming: Incoming | None = None
    """None: the page calls."""
    outbound: Outbound | None = None
    """A page's call that may leave by trunks."""
    applied_answer: str = ""
    """Leg tag and checksum of the answer the relay works with."""
    ims_invite_offer: str = ""
    """What our INVITE offered, where the fork that is heard has offered anew since."""
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """What this record is called in tables, in the schedule and at the relay."""
        return record_key(self.call_id, self.gateway_tag)

    @property
    def ims_tag(self) -> str:
        """The tag the core knows this side of the dialog by: the page's own, or ours for a page that was called."""
        return self.wic_tag if self.incoming is None else self.gateway_tag

    @property
    def contact_of_binding(self) -> str:
        """The Contact of the binding that this call began over, or went over to."""
        return self.registered_contact or self.wic_contact

    @property
    def trunk(self) -> Outbound | None:
        """The trunk that the far end is reached by; None: it is the home network."""
        return self.outbound if self.outbound is not None and self.outbound.trunk else None

    # -- the three machines

    def move_dialog(self, event: DialogEvent) -> None:
        """Advance the dialog the page sees."""
        self.dialog = advance(DIALOG, self.dialog, event)

    def move_wic(self, event: OfferAnswerEvent) -> None:
        """Advance offer/answer with the page."""
        self.wic_offer_answer = advance(OFFER_ANSWER, self.wic_offer_answer, event)

    def move_ims(self, event: OfferAnswerEvent) -> None:
        """Advance offer/answer with the core."""
        self.ims_offer_answer = advance(OFFER_ANSWER, self.ims_offer_answer, event)

    def move_media(self, event: MediaEvent) -> None:
        """Advance the relay's streams."""
        self.media_state = advance(MEDIA, self.media_state, event)

    # -- where the set-up stands

    @property
    def awaiting_prack(self) -> bool:
        """Our answer is out in a reliable provisional response that nobody acknowledged yet."""
        return self.wic_offer_answer is OfferAnswer.ANSWER_SENT

    @property
    def updating(self) -> bool:
        """Our own offer is on its way to the page."""
        return self.wic_offer_answer is OfferAnswer.OFFER_SENT

    @property
    def forwarded(self) -> bool:
        """The INVITE went on to the core."""
        return self.ims_offer_answer is not OfferAnswer.IDLE

    @property
    def ended(self) -> bool:
        """Nothing more will happen but late replies."""
        return self.dialog is Dialog.TERMINATED

    @property
    def current_tag(self) -> str:
        """Tag of the leg in-dialog requests go to: the confirmed one, else the newest early one, else ""."""
        return self.confirmed_tag or next(reversed(self.legs), "")

    @property
    def wic_destination(self) -> str:
        """Next hop of requests to the page: its own WebSocket connection, never a new one (RFC 7118 §5)."""
        return f"sip:{self.source};transport=ws"

    def next_gateway_cseq(self) -> int:
        """Return the CSeq of a request of our own to the page and shift the core's numbers behind it."""
        self.gateway_cseq += 1
        self.cseq_offset += 1
        return self.gateway_cseq

    def next_ims_cseq(self) -> int:
        """Return the CSeq of a request of our own to the core and shift the page's numbers behind it."""
        self.ims_cseq += 1
        self.ims_cseq_offset += 1
        return self.ims_cseq

    def forwarded_ims_cseq(self, wic_cseq: int) -> int:
        """Return the CSeq a request of the page gets towards the core: rising (RFC 3261 §12.2.1.1)."""
        cseq = wic_cseq + self.ims_cseq_offset
        if cseq <= self.ims_cseq:
            self.ims_cseq_offset += self.ims_cseq - cseq + 1
            cseq = self.ims_cseq + 1
        self.ims_cseq = cseq
        if cseq != wic_cseq:
            self.to_core[str(cseq)] = wic_cseq
        return cseq

    def medium(self, kind: str) -> Medium | None:
        """Give a medium of the call."""
        return next((medium for medium in self.media if medium.kind == kind), None)
