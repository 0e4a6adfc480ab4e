"""Gateways that run already: a lab's, or a tester's own, with trunks at fixed ports of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, Final

import msgspec
import yaml

from tests.lab.options import NO_LIMITS
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity
from tests.sipp.places import Plan, plan_of, table_of, trunks_of
from tests.sipp.scenario import Folder, folders
from tests.sipp.site import PROFILE, TIMERS
from tests.sipp.stage import Gateway

FIXED_PORT: Final = 27_500
"""The first of SIPp's ports: above those that labs hand out, below those of its media."""


def fixed_plan(address: str = "") -> Plan:
    """Return the plan that an operator can write into settings; without ``address`` for a gateway on loopback."""
    ports = count(FIXED_PORT)
    return plan_of(lambda: next(ports), address)


def playable(chosen: Iterable[Folder]) -> list[Folder]:
    """Return the scenarios that a gateway that runs already can be played with."""
    return [one for one in chosen if not why_not(one, is_lab=True)]


def role_variables() -> dict[str, Any]:
    """Return what a lab's gateway has to know of all scenarios (role kamailio): trunks, short timers, no limits."""
    trunks = trunks_of(fixed_plan(), playable(folders()))
    return {**NO_LIMITS, **TIMERS, "gateway_trunks": trunks, "gateway_media_profiles": [PROFILE]}


def gateway_at(host: str, port: int, wss: str, aor: str, impi: str, password: str) -> Gateway:
    """Return a tester's gateway, which is known from outside only."""
    scheme, _, rest = wss.partition("://")
    origin = f"{'https' if scheme == 'wss' else 'http'}://{rest.partition('/')[0]}"
    handshake = Handshake(wss, origin=origin, forwarded_for=None)
    return Gateway(host, port, handshake, WicIdentity(aor, Credentials(impi, password)))


def operator_settings(plan: Plan, chosen: Iterable[Folder], user: str) -> str:
    """Return variables of the role kamailio and the routing table, for people to copy."""
    usable = [one for one in chosen if not why_not(one, is_lab=False)]
    realm = user.rpartition("@")[2]
    variables = {"gateway_trunks": trunks_of(plan, usable), "gateway_media_profiles": [PROFILE]}
    timers = yaml.safe_dump(TIMERS, sort_keys=False)
    document = msgspec.json.format(
        msgspec.json.encode(table_of(plan, usable, user, realm)), indent=2
    ).decode()
    return (
        "# variables of the role kamailio\n"
        f"{yaml.safe_dump(variables, sort_keys=False)}\n"
        f"# short timers, without which trunk-down and trunk-silent fail\n{timers}\n"
        "# routing table: gwctl routes load FILE\n"
        f"{document}"
    )


def why_not(folder: Folder, *, is_lab: bool) -> str:
    """Return why a scenario cannot be played with a gateway that runs already, a lab's or another, "" if it can."""
    if not folder.scenario.shares_gateway:
        return "it needs settings of its own: without --lab and --gateway it has a gateway with them"
    if folder.scenario.restarts:
        return "it starts the gateway again: without --lab and --gateway it has one of its own"
    if folder.scenario.inside and not is_lab:
        return "it looks at the inside of the gateway, which only a lab shows"
    return ""
