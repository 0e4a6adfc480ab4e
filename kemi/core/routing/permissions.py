"""What the users of a class may call, and how much of it.

The site's own policy (kemi/core/policy.py) comes before, for every request of every page, and nothing here opens what
it denies.  Then the permission of the caller's class, then the row of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from kemi.core.errors import SipReject
from kemi.core.routing.costs import CostClass, Destination, is_country

MOST: Final = 100_000
MAX_CALL_S: Final = 86_000
"""Calls are remembered a little longer than this (kamailio/params/state.cfg)."""
ALARM_S: Final = 3600.0
DENIED: Final = "denied"
"""What alarms count beside cost classes: calls that were refused."""
DEAR: Final = frozenset({CostClass.INTERNATIONAL, CostClass.PREMIUM, CostClass.SATELLITE})
"""Not called over a trunk by whom no permission says that they may."""
_PREFIX: Final = re.compile(r"\+[0-9]{1,15}|[0-9*#]{1,24}", re.ASCII)
_NAME: Final = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class Why(StrEnum):
    """Why a call was denied, in logs and counters."""

    CLASS = "cost_class"
    NUMBER = "number"
    COUNTRY = "country"
    POLICY = "site_policy"
    CALLS = "calls_at_once"
    RATE = "calls_per_minute"
    RATE_OF_CLASS = "calls_per_minute_to_class"


@dataclass(frozen=True, slots=True)
class Permission:
    """What one user of a class may do; numbers: 0 for no limit."""

    classes: tuple[CostClass, ...] | None = None
    """Kinds of rates that may be called, ``internal`` always; none said: all over the core, which has a barring of its
    own, and over a trunk all but international, premium and satellite."""
    allowed: tuple[str, ...] = ()
    """On top of that: beginnings of numbers (+441481, 0900 is +49900), and countries (FR), whose ordinary numbers
    may then be called."""
    denied: tuple[str, ...] = ()
    """The same, which may not.  The longest beginning decides, then a denied country, then the class, then an allowed
    country."""
    calls: int = 0
    """At once, of those the user makes."""
    calls_per_minute: int = 0
    per_minute: Mapping[CostClass, int] = field(default_factory=dict)
    """Calls in a minute to one kind of rates."""
    longest_call_s: float = 0.0
    """Shorter than the site's, or it changes nothing."""
    alarms: Mapping[str, int] = field(default_factory=dict)
    """"denied" or a kind of rates → so many of one user in an hour raise an alarm."""
    class_alarms: Mapping[str, int] = field(default_factory=dict)
    """The same of all users of the class together, at one gateway."""


NOTHING_SAID: Final = Permission()


class CallDenied(SipReject):
    """A call that its caller may not make (403)."""

    def __init__(self, detail: str, why: Why = Why.CLASS, cost: CostClass | None = None) -> None:
        super().__init__(detail)
        self.why = why
        self.cost = cost


def permission_of(permissions: Mapping[str, Permission], user_class: str) -> Permission:
    """Return what counts for a class: its own, else that for everybody ("*"), else the defaults."""
    return permissions.get(user_class) or permissions.get("*") or NOTHING_SAID


def check_permission(permission: Permission, number: str, to: Destination, *, by_trunk: bool) -> None:
    """Raise CallDenied for a number (as numbers.py writes it) that may not be called."""
    if number.startswith("sip:"):
        return
    allowed, denied = _longest(permission.allowed, number), _longest(permission.denied, number)
    if denied and len(denied) >= len(allowed):
        raise CallDenied(f"you may not call numbers that begin with {denied}", Why.NUMBER, to.cost)
    if allowed or to.cost is CostClass.INTERNAL:
        return
    if to.country and to.country in permission.denied:
        raise CallDenied(f"you may not call the country {to.country}", Why.COUNTRY, to.cost)
    if _may_call(permission, to.cost, by_trunk=by_trunk):
        return
    if to.cost is CostClass.INTERNATIONAL and to.country in permission.allowed:
        return
    raise CallDenied(f"you may not call {to.cost} numbers", Why.CLASS, to.cost)


def check_unread(permission: Permission, digits: str, *, by_trunk: bool) -> None:
    """Raise CallDenied for digits that nobody here can read, as of a number in a service code.

    They may be called by whom their beginning is allowed, and over the core by whom no kinds of rates are named.
    """
    check_permission(permission, digits, Destination(CostClass.INTERNAL), by_trunk=by_trunk)
    if (by_trunk or permission.classes is not None) and not _longest(permission.allowed, digits):
        raise CallDenied("whom this calls cannot be told", Why.CLASS)


def _may_call(permission: Permission, cost: CostClass, *, by_trunk: bool) -> bool:
    if permission.classes is not None:
        return cost in permission.classes
    return not by_trunk or cost not in DEAR


def _longest(beginnings: tuple[str, ...], number: str) -> str:
    return max((one for one in beginnings if number.startswith(one)), key=len, default="")


def limits_in_words(permission: Permission) -> str:
    """Return the limits of a permission for a person, "" when there are none."""
    told = []
    if permission.calls:
        told.append(f"{permission.calls} calls at once")
    if permission.calls_per_minute:
        told.append(f"{permission.calls_per_minute} calls a minute")
    told += [f"{most} {cost} calls a minute" for cost, most in permission.per_minute.items()]
    if permission.longest_call_s:
        told.append(f"{permission.longest_call_s:g} s for each call")
    return ", ".join(told)


def problems_of_permissions(permissions: Mapping[str, Permission]) -> Iterator[str]:
    """Say what cannot be used."""
    for name, permission in permissions.items():
        if not _NAME.fullmatch(name):
            yield f"permission {name!r}: a class is 1 to 64 letters, digits, dots, dashes and underscores, or *"
        for problem in _problems(permission):
            yield f"permission {name!r}: {problem}"


def _problems(permission: Permission) -> Iterator[str]:
    for one in (*permission.allowed, *permission.denied):
        if not _PREFIX.fullmatch(one) and not is_country(one):
            yield f"{one!r} is neither the beginning of a number, as +49900, nor a country, as DE"
    if both := set(permission.allowed) & set(permission.denied):
        yield f"{', '.join(sorted(both))} is both allowed and denied"
    for name in ("calls", "calls_per_minute"):
        if not 0 <= getattr(permission, name) <= MOST:
            yield f"{name} is 0 to {MOST}"
    if not all(1 <= most <= MOST for most in permission.per_minute.values()):
        yield f"per_minute: 1 to {MOST} for each kind of rates; for none leave it out of classes"
    if not 0 <= permission.longest_call_s <= MAX_CALL_S:
        yield f"longest_call_s is 0 to {MAX_CALL_S}"
    known = {DENIED, *CostClass}
    for alarms in (permission.alarms, permission.class_alarms):
        if not alarms.keys() <= known:
            yield f"alarms are for {', '.join(sorted(known))}"
        if not all(1 <= most <= MOST for most in alarms.values()):
            yield f"an alarm is raised by 1 to {MOST} calls in an hour"
