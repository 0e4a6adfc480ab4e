"""Nodes that die, stop and come back; what calls and registrations notice of it."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, SHORT_NG_DEADLINE_MS, Call
from tests.integration.nodes.world import Nodes, NodeStage
from tests.lab.waiting import wait_until
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

DEADLINE_S = SHORT_NG_DEADLINE_MS / 1000
SOON_S = 5.0
"""0.6 s of silence, a ping's interval, and a busy machine."""


async def test_a_stopped_node_is_down_soon_and_costs_nobody_time(stage: NodeStage, nodes: Nodes) -> None:
    running = await stage.call_on(nodes.a)
    page = await stage.page()
    before = [await registration_s(page) for _ in range(20)]
    nodes.daemons[nodes.a].pause()
    assert 0.4 < nodes.wait_state(nodes.a, "down") < SOON_S
    after = [await registration_s(page) for _ in range(20)]
    for _ in range(6):
        began = time.monotonic()
        _, node = await stage.call()
        assert (node, time.monotonic() - began < SOON_S) == (nodes.b, True)
    await stage.logged(running.call_id, f"event=call_moved call_id={running.call_id} node={nodes.b}")
    began = time.monotonic()
    await running.hang_up()
    assert time.monotonic() - began < SOON_S
    nodes.daemons[nodes.a].resume()  # what it still has of that call is deleted
    assert median(after) < 3 * median(before) + 0.005
    nodes.wait_state(nodes.a, "up")
    await stage.hang_up()


async def test_a_short_silence_of_all_nodes_ends_no_call(stage: NodeStage, nodes: Nodes) -> None:
    """As when the network between gateway and relays fails for a moment: media go another way."""
    calls = [await stage.call() for _ in range(4)]
    for node in nodes.daemons:
        nodes.daemons[node].pause()
    for node in nodes.daemons:
        nodes.wait_state(node, "down")
    await asyncio.sleep(1.0)
    for node in nodes.daemons:
        nodes.daemons[node].resume()
    for call, node in calls:
        await stage.logged(call.call_id, f"event=media_node_back call_id={call.call_id} node={node}")
        assert stage.node_of(call.call_id) == node
        assert call.ims.ladder().count("<- INVITE (SDP)") == 1
        assert "<- BYE" not in call.ims.ladder()
    await stage.hang_up()


async def test_the_calls_of_the_only_node_go_on_when_it_is_started_again(
    stage: NodeStage, nodes: Nodes
) -> None:
    running = await stage.call_on(nodes.a)
    await stage.hang_up(running)
    nodes.daemons[nodes.b].stop()
    nodes.wait_state(nodes.b, "down")
    nodes.daemons[nodes.a].stop()
    nodes.wait_state(nodes.a, "down")
    nodes.daemons[nodes.a].start()
    await stage.logged(running.call_id, f"event=call_moved call_id={running.call_id} node={nodes.a}")
    await stage.hang_up()


async def registration_s(page: ScriptedWic) -> float:
    """Register once more; return how long it took, in seconds."""
    began = time.monotonic()
    response = await page.register()
    assert response.status == 200
    return time.monotonic() - began


async def test_a_killed_node_is_down_at_once_and_back_when_it_is(stage: NodeStage, nodes: Nodes) -> None:
    nodes.daemons[nodes.a].stop()
    assert nodes.wait_state(nodes.a, "down") < SOON_S
    assert (await stage.call())[1] == nodes.b
    nodes.daemons[nodes.a].start()
    nodes.wait_state(nodes.a, "up")
    await stage.call_on(nodes.a)
    await stage.hang_up()


async def test_a_node_that_is_late_is_not_dead(stage: NodeStage, nodes: Nodes) -> None:
    mark = len(stage.gateway_log.read_text(errors="replace"))
    longest = 0.0
    for _ in range(3):
        paused = time.monotonic()
        nodes.daemons[nodes.a].pause()
        await asyncio.sleep(0.48)
        nodes.daemons[nodes.a].resume()
        longest = max(longest, time.monotonic() - paused)
        await asyncio.sleep(0.4)
    nodes.wait_state(nodes.a, "up")
    text = stage.gateway_log.read_text(errors="replace")[mark:]
    assert f"node={nodes.a} state=suspect" in text
    assert longest > 0.55 or f"node={nodes.a} state=down" not in text


async def test_without_an_agent_the_workers_help_themselves(stage: NodeStage, nodes: Nodes) -> None:
    """A new call whose node does not answer goes to the other one; a caller waits two deadlines at most."""
    nodes.lab.kill("media_agent")
    wait_until(lambda: nodes.state(nodes.a) == "unknown", "the report is old", 15)
    page = await stage.page()
    mark = len(stage.gateway_log.read_text(errors="replace"))
    nodes.daemons[nodes.a].pause()
    for _ in range(8):
        began = time.monotonic()
        wic = await page.invite(BOB, AUDIO)
        await wic.wait_answer()
        stage.running.append(Call(wic, await stage.core.wait_call()))
        assert stage.node_of(wic.call_id) == nodes.b
        assert time.monotonic() - began < 2 * DEADLINE_S + 3
    towards = await incoming.answered(stage, page)
    assert f"node={nodes.a}" in stage.gateway_log.read_text(errors="replace")[mark:]  # it was asked
    nodes.daemons[nodes.b].pause()
    began = time.monotonic()
    refused = await (await page.invite(BOB, AUDIO)).wait_status(range(300, 700))
    assert (refused.status, time.monotonic() - began < 2 * DEADLINE_S + 3) == (503, True)
    for daemon in nodes.daemons.values():
        daemon.resume()
    nodes.restart_agent()
    nodes.wait_state(nodes.a, "up")
    nodes.wait_state(nodes.b, "up")
    await towards.ims.bye()
    await stage.hang_up()
