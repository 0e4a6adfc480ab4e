"""A gateway with its media agent and two relay nodes that may be stopped, killed and started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from rtpengine.ng.commands import Command, List, R
from rtpengine.pool import node_to_text
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon
from tests.integration.calls.stage import (
    CORE_PORT,
    SHORT_NG_DEADLINE_MS,
    Call,
    Stage,
    gateway_options,
    until,
)
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.relay_program import relay_version
from tests.lab.waiting import wait_until

CLEAN_WITHIN_S: Final = 15.0
UP_WITHIN_S: Final = 30.0
MEDIA_PORTS: Final = 800
AGENT: Final = {
    "media_agent_reconcile_s": 0.5,
    "media_agent_grace_s": 1.0,
    "media_agent_statistics_s": 0.3,
}


class Nodes:
    """A lab whose relay nodes are named by their ng addresses."""

    def __init__(self, lab: Lab, daemons: list[Daemon]) -> None:
        self.lab = lab
        self.daemons = {node_to_text(daemon.address): daemon for daemon in daemons}
        self.a, self.b, *_ = self.daemons

    def state(self, node: str) -> str:
        """Return what the gateway thinks of a node."""
        return str(self.shown(node)["state"])

    def shown(self, node: str) -> dict[str, Any]:
        """Return a node as operators see it."""
        status, answer = self.lab.control("GET", "/v1/nodes")
        assert status == 200, answer
        (found,) = (shown for shown in answer["nodes"] if shown["node"] == node)
        return dict(found)

    def wait_state(self, node: str, state: str, within_s: float = 5.0) -> float:
        """Wait for a state; return how long it took, in seconds."""
        began = time.monotonic()
        wait_until(lambda: self.state(node) == state, f"{node} {state}", within_s)
        return time.monotonic() - began

    def ask(self, node: str, command: Command[R]) -> R:
        """Send a node one command."""
        client = UdpClient(self.daemons[node].address)
        try:
            return client.request(command)
        finally:
            client.close()

    def calls(self, node: str) -> tuple[str, ...]:
        """Return the calls a node has."""
        return self.ask(node, List()).call_ids

    def all_calls(self) -> list[str]:
        """Return the calls of all nodes."""
        return [call for node in self.daemons for call in self.calls(node)]

    def mend(self) -> None:
        """Let everything run again and nothing be drained, wherever a test that failed came to its end."""
        for daemon in self.daemons.values():
            if daemon.alive:
                daemon.resume()
            else:
                daemon.start()
        self.lab.mend()
        for node in self.daemons:
            self.lab.control("PUT", "/v1/nodes/drain", {"node": node, "drain": False})
        for node in self.daemons:
            self.wait_state(node, "up", UP_WITHIN_S)

    def restart_agent(self) -> None:
        """Start the killed agent again."""
        self.lab.start_again("media_agent", Part.MEDIA_AGENT)


@contextmanager
def lab_with_nodes(directory: Path, count: int = 2, **variables: Any) -> Iterator[Nodes]:
    """Start nodes, gateway and agent."""
    with ExitStack() as stack:
        blocks = stack.enter_context(PortBlocks(PortMode.FREE, rtp_ports=count * MEDIA_PORTS))
        daemons = []
        for number in range(count):
            folder = directory / f"node-{number}"
            folder.mkdir()
            first, last = blocks.rtp_range(MEDIA_PORTS)
            daemons.append(stack.enter_context(Daemon(folder, range(first, last + 1))))
        nodes = [
            {"address": LOOPBACK, "port": one.address.port, "version": relay_version()} for one in daemons
        ]
        deadline = {"gateway_ng_deadline_ms": SHORT_NG_DEADLINE_MS}
        options = gateway_options(gateway_rtpengine_nodes=nodes, **{**deadline, **variables})
        lab = stack.enter_context(Lab(_with_agent(options)))
        yield Nodes(lab, daemons)


def _with_agent(options: LabOptions) -> LabOptions:
    return replace(
        options,
        parts=frozenset({Part.GATEWAY, Part.MEDIA_AGENT}),
        role_variables={**options.role_variables, "media_agent": AGENT},
    )


class NodeStage(Stage):
    """A stage whose calls are on one of the nodes."""

    def __init__(self, nodes: Nodes, core_port: int = CORE_PORT) -> None:
        super().__init__(nodes.lab, core_port)
        self.nodes = nodes
        self.running: list[Call] = []
        self._relay_killed = True  # the lab has none of its own

    def node_of(self, call_id: str) -> str:
        """Return the node of a call of a page."""
        return str(msgspec.json.decode(self.record(call_id))["node"])

    async def call(self) -> tuple[Call, str]:
        """Make a call; return it and its node."""
        call = await self.answered(await self.page())
        self.running.append(call)
        return call, self.node_of(call.call_id)

    async def call_on(self, node: str) -> Call:
        """Call until a call is on this node; the others stay, too."""
        for _ in range(10):
            call, chosen = await self.call()
            if chosen == node:
                return call
        raise AssertionError(f"no call came to {node}")

    async def hang_up(self, stays: Call | None = None) -> None:
        """Let all pages hang up, but this one."""
        for call in self.running:
            if call is not stays and self.record(call.call_id):
                await call.hang_up()
        self.running = [call for call in self.running if call is stays]

    async def close(self) -> None:
        """Check that the nodes have nothing left, too."""
        try:
            self.nodes.mend()
        finally:
            await super().close()
        await until(
            lambda: not self.nodes.all_calls(), lambda: f"left: {self.nodes.all_calls()}", CLEAN_WITHIN_S
        )
