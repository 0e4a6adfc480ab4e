"""`nodes`: media relay nodes of all gateways; `counters`: what gateways counted."""

from __future__ import annotations

import time

import click
import msgspec

from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table
from webapp_api.site_status import node_state


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A relay node as one gateway sees it."""

    node: str
    gateway: str
    state: str
    """unknown, up, suspect, down or returning."""
    drained: bool
    broken: bool
    calls: int | None
    weight: int
    version: str


class Nodes(msgspec.Struct, frozen=True):
    """All nodes of all gateways that run."""

    nodes: list[Node]


class DrainedNode(msgspec.Struct, frozen=True):
    """What became of one."""

    node: str
    drained: bool


class CountersOfGateway(msgspec.Struct, frozen=True):
    """Counted since the gateway's start."""

    gateway: str
    counters: dict[str, int]


class Counters(msgspec.Struct, frozen=True):
    """Of all gateways that run."""

    gateways: list[CountersOfGateway]


@click.group(cls=Group)
def nodes() -> None:
    """Media relay nodes of all gateways."""


@command(nodes, "list", Nodes, "nodes list", "nodes list --json")
@pass_place
def list_nodes(place: Place) -> Answer:
    """Show the nodes as each gateway sees them."""
    found = nodes_of(place)
    rows = [
        (
            one.node,
            state_of(one),
            one.calls if one.calls is not None else "?",
            one.weight,
            one.version,
            one.gateway,
        )
        for one in found
    ]
    columns = ("NODE", "STATE", "CALLS", "WEIGHT", "VERSION", "GATEWAY")
    return Answer(Nodes(found), table(columns, rows, "no gateway tells of a node"))


@command(
    nodes,
    "drain",
    DrainedNode,
    "nodes drain 192.0.2.1:2223",
    "nodes drain 192.0.2.1:2223 --no",
    note=note_change,
)
@click.argument("node")
@click.option("--no", "takes_back", is_flag=True, help="Give it new calls again, as `nodes undrain`.")
@pass_place
def drain_node(place: Place, node: str, takes_back: bool) -> Answer:
    """Give NODE (address:port) no new calls, on every gateway; those it has go on."""
    return _drained(place, node, not takes_back)


@command(nodes, "undrain", DrainedNode, "nodes undrain 192.0.2.1:2223", note=note_change)
@click.argument("node")
@pass_place
def undrain_node(place: Place, node: str) -> Answer:
    """Give NODE (address:port) new calls again, on every gateway."""
    return _drained(place, node, False)


def _drained(place: Place, node: str, drain: bool) -> Answer:
    view = place.services.relay_nodes
    known = view.told(time.time())
    if node not in known | view.drained():
        they_have = f"they have {', '.join(sorted(known))}" if known else "none has told of any"
        raise click.ClickException(f"no gateway has the node {node}; {they_have}")
    view.drain(node, drain)
    said = f"{node} gets {'no new calls' if drain else 'new calls again'}"
    return Answer(DrainedNode(node, drain), [said])


def nodes_of(place: Place) -> list[Node]:
    """Return the nodes as each gateway sees them."""
    view = place.services.relay_nodes
    drained = view.drained()
    return [
        Node(
            node=node.node,
            gateway=gateway,
            state=node.state,
            drained=node.node in drained,
            broken=node.broken,
            calls=node.calls,
            weight=node.weight,
            version=node.version,
        )
        for gateway, seen in view.seen(time.time()).items()
        for node in seen.nodes
    ]


def state_of(node: Node) -> str:
    """Write the state of a node in a word or two."""
    return node_state(node.state, drained=node.drained, broken=node.broken)


def add_counters(group: click.Group) -> None:
    """Add `counters`, which is no noun with commands."""

    @command(group, "counters", Counters, "counters", "counters --json")
    @pass_place
    def counters(place: Place) -> Answer:
        """Show what each gateway has counted since its start: calls by kind of rates, denied ones, emergencies,
        alarms."""
        found = [
            CountersOfGateway(gateway, seen.counters)
            for gateway, seen in place.services.relay_nodes.seen(time.time()).items()
        ]
        rows = [(one.gateway, name, number) for one in found for name, number in one.counters.items()]
        return Answer(
            Counters(found), table(("GATEWAY", "WHAT", "NUMBER"), rows, "nothing counted, or no gateway runs")
        )
