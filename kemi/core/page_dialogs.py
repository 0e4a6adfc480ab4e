"""The dialogs that SUBSCRIBE and REFER make outside calls: what they are remembered by, learn, and how long they last.

One that a page began is remembered by its Call-ID and the page's tag, whoever answers; one that the core began by both
tags, for one request of it may reach several pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kemi.core.call.from_page.forks import MOST_FORKS
from kemi.core.decimals import is_number
from kemi.core.errors import SipReject
from kemi.core.messages import (
    Message,
    Reply,
    Request,
    Side,
    addresses_from_headers,
    parameters,
    uri_from_address,
)
from kemi.core.registration import Flow, Registration

DIALOG_FORMING: Final = frozenset({"SUBSCRIBE", "REFER"})
IN_DIALOG: Final = DIALOG_FORMING | {"NOTIFY"}
REFER_EVENT: Final = "refer"
"""Event package of what is told of a REFER (RFC 3515 §2.4.4)."""
UNANSWERED_S: Final = 40.0
"""How long a dialog is remembered that has no answer yet."""
IMPLICIT_S: Final = 300.0
"""Life of a subscription whose time nobody has said yet: that of REFER (RFC 3515 §2.4.4)."""
LINGER_S: Final = 40.0
"""The last NOTIFY may come a little after the end."""
LONGEST_S: Final = 7200
"""How long a subscription may be without a refresh: longer than the default of any event package, shorter than the week
that some ask for (TS 24.229 §5.1.1.3).  Both ends hear of it in Expires."""
LONGEST_NAME: Final = 400
"""Characters of Call-ID and tag by which a dialog is remembered, and that the list of its owner's has once more; and of
the tag that a page adds to them."""
MOST_DIALOGS: Final = 200
"""Of one owner that its pages began, and as many that others began with them: a switchboard watches that many."""


@dataclass(slots=True)
class FarEnd:
    """The other end of a dialog of a page, one for each fork."""

    target: str
    route_set: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PageDialog:
    """A dialog outside calls between a page and somebody in the network."""

    owner: str
    """Public identity of the page; "" once its registration is over."""
    page_contact: str
    """Where requests go inside the dialog: what the page named there last, which may be a GRUU."""
    connection_id: str
    contact_user: str
    """User part of our Contact towards the core."""
    by_page: bool
    """Whether the page began it."""
    expires_at: float
    """When it may be forgotten, seconds since the epoch."""
    far_ends: dict[str, FarEnd] = field(default_factory=dict)
    """By tag."""
    longest_s: int = LONGEST_S
    """What its last SUBSCRIBE asked for: a notifier may shorten that only (RFC 6665 §4.2.1.1)."""
    registered_contact: str = ""
    """Contact that its page is registered with; "": of the release before."""
    page_uri: str = ""
    """Who the page is to a core that began it, as that wrote it in To; "": the page began it, or the release before."""
    far_uri: str = ""
    """From of that core's request: the page may know a number in another form."""
    first_cseq: int = 0
    """CSeq of the request that begins it, the last of them where one was challenged."""
    of_refer: bool = False
    """Whether it is about how a REFER ends: begun by one, or by a SUBSCRIBE to that (RFC 7614)."""

    @property
    def contact_of_binding(self) -> str:
        """The Contact by which its page is known when it is back on another connection."""
        return self.registered_contact or self.page_contact


def dialog_keys(message: Message, connection_id: str = "") -> tuple[str, str, str]:
    """Return what a dialog of this message is remembered by: if its page began it, if the core's side did, and if it
    did and the page on ``connection_id`` has not answered yet.

    Both ends may be pages of this gateway, with the same Call-ID and tags: who began tells their dialogs apart.
    """
    page_tag, core_tag = _tags(message)
    begun_by_core = f"{message.call_id} {core_tag}"
    return (
        f"page {message.call_id} {page_tag}",
        f"core {begun_by_core} {page_tag}",
        f"fork {begun_by_core} {connection_id}",
    )


def _tags(message: Message) -> tuple[str, str]:
    """Return the page's tag and the far end's."""
    to_core = message.side is Side.WIC  # as a request; the answer to the page's request comes back
    if isinstance(message, Reply):
        to_core = not to_core
    return (message.from_tag, message.to_tag) if to_core else (message.to_tag, message.from_tag)


def begin_by_page(request: Request, registration: Registration, user: str, now: float) -> PageDialog:
    """Return the dialog that a page's SUBSCRIBE or REFER begins."""
    return PageDialog(
        owner=registration.owner,
        page_contact=uri_from_address(request.contact),
        connection_id=request.connection_id,
        contact_user=user,
        by_page=True,
        expires_at=now + UNANSWERED_S,
        longest_s=_asked_s(request),
        registered_contact=registration.contact,
        first_cseq=request.cseq,
        of_refer=_event_of(request) == REFER_EVENT,
    )


def begin_by_core(
    request: Request, registration: Registration, flow: Flow, user: str, now: float
) -> PageDialog:
    """Return the dialog that a SUBSCRIBE or REFER of the core begins."""
    far_end = FarEnd(
        uri_from_address(request.contact), addresses_from_headers(request.headers("Record-Route"))
    )
    return PageDialog(
        owner=registration.owner,
        page_contact=request.request_uri,
        connection_id=flow.connection_id,
        contact_user=user,
        by_page=False,
        expires_at=now + UNANSWERED_S,
        longest_s=_asked_s(request),
        far_ends={request.from_tag: far_end},
        registered_contact=registration.contact,
        page_uri=request.to_uri,
        far_uri=request.from_uri,
        first_cseq=request.cseq,
        of_refer=_event_of(request) == REFER_EVENT,
    )


# ---------------------------------------------------------------- how long a dialog lasts


def expires_of(message: Message) -> int | None:
    """Return what a message says in Expires, in s; None where that is no number."""
    text = "".join(message.headers("Expires")).strip()
    return int(text) if is_number(text) else None


def _asked_s(request: Request) -> int:
    """Return for how long a SUBSCRIBE asks; one that does not say, and a REFER, leave it to the notifier."""
    asked = expires_of(request) if request.method == "SUBSCRIBE" else None
    return LONGEST_S if asked is None else min(asked, LONGEST_S)


def too_many_dialogs(status: int, reason_phrase: str) -> SipReject:
    """Return the answer to a request that would begin one more than MOST_DIALOGS."""
    why = f"no more than {MOST_DIALOGS} subscriptions at once are allowed"
    return SipReject(why, status=status, reason_phrase=reason_phrase)


def of_another() -> SipReject:
    """Return the answer to a request that would begin a dialog by the Call-ID and tag of somebody else's."""
    return SipReject("a dialog with this Call-ID is another's", status=482, reason_phrase="Loop Detected")


def end_with_registration(dialog: PageDialog, now: float) -> None:
    """The registration of its page is over: nothing makes the dialog longer, but the last NOTIFY still passes."""
    dialog.owner, dialog.longest_s = "", 0
    dialog.expires_at = min(dialog.expires_at, now + LINGER_S)


# ---------------------------------------------------------------- what a dialog learns


def learn_from_core_request(dialog: PageDialog, request: Request, now: float) -> None:
    """A request of the core is inside the dialog; raise SipReject (481) when the page never heard of its sender.

    A NOTIFY may be faster than the 2xx, and each fork has its own (RFC 6665 §4.1.2.4, §4.4.1).
    """
    known = dialog.far_ends.get(request.from_tag)
    if known is None:
        if not (dialog.by_page and request.method == "NOTIFY" and request.contact):
            raise no_dialog()
        if len(dialog.far_ends) >= MOST_FORKS:
            raise no_dialog()
        routes = addresses_from_headers(request.headers("Record-Route"))
        dialog.far_ends[request.from_tag] = FarEnd(uri_from_address(request.contact), routes)
    elif request.contact:
        known.target = uri_from_address(request.contact)  # a target refresh (RFC 6665 §4.1.2.2)
    _learn_state(dialog, request, now)


def learn_from_page_request(
    dialog: PageDialog, request: Request, registration: Registration, now: float
) -> None:
    """A request of the page is inside the dialog; ``registration``: of the connection it came in on."""
    if request.contact:
        dialog.page_contact = uri_from_address(request.contact)
    dialog.connection_id = request.connection_id
    dialog.registered_contact = registration.contact
    _learn_state(dialog, request, now)


def _learn_state(dialog: PageDialog, request: Request, now: float) -> None:
    """Read a NOTIFY's Subscription-State (RFC 6665 §4.1.3), and how long a SUBSCRIBE asks for.

    What shortens or ends one of several subscriptions in the dialog leaves the others (§4.4.1, §4.5.2).
    """
    is_all = _is_all_of(dialog, request)
    if request.method in DIALOG_FORMING and dialog.owner:
        asked = _asked_s(request)
        dialog.longest_s = asked if is_all else max(asked, dialog.longest_s)
    if request.method != "NOTIFY":
        return
    state, _, rest = "".join(request.headers("Subscription-State")).partition(";")
    if state.strip().lower() == "terminated":
        if is_all:
            dialog.expires_at = min(dialog.expires_at, now + LINGER_S)
        elif _is_its_own(dialog, request):
            dialog.far_ends.pop(_tags(request)[1], None)
        return
    expires = parameters(f"<>;{rest}").get("expires", "")
    if is_number(expires):
        _last_for(dialog, request, int(expires), now)


def _last_for(dialog: PageDialog, message: Message, seconds: int, now: float) -> None:
    """One far end says for how long."""
    ends_at = now + min(seconds, dialog.longest_s) + LINGER_S
    dialog.expires_at = ends_at if _is_all_of(dialog, message) else max(ends_at, dialog.expires_at)


def _is_all_of(dialog: PageDialog, message: Message) -> bool:
    """Whether a message is about the only subscription that there is in the dialog, as far as it is known."""
    return len(dialog.far_ends) <= 1 and _is_its_own(dialog, message)


def _is_its_own(dialog: PageDialog, message: Message) -> bool:
    """Whether a message is about what the dialog was begun for: some clients REFER inside a subscription to a
    conference, and what is told of that ends long before the subscription."""
    event = _event_of(message)
    return not event or (event == REFER_EVENT) is dialog.of_refer


def _event_of(message: Message) -> str:
    """Return the event package that a message is about; "": it does not say."""
    if message.method == "REFER":
        return REFER_EVENT
    return "".join(message.headers("Event")).partition(";")[0].strip().lower()


def learn_from_reply(dialog: PageDialog, reply: Reply, now: float) -> bool:
    """A final response to SUBSCRIBE, REFER or NOTIFY; return whether the dialog goes on."""
    answers_beginner = dialog.by_page is (reply.side is Side.IMS)
    if answers_beginner and reply.status >= 300 and reply.cseq < dialog.first_cseq:
        # A copy of the challenge that the beginning request answers with the same Call-ID and tag (RFC 3261 §22.2).
        return True
    if reply.status == 481:  # ends it with one far end: pages may refuse all forks but one (RFC 6665 §5.4.9)
        dialog.far_ends.pop(_tags(reply)[1], None)
        if not dialog.far_ends and dialog.by_page and reply.side is Side.WIC:
            # The fork that it takes may be one of which nothing has come yet.
            dialog.expires_at = min(dialog.expires_at, now + UNANSWERED_S)
            return True
        return bool(dialog.far_ends)
    if reply.status >= 300 and not dialog.far_ends:
        return False
    if reply.side is Side.WIC and len(reply.to_tag) > LONGEST_NAME:
        return False
    if reply.status >= 300 or reply.method not in DIALOG_FORMING:
        return True
    if (
        reply.side is Side.IMS
        and dialog.by_page
        and reply.to_tag not in dialog.far_ends
        and reply.contact
        and len(dialog.far_ends) < MOST_FORKS
    ):
        routes = addresses_from_headers(reply.headers("Record-Route"))[::-1]
        dialog.far_ends[reply.to_tag] = FarEnd(uri_from_address(reply.contact), routes)
    elif reply.side is Side.WIC and reply.contact:
        dialog.page_contact = uri_from_address(reply.contact)
    expires = expires_of(reply)
    if expires is not None:
        _last_for(dialog, reply, expires, now)
    elif dialog.expires_at < now + IMPLICIT_S:
        dialog.expires_at = now + IMPLICIT_S
    return True


def no_dialog() -> SipReject:
    """Return the answer to a request inside a dialog that nobody knows."""
    return SipReject("no such dialog", status=481, reason_phrase="Call/Transaction Does Not Exist")


def not_registered_yet(detail: str) -> SipReject:
    """Return the answer inside a dialog whose page is between two connections: 481 would end it, or 480 (RFC 6665
    §4.2.2)."""
    return SipReject(detail, status=500, reason_phrase="Not Registered Yet", lines=("Retry-After: 1",))
