"""Which node takes a new call. Pure: no I/O, no clock, no randomness; `now` is passed in, in seconds.

A call stays on its node for life: keep `node_to_text` of the chosen node's address in the call record and
come back with `NodePool.node`. A node that failed gets no new calls until its retry time; the calls it has
are unaffected.
"""

import hashlib
import ipaddress
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

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
    daemon_version: tuple[int, int] = (10, 5)


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


def version_from_text(text: str) -> tuple[int, int]:
    """Read the major and minor number of a daemon version such as "10.5" or "10.5.3.5-1+deb12u1"."""
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0] or "0"
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise ValueError(f"not a version: {text!r}")
    return int(major), int(minor)


class NodePool:
    """The nodes and what is known of their health."""

    def __init__(self, nodes: Iterable[Node], *, retry_after_s: float = 10.0) -> None:
        """Start with all nodes healthy; a failed one is tried again after `retry_after_s`."""
        self._nodes = {node.address: node for node in nodes}
        self._retry_after_s = retry_after_s
        self._retry_at: dict[NodeAddress, float] = {}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, healthy or not."""
        return tuple(self._nodes.values())

    def node(self, address: NodeAddress) -> Node | None:
        """Return the node a running call is on; None when it has left the pool."""
        return self._nodes.get(address)

    def choose(self, key: str, now: float, without: Collection[NodeAddress] = ()) -> Node:
        """Choose the node for the new call `key`, by weighted rendezvous hashing; never one of `without`.

        The same key gives the same node while that node is healthy, so a retransmitted INVITE meets its
        call; a node that leaves or joins moves only its own share. Raises NoNodeError when no node can take
        the call.
        """
        candidates = [
            node
            for node in self._nodes.values()
            if node.weight > 0 and node.address not in without and self.healthy(node, now)
        ]
        if not candidates:
            raise NoNodeError("no media relay is available")
        return max(candidates, key=lambda node: _score(key, node))

    def healthy(self, node: Node, now: float) -> bool:
        """Tell whether the node may be tried: it never failed, or its retry time has come."""
        return self._retry_at.get(node.address, -math.inf) <= now

    def mark_failed(self, address: NodeAddress, now: float) -> None:
        """Give the node no new calls until its retry time."""
        self._retry_at[address] = now + self._retry_after_s

    def mark_alive(self, address: NodeAddress) -> None:
        """Give the node new calls again at once."""
        self._retry_at.pop(address, None)


def _score(key: str, node: Node) -> float:
    """Return the weighted rendezvous score (Thaler and Ravishankar; logarithmic method)."""
    digest = hashlib.blake2b(f"{node.address} {key}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (_HASH_RANGE + 1)
    return -node.weight / math.log(uniform)
