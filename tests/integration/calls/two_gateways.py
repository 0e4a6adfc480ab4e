"""Two gateways of one site: one core, one relay, one Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from tests.integration.calls.stage import gateway_options
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK
from tests.lab.relay_program import relay_version
from tests.lab.waiting import wait_until
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic

_SHARED: Final = {"gateway_flow_secret": "0123456789abcdef" * 4, "gateway_peers": [LOOPBACK]}


@contextmanager
def first_gateway(**variables: Any) -> Iterator[Lab]:
    """Start one, with the site's relay and Redis."""
    options = gateway_options(gateway_node="gw-a", **_SHARED, **variables)
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        yield lab


@contextmanager
def second_gateway(first: Lab, **variables: Any) -> Iterator[Lab]:
    """Start the other one; afterwards it must have no call."""
    relay: dict[str, Any] = {
        "address": first.info.rtpengine.ng_address,
        "port": first.info.rtpengine.ng_port,
        "version": relay_version(),
    }
    options = gateway_options(
        gateway_node="gw-b",
        gateway_redis_url=first.info.redis_url,
        gateway_rtpengine_nodes=[relay],
        **_SHARED,
        **variables,
    )
    with Lab(replace(options, parts=frozenset({Part.GATEWAY}))) as lab:
        yield lab
        wait_until(lambda: not lab.gateway_rpc.htable("call"), "no call is left", 15)


def handshake_at(lab: Lab) -> Handshake:
    """Return the upgrade as this gateway's TLS front forwards it."""
    return Handshake(f"ws://{LOOPBACK}:{lab.info.gateway.ws_port}/sip", origin=lab.info.web.origin)


async def comes_to(lab: Lab, page: ScriptedWic) -> None:
    """Let a page that has lost its connection come to this gateway."""
    page.handshake = handshake_at(lab)
    await page.connect()
    assert (await page.register()).status == 200
