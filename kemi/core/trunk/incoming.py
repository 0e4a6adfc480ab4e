"""A call of a trunk: what number it is for, what the routing table says, and how it looks to the home network.

Only rows for this very trunk count (realm ``trunk:NAME``), so that no row written for users lets a carrier's call in;
and none leads to a trunk again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from kemi.core.edits import MessageEdits
from kemi.core.errors import SipReject
from kemi.core.identity import ANONYMOUS
from kemi.core.messages import HeaderReader, Request, addresses_from_headers, uri_from_address
from kemi.core.routing.lookup import Query, RouteIndex, find
from kemi.core.routing.numbers import BadNumber, DialPlan, dialled_from_uri, is_emergency
from kemi.core.routing.table import ANY, RefusedByRow, Route, Target
from kemi.core.trunk.diversion import history_from_diversion
from kemi.core.trunk.numbers import from_abroad
from kemi.core.trunk.trunk import NumberForm, Trunk
from kemi.core.trust import (
    CHARGING,
    priority_lines,
    privacy_of,
    private_headers,
    restricts_caller,
    withholds_identity,
)

REALM_PREFIX: Final = "trunk:"
ROUTE_USER: Final = "trunk"
"""User part of our Record-Route in a trunk's call; the core's Path tokens are longer."""
NOT_BELIEVED: Final = (
    # who somebody is, and was called as: said anew, or the core's to say (RFC 3325, RFC 7315)
    "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Called-Party-ID", "P-Associated-URI",
    "P-Served-User", "P-Profile-Key", "P-User-Database", "Additional-Identity", "Attestation-Info", "Origination-Id",
    # services, priority and charging of the home network
    "P-Asserted-Service", "P-Preferred-Service", "Resource-Priority", "Priority-Share", "Priority-Verstat",
    "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info", "P-Visited-Network-ID",
    "P-Private-Network-Indication", "Cellular-Network-Info", "Relayed-Charge", "Restoration-Info",
    "Service-Interact-Info", "Response-Source", "P-Media-Authorization", "Alert-Info", *CHARGING,
    # how it travels, and access to it
    "Path", "Service-Route", "Feature-Caps", "Security-Client", "Security-Server", "Security-Verify", "Authorization",
    "Proxy-Authorization",
)  # fmt: skip
"""Taken from every request of a trunk; Identity passes, for the home network to check its signature (RFC 8224)."""
NOT_FOR_TRUNKS: Final = (
    "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info", "P-Visited-Network-ID",
    "P-Served-User", "P-Profile-Key", "P-User-Database", "P-Associated-URI", "P-Called-Party-ID", "P-Asserted-Service",
    "P-Preferred-Service", "Service-Route", "Path", "Cellular-Network-Info", "Relayed-Charge", "Response-Source",
    "Server", "Feature-Caps", "Accept-Contact", "Reject-Contact", "Request-Disposition", *CHARGING,
)  # fmt: skip
"""Taken from everything that goes back to it: what the home network keeps to itself."""
_PASSED_ON: Final = frozenset({"p-asserted-identity", "p-early-media"})
_PRIVATE_EXTENSION: Final = re.compile(
    r"^([XP]-[\w.!%*+`'~-]+)[ \t]*:", re.IGNORECASE | re.MULTILINE | re.ASCII
)
_EXTENSION: Final = re.compile(r"^(X-[\w.!%*+`'~-]+)[ \t]*:", re.IGNORECASE | re.MULTILINE | re.ASCII)
_USER: Final = re.compile(r"(?:sips?:(?=[^?]*@)|tel:)([^@;?]*)", re.IGNORECASE)
"""Without an @ a sip: URI has no user: what is there is a host (RFC 3261 §25.1)."""
_PORTED: Final = frozenset({"npdi", "rn", "rn-context", "cic", "cic-context"})
_USER_PARAMETERS: Final = re.compile(r"(?:sips?:[^@;?]*(;[^@?]*)@|tel:[^;?]*(;[^?]*))", re.IGNORECASE)
"""Parameters of a number (RFC 3966 §3); those of a sip: URI come after the host."""
_GLOBAL_CONTEXT: Final = re.compile(r"\s*phone-context\s*=\s*\+[0-9.()-]+\s*", re.IGNORECASE | re.ASCII)
_DISPLAY_NAME: Final = re.compile(r'("(?:[^"\\]|\\.)*"\s*|[^"<>,;]*)<')
"""Blanks belong to one part of it only, or thousands of them would keep a worker busy for minutes."""
_GLOBAL_DIGITS: Final = re.compile(r"[1-9]\d{3,14}", re.ASCII)
_NO_PLAN: Final = DialPlan()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    number: str
    """+E.164; "": nobody with a number."""
    withheld: bool
    """Not to be shown to whoever is called (RFC 3323)."""


@dataclass(frozen=True, slots=True)
class WayIn:
    """Where a trunk's call goes."""

    route: str
    """Name of the row."""
    request_uri: str


def realm_of(trunk: Trunk) -> str:
    """Return what rows and plans call the caller's side."""
    return f"{REALM_PREFIX}{trunk.name}"


def number_read(text: str, trunk: Trunk, plan: DialPlan | None = None) -> str:
    """Return a number that a trunk has written, as +E.164 or a short code of ``plan``; raise BadNumber.

    A global phone-context counts (RFC 3966 §5.1.5), but not for what is whole without it: extensions, short codes,
    numbers with the prefix for abroad, those of a plan that has digits for a line.
    """
    number, *parameters = unquote(text).split(";")
    plan = plan or DialPlan(country=trunk.country)
    is_local = number in plan.short_codes or len(number) <= plan.extension_digits
    if trunk.numbers is NumberForm.DIGITS and not is_local and _GLOBAL_DIGITS.fullmatch(number):
        number = f"+{number}"
    elif trunk.numbers is NumberForm.NATIONAL and not is_local and not plan.outside:
        number = from_abroad(number, trunk.country) or number
    is_whole = is_local or bool(plan.outside) or bool(from_abroad(number, trunk.country))
    contexts = [] if is_whole else [one for one in parameters if _GLOBAL_CONTEXT.fullmatch(one)]
    return dialled_from_uri(f"tel:{';'.join((number, *contexts))}", plan).number


def called_text(request: Request, own_user: str) -> str:
    """Return the number that is called, as the trunk wrote it, with its parameters.

    A trunk at which we register may call our Contact there, ``own_user``, and say in To whom it means.
    """
    uri = request.request_uri
    if own_user and user_of(uri) == own_user:
        called = addresses_from_headers(request.headers("P-Called-Party-ID"))
        uri = uri_from_address(called[0]) if called else request.to_uri
    return _number_text(uri)


def _number_text(uri: str) -> str:
    """Return the user part of a sip: URI, or the number of a tel: URI, with its parameters."""
    user, parameters = user_of(uri), _USER_PARAMETERS.match(uri)
    return user + (parameters[1] or parameters[2]) if user and parameters else user


def user_of(uri: str) -> str:
    """Return the user part of a sip: URI, or the number of a tel: URI, without parameters."""
    match = _USER.match(uri.strip())
    return match.group(1).partition(":")[0] if match else ""


def way_in(
    index: RouteIndex,
    plans: Mapping[str, DialPlan],
    conferences: Mapping[str, str],
    trunk: Trunk,
    text: str,
    *,
    home: str,
    now: float,
    spin: float,
) -> WayIn:
    """Return where a trunk's call to ``text`` goes; raise BadNumber, or SipReject for what has no way in.

    Args:
        index, plans, conferences: the routing table.
        trunk: whose call it is.
        text: the number as the trunk wrote it.
        home: domain of the home network.
        now: seconds since the epoch.
        spin: as for ``find``.
    """
    realm = realm_of(trunk)
    plan = plans.get(realm)
    parameters = ported(text, trunk, plan)
    if is_emergency(f"tel:{text}", plan or _NO_PLAN):
        raise BadNumber("emergency calls do not come in by a trunk")
    number = number_read(text, trunk, plan)
    rows = find(index, Query(realm, ANY, number, now), spin)
    rows = [row for row in rows if row.realm == realm]
    if not rows:
        raise SipReject("nobody has this number here", status=404, reason_phrase="Not Found")
    return WayIn(rows[0].id, _target(rows[0], number, conferences, home, parameters))


def ported(text: str, trunk: Trunk, plan: DialPlan | None = None) -> tuple[str, ...]:
    """Return what a trunk says of where a number is ported to, or over which carrier it goes (RFC 4694)."""
    if not trunk.portability or ";" not in text:
        return ()
    number, _, parameters = text.partition(";")
    plus = "" if number.startswith("+") or trunk.numbers is not NumberForm.DIGITS else "+"
    plan = plan or DialPlan(country=trunk.country)
    try:
        found = dialled_from_uri(f"tel:{plus}{number};{parameters}", plan, trusted=True).parameters
    except BadNumber:
        return ()
    return tuple(one for one in found if one.partition("=")[0] in _PORTED)


def _target(
    row: Route, number: str, conferences: Mapping[str, str], home: str, parameters: Sequence[str]
) -> str:
    if row.to is Target.TRUNK:
        raise SipReject(
            "a trunk's call never leaves by a trunk again", status=482, reason_phrase="Loop Detected"
        )
    if row.to is Target.REFUSE:
        raise RefusedByRow(
            row.reason or "calls to this number are not taken", route=row.id, status=row.status
        )
    if row.to is Target.CONFERENCE:
        return conferences[row.name]
    if row.to is Target.USER:
        return row.name
    return f"sip:{';'.join((number, *parameters))}@{home};user=phone"


def caller_of(request: Request, trunk: Trunk) -> Caller:
    """Return who calls by a trunk: the identity it asserts, else From."""
    asserted = addresses_from_headers(request.headers("P-Asserted-Identity"))
    uris = [*(uri_from_address(one) for one in asserted), request.from_uri]
    host = request.from_uri.partition("@")[2].partition(";")[0].lower()
    anonymous = host == "anonymous.invalid" or user_of(request.from_uri).lower() in (
        "anonymous",
        "restricted",
    )
    restricted = withholds_identity(request.headers) or restricts_caller(request.headers)
    return Caller(
        next((number for uri in uris if (number := _number_of(uri, trunk))), ""), anonymous or restricted
    )


def _number_of(uri: str, trunk: Trunk) -> str:
    try:
        number = number_read(_number_text(uri), trunk)
    except BadNumber:
        return ""
    return number if number.startswith("+") else ""


def _global_uri(uri: str, trunk: Trunk) -> str:
    """Return a URI of a trunk with its number as +E.164, as From has the caller's; what is none, or is in a sip: URI
    so already, stays as it is."""
    is_read = uri.lower().startswith("sip") and user_of(uri).startswith("+")
    number = "" if is_read else _number_of(uri, trunk)
    return f"sip:{number}@{trunk.host};user=phone" if number else uri


def from_value(request: Request, caller: Caller, trunk: Trunk) -> str:
    """Return From as the home network sees it, with its tag and without what only a network may say of it."""
    tag = f";tag={request.from_tag}"
    if caller.withheld:
        return f'"Anonymous" <{ANONYMOUS}>{tag}'
    value = "".join(request.headers("From"))
    name = _DISPLAY_NAME.match(value.lstrip())
    shown = f"{name.group(1).strip()} " if name and name.group(1).strip() else ""
    if caller.number:
        return f"{shown}<sip:{caller.number}@{trunk.host};user=phone>{tag}"
    return f"{shown}<sip:unknown@{trunk.host}>{tag}"


def identity_lines(request: Request, caller: Caller, trunk: Trunk) -> tuple[str, ...]:
    """Return what we assert of the caller: its number at the trunk, or the trunk alone (RFC 3325 §9.1)."""
    who = f"{caller.number}@{trunk.host};user=phone" if caller.number else trunk.host
    asserted = f"P-Asserted-Identity: <sip:{who}>"
    if not caller.withheld:
        return (asserted,)
    # One field says all (RFC 3323 §4.2): many read no second.
    asked = privacy_of(request.headers) - {"none"} | {"id"}
    return (asserted, f"Privacy: {';'.join(sorted(asked))}")


def names_withheld(headers: HeaderReader, head: str) -> tuple[str, ...]:
    """Return the header fields to take from what goes back to a trunk, which is outside the trust domain (RFC 3325).

    ``head``: start line and fields of the message.  As in calls that pages begin, no X- or P- field goes there that a
    carrier may have agreed on with others, as whom it charges.
    """
    found = dict.fromkeys(_PRIVATE_EXTENSION.findall(head))
    extensions = (name for name in found if name.lower() not in _PASSED_ON)
    return (*NOT_FOR_TRUNKS, *private_headers(headers), *extensions)


def names_not_believed(head: str) -> tuple[str, ...]:
    """Return the header fields to take from a trunk's request whose start line and fields are ``head``."""
    return (*NOT_BELIEVED, *dict.fromkeys(_EXTENSION.findall(head)))


def invite_edits(
    request: Request,
    trunk: Trunk,
    caller: Caller,
    target: str,
    *,
    head: str,
    record_route: Iterable[str],
    charging: str,
) -> MessageEdits:
    """Return how a trunk's INVITE looks to the home network; ``charging``: value of P-Charging-Vector."""
    believed = trunk.believes_diversion
    said = believed and not request.headers("History-Info")
    diversions = request.headers("Diversion") if said else []
    history = history_from_diversion(diversions, target, lambda uri: _global_uri(uri, trunk))
    return MessageEdits(
        request_uri=target,
        from_value=from_value(request, caller, trunk),
        remove=(
            *names_not_believed(head),
            *("Route", "Diversion", "Priority"),
            *(("Privacy",) if caller.withheld else ()),  # said anew
            *(() if believed else ("History-Info",)),
        ),
        insert=(
            *identity_lines(request, caller, trunk),
            *history,
            *priority_lines(request.headers),
            f"P-Charging-Vector: {charging}",
            *(f"Record-Route: {value}" for value in record_route),
        ),
    )


def routes_left(values: list[str], own_hosts: Iterable[str]) -> tuple[bool, list[str]]:
    """Split the Routes of a request inside a trunk's call: whether the topmost is our own, and those after ours."""
    hosts = frozenset(own_hosts)
    routes = addresses_from_headers(values)
    own = 0
    while own < len(routes) and _is_own(uri_from_address(routes[own]), hosts):
        own += 1
    return own > 0, routes[own:]


def home_routes(record_route: list[str], own_hosts: Iterable[str]) -> list[str]:
    """Return the route set that a response of the home network gives a trunk's dialog, without our own Routes."""
    return routes_left([*reversed(addresses_from_headers(record_route))], own_hosts)[1]


def _is_own(uri: str, hosts: frozenset[str]) -> bool:
    user, at, host = uri.partition(":")[2].partition("@")
    return bool(at) and user == ROUTE_USER and host.partition(";")[0] in hosts
