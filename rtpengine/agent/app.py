"""The agent's parts, and how they work together."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from rtpengine.agent import metrics
from rtpengine.agent.control import ControlClient, ControlRefused, ControlUnreachable
from rtpengine.agent.dtmf import FORWARDED, DtmfReceiver, KeyPress, body_of, is_pressed, listen
from rtpengine.agent.reconciler import Reconciler
from rtpengine.agent.settings import Settings
from rtpengine.agent.watch import NodeWatch
from rtpengine.health import NodeState

_LOGGER: Final = logging.getLogger(__name__)
REPORT_S: Final = 1.0
"""How often the gateway hears of the nodes when nothing changes; it believes a report for three seconds."""
RETRY_S: Final = 0.2
CONCURRENT: Final = 4
"""Requests to the gateway at the same time, for calls that have lost their node."""


class Agent:
    """One gateway's media agent."""

    def __init__(self, settings: Settings) -> None:
        self._changed = asyncio.Event()
        self._died: set[str] = set()
        self._watches = [
            NodeWatch(node, settings.health, self._on_change, self._changed.set) for node in settings.nodes
        ]
        control = settings.control
        lines = [ControlClient(control.address, control.port, control.secret) for _ in range(CONCURRENT + 3)]
        self._lines = lines
        self._reports = lines[0]
        self._keys = lines[2]
        self._dtmf = settings.dtmf
        self._peers = settings.dtmf.peer_addresses
        self._dtmf_port: asyncio.DatagramTransport | None = None
        self._metrics = settings.metrics
        self._dtmf_receiver = DtmfReceiver(
            self._tell_key,
            is_pressed,
            frozenset(node.source for node in settings.nodes),
            frozenset(address for address, _ in self._peers),
        )
        self._reconciler = Reconciler(self._watches, settings.reconcile, lines[1], lines[3:])
        self._is_reachable = True

    async def run(self) -> None:
        """Work until cancelled."""
        if self._dtmf.port:
            self._dtmf_port = await listen(self._dtmf.address, self._dtmf.port, self._dtmf_receiver)
        page = metrics.serve(self._metrics)
        try:
            async with asyncio.TaskGroup() as tasks:
                for watch in self._watches:
                    tasks.create_task(watch.run())
                tasks.create_task(self._report_for_ever())
                tasks.create_task(self._reconciler.run())
        finally:
            page()
            if self._dtmf_port is not None:
                self._dtmf_port.close()
            self._dtmf_receiver.close()
            for line in self._lines:
                line.close()

    async def _tell_key(self, pressed: KeyPress) -> None:
        """Tell the gateway of a key at the far end; its calls come one after the other, so keys stay in order."""
        if pressed.datagram:  # a forwarded one has been counted where its node tells of it
            metrics.KEYS.inc()
        try:
            await self._keys.ask("POST", "/v1/dtmf", body_of(pressed))
        except ControlRefused:  # the call is over, or another gateway's
            self._forward(pressed)
        except ControlUnreachable:
            self._forward(pressed)
            raise

    def _forward(self, pressed: KeyPress) -> None:
        """Give a key to the agents of the other gateways, unless one of them gave it to us."""
        if self._dtmf_port is not None and pressed.datagram:
            for peer in self._peers:
                self._dtmf_port.sendto(FORWARDED + pressed.datagram, peer)

    def _on_change(self, watch: NodeWatch) -> None:
        """A state is another one, or a daemon was restarted."""
        self._changed.set()
        if watch.state is NodeState.UP:
            self._reconciler.want()
        elif watch.state is NodeState.DOWN:
            self._died.add(watch.name)

    async def _report_for_ever(self) -> None:
        while True:
            pause_s = REPORT_S if await self._report() else RETRY_S
            with suppress(TimeoutError):
                # wait_for of Python 3.11 forgets that it was cancelled when what it waits for comes at that moment.
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()

    async def _report(self) -> bool:
        """Tell the gateway of the nodes; only then are the calls of a dead one named, for a choice that knows of it."""
        self._changed.clear()
        if all(watch.state is NodeState.UNKNOWN for watch in self._watches):
            return False
        down = [watch.name for watch in self._watches if watch.state is NodeState.DOWN]
        nodes = [
            {
                "node": watch.name,
                "state": watch.state.value,
                "calls": watch.calls,
                "counted": watch.counted,
                "silent_s": watch.silent_s(),
                "version": watch.version,
            }
            for watch in self._watches
        ]
        try:
            await self._reports.ask("PUT", "/v1/nodes", {"nodes": nodes})
        except (ControlUnreachable, ControlRefused) as error:
            if self._is_reachable:
                _LOGGER.warning("event=gateway_unreachable detail=%r", str(error))
            self._is_reachable = False
            metrics.GATEWAY_UP.set(0)
            return False
        if not self._is_reachable:
            _LOGGER.warning("event=gateway_back")
        self._is_reachable = True
        metrics.GATEWAY_UP.set(1)
        if self._died.intersection(down):
            self._reconciler.want()
        self._died.difference_update(down)
        return True
