"""/api/operator/nodes: the relay nodes of all gateways, for accounts with the role of an operator."""

import time

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from webapp_api.audit import remark
from webapp_api.bodies import answer, body_of
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_nodes", __name__)


class DrainOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to become of a node: no new calls, or new ones again."""

    drain: bool


class NodeAtGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A relay node as one gateway sees it."""

    gateway: str
    agent: bool
    """Whether a media agent runs there; without one state and calls are not known."""
    state: str
    """unknown, up, suspect, down or returning."""
    calls: int | None
    """Media calls of all its users."""
    weight: int
    broken: bool
    """Left alone for a moment, because it did not answer."""
    version: str


class RelayNode(msgspec.Struct, frozen=True, kw_only=True):
    """One relay node."""

    node: str
    """address:port of its ng socket."""
    drained: bool
    """Whether it gets no new calls; those it has go on."""
    gateways: list[NodeAtGateway]


class RelayNodes(msgspec.Struct, frozen=True, kw_only=True):
    """All relay nodes."""

    nodes: list[RelayNode]


@blueprint.get("/api/operator/nodes")
def get_nodes() -> Response:
    """Tell which relay nodes there are."""
    only_operators()
    return answer(RelayNodes(nodes=_nodes()))


@blueprint.put("/api/operator/nodes/<node>")
def put_node(node: str) -> Response:
    """Drain a node, or give it new calls again."""
    only_operators(costs=True)
    order = body_of(DrainOrder)
    remark(f"drain={order.drain}")
    view = services().relay_nodes
    if node not in view.told(time.time()) | view.drained():
        raise NotFound("No gateway has this relay node.")
    view.drain(node, order.drain)
    # One that no running gateway has is shown only as long as it is drained.
    gone = RelayNode(node=node, drained=order.drain, gateways=[])
    return answer(next((known for known in _nodes() if known.node == node), gone))


def _nodes() -> list[RelayNode]:
    view = services().relay_nodes
    drained = view.drained()
    by_node: dict[str, list[NodeAtGateway]] = {node: [] for node in drained}
    for gateway, seen in view.seen(time.time()).items():
        for node in seen.nodes:
            by_node.setdefault(node.node, []).append(
                NodeAtGateway(
                    gateway=gateway,
                    agent=seen.agent,
                    state=node.state,
                    calls=node.calls,
                    weight=node.weight,
                    broken=node.broken,
                    version=node.version,
                )
            )
    return [
        RelayNode(node=node, drained=node in drained, gateways=gateways)
        for node, gateways in sorted(by_node.items())
    ]
