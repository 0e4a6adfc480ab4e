"""rtpengine.agent.reconciler: what the gateway is told of nodes that are down, what Prometheus is shown."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import REGISTRY

from rtpengine.agent.control import ControlClient, ControlRefused
from rtpengine.agent.ledger import Call
from rtpengine.agent.reconciler import LARGER_AFTER, Reconciler
from rtpengine.agent.settings import HealthSettings, NodeSettings, ReconcileSettings
from rtpengine.agent.watch import NodeWatch
from rtpengine.health import NodeState
from rtpengine.ng.commands import Delete, List
from rtpengine.ng.errors import NgTimeout

NODE = NodeSettings("192.0.2.77", 2223)
SOON_S = 5.0
MOST_BYTES = 20_000
"""That the control endpoint takes."""


class Gateway:
    """Stands where ControlClient stands, and has calls."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.began = "first"
        self.rounds = 0
        self.told: list[str] = []
        self.refuses = False

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Answer."""
        if body is not None and len(json.dumps(body)) > MOST_BYTES:
            raise ControlRefused(413, "too long")
        if method == "GET" and path.startswith("/v1/calls?"):
            self.rounds += 1
            calls = [
                {"key": key, "node": NODE.name, "kinds": ["audio"], "dialog": "confirmed", "since": 0.0}
                for key in self.keys
            ]
            return {"calls": calls, "next": "", "began": self.began}
        if path.startswith(("/v1/calls/unreleased", "/v1/calls/elsewhere")):
            return {"calls": [], "next": ""}
        assert (method, path, body["node"]) == ("POST", "/v1/calls/lost", NODE.name)
        if self.refuses:
            raise ControlRefused(500, "busy")
        self.told += body["calls"]
        return {"moving": body["calls"], "over": [], "elsewhere": []}

    async def round(self) -> None:
        """Wait until a whole round more is over."""
        await until(lambda wanted=self.rounds + 2: self.rounds >= wanted)  # type: ignore[misc]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    async with asyncio.timeout(SOON_S):
        while not holds():
            await asyncio.sleep(0.002)


def names_of(key: str) -> tuple[str, ...]:
    """Return what a node calls the media of a gateway's call."""
    return Call(key, NODE.name, ("audio",), True, 0.0).names


def a_watch() -> NodeWatch:
    """Return the watch of a node that is not asked."""
    return NodeWatch(NODE, HealthSettings(), lambda _: None, lambda: None)


@asynccontextmanager
async def reconciling(
    watch: NodeWatch, gateway: Gateway, settings: ReconcileSettings | None = None
) -> AsyncIterator[None]:
    """Let a reconciler work."""
    client = cast("ControlClient", gateway)
    settings = settings or ReconcileSettings(interval_s=0.005)
    reconciler = Reconciler([watch], settings, client, [client])
    task = asyncio.create_task(reconciler.run())
    try:
        yield
    finally:
        task.cancel()


async def test_a_node_shows_zeros_before_its_first_orphan() -> None:
    Reconciler([a_watch()], ReconcileSettings(), ControlClient("127.0.0.1", 1, "secret"), [])
    for name in ("media_agent_orphans_deleted_total", "media_agent_calls_lost_total"):
        assert REGISTRY.get_sample_value(name, {"node": NODE.name}) == 0.0


class TestANodeThatIsDown:
    """Its calls may wait for it: they are named once."""

    async def test_each_call_is_named_once(self) -> None:
        watch, gateway = a_watch(), Gateway(["a", "b"])
        watch.health.state = NodeState.DOWN
        async with reconciling(watch, gateway):
            await gateway.round()
            gateway.keys.append("c")
            await gateway.round()
        assert sorted(gateway.told) == ["a", "b", "c"]

    async def test_a_call_that_the_gateway_refused_is_named_again(self) -> None:
        watch, gateway = a_watch(), Gateway(["a"])
        watch.health.state, gateway.refuses = NodeState.DOWN, True
        async with reconciling(watch, gateway):
            await gateway.round()
            gateway.refuses = False
            await gateway.round()
        assert gateway.told == ["a"]

    async def test_so_it_is_when_the_node_was_back_meanwhile_or_the_gateway_was_started_again(self) -> None:
        watch, gateway = a_watch(), Gateway(["a"])
        watch.health.state = NodeState.DOWN
        async with reconciling(watch, gateway):
            await gateway.round()
            watch.health.answered(1.0)
            watch.health.state = NodeState.DOWN
            await gateway.round()
            assert gateway.told == ["a", "a"]
            gateway.began = "second"
            await gateway.round()
        assert gateway.told == ["a", "a", "a"]


class TestLongNames:
    """A page may choose a Call-ID of thousands of letters: that is no harm to the calls of others."""

    async def test_all_calls_of_a_node_that_is_down_are_named(self) -> None:
        keys = [
            f"{number}{'x' * length}" for number, length in enumerate([8_000, *[10] * 8, 16_000, *[820] * 10])
        ]
        watch, gateway = a_watch(), Gateway(keys)
        watch.health.state = NodeState.DOWN
        async with reconciling(watch, gateway):
            await gateway.round()
        assert sorted(gateway.told) == sorted(keys)

    async def test_a_left_over_that_cannot_be_asked_about_stays_and_holds_nothing_up(self) -> None:
        long = "x" * 2 * MOST_BYTES
        watch, gateway = a_watch(), Gateway(["lost", long, "short"])
        watch.health.state = NodeState.UP
        listed = [name for key in (long, "short") for name in names_of(key)]
        deleted: list[str] = []

        async def ask(command: Any) -> Any:
            if isinstance(command, Delete):
                deleted.append(command.call_id)
            return SimpleNamespace(call_ids=tuple(listed))

        watch.ask = ask  # type: ignore[assignment, method-assign]
        settings = ReconcileSettings(interval_s=0.005, grace_s=0.0, exclusive=False)
        async with reconciling(watch, gateway, settings):
            await gateway.round()
            gateway.keys = ["lost"]
            await until(lambda: bool(gateway.told and deleted))
            await gateway.round()
        assert (set(gateway.told), set(deleted)) == ({"lost"}, set(names_of("short")))


class TestTheLengthOfAList:
    """What one datagram carries of a node's calls is found out, and a list that was lost once is not short for ever."""

    async def test_it_becomes_shorter_and_longer_again(self) -> None:
        watch, gateway = a_watch(), Gateway([])
        watch.health.state = NodeState.UP
        asked: list[int] = []
        lost = [True, True]

        async def ask(command: List) -> Any:
            asked.append(command.limit)
            if lost:
                lost.pop()
                raise NgTimeout("list", 1.0)
            return SimpleNamespace(call_ids=tuple(str(number) for number in range(min(command.limit, 600))))

        watch.ask = ask  # type: ignore[assignment, method-assign]
        async with reconciling(watch, gateway):
            await until(lambda: len(asked) > 2 + 2 * LARGER_AFTER + 5)
        assert asked[:3] == [1000, 500, 250]
        grown = [limit for limit, _ in itertools.groupby(asked[2:])]
        # A list that is whole needs no more.
        assert grown == [250, 500, 1000]
