"""What a site says of traces, and of copies of messages for a collector."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

MOST_CALLS: Final = 100_000
LONGEST_S: Final = 366 * 86_400
_REALM: Final = re.compile(
    r"trunk:[a-z0-9][a-z0-9-]{0,31}|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252}"
)
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{0,128}")


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """How many calls' traces Redis keeps, and for how long."""

    enabled: bool = True
    calls: int = 2_000
    """Those that went well."""
    failed_calls: int = 2_000
    """Those that failed, or had no sound."""
    kept_s: int = 86_400
    failed_kept_s: int = 7 * 86_400
    quality_events_s: float = 10.0
    """Least time between two events that tell how a running call sounds; 0: there are none."""


def check_trace(settings: TraceSettings) -> None:
    """Raise ValueError that names the key."""
    for name in ("calls", "failed_calls"):
        if not 1 <= getattr(settings, name) <= MOST_CALLS:
            raise ValueError(f"trace.{name}: from 1 to {MOST_CALLS}; enabled = false keeps none")
    for name in ("kept_s", "failed_kept_s"):
        if not 60 <= getattr(settings, name) <= LONGEST_S:
            raise ValueError(f"trace.{name}: from 60 to {LONGEST_S} seconds")
    if settings.quality_events_s and not 5 <= settings.quality_events_s <= 3600:
        raise ValueError("trace.quality_events_s: from 5 to 3600 seconds; 0: no events")


@dataclass(frozen=True, slots=True)
class HepSettings:
    """Where copies of SIP messages go, without their secrets (kemi/core/trace/hep.py)."""

    collector: str = ""
    """``address:port`` of the UDP socket; "": there is none."""
    realms: list[str] = field(default_factory=list)
    """Domains of users whose messages are sent, and ``trunk:NAME``; none: all."""
    capture_id: int = 2001
    password: str = field(default="", repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port of the collector."""
        host, _, port = self.collector.rpartition(":")
        return host.strip("[]"), int(port)


def check_traces(trace: TraceSettings, hep: HepSettings) -> None:
    """Raise ValueError that names the key."""
    check_trace(trace)
    check_hep(hep)


def check_hep(settings: HepSettings) -> None:
    """Raise ValueError that names the key."""
    if settings.collector:
        try:
            host, port = settings.address
            is_good = bool(ip_address(host)) and 0 < port < 65_536
        except ValueError:
            is_good = False
        if not is_good:
            # Who sends must not wait for DNS.
            raise ValueError("hep.collector: IP address and port, as 192.0.2.9:9060 or [2001:db8::9]:9060")
    for realm in settings.realms:
        if not _REALM.fullmatch(realm):
            raise ValueError(f"hep.realms: {realm!r} is neither a domain nor trunk:NAME")
    if not 0 <= settings.capture_id < 1 << 32:
        raise ValueError("hep.capture_id: a number of 32 bits")
    if not _PRINTABLE.fullmatch(settings.password):
        raise ValueError("hep.password: at most 128 printable characters of ASCII")
