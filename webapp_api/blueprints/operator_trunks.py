"""/api/operator/trunks: the trunks of all gateways, for accounts with the role of an operator."""

import time

import msgspec
from flask import Blueprint, Response

from webapp_api.bodies import answer
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_trunks", __name__)


class NextHop(msgspec.Struct, frozen=True, kw_only=True):
    """A next hop of a trunk."""

    uri: str
    state: str
    """up, down, or unknown: nobody has asked it."""
    since: float
    """Seconds since the epoch, 0 while unknown."""
    why: str


class TrunkAtGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A trunk as one gateway sees it.  Times are in seconds since the epoch, 0: none."""

    gateway: str
    state: str
    """up or down; down: none of its next hops is up."""
    since: float
    registration: str
    """idle, asking, registered, waiting, leaving or gone; empty where the gateway does not register."""
    registered_until: float
    why: str
    """What is wrong with the registration."""
    calls: int
    """Running there, both directions."""
    hops: list[NextHop]


class OperatorTrunk(msgspec.Struct, frozen=True, kw_only=True):
    """One trunk."""

    trunk: str
    most_calls: int
    """At once on all gateways; 0: no limit."""
    gateways: list[TrunkAtGateway]


class OperatorTrunks(msgspec.Struct, frozen=True, kw_only=True):
    """All trunks."""

    trunks: list[OperatorTrunk]


@blueprint.get("/api/operator/trunks")
def get_trunks() -> Response:
    """Tell which trunks there are, and how they are."""
    only_operators()
    by_trunk: dict[str, list[TrunkAtGateway]] = {}
    most: dict[str, int] = {}
    for gateway, seen in services().trunks.seen(time.time()).items():
        for view in seen.trunks:
            most[view.trunk] = view.most_calls
            by_trunk.setdefault(view.trunk, []).append(
                TrunkAtGateway(
                    gateway=gateway,
                    state=view.state,
                    since=view.since,
                    registration=view.registration,
                    registered_until=view.registered_until,
                    why=view.why,
                    calls=view.calls,
                    hops=[
                        NextHop(uri=hop.uri, state=hop.state, since=hop.since, why=hop.why)
                        for hop in view.hops
                    ],
                )
            )
    return answer(
        OperatorTrunks(
            trunks=[
                OperatorTrunk(trunk=name, most_calls=most[name], gateways=gateways)
                for name, gateways in sorted(by_trunk.items())
            ]
        )
    )
