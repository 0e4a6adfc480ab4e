"""A node logs to one agent: keys of another gateway's calls reach that one, once, and nobody else's are taken."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from prometheus_client import REGISTRY

from rtpengine.agent.app import Agent
from rtpengine.agent.dtmf import FORWARDED
from rtpengine.agent.settings import settings_from_text
from tests.lab.roles import render_role
from tests.unit.rtpengine.agent.test_dtmf import datagram

SECRET = "fedcba9876543210fedcba9876543210"
LOOPBACK = "127.0.0.1"
NO_CALLS = b'{"calls": [], "next": "", "began": "r1"}'


class Gateway:
    """The control endpoint of a gateway that has some calls."""

    def __init__(self, *calls: str) -> None:
        self.calls = calls
        self.asked: list[tuple[str, int]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one agent."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
                body = json.loads(await reader.readexactly(length) or b"{}")
                status = 200
                if " /v1/dtmf " in head:
                    self.asked.append((body["call_id"], body["event"]))
                    status = 200 if body["call_id"] in self.calls else 404
                writer.write(
                    b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(NO_CALLS), NO_CALLS)
                )
        writer.close()


def free_port() -> int:
    """Return a UDP port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def agent_of(gateway: Gateway, port: int, *peers: int) -> AsyncIterator[None]:
    """Run the agent of a gateway, which hears of keys at ``port``."""
    server = await asyncio.start_server(gateway.serve, LOOPBACK, 0)
    variables = {
        "media_agent_control_secret": SECRET,
        "media_agent_control_port": server.sockets[0].getsockname()[1],
        "media_agent_nodes": [{"address": LOOPBACK, "port": free_port(), "version": "10.5"}],
        "media_agent_dtmf_port": port,
        "media_agent_dtmf_peers": [f"{LOOPBACK}:{peer}" for peer in peers],
    }
    settings = settings_from_text(render_role("media_agent", "media_agent.toml.j2", variables))
    task = asyncio.create_task(Agent(settings).run())
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        server.close()


async def heard(gateway: Gateway, count: int) -> list[tuple[str, int]]:
    """Wait until a gateway was asked of so many keys, and whether more come."""
    async with asyncio.timeout(5):
        while len(gateway.asked) < count:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    return gateway.asked


def pressed_by_metrics() -> float:
    """Return how many keys the agents of this process have counted."""
    return REGISTRY.get_sample_value("media_agent_key_presses_total") or 0.0


async def test_keys_of_another_gateways_call_reach_it_in_order_and_end_there() -> None:
    first, second, ports = Gateway("mine"), Gateway("yours"), (free_port(), free_port())
    counted = pressed_by_metrics()
    async with agent_of(first, ports[0], ports[1]), agent_of(second, ports[1], ports[0]):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
            for event in range(12):
                node.sendto(datagram("yours", event=event), (LOOPBACK, ports[0]))
            node.sendto(datagram("mine"), (LOOPBACK, ports[0]))
            node.sendto(datagram("nobody's"), (LOOPBACK, ports[0]))
        keys = [("yours", event) for event in range(12)]
        at_second = await heard(second, 13)
        assert [key for key in at_second if key[0] == "yours"] == keys
        assert sorted(at_second) == sorted([*keys, ("nobody's", 7)])
        assert sorted(await heard(first, 14)) == sorted([*keys, ("mine", 7), ("nobody's", 7)])
    assert pressed_by_metrics() - counted == 14  # by both agents together: each key once


async def test_an_agent_without_peers_takes_nothing_that_was_forwarded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway, port = Gateway("call"), free_port()
    async with agent_of(gateway, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(FORWARDED + datagram("call"), (LOOPBACK, port))
            other.sendto(datagram("call", event=3), (LOOPBACK, port))
        assert await heard(gateway, 1) == [("call", 3)]
    assert "event=dtmf_of_no_node" in caplog.text
