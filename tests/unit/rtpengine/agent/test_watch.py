"""rtpengine.agent.watch: what an error of the network says of a node."""

from __future__ import annotations

import asyncio
import socket

import pytest
from prometheus_client import REGISTRY

from rtpengine.agent.settings import HealthSettings, NodeSettings
from rtpengine.agent.watch import NodeWatch
from rtpengine.health import NodeState
from rtpengine.ng.replies import DaemonStatistics
from rtpengine.transport import aio


class Network:
    """Fails once when told to, then takes datagrams that nobody answers."""

    def __init__(self) -> None:
        self.sent = 0
        self.fails_at = 0

    def send(self, _socket: socket.socket, _datagram: bytes) -> None:
        """Send, or not."""
        self.sent += 1
        if self.sent == self.fails_at:
            raise OSError("Network is unreachable")


async def test_one_error_counts_once_however_many_pings_are_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    network.fails_at = 3
    monkeypatch.setattr(aio, "send", network.send)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        watch = NodeWatch(
            NodeSettings("127.0.0.1", nobody.getsockname()[1]),
            HealthSettings(ping_s=0.02, statistics_s=60),
            lambda _: None,
            lambda: None,
        )
        watch.health.answered(0.0)
        task = asyncio.create_task(watch.run())
        async with asyncio.timeout(5):
            while network.sent < 4:
                await asyncio.sleep(0.005)
        assert watch.state is NodeState.SUSPECT
        task.cancel()


async def test_a_node_that_is_down_has_no_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> float | None:
        return REGISTRY.get_sample_value("media_agent_node_calls", {"node": node.name})

    async def counted(*_: object) -> DaemonStatistics:
        return DaemonStatistics(calls=3, uptime_s=60)

    node = NodeSettings("192.0.2.21", 2223)
    watch = NodeWatch(node, HealthSettings(), lambda _: None, lambda: None)
    monkeypatch.setattr(watch, "ask", counted)
    await watch._count()
    assert shown() == 3
    while watch.state is not NodeState.DOWN:
        watch._changing(watch.health.refused)
    assert shown() is None
    await watch._count()
    assert shown() == 3
