"""Requests outside calls, and the dialogs that SUBSCRIBE and REFER make (TS 24.229 §5.2.6.3, §5.2.6.4).

They pass end to end: tags, CSeq and bodies are the two ends' own.  What is between the ends is ours, as in a call: each
side sees our Contact and no Record-Route, so that no address of the core reaches a page, and a page that comes back on
another connection keeps its subscriptions.  For that a dialog is remembered: one that a page began by its Call-ID and
the page's tag, whoever answers; one that the core began by both tags, for one request of it may reach several pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kemi.core import headers, trust
from kemi.core.call import boundary
from kemi.core.call.from_page.forks import MOST_FORKS
from kemi.core.call.settings import CallSettings
from kemi.core.decimals import is_number
from kemi.core.edits import MessageEdits
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.identity import Asserted, answering_identity, asserted_identity, target_for_core
from kemi.core.messages import (
    Message,
    Reply,
    Request,
    Side,
    addresses_from_headers,
    is_tel,
    parameters,
    uri_from_address,
)
from kemi.core.registration import Flow, Registration

FROM_PAGES: Final = frozenset({"MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER", "NOTIFY"})
TOWARDS_PAGES: Final = frozenset({"MESSAGE", "SUBSCRIBE", "REFER", "NOTIFY"})
"""No page is an event state compositor (RFC 3903): PUBLISH is not for them."""
DIALOG_FORMING: Final = frozenset({"SUBSCRIBE", "REFER"})
IN_DIALOG: Final = DIALOG_FORMING | {"NOTIFY"}
ALLOW: Final = "Allow: INVITE, ACK, CANCEL, OPTIONS, REGISTER, " + ", ".join(sorted(FROM_PAGES))
FINAL_RESPONSE_S: Final = 31.0
"""How long a final response may take: a little less than whoever asked waits (timer F, RFC 3261 §17.1.2.2)."""
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


def check_method(request: Request) -> None:
    """Raise SipReject (405) for what does not pass outside calls, RemoteProtocolError for what makes no dialog here."""
    passed = FROM_PAGES if request.side is Side.WIC else TOWARDS_PAGES
    if request.method not in passed:
        raise SipReject(
            f"{request.method} does not pass outside a call",
            status=405,
            reason_phrase="Method Not Allowed",
            lines=(ALLOW,),
        )
    if request.method in DIALOG_FORMING and not request.contact:
        raise RemoteProtocolError(f"{request.method} needs a Contact")
    if request.method in DIALOG_FORMING and len(request.call_id) + len(request.from_tag) > LONGEST_NAME:
        raise RemoteProtocolError(f"Call-ID and tag have more than {LONGEST_NAME} characters")


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
    )


# ---------------------------------------------------------------- towards the core


def outside_for_core(
    request: Request,
    registration: Registration | None,
    dialog: PageDialog | None,
    settings: CallSettings,
    icid: str,
) -> MessageEdits:
    """Return how a page's request goes to the core over its Service-Route; raise SipReject (403) for what it may not.

    Args:
        request: the page's request, outside any dialog.
        registration: the live registration of its connection.
        dialog: what it begins, if it does.
        settings: the site.
        icid: a new, globally unique charging identifier.
    """
    if registration is None:
        raise SipReject(
            "this connection has no registration: REGISTER first", status=403, reason_phrase="Not Registered"
        )
    routes = registration.service_route
    asserted = boundary.identity_of_caller(request, registration, settings)
    removed, shortened = _shortened(request)
    return MessageEdits(
        request_uri=target_for_core(request.request_uri, settings.realm),
        next_hop=uri_from_address(routes[0]) if routes else None,
        from_value=boundary.from_for_core(request),
        remove=("Priority", *_FROM_PAGE, *removed),
        insert=(
            *(f"Route: {route}" for route in routes),
            *_said_for_page(request, asserted, settings, icid),
            *_contact(dialog, settings),
            *trust.priority_lines(request.headers),
            *shortened,
        ),
    )


def inside_for_core(
    request: Request, registration: Registration, dialog: PageDialog, settings: CallSettings, icid: str
) -> MessageEdits:
    """Return how a page's request inside a dialog goes to the end it names; raise SipReject (481) for no such end.

    Who the page is was decided when the dialog began (RFC 3261 §12.2.1.1): where the core did, that is as it wrote it.
    """
    far_end = dialog.far_ends.get(request.to_tag)
    if far_end is None:
        raise no_dialog()
    removed, shortened = _shortened(request)
    if dialog.page_uri:
        from_value: str | None = f"<{dialog.page_uri}>;tag={request.from_tag}"
        to_value = f"<{dialog.far_uri}>;tag={request.to_tag}" if is_tel(dialog.far_uri) else None
        preferred = request.headers("P-Preferred-Identity")
        asserted = asserted_identity(preferred, dialog.page_uri, registration.identities, from_counts=True)
    else:
        from_value, to_value = boundary.from_for_core(request), None
        asserted = boundary.identity_of_caller(request, registration, settings)
    return MessageEdits(
        request_uri=far_end.target,
        next_hop=uri_from_address(far_end.route_set[0]) if far_end.route_set else far_end.target,
        from_value=from_value,
        to_value=to_value,
        remove=(*_FROM_PAGE, *removed),
        insert=(
            *(f"Route: {route}" for route in far_end.route_set),
            *_said_for_page(request, asserted, settings, icid),
            *_contact(dialog if request.contact else None, settings),
            *shortened,
        ),
    )


_FROM_PAGE: Final = ("Route", "Contact", *trust.FROM_PAGE)


def _said_for_page(request: Request, asserted: Asserted, settings: CallSettings, icid: str) -> list[str]:
    network = settings.network or settings.realm
    return [
        *(f"P-Asserted-Identity: {identity}" for identity in asserted.identities),
        *boundary.credential_lines(request),
        f"P-Charging-Vector: {headers.charging_vector(icid, settings.ims_host, network)}",
        *headers.access_network_info(settings.access_network_info),
    ]


def _contact(dialog: PageDialog | None, settings: CallSettings) -> list[str]:
    return [] if dialog is None else [f"Contact: <sip:{dialog.contact_user}@{settings.ims_host}>"]


def reply_for_core(
    reply: Reply,
    registration: Registration | None,
    called: str,
    dialog: PageDialog | None,
    settings: CallSettings,
) -> MessageEdits:
    """Return how a page's response goes to the core; one that begins a dialog with the request's Record-Route (RFC 3261
    §12.1.1), which the page has not seen.  ``called``: whom the request was for, as a name-addr; "": nobody said."""
    insert: tuple[str, ...] = ()
    if registration is not None:
        called = called or (dialog.page_uri if dialog is not None else "")
        preferred = reply.headers("P-Preferred-Identity")
        asserted = answering_identity(preferred, called, registration.identities)
        insert += tuple(f"P-Asserted-Identity: {identity}" for identity in asserted.identities)
    insert += tuple(_contact(dialog if reply.contact and reply.status < 300 else None, settings))
    if dialog is not None and not dialog.by_page and reply.method in DIALOG_FORMING and reply.status < 300:
        insert += tuple(f"Record-Route: {route}" for route in dialog.far_ends[reply.from_tag].route_set)
    return MessageEdits(remove=_FROM_PAGE, insert=insert)


# ---------------------------------------------------------------- towards the page


def for_page(request: Request, flow: Flow, target: str, settings: CallSettings) -> MessageEdits:
    """Return how a request of the core goes to the page at ``target``: over its connection and no other."""
    remove, insert = boundary.towards_page(request, settings)
    removed, shortened = _shortened(request)
    if request.contact:
        insert += (boundary.contact_for_page(request, settings),)
    edits = MessageEdits(
        request_uri=target,
        next_hop=f"sip:{flow.source};transport=ws",
        remove=("Route", "Contact", *remove, *removed),
        insert=(*insert, *shortened),
    )
    return boundary.readable(request, edits, settings)


def reply_for_page(reply: Reply, settings: CallSettings) -> MessageEdits:
    """Return how a response of the core goes to the page; the Contact of a redirection is the page's to see."""
    remove, insert = boundary.towards_page(reply, settings)
    if reply.contact and reply.status < 300:
        remove += ("Contact",)
        insert += (boundary.contact_for_page(reply, settings),)
    elif reply.contact:
        remove, insert = boundary.readable_targets(reply, remove, insert, settings)
    return boundary.readable(reply, MessageEdits(remove=remove, insert=insert), settings)


# ---------------------------------------------------------------- how long a dialog lasts


def _expires(message: Message) -> int | None:
    text = "".join(message.headers("Expires")).strip()
    return int(text) if is_number(text) else None


def _asked_s(request: Request) -> int:
    """Return for how long a SUBSCRIBE asks; one that does not say, and a REFER, leave it to the notifier."""
    asked = _expires(request) if request.method == "SUBSCRIBE" else None
    return LONGEST_S if asked is None else min(asked, LONGEST_S)


def _shortened(request: Request) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names to remove and lines to add, for a SUBSCRIBE that asks for longer than it may be."""
    asked = _expires(request) if request.method == "SUBSCRIBE" else None
    return ((), ()) if asked is None or asked <= LONGEST_S else (("Expires",), (f"Expires: {LONGEST_S}",))


def too_many_dialogs(status: int, reason_phrase: str) -> SipReject:
    """Return the answer to a request that would begin one more than MOST_DIALOGS."""
    why = f"no more than {MOST_DIALOGS} subscriptions at once are allowed"
    return SipReject(why, status=status, reason_phrase=reason_phrase)


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

    What shortens or ends the subscription at one of several forks leaves the others (§4.4.1).
    """
    forks = len(dialog.far_ends)
    if request.method in DIALOG_FORMING and dialog.owner:
        asked = _asked_s(request)
        dialog.longest_s = asked if forks <= 1 else max(asked, dialog.longest_s)
    if request.method != "NOTIFY":
        return
    state, _, rest = "".join(request.headers("Subscription-State")).partition(";")
    if state.strip().lower() == "terminated":
        if forks > 1:
            dialog.far_ends.pop(_tags(request)[1], None)
        else:
            dialog.expires_at = min(dialog.expires_at, now + LINGER_S)
        return
    expires = parameters(f"<>;{rest}").get("expires", "")
    if is_number(expires):
        _last_for(dialog, int(expires), now)


def _last_for(dialog: PageDialog, seconds: int, now: float) -> None:
    """One far end says for how long."""
    ends_at = now + min(seconds, dialog.longest_s) + LINGER_S
    dialog.expires_at = ends_at if len(dialog.far_ends) <= 1 else max(ends_at, dialog.expires_at)


def learn_from_reply(dialog: PageDialog, reply: Reply, now: float) -> bool:
    """A final response to SUBSCRIBE, REFER or NOTIFY; return whether the dialog goes on."""
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
    expires = _expires(reply)
    if expires is not None:
        _last_for(dialog, expires, now)
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
