"""A gateway with trunks, as the tests of calls that trunks begin have it.

Trunks live on loopback addresses of their own, so that nothing of theirs comes from the core's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.integration.calls.stage import gateway_options
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK
from tests.peers.udp import Address

OPTIONS_S: Final = 5.0
UP_WITHIN_S: Final = 8.0


def trunk_options(trunks: Sequence[Mapping[str, Any]], **variables: Any) -> LabOptions:
    """Return a gateway with Redis and these trunks, which takes SIP of nobody else but the core."""
    core = {"gateway_core_networks": [f"{LOOPBACK}/32"]}
    options = gateway_options(gateway_trunks=list(trunks), **core, **variables)
    return replace(options, parts=options.parts | {Part.REDIS})


def gateway_address(lab: Lab) -> Address:
    """Return where trunks call."""
    return LOOPBACK, lab.info.gateway.sip_port


def trunk_view(lab: Lab, name: str) -> dict[str, Any]:
    """Return a trunk as the control endpoint shows it, {} before it does."""
    _, body = lab.control("GET", "/v1/trunks")
    return next((trunk for trunk in body["trunks"] if trunk["trunk"] == name), {})


def hop_state(lab: Lab, name: str, uri: str) -> str:
    """Return the state of a next hop."""
    hops = trunk_view(lab, name).get("hops", [])
    return next((hop["state"] for hop in hops if hop["uri"] == uri), "")
