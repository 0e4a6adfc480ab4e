"""Requests outside calls, and inside the dialogs that SUBSCRIBE and REFER make (TS 24.229 §5.2.6.3, §5.2.6.4).

They pass end to end: tags, CSeq and bodies are the two ends' own.  What is between the ends is ours, as in a call: each
side sees our Contact and no Record-Route, so that no address of the core reaches a page, and a page that comes back on
another connection keeps its subscriptions.  For that a dialog is remembered (page_dialogs.py).
"""

from __future__ import annotations

from typing import Final

from kemi.core import headers, trust
from kemi.core.call import boundary
from kemi.core.call.settings import CallSettings
from kemi.core.edits import MessageEdits
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.identity import Asserted, answering_identity, asserted_identity, target_for_core
from kemi.core.messages import Reply, Request, Side, is_tel, uri_from_address
from kemi.core.page_dialogs import DIALOG_FORMING, LONGEST_NAME, LONGEST_S, PageDialog, expires_of, no_dialog
from kemi.core.registration import Flow, Registration

FROM_PAGES: Final = frozenset({"MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER", "NOTIFY"})
TOWARDS_PAGES: Final = frozenset({"MESSAGE", "SUBSCRIBE", "REFER", "NOTIFY"})
"""No page is an event state compositor (RFC 3903): PUBLISH is not for them."""
ALLOW: Final = "Allow: INVITE, ACK, CANCEL, OPTIONS, REGISTER, " + ", ".join(sorted(FROM_PAGES))
FINAL_RESPONSE_S: Final = 31.0
"""How long a final response may take: a little less than whoever asked waits (timer F, RFC 3261 §17.1.2.2)."""


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
        remove=(*_FROM_REQUEST, *removed),
        insert=(
            *(f"Route: {route}" for route in routes),
            *_said_for_page(request, asserted, settings, icid),
            *_contact(dialog, settings),
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
        remove=(*_FROM_REQUEST, *removed),
        insert=(
            *(f"Route: {route}" for route in far_end.route_set),
            *_said_for_page(request, asserted, settings, icid),
            *_contact(dialog if request.contact else None, settings),
            *shortened,
        ),
    )


_FROM_PAGE: Final = ("Route", *trust.FROM_PAGE)
_FROM_REQUEST: Final = ("Contact", "Priority", *_FROM_PAGE)


def _said_for_page(request: Request, asserted: Asserted, settings: CallSettings, icid: str) -> list[str]:
    network = settings.network or settings.realm
    return [
        *(f"P-Asserted-Identity: {identity}" for identity in asserted.identities),
        *boundary.credential_lines(request),
        *trust.priority_lines(request.headers),
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
    forbidden: str = "",
) -> MessageEdits:
    """Return how a page's response goes to the core; one that begins a dialog with the request's Record-Route (RFC 3261
    §12.1.1), which the page has not seen.

    Args:
        reply: the page's response.
        registration: the live registration of its connection.
        called: whom the request was for, as a name-addr; "": nobody said.
        dialog: what the request is inside of, or begins.
        settings: the site.
        forbidden: why a redirection's targets are not for the core to see; "" for no reason.
    """
    insert: tuple[str, ...] = ()
    if registration is not None:
        called = called or (dialog.page_uri if dialog is not None else "")
        preferred = reply.headers("P-Preferred-Identity")
        asserted = answering_identity(preferred, called, registration.identities)
        insert += tuple(f"P-Asserted-Identity: {identity}" for identity in asserted.identities)
    insert += tuple(_contact(dialog if reply.contact and reply.status < 300 else None, settings))
    if dialog is not None and not dialog.by_page and reply.method in DIALOG_FORMING and reply.status < 300:
        insert += tuple(f"Record-Route: {route}" for route in dialog.far_ends[reply.from_tag].route_set)
    if 300 <= reply.status < 400 and not forbidden:
        return MessageEdits(remove=_FROM_PAGE, insert=insert)  # the Contact is its content (RFC 3261 §21.3)
    insert += headers.explanation(forbidden, settings.realm)
    return MessageEdits(remove=("Contact", *_FROM_PAGE), insert=insert)


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


def _shortened(request: Request) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names to remove and lines to add, for a SUBSCRIBE that asks for longer than it may be."""
    asked = expires_of(request) if request.method == "SUBSCRIBE" else None
    return ((), ()) if asked is None or asked <= LONGEST_S else (("Expires",), (f"Expires: {LONGEST_S}",))
