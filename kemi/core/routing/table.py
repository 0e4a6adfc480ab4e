"""The routing table as an operator writes it, and what makes it a good one.

A row says: who calls (realm, class of user), what number or address, when; and where that goes.  A table is taken
whole or not at all: what is wrong is named row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kemi.core.errors import SipReject
from kemi.core.routing.numbers import is_sip_address
from kemi.core.routing.patterns import Pattern, PatternError

ANY: Final = "*"
MOST_ROWS: Final = 1_000_000
MAX_WEIGHT: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_REALM: Final = re.compile(r"\*|(?:trunk:)?[a-z0-9][a-z0-9.-]{0,252}", re.ASCII)
_TIME: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_REASON: Final = re.compile(r"[^\x00-\x1f\x7f\"\\]{0,120}")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Target(StrEnum):
    """What kind of place a call goes to."""

    CORE = "core"
    TRUNK = "trunk"
    """A group of trunks, tried in their order."""
    CONFERENCE = "conference"
    USER = "user"
    """All pages of a web user."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Hours:
    """When a row counts: from ``start`` (inclusive) to ``end`` (exclusive) on some days; over midnight if start > end.

    The day is the one on which the time began.
    """

    start: str = "00:00"
    end: str = "24:00"
    days: tuple[str, ...] = _DAYS
    """mon, tue, wed, thu, fri, sat, sun."""
    zone: str = "UTC"
    """IANA name of a time zone."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row."""

    id: str
    """Its name in logs, in `explain` and in the call's record."""
    number: str
    """A pattern (patterns.py)."""
    to: Target
    realm: str = ANY
    """Of the caller."""
    user_class: str = ANY
    name: str = ""
    """Of the trunk group, the conference or the user."""
    status: int = 0
    """A refusal's: 403, 404, 480, 484, 503, 603 or 604."""
    reason: str = ""
    """A refusal's, in a Warning and in the logs."""
    priority: int = 0
    """The lower one is tried first."""
    weight: int = 1
    """Among rows of one priority, as in RFC 2782; 0: hardly ever first."""
    hours: Hours | None = None
    profile: str = ""
    """Of media; none: the destination's own."""


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All rows and what they may name."""

    routes: tuple[Route, ...] = ()
    trunk_groups: frozenset[str] = field(default_factory=frozenset)
    conferences: frozenset[str] = field(default_factory=frozenset)
    profiles: frozenset[str] = field(default_factory=frozenset)


class TableError(ValueError):
    """The table is not taken; ``problems`` names rows and reasons, the first hundred of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


REFUSALS: Final = {
    403: "Forbidden",
    404: "Not Found",
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    503: "Service Unavailable",
    603: "Decline",
    604: "Does Not Exist Anywhere",
}


class RefusedByRow(SipReject):
    """A row of the table refuses calls to this number."""

    def __init__(self, detail: str = "", *, route: str = "", status: int = 403) -> None:
        super().__init__(detail, status=status, reason_phrase=REFUSALS[status])
        self.route = route


def is_realm(text: str) -> bool:
    """Whether it is whose calls a row or plan may be for: a domain in lower case, trunk:NAME, or * for all."""
    return bool(_REALM.fullmatch(text))


def check_table(table: RoutingTable) -> None:
    """Raise TableError unless every row can be used as it stands."""
    problems: list[str] = []
    if len(table.routes) > MOST_ROWS:
        raise TableError([f"{len(table.routes)} rows, more than {MOST_ROWS}"])
    known: set[str] = set()
    for route in table.routes:
        for problem in _problems(route, table):
            problems.append(f"row {route.id!r}: {problem}")
        if route.id in known:
            problems.append(f"row {route.id!r}: there are two of this name")
        known.add(route.id)
        if len(problems) >= 100:
            break
    if problems:
        raise TableError(problems)


def _problems(route: Route, table: RoutingTable) -> Iterator[str]:
    if not _NAME.fullmatch(route.id):
        yield "id is 1 to 64 letters, digits, dots, dashes and underscores"
    try:
        Pattern(route.number)
    except PatternError as error:
        yield str(error)
    if not is_realm(route.realm):
        yield f"realm {route.realm!r} is no domain in lower case, no trunk:NAME, and not *"
    if route.realm.startswith("trunk:") and route.to is Target.TRUNK:
        yield "a call of a trunk never goes to a trunk again"
    if route.user_class != ANY and not _NAME.fullmatch(route.user_class):
        yield f"user_class {route.user_class!r} is no name, and not *"
    if not 0 <= route.weight <= MAX_WEIGHT:
        yield f"weight is 0 to {MAX_WEIGHT}"
    if route.profile and route.profile not in table.profiles:
        yield f"there is no media profile {route.profile!r}"
    yield from _problems_of_target(route, table)
    if route.hours is not None:
        yield from _problems_of_hours(route.hours)


def _problems_of_target(route: Route, table: RoutingTable) -> Iterator[str]:
    known = {Target.TRUNK: table.trunk_groups, Target.CONFERENCE: table.conferences}.get(route.to)
    if known is not None and route.name not in known:
        yield f"there is no {route.to} {route.name!r}"
    if route.to in (Target.CORE, Target.REFUSE) and route.name:
        yield f"{route.to} has no name"
    if route.to is Target.USER and not is_sip_address(route.name):
        yield "a user is named by a sip: URI"
    if route.number.startswith("urn:") and route.to is Target.REFUSE:
        yield "emergencies are refused by the gateways' settings (gateway_emergency), or not at all"
    if route.to is Target.REFUSE:
        if route.status not in REFUSALS:
            yield f"a refusal's status is one of {', '.join(map(str, REFUSALS))}"
        if not _REASON.fullmatch(route.reason):
            yield "reason is a line of at most 120 characters without quotation marks"
    elif route.status or route.reason:
        yield "only a refusal has status and reason"


def _problems_of_hours(hours: Hours) -> Iterator[str]:
    for name, value in (("start", hours.start), ("end", hours.end)):
        if not _TIME.fullmatch(value):
            yield f"hours.{name} is not HH:MM"
    if hours.start == hours.end:
        yield "hours start when they end"
    if not hours.days or not set(hours.days) <= set(_DAYS):
        yield f"hours.days are some of {', '.join(_DAYS)}"
    try:
        ZoneInfo(hours.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"hours.zone {hours.zone!r} is no time zone"


def minutes_of(time: str) -> int:
    """Return the minute of the day that ``HH:MM`` names."""
    return int(time[:2]) * 60 + int(time[3:])


def day_numbers(days: Iterable[str]) -> frozenset[int]:
    """Return days as datetime counts them, Monday being 0."""
    return frozenset(_DAYS.index(day) for day in days)
