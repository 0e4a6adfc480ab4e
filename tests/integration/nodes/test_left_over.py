"""What is left over is deleted: by the gateway, or by the agent when the gateway cannot."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, until
from tests.integration.calls.test_control_ports import open_ports
from tests.integration.nodes.world import Nodes, NodeStage
from tests.lab.options import Part
from tests.peers.core_script import CoreScript, UntilCancelled
from tests.peers.websocket import Loss

pytestmark = pytest.mark.lab

DROPS = 100
DELETED_WITHIN_S = 10.0


def media_ports(nodes: Nodes) -> int:
    """Count the open UDP ports of all nodes."""
    return sum(
        1
        for daemon in nodes.daemons.values()
        for protocol, _, _ in open_ports(daemon.pid)
        if protocol == "udp"
    )


async def test_abrupt_drops_leave_no_port(stage: NodeStage, nodes: Nodes) -> None:
    idle = media_ports(nodes)
    for _ in range(DROPS // 20):
        pages = [await stage.page() for _ in range(20)]
        await asyncio.gather(*(stage.answered(page) for page in pages))
        assert media_ports(nodes) > idle
        for page in pages:
            page.lose(Loss.RESET)
    await until(lambda: media_ports(nodes) == idle, lambda: f"{media_ports(nodes) - idle} ports left", 15)
    assert nodes.all_calls() == []


async def test_calls_of_a_gateway_that_was_killed_are_deleted(stage: NodeStage, nodes: Nodes) -> None:
    await stage.call_on(nodes.a)
    nodes.lab.kill("gateway")
    assert nodes.calls(nodes.a)
    nodes.lab.start_again("gateway", Part.GATEWAY)
    await until(lambda: not nodes.all_calls(), lambda: f"left: {nodes.all_calls()}", DELETED_WITHIN_S)


async def test_a_call_that_runs_is_not_deleted_and_one_that_is_set_up_neither(
    stage: NodeStage, nodes: Nodes
) -> None:
    answered, _ = await stage.call()
    stage.core.script = CoreScript((UntilCancelled(),))
    begun = await (await stage.page()).invite(BOB, AUDIO)
    await stage.core.wait_call()
    await asyncio.sleep(2)  # several rounds, and longer than the grace
    assert {answered.call_id, begun.call_id} <= set(nodes.all_calls())
    await begun.cancel()
    await begun.wait_status(487)
    await stage.hang_up()
