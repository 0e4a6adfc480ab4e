"""The gateway that scenarios are played with: one of ours on loopback with the real IMS core as home network, or a
tester's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.subscribers import BY_NAME
from tests.lab.waiting import wait_until
from tests.lab.world import World
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity
from tests.sipp.places import PROFILE_NAME, Plan, plan_of, table_of, trunks_of
from tests.sipp.report import Report
from tests.sipp.scenario import Folder
from tests.sipp.stage import Gateway, Stage

USER: Final = BY_NAME["alice"]
TABLE_WITHIN_S: Final = 30.0
MEDIA_PORTS: Final = 800
TIMERS: Final[dict[str, Any]] = {
    "gateway_ims_response_timeout_s": 3,
    "gateway_ims_answer_timeout_s": 6,
    "gateway_entry_point_timeout_s": 5,
    "gateway_flow_recovery_s": 1,
}
"""Shorter than an operator's, so that nobody waits long for a carrier that says nothing."""
PROFILE: Final[dict[str, Any]] = {
    "name": PROFILE_NAME,
    "domains": [],
    "audio_codecs": ["PCMA", "PCMU"],
    "core_leg": "trunk-rtp",
}
"""What most carriers speak."""


@contextmanager
def own_gateway(chosen: Iterable[Folder], plan: Plan, *, short: bool = False) -> Iterator[Gateway]:
    """Start the gateway with the trunks and the table of these scenarios; ``short``: they are played in their short
    forms."""
    chosen = tuple(chosen)
    variables: dict[str, Any] = {
        **NO_LIMITS,
        **TIMERS,
        "gateway_trunks": trunks_of(plan, chosen),
        "gateway_media_profiles": [PROFILE],
    }
    for folder in chosen:
        variables |= folder.scenario.variables
    options = LabOptions(
        parts=frozenset({Part.IMS, Part.REDIS, Part.RTPENGINE, Part.GATEWAY}),
        phones=(),
        media_ports=max([MEDIA_PORTS, *(0 if short else folder.scenario.media_ports for folder in chosen)]),
        role_variables={"kamailio": variables},
    )
    with Lab(options) as lab:
        load(lab, table_of(plan, chosen, USER.impu))
        yield gateway_of(lab)


def gateway_of(world: World) -> Gateway:
    """Return what scenarios know of a lab's gateway."""
    info = world.info
    return Gateway(
        info.gateway.address,
        info.gateway.sip_port,
        Handshake(f"ws://{LOOPBACK}:{info.gateway.ws_port}/sip", origin=info.web.origin),
        WicIdentity(USER.impu, Credentials(USER.impi, USER.password)),
        world,
    )


def missing_trunks(world: World, document: RoutingDocument) -> set[str]:
    """Return the trunks of a table that a lab's gateway does not have."""
    _, said = world.control("GET", "/v1/trunks")
    known = {trunk["name"] for trunk in said["trunks"]}
    return {name for group in document.trunk_groups.values() for name in group} - known


def load(world: World, document: RoutingDocument) -> None:
    """Load a table and wait until the gateway has taken it."""
    version = RoutesStore(connect(world.info.redis_url)).put(document)

    def taken() -> bool:
        table = world.gateway_rpc.htable("routing")
        refused = str(table.get("refused", ""))
        assert not refused.startswith(f"{version} "), f"the table is refused: {refused}"
        return table.get("current") == str(version)

    wait_until(taken, f"routing table {version}", TABLE_WITHIN_S)


def own_plan() -> Plan:
    """Return a plan with ports that nobody else takes."""
    return plan_of(own_port)


async def play(
    gateway: Gateway, folder: Folder, plan: Plan, report: Report, run_dir: Path, *, short: bool = False
) -> None:
    """Play one scenario to its verdict; raise ScenarioFailed."""
    stage = Stage(gateway, folder, plan[folder.name], report, run_dir, short=short)
    try:
        await folder.play(stage)
        await stage.verdict()
    finally:
        await stage.close()


def new_run_dir() -> Path:
    """Return an empty folder for SIPp's logs."""
    return Path(tempfile.mkdtemp(prefix="sipp-"))
