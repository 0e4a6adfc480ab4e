"""What the table says of one call: refused, or where it goes and with which media profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from kemi.core.emergency import service_of
from kemi.core.errors import SipReject
from kemi.core.policy import dialled_beginning
from kemi.core.routing.costs import CostClass, dearest, destination_of
from kemi.core.routing.lookup import Query, RouteIndex, find
from kemi.core.routing.numbers import (
    BadNumber,
    Dialled,
    DialPlan,
    ServiceCode,
    dialled_from_uri,
    emergency_number,
    numbers_in_code,
)
from kemi.core.routing.permissions import (
    NOTHING_SAID,
    CallDenied,
    Permission,
    Why,
    check_permission,
    check_unread,
    permission_of,
)
from kemi.core.routing.table import ANY, RefusedByRow, Route, Target

CORE_WAY: Final = ""
"""In the place of a trunk's name: the home network."""
_NO_PLAN = DialPlan()


class NoRoute(SipReject):
    """No row of the table is for this number."""

    status = 404
    reason_phrase = "Not Found"


@dataclass(frozen=True, slots=True)
class Way:
    """Where a call goes."""

    route: str
    """Name of the row."""
    request_uri: str
    profile: str
    """Media profile; "" where the row names none."""
    trunks: tuple[str, ...] = ()
    """Where the call is tried, in order: names of trunks, and CORE_WAY for the home network; empty: there alone."""
    number: str = ""
    """Whom it calls, as numbers.py writes it; of an emergency what is dialled at a trunk."""
    parameters: tuple[str, ...] = ()
    """Portability and carrier parameters that go with it."""
    cost: CostClass = CostClass.INTERNAL
    permission: Permission = NOTHING_SAID
    """Whose limits count for this call."""
    is_emergency: bool = False
    """An emergency call: no limits count, and it goes out with PRIORITY_LINES of kemi/core/emergency.py."""
    as_number: str = ""
    """What is barred beside ``number``: ``Dialled.as_number``."""


def way_of(
    index: RouteIndex,
    plans: Mapping[str, DialPlan],
    conferences: Mapping[str, str],
    uri: str,
    *,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
    realm: str,
    user_class: str,
    now: float,
    spin: float,
    permissions: Mapping[str, Permission] | None = None,
) -> Way | None:
    """Decide on a call to ``uri``, which is no emergency; None where the table has no say: services.

    Raise BadNumber for what is no number, SipReject for what is refused or unknown, CallDenied for what this caller
    may not call.
    """
    plan = plans.get(realm, _NO_PLAN)
    if uri.strip().lower().startswith("urn:"):
        return None
    dialled, rows = dialled_by_rows(index, plan, uri, Query(realm, user_class, "", now), spin)
    if not rows:
        raise NoRoute("no route to this number")
    row = rows[0]
    if row.to is Target.REFUSE:
        raise RefusedByRow(
            row.reason or "calls to this number are not allowed here", route=row.id, status=row.status
        )
    trunks = _trunks(rows, groups)
    permission = permission_of(permissions or {}, user_class)
    cost = CostClass.INTERNAL
    if row.to in (Target.CORE, Target.TRUNK):
        called = filter(None, (dialled.number, dialled.as_number))
        cost = dearest([may_call(permission, plan, one, by_trunk=any(trunks)) for one in called])
    if any(trunks) and dialled.number.startswith("sip:"):
        raise SipReject("a trunk is called by numbers only", status=404, reason_phrase="Not Found")
    return _way(row, trunks, conferences, uri, dialled, cost, permission)


def dialled_by_rows(
    index: RouteIndex, plan: DialPlan, uri: str, query: Query, spin: float
) -> tuple[Dialled, list[Route]]:
    """Return whom a call is for and its rows; raise BadNumber, as of a service code that no row is for.

    Digits at another domain are refused, and then are, the number they would be here, unless there is a row for that
    domain itself, which is nearer.

    ``query``: without a number.
    """
    try:
        dialled = dialled_from_uri(uri, plan, realm=query.realm)
    except ServiceCode as error:
        dialled = Dialled(error.number, unknown=error)
    rows = find(index, _of(query, dialled.number), spin)
    here = rows
    if dialled.as_number:
        if any(row.number != ANY for row in rows):
            return dialled, rows
        here = find(index, _of(query, dialled.as_number), spin)
    if dialled.unknown is not None and not _are_for_codes(here):
        raise dialled.unknown
    if dialled.as_number and here and here[0].to is Target.REFUSE:
        return Dialled(dialled.as_number), here
    return dialled, rows


def _of(query: Query, number: str) -> Query:
    # A third of what replace() costs, which looks through the fields.
    return Query(query.realm, query.user_class, number, query.now)


def _are_for_codes(rows: Sequence[Route]) -> bool:
    """Whether what wins is a row for service codes, as ``*21*``, and none for everything."""
    return bool(rows) and rows[0].number.startswith(("*", "#")) and rows[0].number != ANY


def emergency_way(
    index: RouteIndex,
    plans: Mapping[str, DialPlan],
    conferences: Mapping[str, str],
    uri: str,
    query: Query,
    spin: float,
    *,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
    places: Collection[str],
    numbers: Collection[str] = (),
) -> Way | None:
    """Return where the table sends an emergency call; None where no row is for it, or none of those leads anywhere.

    ``query``: without a number, for an emergency is looked up by its service; ``places``: the trunks there are, and
    CORE_WAY where there is a core; ``numbers``: the site's own, which are dialled at a trunk as they are.
    """
    groups = {name: [one for one in group if one in places] for name, group in groups.items()}
    found = find(index, replace(query, number=service_of(uri)), spin)
    rows = [row for row in found if row.to is not Target.TRUNK or groups[row.name]]
    rows = [row for row in rows if row.to is not Target.CORE or CORE_WAY in places]
    if not rows:
        return None
    dialled = Dialled(emergency_number(uri, plans.get(query.realm, _NO_PLAN), numbers))
    return replace(_way(rows[0], _trunks(rows, groups), conferences, uri, dialled), is_emergency=True)


def _way(
    row: Route,
    trunks: tuple[str, ...],
    conferences: Mapping[str, str],
    uri: str,
    dialled: Dialled,
    cost: CostClass = CostClass.INTERNAL,
    permission: Permission = NOTHING_SAID,
) -> Way:
    parameters = dialled.parameters
    if not any(trunks):  # the core has number plans of its own (TS 24.229 §5.4.3.2)
        trunks = parameters = ()
    if row.to is Target.CONFERENCE:
        uri = conferences[row.name]
    elif row.to is Target.USER:
        uri = row.name
    return Way(
        *(row.id, uri, row.profile, trunks, dialled.number, parameters, cost, permission),
        as_number=dialled.as_number,
    )


def may_call(permission: Permission, plan: DialPlan, number: str, *, by_trunk: bool) -> CostClass:
    """Return what kind of rates a number has; raise CallDenied unless it may be called.

    What some switch might dial of an address' name, as of ``0900123,1``, is looked at like a number, and so are the
    numbers in a service code, of which the dearest counts.
    """
    costs = []
    inside = [*numbers_in_code(number, plan)]
    for written, readings in inside:
        costs += [_may_call_one(permission, plan, one, by_trunk=by_trunk) for one in readings]
        if not readings:
            check_unread(permission, written, by_trunk=by_trunk)
    beginning = dialled_beginning(number[4:].rpartition("@")[0]) if number.startswith("sip:") else ""
    if inside and beginning.startswith(("*", "#")):
        number = beginning
    elif beginning:
        try:
            number = dialled_from_uri(f"tel:{beginning}", plan).number
        except BadNumber as error:
            if permission.classes is not None:
                raise CallDenied("whom this calls cannot be told", Why.CLASS) from error
    costs.append(_may_call_one(permission, plan, number, by_trunk=by_trunk))
    return dearest(costs)


def _may_call_one(permission: Permission, plan: DialPlan, number: str, *, by_trunk: bool) -> CostClass:
    destination = destination_of(number, plan.country)
    check_permission(permission, number, destination, by_trunk=by_trunk)
    return destination.cost


def check_message(permissions: Mapping[str, Permission], plan: DialPlan, user_class: str, uri: str) -> str:
    """Return whom a request outside calls, as a MESSAGE, is for, as numbers.py writes it, "" for what is no number;
    raise CallDenied where that is whom its sender may not call.

    The table has no say where it goes, which is to the core.
    """
    try:
        number = dialled_from_uri(uri, plan).number
    except ServiceCode as error:
        number = error.number
    except BadNumber:
        return ""
    may_call(permission_of(permissions, user_class), plan, number, by_trunk=False)
    return number


def _trunks(rows: Sequence[Route], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return where the rows lead, in order and each place once, up to the first that is neither trunks nor the core."""
    found: dict[str, None] = {}
    for row in rows:
        if row.to is Target.CORE:
            found[CORE_WAY] = None
        elif row.to is Target.TRUNK:
            found.update(dict.fromkeys(groups[row.name]))
        else:
            break
    return tuple(found)
