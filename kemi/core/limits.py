"""How much one page, one user or one address may ask for: request rates, calls at once, failed logins.

A rate is kept as one number for each kind of request (the generic cell rate algorithm of ITU-T I.371): the time at
which everything that was admitted so far would have been admitted had it come evenly.  A request is early by as much as
this time lies ahead; too early ones are refused and change nothing, so that who goes on asking waits no longer for it.
"""

from __future__ import annotations

import enum
import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

NEVER_REFUSED: Final = frozenset({"ACK", "CANCEL", "BYE"})
"""What ends a call or completes a transaction; refusing it would keep more than it saves.  Where a connection sends
more of it, and of responses, than any page has reason to, it is dropped."""
UNREFUSED: Final = "unrefused"
"""Kind of these and of responses, for ``take``."""
TOLD_EVERY_S: Final = 10.0
"""A log line for each key and so many seconds, however many requests are refused."""
SETTLING_S: Final = 1.0
"""So long an admitted call counts although it has no record yet."""
_FEW_CALLS: Final = 8
_SHORT_LIST: Final = 50
"""Calls that are looked through in no time."""
_LOOK_S: Final = 1.0
"""How long a longer list that is full is believed: who is refused must not cost more than who is admitted."""
_ROUNDING_S: Final = 1e-4
_IPV6_SITE_BITS: Final = 64
_STALE = re.compile(r'\bstale\s*=\s*"?true\b', re.IGNORECASE)


class Kind(enum.StrEnum):
    """What is counted apart from the rest."""

    REGISTER = "register"
    INVITE = "invite"  #: that begins a call
    IN_CALL = "in_call"  #: INFO, UPDATE, re-INVITE and whatever else is inside a dialog
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests for each second, by kind; 0: no limit."""

    register: float = 0.0
    invite: float = 0.0
    in_call: float = 0.0
    other: float = 0.0

    def of(self, kind: Kind) -> float:
        """Return the rate of one kind."""
        rate: float = getattr(self, kind)
        return rate


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The site's limits; 0 turns any of them off.  Durations in seconds."""

    burst_s: float = 5.0
    """What a rate allows in so many seconds may also come at once."""
    connection: Rates = Rates(register=2, invite=2, in_call=30, other=10)
    identity: Rates = Rates(register=5, invite=3, in_call=60, other=20)
    address: Rates = Rates(register=100, invite=100, other=200)
    unrefused: float = 100.0
    """Responses, ACK, CANCEL and BYE of one connection, for each second."""
    calls_per_identity: int = 10
    """Calls that one identity may have made and not ended."""
    failed_logins_identity: int = 10
    failed_logins_address: int = 50
    failed_logins_window_s: float = 600.0
    """In this time so many failed logins lock."""
    lock_s: float = 300.0


def check_limits(settings: LimitSettings, longest_s: float) -> None:
    """Raise ValueError for what cannot be used; ``longest_s``: how long a tally is kept."""
    for name in ("connection", "identity", "address"):
        for kind, rate in asdict(getattr(settings, name)).items():
            if not 0 <= rate < math.inf:
                raise ValueError(f"limits.{name}.{kind}: requests for each second, or 0 for no limit")
    if not 0 <= settings.unrefused < math.inf:
        raise ValueError("limits.unrefused: messages for each second, or 0 for no limit")
    for name in ("calls_per_identity", "failed_logins_identity", "failed_logins_address"):
        if getattr(settings, name) < 0:
            raise ValueError(f"limits.{name}: a number, or 0 for no limit")
    for name in ("burst_s", "failed_logins_window_s", "lock_s"):
        if not 0 < getattr(settings, name) <= longest_s:
            raise ValueError(f"limits.{name}: more than 0 and at most {longest_s} seconds")


@dataclass(slots=True)
class Tally:
    """What is remembered of one connection, identity or address.  Times are seconds since the epoch."""

    even_at: dict[str, float] = field(default_factory=dict)
    """Kind -> until when an even stream of what was admitted would last."""
    failures_until: float = 0.0
    """The same of failed logins."""
    locked_until: float = 0.0
    trusted_address: str = ""
    """Where this identity logged in last: a lock of the identity does not hold there."""
    told_at: float = 0.0
    calls: dict[str, float] = field(default_factory=dict)
    """Name of a call's record -> when it was admitted."""
    were_running: int = 0
    """How many of them were running when this was looked at last."""
    looked_at: float = 0.0
    hour_began: float = 0.0
    in_hour: dict[str, int] = field(default_factory=dict)
    """What is watched -> how often since the hour began."""


def kind_of(method: str, *, in_dialog: bool) -> Kind | None:
    """Return how a page's request is counted; None: not at all."""
    if method in NEVER_REFUSED:
        return None
    if in_dialog:
        return Kind.IN_CALL
    return {"REGISTER": Kind.REGISTER, "INVITE": Kind.INVITE}.get(method, Kind.OTHER)


def take(tally: Tally, kind: str, rate: float, burst_s: float, now: float, number: int = 1) -> float:
    """Count a request and return 0.0; or return after how many seconds it would be admitted.

    ``kind``: a Kind, or another name of what is counted; ``rate`` is in requests for each second; ``number``: as how
    many it counts, all of them or none.
    """
    if rate <= 0:
        return 0.0
    even_at, early = _even(tally, kind, rate, burst_s, now)
    early += (number - 1) / rate
    if early > _ROUNDING_S:
        return early
    tally.even_at[str(kind)] = even_at + number / rate
    return 0.0


def would_take(tally: Tally, kind: str, rate: float, burst_s: float, now: float) -> bool:
    """Whether ``take`` would admit this request; nothing is counted."""
    return rate <= 0 or _even(tally, kind, rate, burst_s, now)[1] <= _ROUNDING_S


def _even(tally: Tally, kind: str, rate: float, burst_s: float, now: float) -> tuple[float, float]:
    """Return when an even stream would have brought this request, and by how much it comes too early."""
    interval = 1 / rate
    even_at = _not_before(tally.even_at.get(str(kind), 0.0), now, burst_s + interval)
    return even_at, even_at - now - max(0.0, burst_s - interval)


def _not_before(even_at: float, now: float, furthest_s: float) -> float:
    """Return a kept time that is neither past nor, because the clock was set back, out of reach."""
    return now if even_at > now + furthest_s + _ROUNDING_S else max(even_at, now)


def admit_call(tally: Tally, key: str, most: int, now: float, is_running: Callable[[str], bool]) -> bool:
    """Count a call that begins; False when as many as allowed are running.

    Nobody has to report the end of a call: those that are over are found when there seem to be too many, or twice as
    many as last time, so that the list stays short and to look is rare.  A long list that is full is looked through
    once a second at most.
    """
    if most <= 0:
        return True
    seem_many = len(tally.calls) >= min(most, 2 * tally.were_running + _FEW_CALLS)
    if seem_many and (len(tally.calls) <= _SHORT_LIST or not 0 <= now - tally.looked_at < _LOOK_S):
        tally.calls = {
            one: since
            for one, since in tally.calls.items()
            if 0 <= now - since < SETTLING_S or is_running(one)
        }
        tally.were_running, tally.looked_at = len(tally.calls), now
    if len(tally.calls) >= most and key not in tally.calls:
        return False
    tally.calls[key] = now
    return True


def login_failed(status: int, challenges: Sequence[str], *, guessed: bool) -> bool:
    """Whether the core's final response to a REGISTER says that somebody tried what he may not.

    Args:
        status: of the response.
        challenges: its challenges; one with ``stale`` says that the password was right (RFC 7616 §3.3).
        guessed: whether the request answered a challenge.
    """
    if status in (401, 407):
        return guessed and not any(_STALE.search(challenge) for challenge in challenges)
    return status in (403, 404)


def count_failure(tally: Tally, most: int, window_s: float, lock_s: float, now: float) -> bool:
    """Count a failed login; True when it locks."""
    if most <= 0:
        return False
    interval = window_s / most
    tally.failures_until = _not_before(tally.failures_until, now, window_s) + interval
    if tally.failures_until - now <= window_s - interval + _ROUNDING_S:
        return False
    tally.failures_until = now + window_s
    tally.locked_until = now + lock_s
    return True


def count_success(tally: Tally, address: str) -> None:
    """The identity logged in: its failures are forgotten, and a lock does not hold for this address."""
    tally.failures_until = tally.locked_until = 0.0
    tally.trusted_address = address


def is_trusted(tally: Tally, address: str) -> bool:
    """Whether ``count_success`` would change nothing."""
    return tally.trusted_address == address and not (tally.failures_until or tally.locked_until)


def locked_for_s(tally: Tally, lock_s: float, now: float, address: str = "") -> float:
    """Return for how many more seconds no login is tried; 0.0: not locked, or not for this address."""
    left_s = tally.locked_until - now
    if not 0 < left_s <= lock_s or (address and address == tally.trusted_address):
        return 0.0
    return left_s


def raises_alarm(tally: Tally, what: str, most: int, within_s: float, now: float) -> bool:
    """Count something that is watched; True when it is as often as ``most`` in this time, which is said once."""
    if most <= 0:
        return False
    if not 0 <= now - tally.hour_began < within_s:
        tally.hour_began, tally.in_hour = now, {}
    tally.in_hour[what] = tally.in_hour.get(what, 0) + 1
    return tally.in_hour[what] == most


def is_news(tally: Tally, now: float) -> bool:
    """Whether a refusal is worth a log line: the first one of a period is."""
    if 0 <= now - tally.told_at < TOLD_EVERY_S:
        return False
    tally.told_at = now
    return True


def address_key(client_address: str) -> str:
    """Return what counts as one address: an IPv6 site may choose among 2^64 of its own."""
    if ":" not in client_address:
        return client_address  # an IPv4 address is written in one way only
    try:
        address = ipaddress.IPv6Address(client_address)
    except ValueError:
        return client_address
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False))
