"""A gateway with two media nodes of its own, one of which may die under a call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from rtpengine.ng.commands import Delete, List
from rtpengine.pool import node_to_text
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.integration.calls.stage import CORE_PORT, Stage, gateway_options, until
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK
from tests.lab.relay_program import relay_version

_PORTS: Final = 400
CLEAN_WITHIN_S: Final = 15.0


class Nodes:
    """Two daemons by name; whoever dies is started again before the next test."""

    def __init__(self, daemons: list[Daemon]) -> None:
        self.daemons = {node_to_text(daemon.address): daemon for daemon in daemons}

    def variables(self) -> list[dict[str, Any]]:
        """Return what the gateway is told of them."""
        ports = [daemon.address.port for daemon in self.daemons.values()]
        return [{"address": LOOPBACK, "port": port, "version": relay_version()} for port in ports]

    def kill(self, node: str) -> None:
        """End a daemon as SIGKILL does."""
        self.daemons[node].stop()

    def forget(self, node: str) -> None:
        """Let a daemon lose its calls."""
        client = UdpClient(self.daemons[node].address)
        for call_id in client.request(List()).call_ids:
            client.request(Delete(call_id))
        client.close()

    def other(self, node: str) -> str:
        """Return the name of the other one."""
        (other,) = self.daemons.keys() - {node}
        return other

    def start_again(self) -> None:
        """Let both run."""
        for daemon in self.daemons.values():
            if not daemon.alive:
                daemon.start()

    def calls(self) -> list[str]:
        """Return the calls of all daemons that run."""
        found: list[str] = []
        for daemon in self.daemons.values():
            if daemon.alive:
                client = UdpClient(daemon.address)
                found += client.request(List()).call_ids
                client.close()
        return found


@contextmanager
def two_daemons(directory: Path) -> Iterator[Nodes]:
    """Start both daemons."""
    with ExitStack() as stack:
        daemons = []
        for name in "ab":
            (directory / name).mkdir()
            ports = stack.enter_context(media_ports(_PORTS))
            daemons.append(stack.enter_context(Daemon(directory / name, ports)))
        yield Nodes(daemons)


@contextmanager
def lab_with_nodes(directory: Path, **variables: Any) -> Iterator[tuple[Lab, Nodes]]:
    """Start both daemons and a gateway that knows them."""
    with two_daemons(directory) as nodes:
        options = gateway_options(gateway_rtpengine_nodes=nodes.variables(), **variables)
        with Lab(replace(options, parts=frozenset({Part.GATEWAY}))) as lab:
            yield lab, nodes


class NodeStage(Stage):
    """A stage whose calls may lose their node."""

    def __init__(self, lab: Lab, nodes: Nodes, core_port: int = CORE_PORT) -> None:
        super().__init__(lab, core_port)
        self.nodes = nodes
        self._relay_killed = True  # the lab has none of its own

    def node_of(self, key: str) -> str:
        """Return the node of a call."""
        return str(msgspec.json.decode(self.record(key))["node"])

    def key_of(self, call_id: str) -> str:
        """Return the name of the only record of a call."""
        (key,) = (
            key for key in self.lab.gateway_rpc.htable("call") if key.partition(";gw-in-")[0] == call_id
        )
        return str(key)

    def lose_node(self, *call_ids: str, kill: bool = False) -> dict[str, list[str]]:
        """Say of all these calls that the node of the first is dead; return what the gateway answers.

        Unless it is killed it forgets its calls: enough where no media is listened to, and sooner ready for more.
        """
        keys = [self.key_of(call_id) for call_id in call_ids]
        node = self.node_of(keys[0])
        if kill:
            self.nodes.kill(node)
        else:
            self.nodes.forget(node)
        status, answer = self.lab.control("POST", "/v1/calls/lost", {"node": node, "calls": keys})
        assert status == 200, answer
        return dict(answer)

    async def moved(self, call_id: str) -> None:
        """Wait until a call has another node and nothing is open."""
        await self.logged(call_id, "event=call_moved ")

    async def close(self) -> None:
        """Check that the nodes have nothing left, too."""
        await super().close()
        await until(lambda: not self.nodes.calls(), lambda: f"left: {self.nodes.calls()}", CLEAN_WITHIN_S)


@asynccontextmanager
async def stage_with_nodes(lab: Lab, nodes: Nodes) -> AsyncIterator[NodeStage]:
    """A core, pages, both nodes alive; afterwards the check that nothing is left behind."""
    nodes.start_again()
    stage = NodeStage(lab, nodes)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
