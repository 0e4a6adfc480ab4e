"""What the table says of one call: refused, or where it goes and with which media profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kemi.core.errors import SipReject
from kemi.core.routing.lookup import Query, RouteIndex, find
from kemi.core.routing.numbers import DialPlan, dialled_from_uri, is_emergency
from kemi.core.routing.table import REFUSALS, Route, Target

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
    """Of a call that may go to a trunk: +E.164, or a short code that stays as it is."""
    parameters: tuple[str, ...] = ()
    """Portability and carrier parameters that go with it."""


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
) -> Way | None:
    """Decide on a call to ``uri``; None where the table has no say: services and emergency numbers are the core's.

    Raise BadNumber for what is no number, SipReject for what is refused or unknown.
    """
    plan = plans.get(realm, _NO_PLAN)
    if is_emergency(uri, plan):
        return None
    dialled = dialled_from_uri(uri, plan)
    rows = find(index, Query(realm, user_class, dialled.number, now), spin)
    if not rows:
        raise NoRoute("no route to this number")
    row = rows[0]
    if row.to is Target.REFUSE:
        raise SipReject(
            row.reason or "calls to this number are not allowed here",
            status=row.status,
            reason_phrase=REFUSALS[row.status],
        )
    if row.to is Target.CONFERENCE:
        return Way(row.id, conferences[row.name], row.profile)
    if row.to is Target.USER:
        return Way(row.id, row.name, row.profile)
    trunks = _trunks(rows, groups)
    if any(trunks):
        if dialled.number.startswith("sip:"):
            raise SipReject("a trunk is called by numbers only", status=404, reason_phrase="Not Found")
        return Way(row.id, uri, row.profile, trunks, dialled.number, dialled.parameters)
    return Way(row.id, uri, row.profile)  # the core has number plans of its own (TS 24.229 §5.4.3.2)


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
