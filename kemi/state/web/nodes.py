"""Relay nodes as the gateways see them, and which ones an operator drains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

OLD_S: Final = 10.0
"""A gateway that has not written for so long does not run."""


class SeenNode(msgspec.Struct, frozen=True):
    """One relay node as one gateway sees it."""

    node: str
    state: str
    calls: int | None
    weight: int
    drained: bool
    broken: bool
    version: str


class GatewayNodes(msgspec.Struct, frozen=True):
    """What one gateway sees."""

    at: float
    agent: bool
    """Whether a media agent runs beside it."""
    nodes: list[SeenNode]
    counters: dict[str, int] = {}
    """What it has counted since its start (kemi/adapters/control/counters.py)."""


class NodesView:
    """The relay nodes of all gateways."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def seen(self, now: float) -> dict[str, GatewayNodes]:
        """Return what each running gateway sees, by its name."""
        return {name: seen for name, seen in self.all().items() if now - seen.at < OLD_S}

    def all(self) -> dict[str, GatewayNodes]:
        """Return what each gateway wrote last, by its name, also of those that do not run any more."""
        found = self._redis.hgetall(keys.RELAY_NODES)
        return {
            str(name): msgspec.json.decode(text, type=GatewayNodes) for name, text in sorted(found.items())
        }

    def drained(self) -> set[str]:
        """Return the nodes that get no new calls."""
        return {str(node) for node in self._redis.smembers(keys.DRAINED)}

    def drain(self, node: str, drain: bool) -> None:
        """Let a node have no new calls, or have some again; the gateways know within half a second."""
        if drain:
            self._redis.sadd(keys.DRAINED, node)
        else:
            self._redis.srem(keys.DRAINED, node)
