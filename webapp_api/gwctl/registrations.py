"""`registrations`: who is registered, on which gateway."""

from __future__ import annotations

import time

import click
import msgspec

from kemi.core.messages import uri_from_address
from kemi.state.web.registrations import Registered
from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table, when
from webapp_api.listeners import spelt


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """One registration: an identity on one page."""

    id: str
    impu: str
    """The identity that it registered."""
    impus: list[str]
    """Others that came with it."""
    impi: str
    gateway: str
    state: str
    """registered, away (its connection is gone, it may come back) or abandoned."""
    scheme: str
    """digest or bearer."""
    user_class: str
    contact: str
    address: str
    """Of the client; "" where it is not known."""
    user_agent: str
    session: str
    """Name of the web session whose token it used, "" for none."""
    since: str
    """When it registered first."""
    refreshed: str
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
@click.option("--impu", default="", help="Only those of this public identity, in any spelling.")
@click.option("--impi", default="", help="Only those of this private identity.")
@click.option("--gateway", default="", help="Only those of this gateway.")
@click.option("--state", type=click.Choice(["registered", "away", "abandoned"]), default=None)
@pass_place
def list_registrations(place: Place, impu: str, impi: str, gateway: str, state: str | None) -> Answer:
    """Show registrations."""
    found = [
        _shown(one) for one in _found(place, impu, impi, gateway) if state in (None, one.binding.state.value)
    ]
    rows = [
        (
            *(one.impu, one.impi, one.state, one.scheme, one.address, one.until),
            *(one.gateway, one.id),
        )
        for one in found
    ]
    columns = ("IMPU", "IMPI", "STATE", "SCHEME", "ADDRESS", "UNTIL", "GATEWAY", "ID")
    return Answer(Bindings(found), table(columns, rows, "no registrations"))


@command(
    registrations,
    "end",
    EndedBindings,
    "registrations end --impu sip:bob@ims.example.com",
    "registrations end --impi bob@ims.example.com",
    "registrations end --id 0123456789abcdef0123456789abcdef",
    note=note_change,
)
@click.option("--impu", default="", help="All of this public identity, in any spelling.")
@click.option("--impi", default="", help="All of this private identity.")
@click.option("--id", "identifier", default="", help="This one, as `registrations list` names it.")
@pass_place
def end_registrations(place: Place, impu: str, impi: str, identifier: str) -> Answer:
    """End registrations within a second, with the calls on them and the web session their token came from.

    Whoever has a password may come back: to keep somebody out, `users disable NAME`.
    """
    if not (impu or impi or identifier):
        raise click.UsageError("say which: --impu, --impi or --id")
    parts = place.services
    found = [one for one in _found(place, impu, impi, "") if identifier in ("", one.id)]
    if not found:
        raise click.ClickException("there is no such registration")
    for one in found:
        if one.binding.grant.session:
            parts.logins.end_sid(one.binding.grant.session, one.binding.impi)
        else:
            parts.commands.end_registration(one.key, time.time())
    shown = [_shown(one) for one in found]
    return Answer(EndedBindings(shown), [f"{one.gateway} ends {one.impu} ({one.id})" for one in shown])


def _found(place: Place, impu: str, impi: str, gateway: str) -> list[Registered]:
    wanted = spelt(impu)
    return sorted(
        (
            one
            for one in place.services.registrations.all(time.time(), gateway)
            if (not impu or wanted in map(spelt, (one.binding.address_of_record, *_others(one))))
            and impi in ("", one.binding.impi)
        ),
        key=lambda one: (one.binding.address_of_record, one.id),
    )


def _others(one: Registered) -> list[str]:
    named = map(uri_from_address, one.binding.associated_uris)
    return [uri for uri in named if uri != one.binding.address_of_record]


def _shown(one: Registered) -> Binding:
    binding = one.binding
    return Binding(
        id=one.id,
        impu=binding.address_of_record,
        impus=_others(one),
        impi=binding.impi,
        gateway=one.node,
        state=binding.state.value,
        scheme=binding.grant.scheme,
        user_class=binding.grant.user_class,
        contact=binding.contact,
        address=binding.client_address,
        user_agent=binding.user_agent,
        session=binding.grant.session,
        since=when(binding.registered_at),
        refreshed=when(binding.granted_at),
        until=when(binding.expires_at),
    )
