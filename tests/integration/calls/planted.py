"""A site on which faults of every kind are planted into real calls, one after the other, and what is found of them.

Knows how a world of calls is set up and played out. Must not know single faults: they are in the plants' modules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.core.trace.entries import CallTrace
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.traces import TracesView
from tests.integration.calls.outbound_site import PORTS, Carriers, trunk
from tests.integration.calls.routes import load
from tests.integration.calls.stage import ALICE, CORE_PORT, gateway_options, until
from tests.integration.calls.two_nodes import Nodes, NodeStage, two_daemons
from tests.integration.registration.registering import KEYS_S
from tests.integration.trust.issuers import BEARER_VARIABLES, ISSUER, publish_in_redis
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.carrier import Carrier
from tests.peers.digest import Credentials
from tests.peers.media import RtpEndpoint
from tests.peers.wic import ScriptedWic, WicIdentity

MEDIA_TIMEOUT_S: Final = 5
SECRET: Final = Credentials("gateway", "a-password-in-no-log")
TRUNKS: Final = [
    trunk("one", "first", "spare", user=SECRET.username, password=SECRET.password),
    trunk("two", "second"),
    trunk("narrow", "first", most_calls=1),
]
DOCUMENT: Final = RoutingDocument(
    routes=[
        Route("germany", "+49*", Target.TRUNK, name="both"),
        Route("mobile", "+4915*", Target.CORE),
        Route("spain", "+34*", Target.TRUNK, name="narrow"),
        Route("america", "+1*", Target.TRUNK, name="both"),
        Route("closed", "+43*", Target.REFUSE, status=403),
        Route("users", f"sip:*@{REALM}", Target.CORE),
    ],
    plans={REALM: DialPlan(country="DE")},
    permissions={"*": Permission(allowed=("ES", "AT", "FR"), per_minute={CostClass.MOBILE: 1})},
    trunk_groups={"both": ["one", "two"], "narrow": ["narrow"]},
)


@contextmanager
def planted_lab(directory: Path) -> Iterator[tuple[Lab, Nodes]]:
    """Start a gateway with trunks, a routing table, Redis and two media nodes."""
    with two_daemons(directory) as nodes:
        options = gateway_options(
            gateway_rtpengine_nodes=nodes.variables(),
            gateway_trunks=TRUNKS,
            gateway_media_timeout_s=MEDIA_TIMEOUT_S,
            gateway_ng_deadline_ms=1000,
            gateway_session_expires_s=6,
            gateway_min_se_s=3,
            **BEARER_VARIABLES,
        )
        with Lab(replace(options, parts=frozenset({Part.GATEWAY, Part.REDIS}))) as lab:
            load(lab, DOCUMENT)
            publish_in_redis(lab, ISSUER.url, ISSUER.key)
            wait_until(lambda: ISSUER.url in lab.gateway_rpc.htable("jwks"), "keys at the gateway", KEYS_S)
            yield lab, nodes


@dataclass
class World:
    """Everybody who takes part."""

    stage: NodeStage
    carriers: Carriers
    page: ScriptedWic
    stack: ExitStack
    later: list[Callable[[], Awaitable[Any]]] = field(default_factory=list)
    """What ends the calls that have to last."""

    def phone(self, host: str = LOOPBACK) -> RtpEndpoint:
        """Return a device's medium."""
        return self.stack.enter_context(RtpEndpoint(host))

    async def own_page(self) -> ScriptedWic:
        """Return another page of the same user; calls of the core go to the newest."""
        return await self.stage.page()

    async def real_page(self) -> AiortcWic:
        """Return a page with media."""
        page = AiortcWic(self.stage.handshake, WicIdentity(ALICE))
        await self.stage.join(page)
        return page

    def control(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Tell the gateway something."""
        status, answer = self.stage.lab.control(method, path, body)
        assert status == 200, answer


Plant: TypeAlias = Callable[[World], Awaitable[str]]
"""Plays a call with a fault and returns its Call-ID."""


def planting(into: dict[str, Plant]) -> Callable[[str], Callable[[Plant], Plant]]:
    """Return a decorator that names the verdict a plant is for."""

    def plants(code: str) -> Callable[[Plant], Plant]:
        def named(plant: Plant) -> Plant:
            into[code] = plant
            return plant

        return named

    return plants


@dataclass(frozen=True)
class Bed:
    """Plants that grow one after the other; what they leave to be done later is done ``last_s`` after the last."""

    plants: dict[str, Plant]
    last_s: float = 0.0


def play(lab: Lab, nodes: Nodes, beds: list[Bed]) -> dict[str, CallTrace]:
    """Let all plants grow, bed after bed, and return the trace of each."""
    return asyncio.run(_play(lab, nodes, beds))


async def _play(lab: Lab, nodes: Nodes, beds: list[Bed]) -> dict[str, CallTrace]:
    names: dict[str, str] = {}
    async with AsyncExitStack() as peers:
        stage = NodeStage(lab, nodes, CORE_PORT)
        await stage.open()
        peers.push_async_callback(stage.core.close)
        carriers = Carriers(
            **{name: await peers.enter_async_context(Carrier(LOOPBACK, port)) for name, port in PORTS.items()}
        )
        for bed in beds:
            with ExitStack() as stack:
                world = World(stage, carriers, await stage.page(), stack)
                try:
                    names |= await _grown(world, bed)
                finally:
                    for page in stage.pages:
                        await page.close()
                    stage.pages.clear()
        traces = await _traces(lab, names)
        await stage.close()
    return traces


async def _grown(world: World, bed: Bed) -> dict[str, str]:
    by_plant: dict[Plant, str] = {}
    for code, plant in bed.plants.items():
        if plant in by_plant:
            continue
        try:
            by_plant[plant] = await plant(world)
        except Exception as error:
            raise AssertionError(f"{code} could not be planted") from error
    if world.later:
        await asyncio.sleep(bed.last_s)
    await asyncio.gather(*(end() for end in world.later))
    return {code: by_plant[plant] for code, plant in bed.plants.items()}


async def _traces(lab: Lab, names: dict[str, str]) -> dict[str, CallTrace]:
    view = TracesView(connect(lab.info.redis_url))
    found: dict[str, CallTrace] = {}

    def all_there() -> bool:
        for code in names.keys() - found.keys():
            trace = view.get(names[code])
            if trace is not None and trace.ended_at:
                found[code] = trace
        return len(found) == len(names)

    await until(all_there, lambda: f"no trace of {sorted(names.keys() - found.keys())}", 30, every_s=0.25)
    await asyncio.sleep(1)  # what came after the end
    return {code: view.get(name) or found[code] for code, name in names.items()}
