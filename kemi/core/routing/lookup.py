"""Finds the rows of a call, and says why.

The realm's own rows come first; those for every realm only where none of its own fits.  Among rows of one realm those
for the user's class come first, whatever their numbers: what guests may not call is not opened by a longer number for
everybody.  Then the longest number wins.  What wins by this may be several rows: they are tried by
priority and weight (RFC 2782), and nothing else after them: who routes +49301* to a trunk does not want that number
anywhere else when the trunk is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol
from zoneinfo import ZoneInfo

from kemi.core.routing.patterns import Pattern, one_address
from kemi.core.routing.table import ANY, Hours, Route, Target, day_numbers, minutes_of


@dataclass(frozen=True, slots=True)
class Query:
    """Who calls what, and when."""

    realm: str
    user_class: str
    number: str
    """As numbers.py writes it: +E.164, a short code, or sip:NAME@DOMAIN; or urn:service:sos of an emergency."""
    now: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one row."""

    route: Route
    why: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A row under one plain beginning of its pattern."""

    beginning: str
    route: Route
    exact: bool
    """The whole number, not a prefix."""
    open_digits: int

    @property
    def nearness(self) -> tuple[int, bool, int]:
        """How near it is to a number it fits; the largest is the nearest."""
        return (len(self.beginning), self.exact, -self.open_digits)


class RouteIndex(Protocol):
    """All entries of a table."""

    def entries(self, realm: str, beginnings: Sequence[str]) -> Iterable[Entry]:
        """Return those of one realm, and those for every realm, with one of these beginnings."""


def entries_of(route: Route) -> Iterator[Entry]:
    """Write a row out under all its beginnings; raise PatternError."""
    pattern = Pattern(route.number)
    for beginning in pattern.beginnings:
        yield Entry(beginning, route, not pattern.is_prefix, pattern.open_digits)


def find(index: RouteIndex, query: Query, spin: float) -> list[Route]:
    """Return the rows to try, in order; none: nothing is known of this number.

    ``spin``: from 0 to 1, drawn by whoever asks, or made of the Call-ID so that a call asks twice alike.
    """
    classes = (query.user_class, ANY)
    found = [
        entry for entry in _matching(index, query.realm, query.number) if entry.route.user_class in classes
    ]
    # The nearest stay first among those of one realm and class.
    found.sort(key=lambda entry: (entry.route.realm == ANY, entry.route.user_class == ANY))
    for _, alike in groupby(
        found, key=lambda entry: (entry.route.realm, entry.route.user_class, entry.nearness)
    ):
        fitting = [entry.route for entry in alike if _counts(entry.route.hours, query.now)]
        if fitting:
            return _in_order(fitting, spin)
    return []


def explain(index: RouteIndex, query: Query, spin: float) -> list[Verdict]:
    """Return every row whose number fits, those that win first and in their order, and why."""
    winners = find(index, query, spin)
    told = [
        Verdict(route, "wins" if position == 0 else f"is tried when the {position} before it fail")
        for position, route in enumerate(winners)
    ]
    known = {route.id for route in winners}
    found = _matching(index, query.realm, query.number)
    for entry in sorted(found, key=lambda entry: entry.route.realm == ANY):
        if entry.route.id not in known:
            known.add(entry.route.id)
            told.append(Verdict(entry.route, _why_not(entry.route, query, winners)))
    return told


def _matching(index: RouteIndex, realm: str, number: str) -> list[Entry]:
    """Return entries that fit a number, the nearest first."""
    if number.startswith("sip:"):
        address = one_address(number)
        beginnings = [address, f"sip:*@{address.rpartition('@')[2]}", ""]
        found = [entry for entry in index.entries(realm, beginnings) if _takes_addresses(entry)]
        return sorted(found, key=lambda entry: beginnings.index(entry.beginning))
    if number.startswith("urn:"):
        parts = number.split(".")
        services = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        return sorted(index.entries(realm, services), key=lambda entry: services.index(entry.beginning))
    beginnings = [number[:end] for end in range(len(number) + 1)]
    found = [
        entry
        for entry in index.entries(realm, beginnings)
        if not entry.exact or len(entry.beginning) == len(number)
    ]
    return found if len(found) < 2 else sorted(found, key=lambda entry: entry.nearness, reverse=True)


def _takes_addresses(entry: Entry) -> bool:
    """The row for everything is for addresses too, but not where it leads to a trunk, which has numbers only."""
    return bool(entry.beginning) or entry.route.to is not Target.TRUNK


def _counts(hours: Hours | None, now: float) -> bool:
    if hours is None:
        return True
    local = datetime.fromtimestamp(now, ZoneInfo(hours.zone))
    minute, start, end = local.hour * 60 + local.minute, minutes_of(hours.start), minutes_of(hours.end)
    days = day_numbers(hours.days)
    if start < end:
        return start <= minute < end and local.weekday() in days
    if minute >= start:
        return local.weekday() in days
    return minute < end and (local - timedelta(days=1)).weekday() in days


def _in_order(routes: list[Route], spin: float) -> list[Route]:
    """Sort by priority, and within one by weight, at random (RFC 2782)."""
    if len(routes) < 2:
        return routes
    found: list[Route] = []
    for priority in sorted({route.priority for route in routes}):
        waiting = [route for route in routes if route.priority == priority]
        waiting.sort(key=lambda route: route.weight > 0)  # those of no weight first: they win only at 0
        while waiting:
            total = sum(route.weight for route in waiting)
            point, passed = spin * total, 0
            chosen = waiting[-1]
            for route in waiting:
                passed += route.weight
                if passed > point:
                    chosen = route
                    break
            waiting.remove(chosen)
            found.append(chosen)
    return found


def _why_not(route: Route, query: Query, winners: list[Route]) -> str:
    if not _counts(route.hours, query.now):
        return "not at this time"
    if route.user_class not in (ANY, query.user_class):
        return f"only for the class {route.user_class}"
    winner = winners[0]
    if route.realm != winner.realm:
        return f"the realm has a row of its own: {winner.id}"
    if route.user_class != winner.user_class:
        return f"{winner.id} is for the user's class"
    return f"{winner.id} is nearer to the number"
