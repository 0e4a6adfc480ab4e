"""Which node takes a new call. Pure: no I/O, no clock, no randomness.

A call stays on its node: keep `node_to_text` of the chosen node's address in the call record. Which nodes can take
calls at all is decided elsewhere: `rtpengine.health` tells which are alive.
"""

import hashlib
import ipaddress
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rtpengine.capabilities import OLDEST, Version
from rtpengine.ng.errors import NoNodeError

_HASH_RANGE: Final = 2**64


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a daemon listens for ng: IP literal and UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return node_to_text(self)


@dataclass(frozen=True, slots=True)
class Node:
    """A daemon of the pool; weight 0 drains it: it keeps its calls and gets no new ones."""

    address: NodeAddress
    weight: int = 1
    daemon_version: Version = OLDEST


def node_to_text(address: NodeAddress) -> str:
    """Write "address:port", with an IPv6 address in brackets."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def node_from_text(text: str) -> NodeAddress:
    """Read "address:port"; raises ValueError unless it is an IP literal and a port from 1 to 65535."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or bracketed != (":" in host) or not (port.isascii() and port.isdigit()):
        raise ValueError(f"not an address and port: {text!r}")
    if not 1 <= int(port) <= 65_535:
        raise ValueError(f"port out of range: {text!r}")
    return NodeAddress(str(ipaddress.ip_address(host)), int(port))


def version_from_text(text: str) -> Version:
    """Read the major and minor number of a daemon version such as "10.5" or "10.5.3.5-1+deb12u1"."""
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0] or "0"
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise ValueError(f"not a version: {text!r}")
    return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that can take a call, and how many it has; None: nobody knows."""

    node: Node
    calls: int | None = None


def choose(key: str, candidates: Iterable[Candidate]) -> Node:
    """Choose the node for the new call `key`: the one with the fewest calls for its weight.

    Where loads are equal or unknown, weighted rendezvous hashing decides: the same key gives the same node, and a
    node that leaves or joins moves only its own share. Raises NoNodeError when no node can take the call.
    """
    able = [candidate for candidate in candidates if candidate.node.weight > 0]
    if not able:
        raise NoNodeError("no media relay is available")
    if any(candidate.calls is None for candidate in able):
        return max((candidate.node for candidate in able), key=lambda node: _score(key, node))
    return min(able, key=lambda candidate: (_load(candidate), -_score(key, candidate.node))).node


def _load(candidate: Candidate) -> float:
    """Tell how loaded the node would be with one call more."""
    return ((candidate.calls or 0) + 1) / candidate.node.weight


def _score(key: str, node: Node) -> float:
    """Return the weighted rendezvous score (Thaler and Ravishankar; logarithmic method)."""
    digest = hashlib.blake2b(f"{node.address} {key}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (_HASH_RANGE + 1)
    return -node.weight / math.log(uniform)
