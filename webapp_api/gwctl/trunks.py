"""`trunks`: carriers, as the gateways see them."""

from __future__ import annotations

import time

import click
import msgspec

from kemi.state.trunks import TrunkView
from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.machine.control import ask_gateway
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table, when
from webapp_api.site_status import trouble_of


class NextHop(msgspec.Struct, frozen=True, kw_only=True):
    """A next hop of a trunk."""

    uri: str
    state: str
    """up, down or unknown."""
    since: str
    why: str


class Trunk(msgspec.Struct, frozen=True, kw_only=True):
    """A trunk as one gateway sees it."""

    trunk: str
    gateway: str
    state: str
    since: str
    registration: str
    """idle, asking, registered, waiting, leaving or gone; "" where the gateway does not register."""
    registered_until: str
    why: str
    calls: int
    most_calls: int
    hops: list[NextHop]


class Trunks(msgspec.Struct, frozen=True):
    """All trunks of all gateways that run."""

    trunks: list[Trunk]


class Leave(msgspec.Struct, frozen=True):
    """Whether the gateway of this machine is to be registered nowhere."""

    leave: bool


@click.group(cls=Group)
def trunks() -> None:
    """Trunks of all gateways."""


@command(trunks, "list", Trunks, "trunks list", "trunks list --down", "trunks list --json")
@click.option("--down", is_flag=True, help="Only those with something wrong.")
@pass_place
def list_trunks(place: Place, down: bool) -> Answer:
    """Show the trunks as each gateway sees them, each with its next hops below."""
    found = trunks_of(place, only_troubled=down)
    rows: list[tuple[object, ...]] = []
    for one in found:
        calls = f"{one.calls}/{one.most_calls}" if one.most_calls else one.calls
        registration = " until ".join(filter(None, (one.registration, one.registered_until)))
        rows.append((one.trunk, one.state, one.since, registration, calls, one.gateway, one.why))
        rows += [(f"  {hop.uri}", hop.state, hop.since, "", "", "", hop.why) for hop in one.hops]
    columns = ("TRUNK", "STATE", "SINCE", "REGISTRATION", "CALLS", "GATEWAY", "WHY")
    return Answer(Trunks(found), table(columns, rows, "no trunks"))


@command(trunks, "leave", Leave, "trunks leave", "trunks leave --no", note=note_change)
@click.option("--no", "takes_back", is_flag=True, help="Register again.")
@pass_place
def leave_trunks(place: Place, takes_back: bool) -> Answer:
    """Let the gateway of this machine de-register from all trunks, before it is stopped; running calls go on."""
    ask_gateway(place.folder, "PUT", "/v1/trunks/leave", {"leave": not takes_back})
    said = "this gateway registers again" if takes_back else "this gateway leaves all trunks"
    return Answer(Leave(not takes_back), [said])


def trunks_of(place: Place, *, only_troubled: bool = False) -> list[Trunk]:
    """Return the trunks as each gateway sees them, all or those with something wrong."""
    return [
        _shown(view, gateway)
        for gateway, seen in place.services.trunks.seen(time.time()).items()
        for view in seen.trunks
        if not only_troubled or trouble_of(view)
    ]


def _shown(view: TrunkView, gateway: str) -> Trunk:
    return Trunk(
        trunk=view.trunk,
        gateway=gateway,
        state=view.state,
        since=when(view.since),
        registration=view.registration,
        registered_until=when(view.registered_until),
        why=view.why,
        calls=view.calls,
        most_calls=view.most_calls,
        hops=[NextHop(uri=hop.uri, state=hop.state, since=when(hop.since), why=hop.why) for hop in view.hops],
    )
