"""One trunk as an operator writes it, and what makes it a good one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_CALLS: Final = 100_000
MIN_EXPIRES_S: Final = 60
MIN_OPTIONS_S: Final = 5
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HOP: Final = re.compile(
    r"sips?:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(?::(?P<port>\d{1,5}))?"
    r"(?:;transport=(?P<transport>udp|tcp|tls))?"
)
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_NUMBER: Final = re.compile(r"\+[1-9]\d{3,14}")
_QUOTED: Final = re.compile(r"[^\x00-\x1f\x7f\"\\]*")


class NumberForm(StrEnum):
    """How a trunk wants numbers written, and writes them itself."""

    PLUS = "+e164"
    """+493012345"""
    DIGITS = "e164"
    """493012345"""
    NATIONAL = "national"
    """As dialled in the trunk's own country: 03012345; others with its prefix for abroad, 00 where it has several."""


class DiversionForm(StrEnum):
    """How a trunk is told who a call was for before it was redirected."""

    NONE = "none"
    DIVERSION = "diversion"
    """RFC 5806, which most carriers read."""
    HISTORY_INFO = "history-info"
    """RFC 7044."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A carrier's SIP peer."""

    name: str
    """In routes, logs and counters: a-z, 0-9 and -."""
    uris: list[str]
    """Its next hops, best first: sip:HOST[:PORT][;transport=udp|tcp|tls]."""
    domain: str = ""
    """Host of the URIs we write for it; "": that of the first next hop."""
    profile: str = ""
    """Media profile (``media.profiles``); "": the default one."""
    country: str = ""
    """Two letters (ISO 3166-1), for numbers in national form."""
    numbers: NumberForm = NumberForm.PLUS
    caller: str = ""
    """The number shown for callers that own none, +E.164; "": they are anonymous."""
    diversion: DiversionForm = DiversionForm.NONE
    """What it is told of a call that was redirected."""
    believes_diversion: bool = True
    """Whether what it says of diversions goes on into the home network."""
    portability: bool = False
    """Whether what it says of ported numbers and carriers (npdi, rn, cic; RFC 4694) goes on to the core, and it is told
    what the core says."""
    user: str = ""
    """Of digest authentication (MD5, SHA-256, SHA-512-256); "": the trunk knows us by our address."""
    password: str = field(default="", repr=False)
    register: bool = False
    """Whether we register there; without, the trunk is configured with our address."""
    expires_s: int = 600
    """For how long we ask to be registered."""
    networks: list[str] = field(default_factory=list)
    """Whose calls are the trunk's, as 192.0.2.0/24; empty: the addresses in ``uris``."""
    most_calls: int = 0
    """At once, both directions together, on all gateways of the site; 0: no limit."""
    calls_per_s: float = 0.0
    """Towards the trunk, from this gateway; 0: no limit."""
    options_s: float = 30.0
    """Time between two OPTIONS that ask whether the trunk lives; 0: none is sent."""

    @property
    def host(self) -> str:
        """Host of the URIs we write for this trunk."""
        return self.domain or hop_parts(self.uris[0])[0]


def hop_parts(uri: str) -> tuple[str, int, str]:
    """Return host, port (0: not said) and transport of a next hop; raise ValueError."""
    match = _HOP.fullmatch(uri)
    if match is None or not 0 <= int(match["port"] or 0) <= 65_535:
        raise ValueError(f"{uri!r} is not like sip:HOST:PORT;transport=udp")
    secure = uri.startswith("sips:")
    if secure and match["transport"] == "udp":
        raise ValueError(f"{uri!r}: sips is not for UDP")
    return match["host"], int(match["port"] or 0), match["transport"] or ("tls" if secure else "udp")


def is_literal(uri: str) -> bool:
    """Whether a next hop is an IP address, not a name."""
    try:
        ipaddress.ip_address(hop_parts(uri)[0].strip("[]"))
    except ValueError:
        return False
    return True


def transport_of(uri: str) -> str:
    """Return the transport that a SIP URI names: udp, tcp or tls."""
    parameters = uri.partition("?")[0].lower().split(";")[1:]
    named = [one.partition("=")[2] for one in parameters if one.startswith("transport=")]
    return named[0] if named else ("tls" if uri.lower().startswith("sips:") else "udp")


def check_trunks(trunks: Iterable[Trunk], profiles: Collection[str]) -> None:
    """Raise ValueError, which names trunk and key, unless every trunk can be used; ``profiles``: the site's own."""
    known: set[str] = set()
    for trunk in trunks:
        if trunk.name in known:
            raise ValueError(f"trunks: {trunk.name}: there are two of this name")
        known.add(trunk.name)
        for key, problem in _problems(trunk, profiles):
            raise ValueError(f"trunks: {trunk.name}: {key}: {problem}")


def _problems(trunk: Trunk, profiles: Collection[str]) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(trunk.name):
        yield "name", "1 to 32 of a-z, 0-9 and -"
    if not trunk.uris or len(set(trunk.uris)) < len(trunk.uris):
        yield "uris", "at least one next hop, each of them once"
    for uri in trunk.uris:
        try:
            if ":" in hop_parts(uri)[0]:
                yield "uris", f"{uri!r}: the gateway speaks IPv4 with trunks"
        except ValueError as error:
            yield "uris", str(error)
    for network in trunk.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield "networks", str(error)
    yield from _problems_of_names(trunk, profiles)
    yield from _problems_of_values(trunk)


def _problems_of_names(trunk: Trunk, profiles: Collection[str]) -> Iterator[tuple[str, str]]:
    if trunk.domain and not _HOST.fullmatch(trunk.domain):
        yield "domain", f"{trunk.domain!r} is no host"
    if trunk.profile and trunk.profile not in profiles:
        yield "profile", f"there is no media profile {trunk.profile!r}"
    if trunk.numbers is NumberForm.NATIONAL and not re.fullmatch("[A-Z]{2}", trunk.country):
        yield "country", "two capital letters, for numbers in national form"
    if trunk.caller and not _NUMBER.fullmatch(trunk.caller):
        yield "caller", "a number as +493012345"


def _problems_of_values(trunk: Trunk) -> Iterator[tuple[str, str]]:
    if not _QUOTED.fullmatch(trunk.user) or bool(trunk.user) != bool(trunk.password):
        yield "user", "with a password, and without quotation marks; or neither of them"
    if trunk.register and not trunk.user:
        yield "register", "needs user and password"
    if trunk.expires_s < MIN_EXPIRES_S:
        yield "expires_s", f"at least {MIN_EXPIRES_S}"
    if trunk.options_s and trunk.options_s < MIN_OPTIONS_S:
        yield "options_s", f"at least {MIN_OPTIONS_S}, or 0 for none"
    if not 0 <= trunk.most_calls <= MAX_CALLS or not 0 <= trunk.calls_per_s <= MAX_CALLS:
        yield "most_calls, calls_per_s", "0 for no limit"
