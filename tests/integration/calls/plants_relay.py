"""Faults of the media relay, each planted into a real call: nodes that lose calls, are full, stop or die.

These come last: what happens to a node happens to all its calls.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from rtpengine.ng.commands import Delete
from rtpengine.pool import node_from_text
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon
from tests.integration.calls.planted import Plant, World, planting
from tests.integration.calls.plants import answered, called, device, hung_up, over
from tests.lab.ports import LOOPBACK
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers, rings_for_ever
from tests.peers.device_sdp import DeviceMedia
from tests.peers.trace import NothingMatchedError
from tests.peers.wic_call import OutgoingCall

_BACK_S: Final = 3.0
"""After so long a node that was taken for dead is asked again and known to work."""
PLANTS: Final[dict[str, Plant]] = {}
plants = planting(PLANTS)
LOST: Final[dict[str, Plant]] = {}
"""A call that is found to be lost after a while, while the nodes work."""


def _lose(world: World, call_id: str) -> None:
    client = UdpClient(node_from_text(world.stage.node_of(call_id)))
    client.request(Delete(call_id))
    client.close()


@planting(LOST)("relay-lost-the-call")
async def relay_lost(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    _lose(world, call.call_id)
    world.later.append(lambda: call.wic.wait_request("BYE", timeout_s=30))
    return call.call_id


@plants("no-figures")
async def no_figures(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    _lose(world, call.call_id)
    return await hung_up(call)


@plants("relay-command-failed")
async def command_failed(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    _lose(world, call.call_id)
    await call.wic.info_dtmf("5")
    return await hung_up(call)


@plants("call-moved")
async def moved(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    call.ims.media = replace(call.ims.media, version=2)
    world.stage.lose_node(call.call_id)
    await world.stage.moved(call.call_id)
    return await hung_up(call)


@plants("relay-node-died")
async def node_died(world: World) -> str:
    world.stage.core.script = rings_for_ever()
    call = await called(world)
    await call.wait_status(180)
    world.stage.lose_node(call.call_id)
    return await over(call)


@plants("no-relay-node")
async def drained(world: World) -> str:
    nodes = list(world.stage.nodes.daemons)
    for node in nodes:
        world.control("PUT", "/v1/nodes/drain", {"node": node, "drain": True})
    name = await over(await called(world))
    for node in nodes:
        world.control("PUT", "/v1/nodes/drain", {"node": node, "drain": False})
    return name


@contextmanager
def full(world: World) -> Iterator[None]:
    """Let no node take a session more."""

    def most(sessions: int) -> None:
        for daemon in world.stage.nodes.daemons.values():
            with socket.create_connection((LOOPBACK, daemon.cli_port), 5) as line:
                line.sendall(f"set maxsessions {sessions}\n".encode())
                line.shutdown(socket.SHUT_WR)
                line.recv(4096)

    most(0)
    try:
        yield
    finally:
        most(-1)


@plants("relay-refused")
async def relay_refused(world: World) -> str:
    with full(world):
        return await over(await called(world))


@plants("second-relay-node")
async def second_node(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    (first, *_) = world.stage.nodes.daemons.values()
    try:
        return await _left_node(world, first)
    except (NothingMatchedError, LookupError):
        # Beside other work the second one may be too slow as well, or the first is known to be so from before.
        await asyncio.sleep(_BACK_S)
        return await _left_node(world, first)


async def _left_node(world: World, first: Daemon) -> str:
    """Return a call that has left a node which stands still."""
    first.pause()
    try:
        for _ in range(6):
            call = await answered(world)
            await call.hang_up()
            if any("event=media_node_failed" in line for line in world.stage.log_lines(call.call_id)):
                return call.call_id
    finally:
        first.resume()
    raise LookupError("no call was for the node that stands still")


@plants("relay-silent")
async def relay_silent(world: World) -> str:
    """Others' calls, which ring at every node, are answered when it is known that one of the nodes is down."""
    world.stage.core.script = CoreScript((Provisional(180), UntilCancelled()))
    nodes = list(world.stage.nodes.daemons.values())
    ringing: list[OutgoingCall] = []
    while len({world.stage.node_of(call.call_id) for call in ringing}) < len(nodes):
        ringing.append(await called(world))
        await ringing[-1].wait_status(180)
    for node in nodes:
        node.pause()
    try:
        name = await over(await called(world))
        for call in ringing:
            device(world, call).respond(200, media=DeviceMedia())
        for call in ringing:
            await call.wait_request("BYE")
    finally:
        for node in nodes:
            node.resume()
    _DOWN.append(
        next(
            call.call_id
            for call in ringing
            if any("known to be down" in line for line in world.stage.log_lines(call.call_id))
        )
    )
    return name


_DOWN: Final[list[str]] = []


@plants("relay-known-to-be-down")
async def known_down(_world: World) -> str:
    return _DOWN.pop()
