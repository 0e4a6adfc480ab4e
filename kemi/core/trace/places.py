"""Between which sockets a message passed.

Of what comes Kamailio knows it.  Of what leaves it says nothing: a response goes where its request came from, a
request where the worker has sent it or, once more, where it went before; else its text says it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeVar

from kemi.core.trace.reading import Facts, top_via

Address = tuple[str, int]
"""IP address and port."""

V = TypeVar("V")

UNKNOWN: Final[Address] = ("0.0.0.0", 0)  # noqa: S104 - nobody listens there
MOST: Final = 20_000
"""Transactions that are remembered."""
_NAMES: Final = 1_000
_URI: Final = re.compile(
    r"(?i)^\s*(?:\"[^\"]*\"|[^<\"]*)<?(sips?):(?:[^@>;?]*@)?(\[[0-9a-f:.]+\]|[^:;>?\s]+)(?::(\d{1,5}))?([^>]*)"
)
_VIA: Final = re.compile(
    r"(?i)^\s*sip\s*/\s*2\.0\s*/\s*(\w+)\s+(\[[0-9a-f:.]+\]|[^\s:;,]+)\s*(?::\s*(\d{1,5}))?([^,]*)"
)
_PARAMETER: Final = re.compile(r"(?i);\s*(branch|received|rport|transport)\s*=\s*([^\s;,>]+)")
_ROUTE: Final = re.compile(r"(?im)^route[ \t]*:[ \t]*([^\r\n]*)")


@dataclass(frozen=True, slots=True)
class Place:
    """A message's way: from where, to where, over what (``udp``, ``tcp``, ``tls``, ``ws``)."""

    protocol: str
    source: Address
    destination: Address


class Places:
    """Remembers the ends of transactions."""

    def __init__(self) -> None:
        self._ends: OrderedDict[str, tuple[str, Address, Address]] = OrderedDict()
        """Transaction -> protocol, our end, the other end."""
        self._names: OrderedDict[str, str] = OrderedDict()
        """Host -> address, as learned from who answered."""
        self._asked: OrderedDict[str, str] = OrderedDict()
        """Transaction -> the host that it was sent to."""

    def of_incoming(self, facts: Facts, protocol: str, ours: Address, theirs: Address) -> Place:
        """Return the way of a message that came, as Kamailio knows it."""
        key = _key(facts)
        if not facts.status:
            self._keep(f"in {key}", (protocol, ours, theirs))
        elif (host := self._asked.pop(key, "")) != "":
            _put(self._names, host, theirs[0], _NAMES)
            self._keep(f"out {key}", (protocol, ours, theirs))
        return Place(protocol, theirs, ours)

    def of_outgoing(self, facts: Facts, towards: str) -> Place:
        """Return the way of a message that leaves; ``towards``: URI that the worker has sent it to, or ""."""
        if facts.status:
            return self._response(facts)
        key = _key(facts)
        known = self._ends.get(f"out {key}")
        if known is None:
            known = self._request(facts, towards, key)
            self._keep(f"out {key}", known)
        protocol, ours, theirs = known
        return Place(protocol, ours, theirs)

    def _response(self, facts: Facts) -> Place:
        known = self._ends.get(f"in {_key(facts)}")
        if known is not None:
            protocol, ours, theirs = known
            return Place(protocol, ours, theirs)
        protocol, host, port, parameters = _via(facts)
        there = (
            parameters.get("received", host),
            _number(parameters.get("rport", "")) or port or _default_port(protocol),
        )
        return Place(protocol, UNKNOWN, self._resolved(there))

    def _request(self, facts: Facts, towards: str, key: str) -> tuple[str, Address, Address]:
        protocol, host, port, _ = _via(facts)
        route = _ROUTE.search(facts.message)
        target = towards or (route[1] if route else "") or facts.message.partition(" ")[2].partition(" ")[0]
        found = _URI.match(target)
        if found is None:
            there = UNKNOWN
        else:
            there = (found[2].strip("[]"), _number(found[3] or "") or _default_port(protocol))
            if not is_address(there[0]):
                _put(self._asked, key, there[0], MOST)
        return protocol, self._resolved((host, port or _default_port(protocol))), self._resolved(there)

    def _resolved(self, there: Address) -> Address:
        host, port = there
        return (host if is_address(host) else self._names.get(host, UNKNOWN[0])), port

    def _keep(self, key: str, ends: tuple[str, Address, Address]) -> None:
        _put(self._ends, key, ends, MOST)


def _put(kept: OrderedDict[str, V], key: str, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _key(facts: Facts) -> str:
    """Return what names the transaction; CANCEL and the ACK of a refusal have the branch of their INVITE."""
    return f"{_via(facts)[3].get('branch', facts.cseq)} {facts.call_id}"


def _via(facts: Facts) -> tuple[str, str, int, dict[str, str]]:
    """Return protocol, host, port (0: none) and parameters of the topmost Via."""
    found = _VIA.match(top_via(facts.message))
    if found is None:
        return "udp", UNKNOWN[0], 0, {}
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(found[4])}
    protocol = found[1].lower()
    return "ws" if protocol == "wss" else protocol, found[2].strip("[]"), _number(found[3] or ""), parameters


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and int(text) < 65_536 else 0


def _default_port(protocol: str) -> int:
    return {"tls": 5061, "ws": 80}.get(protocol, 5060)


def is_address(host: str) -> bool:
    """Whether a host is an IP address, without brackets."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
