"""Relay nodes as the gateways see them, and which ones an operator drains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kemi.state import keys
from kemi.state.stamps import age_s, read_stamped, seconds

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
    written_at: float = 0.0
    """``at`` by the clock of Redis (kemi/state/stamps.py); 0: of a release of before."""

    @property
    def clock_s(self) -> float:
        """How far its clock is before that of Redis, seconds."""
        return self.at - self.written_at if self.written_at else 0.0


class NodesView:
    """The relay nodes of all gateways."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def seen(self, now: float) -> dict[str, GatewayNodes]:
        """Return what each running gateway sees, by its name."""
        return {name: seen for name, (seen, age) in self.all(now).items() if age < OLD_S}

    def all(self, now: float) -> dict[str, tuple[GatewayNodes, float]]:
        """Return what each gateway wrote last, by its name, and how long ago (s), of those that run no more, too."""
        pipeline = self._redis.pipeline(transaction=False)
        read_stamped(pipeline, keys.RELAY_NODES)
        found, time = pipeline.execute()
        seen = {
            str(name): msgspec.json.decode(text, type=GatewayNodes) for name, text in sorted(found.items())
        }
        redis_now = seconds(time)
        return {name: (one, age_s(one.at, one.written_at, now, redis_now)) for name, one in seen.items()}

    def told(self, now: float) -> set[str]:
        """Return the nodes of all gateways, of silent ones, too: they hear of a drain when they are back."""
        return {node.node for seen, _ in self.all(now).values() for node in seen.nodes}

    def drained(self) -> set[str]:
        """Return the nodes that get no new calls."""
        return {str(node) for node in self._redis.smembers(keys.DRAINED)}

    def drain(self, node: str, drain: bool) -> None:
        """Let a node have no new calls, or have some again; the gateways know within half a second."""
        if drain:
            self._redis.sadd(keys.DRAINED, node)
        else:
            self._redis.srem(keys.DRAINED, node)
