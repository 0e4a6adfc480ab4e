"""The site that faults strike: front, gateway, web API, Redis, media agent, two relay nodes, and a core.

Knows what runs and what must not stay.  Must not know faults.  Values are the roles' own wherever a promise hangs on
them; limits are off, because a few pages make all the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aioice.ice

from rtpengine.ng.commands import List
from rtpengine.ng.errors import NgError
from rtpengine.transport.udp import UdpClient
from tests.bench.mixed.remains import KEPT_TABLES
from tests.bench.mixed.stage import Ledger, MixedStage
from tests.contract.rtpengine.daemon import Daemon
from tests.faults.core import FaultyCore
from tests.faults.lines import FarEnd, FarEnds
from tests.faults.load import NewCalls
from tests.faults.pages import KeptPage
from tests.faults.running import RunningCalls
from tests.faults.scale import Scale
from tests.faults.sound import Ticker
from tests.faults.supervisor import Supervisor
from tests.faults.web import WebRequests
from tests.integration.calls.stage import CORE_PORT
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.relay_program import relay_command, relay_version
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until
from tests.peers.websocket import Handshake
from tests.peers.wic_call import OutgoingCall

CALLS_OF_A_PAGE: Final = 5
NODES: Final = 2
_REDIS_PORT: Final = 6379
_OF_PAGES: Final = frozenset({"flow", "registration", "binding_of", "port", "subscription"})
_SILENT_CALLS_S: Final = 600
"""Calls that are only text send no media: nobody may miss it."""


@dataclass(frozen=True)
class SiteOptions:
    """What a fault needs of its site."""

    nodes: int = NODES
    ports: int = 0
    """Of each relay node; 0: enough of them."""
    log_dir: Path | None = None
    """An empty folder for the logs."""
    networks: FarEnds | None = None
    """Page, core, relay nodes and Redis are behind lines; None: all is on loopback."""
    relay_command: tuple[str, ...] = ()
    """Starts a relay node in another way."""
    clock: Path | None = None
    """The file that moves the clock of all processes."""


@contextmanager
def fault_lab(folder: Path, scale: Scale, options: SiteOptions) -> Iterator[tuple[Lab, list[Daemon]]]:
    """Start everything but the core and the pages."""
    far = options.networks
    with ExitStack() as stack:
        daemons = [stack.enter_context(one) for one in _daemons(stack, folder, scale, options)]
        nodes = [
            {"address": one.address.host, "port": one.address.port, "version": relay_version()}
            for one in daemons
        ]
        core = LOOPBACK if far is None else far.core.line.far
        kamailio: dict[str, Any] = {
            **NO_LIMITS,
            "gateway_icscf_uris": [f"sip:{core}:{CORE_PORT}"],
            "gateway_rtpengine_nodes": nodes,
            "gateway_media_timeout_s": _SILENT_CALLS_S,
            "kamailio_udp_mtu": 0,  # the scripted core speaks UDP only
        }
        variables: dict[str, dict[str, Any]] = {"kamailio": kamailio, "redis": {"redis_append_only": True}}
        parts = {Part.REDIS, Part.GATEWAY, Part.MEDIA_AGENT, Part.WEB_API, Part.HAPROXY}
        if far is not None:
            url = stack.enter_context(_redis(folder, far.redis))
            parts.remove(Part.REDIS)
            kamailio |= {"kamailio_sip_address": far.core.line.near, "gateway_redis_url": url}
            variables |= {
                "haproxy": {"haproxy_address": "*"},
                "webapp_api": {"webapp_api_redis_url": url},
            }
        lab_options = LabOptions(
            parts=frozenset(parts),
            phones=(),
            media_ports=0,
            log_dir=options.log_dir,
            role_variables=variables,
        )
        yield stack.enter_context(Lab(lab_options)), daemons


def _daemons(stack: ExitStack, folder: Path, scale: Scale, options: SiteOptions) -> Iterator[Daemon]:
    ports = options.ports or 200 + 8 * scale.running + 40 * int(scale.per_s)
    blocks = stack.enter_context(PortBlocks(PortMode.FREE, rtp_ports=options.nodes * ports))
    for number in range(options.nodes):
        place = folder / f"node-{number}"
        place.mkdir()
        first, last = blocks.rtp_range(ports)
        media = range(first, last + 1)
        command = options.relay_command or tuple(relay_command())
        if options.networks is None:
            yield Daemon(place, media, command=command, rtpengine_timeout_s=_SILENT_CALLS_S)
            continue
        far = options.networks.relay
        yield Daemon(
            place,
            media,
            command=far.command(command),
            ng_host=far.line.far,
            rtpengine_timeout_s=_SILENT_CALLS_S,
            rtpengine_wic_address=far.line.far,
            rtpengine_ims_address=far.line.far,
        )


@contextmanager
def _redis(folder: Path, far: FarEnd) -> Iterator[str]:
    """Run a Redis behind a line; returns its URL."""
    password, place = secrets.token_hex(16), folder / "redis"
    place.mkdir()
    values = {
        "redis_address": far.line.far,
        "redis_data_dir": str(place),
        "redis_password": password,
        "redis_append_only": True,
    }
    config = place / "redis.conf"
    config.write_text(render_role("redis", "redis.conf.j2", values))
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(far.command(["redis-server", str(config)]), stdout=log, stderr=log)
        try:
            wait_until(lambda: _listens(far.line.far), "Redis behind its line", 5)
            yield f"redis://:{password}@{far.line.far}:{_REDIS_PORT}/0"
        finally:
            process.terminate()
            process.wait()


def _listens(address: str) -> bool:
    with socket.create_connection((address, _REDIS_PORT), 1):
        return True


class FaultWorld:
    """A running site with pages and their calls."""

    def __init__(self, lab: Lab, daemons: Sequence[Daemon], scale: Scale, options: SiteOptions) -> None:
        self.lab = lab
        self.daemons = daemons
        self.scale = scale
        self.options = options
        far, info = options.networks, lab.info.web
        handshake = Handshake(info.wss_url, origin=info.origin, forwarded_for=None)
        media = LOOPBACK
        self.core = FaultyCore(LOOPBACK, CORE_PORT)
        if far is not None:
            self.core = FaultyCore(far.core.line.far, CORE_PORT, far.core)
            front = f"wss://{far.page.line.near}:{urlsplit(info.origin).port}/sip"
            handshake = replace(handshake, url=front, new_socket=partial(far.page.socket, socket.SOCK_STREAM))
            media = far.relay.line.near
        self.media_address = media
        self.stage = _stage(lab, self.core)
        talking = -(-scale.running // CALLS_OF_A_PAGE)
        self.talking = [KeptPage(self.stage, handshake, f"talking{number}") for number in range(talking)]
        self.calling = [
            KeptPage(self.stage, handshake, f"calling{number}") for number in range(scale.calling_pages)
        ]
        self.running = RunningCalls(self.stage, self.talking, media)
        self.ticker = Ticker(self.running.phones)
        self.supervisor = Supervisor(lab, daemons)
        self.crowd: list[tuple[KeptPage, OutgoingCall]] = []
        """Calls that take the last ports."""
        self._names = set(lab.process_ids)
        self._idle_sockets = [_sockets(daemon.pid) for daemon in daemons]

    @property
    def pages(self) -> list[KeptPage]:
        """All pages."""
        return [*self.talking, *self.calling]

    def new_calls(self) -> NewCalls:
        """Return calls that have yet to begin."""
        return NewCalls(self.stage, self.calling, self.scale.per_s)

    def web_requests(self) -> WebRequests:
        """Return requests that have yet to begin."""
        return WebRequests(self.lab.info.web.origin)

    def workers(self, what: str) -> list[int]:
        """Return the ids of the gateway's processes whose description has these words."""
        return [int(one["PID"]) for one in self.lab.gateway_rpc("core.psx") if what in one["DSC"]]

    def is_whole(self) -> bool:
        """Whether everything runs, all pages are there and the gateway hears its agent."""
        if any(not daemon.alive for daemon in self.daemons) or set(self.lab.process_ids) != self._names:
            return False
        if not all(page.ready.is_set() for page in self.pages):
            return False
        try:
            status, answer = self.lab.control("GET", "/v1/nodes")
        except OSError:
            return False
        return status == 200 and all(node["state"] == "up" for node in answer["nodes"])

    def left(self) -> dict[str, int]:
        """Count what calls must not leave."""
        rpc = self.lab.gateway_rpc
        counts = {
            f"table {table['name']}": int(table["all"])
            for table in rpc("htable.stats")
            if table["name"] not in KEPT_TABLES | _OF_PAGES
        }
        if not self.scale.is_short:  # by design they outlive a call by five seconds
            counts["transactions"] = int(rpc("tm.stats")["current"])
        counts["relay calls"] = sum(len(_calls(daemon)) for daemon in self.daemons)
        counts["relay sockets"] = sum(
            max(0, _sockets(daemon.pid) - idle)
            for daemon, idle in zip(self.daemons, self._idle_sockets, strict=True)
        )
        return {name: count for name, count in counts.items() if count}

    async def until_clean(self, within_s: float, there_before: Mapping[str, int]) -> dict[str, int]:
        """Wait until nothing is left but what was there before; return what is left nevertheless."""
        deadline = time.monotonic() + within_s
        while True:
            left = {
                name: count - there_before.get(name, 0)
                for name, count in self.left().items()
                if count > there_before.get(name, 0)
            }
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.5)


@asynccontextmanager
async def fault_world(
    folder: Path, scale: Scale, options: SiteOptions | None = None
) -> AsyncIterator[FaultWorld]:
    """Run the site with its pages until the block ends."""
    options = options or SiteOptions()
    with fault_lab(folder, scale, options) as (lab, daemons):
        world = FaultWorld(lab, daemons, scale, options)
        with _only_address(world.media_address):
            async with world_at_work(world):
                yield world


@contextmanager
def _only_address(address: str) -> Iterator[None]:
    """Give pages one candidate for each line: both ends are in this process."""
    before = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = before


@asynccontextmanager
async def world_at_work(world: FaultWorld) -> AsyncIterator[None]:
    """Open core and pages, and look after processes and phones, until the block ends."""
    await world.stage.open()
    tasks = [
        asyncio.create_task(world.supervisor.run()),
        asyncio.create_task(world.ticker.run()),
    ]
    try:
        for page in world.pages:
            await page.open()
        yield
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for page in world.pages:
            await page.close()
        await world.core.close()
        await asyncio.sleep(0.1)  # the loop closes sockets when it comes to it


def _stage(lab: Lab, core: FaultyCore) -> MixedStage:
    stage = MixedStage(lab)
    core.scripts, core.registrar = stage.scripts, stage.core.registrar
    core.trace = Ledger("core", stage.faults)
    stage.core = core
    return stage


def _calls(daemon: Daemon) -> tuple[str, ...]:
    client = UdpClient(daemon.address)
    try:
        return client.request(List()).call_ids
    except NgError:
        return ()
    finally:
        client.close()


def _sockets(pid: int) -> int:
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found += str(entry.readlink()).startswith("socket:")
    return found
