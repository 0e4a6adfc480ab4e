"""Who has which port, number and name: the same plan makes the gateway's settings and the scenarios' parties.

Names of trunks say the scenario, so that all scenarios share one gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.lab.subscribers import REALM
from tests.sipp.scenario import Folder, TrunkPlan, folders

NUMBERS: Final = "+4930555"
"""The scenarios' numbers begin so; two digits of the scenario and three of its choice follow."""
PROFILE_NAME: Final = "carrier"
"""Of the trunks' media."""


@dataclass(frozen=True)
class Place:
    """Where a scenario's parties are."""

    address: str
    """Of its SIPp: a carrier's call is known by it."""
    prefix: str
    """Its numbers without the last three digits."""
    ports: dict[str, int]
    """Of its trunks, by role."""

    def number(self, ending: str = "100") -> str:
        """Return one of its numbers, +E.164."""
        return self.prefix + ending


Plan = dict[str, Place]


def plan_of(port: Callable[[], int], address: str = "") -> Plan:
    """Give every scenario its address, numbers and ports.

    ``port`` hands one out; without ``address`` each scenario is a carrier of its own on loopback.
    """
    return {
        folder.name: Place(
            address or f"127.0.1.{number + 1}",
            f"{NUMBERS}{number:02}",
            {trunk.role: port() for trunk in folder.scenario.trunks},
        )
        for number, folder in enumerate(folders())
    }


def trunk_name(scenario: str, role: str) -> str:
    """Return the name of a scenario's trunk in settings and logs."""
    return f"{scenario}-{role}"


def trunks_of(plan: Plan, chosen: Iterable[Folder]) -> list[dict[str, Any]]:
    """Return what the operator says of all trunks (``gateway_trunks`` of the role kamailio)."""
    return [
        {
            "name": trunk_name(folder.name, trunk.role),
            "uris": [hop(plan[folder.name], trunk)],
            "options_s": 0.0,
            "profile": PROFILE_NAME,
            **trunk.settings,
        }
        for folder in chosen
        for trunk in folder.scenario.trunks
    ]


def hop(place: Place, trunk: TrunkPlan) -> str:
    """Return the next hop of a trunk."""
    transport = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
    return f"sip:{place.address}:{place.ports[trunk.role]}{transport}"


def table_of(plan: Plan, chosen: Iterable[Folder], user: str, realm: str = REALM) -> RoutingDocument:
    """Return the routing table: each scenario's numbers to its trunks, its DID to the user."""
    routes = [Route("home", f"sip:*@{realm}", Target.CORE)]
    groups = {}
    for folder in chosen:
        if not folder.scenario.trunks:
            continue
        name, prefix = folder.name, plan[folder.name].prefix
        groups[name] = [trunk_name(name, trunk.role) for trunk in folder.scenario.trunks]
        routes.append(Route(name, f"{prefix}*", Target.TRUNK, realm=realm, name=name))
        routes += [
            Route(f"did-{trunk}", f"{prefix}9*", Target.USER, realm=f"trunk:{trunk}", name=user)
            for trunk in groups[name]
            if folder.scenario.calls_in
        ]
    # the realm has no country, so that all numbers are international
    permissions = {"*": Permission(allowed=(NUMBERS,))}
    return RoutingDocument(routes=routes, trunk_groups=groups, permissions=permissions)
