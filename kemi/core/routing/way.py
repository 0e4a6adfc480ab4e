"""What the table says of one call: refused, or where it goes and with which media profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kemi.core.emergency import service_of
from kemi.core.errors import SipReject
from kemi.core.policy import dialled_beginning
from kemi.core.routing.costs import CostClass, destination_of
from kemi.core.routing.lookup import Query, RouteIndex, find
from kemi.core.routing.numbers import BadNumber, DialPlan, dialled_from_uri, is_emergency
from kemi.core.routing.permissions import (
    NOTHING_SAID,
    CallDenied,
    Permission,
    Why,
    check_permission,
    permission_of,
)
from kemi.core.routing.table import REFUSALS, Route, Target

_NO_PLAN = DialPlan()


@dataclass(frozen=True, slots=True)
class Way:
    """Where a call goes."""

    route: str
    """Name of the row."""
    request_uri: str
    profile: str
    """Media profile; "" where the row names none."""
    number: str = ""
    """Whom it calls, as numbers.py writes it; of an emergency its service."""
    cost: CostClass = CostClass.INTERNAL
    permission: Permission = NOTHING_SAID
    """Whose limits count for this call."""
    is_emergency: bool = False
    """An emergency call: no limits count, and it goes out with PRIORITY_LINES of kemi/core/emergency.py."""


def way_of(
    index: RouteIndex,
    plans: Mapping[str, DialPlan],
    conferences: Mapping[str, str],
    uri: str,
    *,
    realm: str,
    user_class: str,
    now: float,
    spin: float,
    permissions: Mapping[str, Permission] | None = None,
) -> Way | None:
    """Decide on a call to ``uri``; None where the table has no say: services and emergency numbers.

    Raise BadNumber for what is no number, SipReject for what is refused or unknown, CallDenied for what this caller
    may not call.
    """
    plan = plans.get(realm, _NO_PLAN)
    if is_emergency(uri, plan) or uri.strip().lower().startswith("urn:"):
        return None
    dialled = dialled_from_uri(uri, plan)
    rows = find(index, Query(realm, user_class, dialled.number, now), spin)
    if not rows:
        raise SipReject("no route to this number", status=404, reason_phrase="Not Found")
    row = rows[0]
    if row.to is Target.REFUSE:
        raise SipReject(
            row.reason or "calls to this number are not allowed here",
            status=row.status,
            reason_phrase=REFUSALS[row.status],
        )
    permission = permission_of(permissions or {}, user_class)
    cost = CostClass.INTERNAL
    if row.to in (Target.CORE, Target.TRUNK):
        by_trunk = any(one.to is Target.TRUNK for one in rows)
        cost = may_call(permission, plan, dialled.number, by_trunk=by_trunk)
    return Way(row.id, _target(row, conferences, uri), row.profile, dialled.number, cost, permission)


def emergency_way(
    index: RouteIndex, conferences: Mapping[str, str], uri: str, query: Query, spin: float
) -> Way | None:
    """Return where the table sends an emergency call; None where no row is for it.

    ``query``: without a number, for an emergency is looked up by its service.
    """
    service = Query(query.realm, query.user_class, service_of(uri), query.now)
    rows = find(index, service, spin)
    if not rows:
        return None
    target = _target(rows[0], conferences, uri)
    return Way(rows[0].id, target, rows[0].profile, service.number, is_emergency=True)


def may_call(permission: Permission, plan: DialPlan, number: str, *, by_trunk: bool) -> CostClass:
    """Return what kind of rates a number has; raise CallDenied unless it may be called.

    What some switch might dial of an address' name, as of ``0900123,1``, is looked at like a number.
    """
    if number.startswith("sip:"):
        beginning = dialled_beginning(number[4:].rpartition("@")[0])
        if not beginning:
            return CostClass.INTERNAL
        try:
            number = dialled_from_uri(f"tel:{beginning}", plan).number
        except BadNumber as error:
            if permission.classes is None:
                return CostClass.INTERNAL
            raise CallDenied("whom this calls cannot be told", Why.CLASS) from error
    destination = destination_of(number, plan.country)
    check_permission(permission, number, destination, by_trunk=by_trunk)
    return destination.cost


def check_message(permissions: Mapping[str, Permission], plan: DialPlan, user_class: str, uri: str) -> None:
    """Raise CallDenied for a request outside calls, as a MESSAGE, to whom its sender may not call.

    The table has no say where it goes, which is to the core.
    """
    try:
        number = dialled_from_uri(uri, plan).number
    except BadNumber:
        return
    may_call(permission_of(permissions, user_class), plan, number, by_trunk=False)


def _target(row: Route, conferences: Mapping[str, str], uri: str) -> str:
    if row.to is Target.CONFERENCE:
        return conferences[row.name]
    if row.to is Target.USER:
        return row.name
    return uri  # the core has number plans of its own (TS 24.229 §5.4.3.2)
