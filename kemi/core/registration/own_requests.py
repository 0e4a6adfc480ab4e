"""Requests the gateway makes itself about a registration: SUBSCRIBE to its state, REGISTER for a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kemi.core.call.actions import SendRequest
from kemi.core.decimals import number_or
from kemi.core.headers import access_network_info, charging_vector
from kemi.core.messages import Reply, Side, addresses_from_headers, parameter, uri_from_address
from kemi.core.registration.authorization import AUTH_DONE, empty_digest, protected
from kemi.core.registration.contact import contact_sent
from kemi.core.registration.records import Registration, RegistrationSettings

LONGER_THAN_REGISTRATION_S: Final = 600
"""The subscription outlives the registration (TS 24.229 §5.2.3), so that its end is reported too."""
REFRESH_MARGIN_S: Final = 30.0
RETRY_AFTER_S: Final = 30.0
MOST_RETRY_AFTER_S: Final = 3600.0
"""Each wait is twice as long as the last: a core without this event is not asked twice a minute for every page."""

_ENDS_SUBSCRIPTION: Final = frozenset({404, 405, 408, 410, 416, *range(480, 486), 489, 501, 604})
"""Responses to a refresh after which the subscription is no more (RFC 6665 §4.1.2.2; 408: RFC 3261 §12.2.1.2)."""


@dataclass(slots=True)
class Subscription:
    """Our subscription to the registration state of one user (RFC 3680): a dialog in which we are the caller."""

    call_id: str
    identity: str
    """Default public identity, as a URI."""
    local_tag: str
    service_route: list[str] = field(default_factory=list)
    cseq: int = 0
    remote_tag: str = ""
    remote_target: str = ""
    route_set: list[str] = field(default_factory=list)
    expires_at: float = 0.0
    """Seconds since the epoch; 0 before the core answered."""
    refresh_at: float = 0.0
    """When it must be refreshed, seconds since the epoch."""
    failed_at: float = 0.0
    """When the core refused last; 0: it did not."""
    failures: int = 0
    """How often it has refused since it agreed last."""
    version: int = -1
    """Version of the last notification."""
    stale: bool = False
    """A notification was missed, or the core ended the dialog although bindings are left: ask again at once."""
    bindings: list[str] = field(default_factory=list)
    """Keys of the bindings of this user on this node."""


def subscription_key(registration: Registration) -> str:
    """Return what a subscription is for: one for each private and default public identity on this node."""
    return f"{registration.impi} {registration.default_identity}"


def subscribe(
    subscription: Subscription, expires_s: int, settings: RegistrationSettings, icid: str
) -> SendRequest:
    """Return the next SUBSCRIBE of the dialog and count its CSeq (TS 24.229 §5.2.3); 0 seconds ends it.

    The core lets us because P-Asserted-Identity is the URI of our own Path.
    """
    subscription.cseq += 1
    ourselves = f"sip:{settings.ims_host}"
    routes = subscription.route_set if subscription.remote_target else subscription.service_route
    to_tag = f";tag={subscription.remote_tag}" if subscription.remote_tag else ""
    target = subscription.remote_target or subscription.identity
    return SendRequest(
        to=Side.IMS,
        method="SUBSCRIBE",
        request_uri=target,
        next_hop=uri_from_address(routes[0]) if routes else subscription.remote_target,
        headers=(
            *(f"Route: {route}" for route in routes),
            f"From: <{ourselves}>;tag={subscription.local_tag}",
            f"To: <{subscription.identity}>{to_tag}",
            f"Call-ID: {subscription.call_id}",
            f"CSeq: {subscription.cseq} SUBSCRIBE",
            f"Contact: <{ourselves}>",
            "Event: reg",
            "Accept: application/reginfo+xml",
            f"Expires: {expires_s}",
            f"P-Asserted-Identity: <{ourselves}>",
            _charging(icid, settings),
        ),
        report=True,
    )


def subscription_answered(subscription: Subscription, reply: Reply, now: float) -> None:
    """Learn from the final response to our SUBSCRIBE."""
    if reply.cseq != subscription.cseq:
        return
    granted = "".join(reply.headers("Expires")).strip()
    expires_s = number_or(0, granted)
    if not 200 <= reply.status < 300 or expires_s == 0:
        subscription_failed(subscription, reply.cseq, reply.status, now)
        return
    subscription.failed_at, subscription.failures = 0.0, 0
    subscription.remote_tag = reply.to_tag
    if reply.contact:
        subscription.remote_target = uri_from_address(reply.contact)
        subscription.route_set = addresses_from_headers(reply.headers("Record-Route"))[::-1]
    subscription.expires_at = now + expires_s
    subscription.refresh_at = now + max(expires_s - REFRESH_MARGIN_S, expires_s / 2)


def subscription_failed(subscription: Subscription, cseq: int, status: int, now: float) -> None:
    """The core refused the SUBSCRIBE of this number, or granted it no time; 408: it did not answer.

    With it goes a subscription that such a response ends, or that has run out: the next SUBSCRIBE finds who has the
    user now, instead of a node that may be dead.  Any other one lasts as long as it was granted (RFC 6665 §4.1.2.2).
    """
    if cseq != subscription.cseq:
        return
    subscription.failed_at = now
    subscription.failures += 1
    if status < 300 or status in _ENDS_SUBSCRIPTION or subscription.expires_at <= now:
        forget_dialog(subscription)


def follow_service_route(subscription: Subscription, service_route: list[str]) -> None:
    """A registration has got another Service-Route: ask there anew, at once (TS 24.229 §5.2.3).

    The user's S-CSCF is another one, which knows nothing of the subscription.
    """
    forget_dialog(subscription)
    subscription.service_route = service_route
    subscription.failed_at, subscription.failures = 0.0, 0
    subscription.stale = True


def retry_at(subscription: Subscription) -> float:
    """Return when a core that refused is asked again, in seconds since the epoch."""
    doublings = min(max(0, subscription.failures - 1), 10)
    return subscription.failed_at + min(RETRY_AFTER_S * 2.0**doublings, MOST_RETRY_AFTER_S)


def set_back(subscription: Subscription, seconds: float) -> None:
    """The clock was set back: what is to be done is as far away as it was before."""
    if subscription.expires_at:
        subscription.expires_at -= seconds
    if subscription.refresh_at:
        subscription.refresh_at -= seconds
    if subscription.failed_at:
        subscription.failed_at -= seconds


def forget_dialog(subscription: Subscription) -> None:
    """Make the next SUBSCRIBE begin a new dialog, with a tag of its own.

    What still comes in the old one gets 481, and the answer to a SUBSCRIBE that is under way is nobody's.
    """
    subscription.cseq += 1
    subscription.local_tag = f"{subscription.local_tag.partition('.')[0]}.{subscription.cseq}"
    subscription.remote_tag = subscription.remote_target = ""
    subscription.route_set = []
    subscription.version = -1
    subscription.expires_at = 0.0


def deregister(registration: Registration, settings: RegistrationSettings, icid: str) -> SendRequest:
    """Return the REGISTER that removes a binding for a page we vouched for (TS 24.371 §6; TS 24.229 §7.2A.2).

    Call-ID and the next CSeq of the page's own REGISTER: should the page be faster and register again, the registrar
    refuses ours as out of order (RFC 3261 §10.3 step 7).  For Kamailio's, ``comes_late`` of kemi/core/home/ does.
    """
    sent = registration.sent
    return _register(registration, settings, icid, sent.call_id, sent.cseq + 1, 0)


def refresh(
    registration: Registration, settings: RegistrationSettings, call_id: str, icid: str, expires_s: int
) -> SendRequest:
    """Return a REGISTER that lets the core keep a binding of a page we vouched for.

    It has a Call-ID of its own, so that it uses up no CSeq of the page's (RFC 3261 §10.3 step 7).
    """
    return _register(registration, settings, icid, call_id, 1, expires_s)


def _register(
    registration: Registration,
    settings: RegistrationSettings,
    icid: str,
    call_id: str,
    cseq: int,
    expires_s: int,
) -> SendRequest:
    sent = registration.sent
    identity = registration.address_of_record
    contact = _without(contact_sent(identity, sent), "expires") or f"<{registration.contact}>"
    outbound = ";ob" if parameter(sent.contact_value, "reg-id") else ""
    return SendRequest(
        to=Side.IMS,
        method="REGISTER",
        request_uri=f"sip:{settings.realm}",
        next_hop="",
        headers=(
            f"From: <{identity}>;tag={sent.from_tag}",
            f"To: <{identity}>",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} REGISTER",
            f"Contact: {contact};expires={expires_s}",
            f"Expires: {expires_s}",
            f"Path: <sip:{sent.flow_token}@{settings.ims_host};lr{outbound}>",
            "Require: path",
            "Supported: path",
            f"Authorization: {protected(empty_digest(registration.impi, settings.realm), AUTH_DONE)}",
            f'P-Visited-Network-ID: "{settings.visited_network}"',
            *access_network_info(settings.access_network_info),
            _charging(icid, settings),
        ),
        report=True,
    )


def _without(address: str, name: str) -> str:
    head, bracket, tail = address.rpartition(">") if "<" not in address else _split_uri(address)
    kept = [part for part in tail.split(";") if part.partition("=")[0].strip().lower() != name]
    return head + bracket + ";".join(kept)


def _split_uri(address: str) -> tuple[str, str, str]:
    end = address.index(">", address.index("<"))
    return address[:end], ">", address[end + 1 :]


def _charging(icid: str, settings: RegistrationSettings) -> str:
    return f"P-Charging-Vector: {charging_vector(icid, settings.ims_host, settings.visited_network)}"
