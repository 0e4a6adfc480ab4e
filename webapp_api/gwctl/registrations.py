"""`registrations`: who is registered, on which gateway."""

from __future__ import annotations

import time

import click
import msgspec

from kemi.state.web.bindings import BindingsView
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table, when


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """One registration: an identity on one page."""

    key: str
    impu: str
    impi: str
    gateway: str
    state: str
    """registered, away (its connection is gone, it may come back) or abandoned."""
    scheme: str
    """digest or bearer."""
    user_class: str
    contact: str
    since: str
    """When the core said yes last."""
    until: str


class Bindings(msgspec.Struct, frozen=True):
    """Registrations of all gateways."""

    registrations: list[Binding]


class EndedBindings(msgspec.Struct, frozen=True):
    """Which registrations the gateways were told to end."""

    ended: list[Binding]


@click.group(cls=Group)
def registrations() -> None:
    """Registrations of pages, on all gateways."""


@command(
    registrations,
    "list",
    Bindings,
    "registrations list",
    "registrations list --impu sip:alice@ims.example.com",
    "registrations list --state away --json",
)
@click.option("--impu", default="", help="Only those of this public identity.")
@click.option("--impi", default="", help="Only those of this private identity.")
@click.option("--gateway", default="", help="Only those of this gateway.")
@click.option("--state", type=click.Choice(["registered", "away", "abandoned"]), default=None)
@pass_place
def list_registrations(place: Place, impu: str, impi: str, gateway: str, state: str | None) -> Answer:
    """Show registrations."""
    found = _found(place, impu, impi, gateway, state)
    rows = [
        (one.impu, one.impi, one.state, one.scheme, one.user_class, one.until, one.gateway) for one in found
    ]
    columns = ("IMPU", "IMPI", "STATE", "SCHEME", "CLASS", "UNTIL", "GATEWAY")
    return Answer(Bindings(found), table(columns, rows, "no registrations"))


@command(
    registrations,
    "end",
    EndedBindings,
    "registrations end --impu sip:bob@ims.example.com",
    "registrations end --impi bob@ims.example.com",
)
@click.option("--impu", default="", help="All of this public identity.")
@click.option("--impi", default="", help="All of this private identity.")
@pass_place
def end_registrations(place: Place, impu: str, impi: str) -> Answer:
    """End registrations within a second, with the calls on them. A page may register again at once: to keep somebody
    out, remove the account or change its password, too."""
    if not (impu or impi):
        raise click.UsageError("say which: --impu or --impi")
    found = _found(place, impu, impi, "", None)
    if not found:
        raise click.ClickException("there is no such registration")
    for one in found:
        place.services.commands.end_registration(one.key, time.time())
    return Answer(EndedBindings(found), [f"{one.gateway} ends {one.impu} ({one.contact})" for one in found])


def _found(place: Place, impu: str, impi: str, gateway: str, state: str | None) -> list[Binding]:
    found = []
    for node, key, binding in BindingsView(place.redis).all(time.time()):
        if (
            impu in ("", binding.address_of_record)
            and impi in ("", binding.impi)
            and gateway in ("", node)
            and state in (None, binding.state)
        ):
            found.append(
                Binding(
                    key=key,
                    impu=binding.address_of_record,
                    impi=binding.impi,
                    gateway=node,
                    state=binding.state.value,
                    scheme=binding.grant.scheme,
                    user_class=binding.grant.user_class,
                    contact=binding.contact,
                    since=when(binding.granted_at),
                    until=when(binding.expires_at),
                )
            )
    return found
