"""Which client addresses are shut out for a while: what they did, how often, and who is never shut out.

What a page does wrong costs its address points, which are forgotten evenly over a window (as kemi/core/limits.py does
with failed logins).  An address that has too many is banned.  Where somebody has logged in lately many honest people
may be behind one address, so that it has a multiple of the points.

Nobody learns from a ban which users there are: to ask for one whom the core does not know costs what others cost.
Nothing that a hostile page of another site can make its visitors' browsers do costs points (a handshake with another
Origin), and nothing whose sender may be forged (UDP): both would ban the innocent.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from kemi.core.errors import GatewayError, OverLimit, RemoteProtocolError, SipReject
from kemi.core.limits import address_key

MOST_BANS: Final = 10_000
"""At a time; further ones are only logged: who has so many addresses is not stopped by a list."""
LONGEST_WINDOW_S: Final = 86_000.0
"""What an address did is kept for a day (kamailio/params/state.cfg)."""
LONGEST_S: Final = 366 * 86_400.0
KNOWN_S: Final = 3600.0
"""So long an address counts as one where somebody logs in."""
JUST_S: Final = 60.0
"""Who logged in so short ago need not be written down once more."""


class Offence(enum.StrEnum):
    """What costs points."""

    LOGIN = "login"  #: a wrong password, or one for a user whom the core does not know
    SCAN = "scan"  #: a REGISTER for another user than before over the same connection, none of whom has logged in
    STALE = "stale"  #: an access token that is not good, as one that has run out while a machine slept
    UNREGISTERED = "unregistered"  #: a request of somebody who has not logged in
    MALFORMED = "malformed"  #: what is no SIP
    FLOOD = "flood"  #: more than the limits allow
    FORBIDDEN = "forbidden"  #: what the site or a permission forbids, as a premium number


POINTS: Final[Mapping[Offence, float]] = {
    Offence.LOGIN: 1.0,
    Offence.SCAN: 2.0,
    Offence.STALE: 0.5,
    Offence.UNREGISTERED: 1.0,
    Offence.MALFORMED: 1.0,
    Offence.FLOOD: 0.2,
    Offence.FORBIDDEN: 0.5,
}


@dataclass(frozen=True, slots=True)
class BanSettings:
    """When an address is banned, and for how long.  Durations in seconds."""

    points: float = 8.0
    """So many within the window ban an address where nobody has logged in within an hour; 0: nobody is banned here."""
    known_factor: float = 10.0
    """Times so many ban an address where somebody has."""
    window_s: float = 600.0
    ban_s: float = 600.0
    trusted: list[str] = field(default_factory=list)
    """Networks that are never banned: monitoring, large customers behind one address."""


@dataclass(slots=True)
class Offender:
    """What is remembered of an address.  Times are seconds since the epoch."""

    until: float = 0.0
    """When its last point is forgotten."""
    known_until: float = 0.0
    """So long it counts as one where somebody logs in."""


@dataclass(slots=True)
class Ban:
    """An address that is shut out.  Times are seconds since the epoch."""

    until: float
    why: str
    """An offence, or what an operator says."""
    by: str
    """A gateway's name, ``webapp_api``, or an operator."""
    at: float = 0.0
    connection: str = ""
    """Of the last offence, at the gateway that found it; "" elsewhere."""
    shipped: bool = False
    """Whether Redis knows."""


def offend(offender: Offender, offence: Offence, settings: BanSettings, now: float) -> bool:
    """Count an offence; True when it bans."""
    if settings.points <= 0:
        return False
    factor = settings.known_factor if offender.known_until > now else 1.0
    interval = settings.window_s / (settings.points * max(1.0, factor))
    # A clock that was set back leaves nobody with points for longer than the window.
    begin = min(max(offender.until, now), now + settings.window_s)
    offender.until = begin + interval * POINTS[offence]
    if offender.until - now <= settings.window_s - interval * 1e-3:
        return False
    offender.until = 0.0
    return True


def logged_in(offender: Offender, now: float) -> None:
    """Somebody has logged in from there: his own attempts before are forgiven."""
    offender.known_until = now + KNOWN_S
    offender.until = min(offender.until, now)


def has_just_logged_in(offender: Offender, now: float) -> bool:
    """Whether nothing worth a writing would change if somebody had logged in now."""
    return offender.until <= now and 0 <= now + KNOWN_S - offender.known_until < JUST_S


def offence_of(error: GatewayError, method: str, *, registered: bool) -> Offence | None:
    """Return what a page did of which a request was refused; None: nothing that a well-meant page does not do, too.

    All of a site's pages come back at once after a restart: what they meet together is nobody's offence.
    """
    if isinstance(error, OverLimit):
        if error.shared:
            return None
        return Offence.FLOOD if registered or method == "REGISTER" else Offence.UNREGISTERED
    if isinstance(error, RemoteProtocolError):
        return Offence.MALFORMED
    if isinstance(error, SipReject) and error.status == 403:
        return Offence.FORBIDDEN if registered else Offence.UNREGISTERED
    return None


class Trusted:
    """Networks that are never banned; what is no address is not either."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.networks = tuple(ipaddress.ip_network(network) for network in networks)
        self.holds = lru_cache(maxsize=4096)(self._holds)

    def _holds(self, address: str) -> bool:
        try:
            found = ipaddress.ip_network(address_key(address))
        except ValueError:
            return True
        return any(found.version == one.version and found.overlaps(one) for one in self.networks)


def check_bans(settings: BanSettings) -> None:
    """Raise ValueError that names the key."""
    if settings.points < 0 or settings.known_factor < 1:
        raise ValueError("bans.points: 0 or more; bans.known_factor: 1 or more")
    if not 0 < settings.window_s <= LONGEST_WINDOW_S:
        raise ValueError(f"bans.window_s: more than 0 and at most {LONGEST_WINDOW_S:.0f} seconds")
    if not 0 < settings.ban_s <= LONGEST_S:
        raise ValueError("bans.ban_s: must be positive")
    try:
        Trusted(settings.trusted)
    except ValueError as error:
        raise ValueError(f"bans.trusted: {error}") from error


def banned_network(text: str) -> str:
    """Return how an address or an IPv6 /64 is kept; raise ValueError for what is neither."""
    address, _, bits = text.strip().partition("/")
    parsed = ipaddress.ip_address(address)
    if bits and bits != ("64" if parsed.version == 6 else "32"):
        raise ValueError(f"{text}: one IPv4 address, or one IPv6 address or /64")
    return address_key(address)
