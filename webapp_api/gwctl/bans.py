"""`bans`: client addresses that are shut out."""

from __future__ import annotations

import math
import time

import click
import msgspec

from kemi.core.bans import LONGEST_S, banned_network
from kemi.state.bans import SharedBan
from kemi.state.web.bans import BanList
from webapp_api.gwctl.audit import note_change, who_types
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, ExitCode, Group, command, table, when


class AddressBan(msgspec.Struct, frozen=True, kw_only=True):
    """A banned address."""

    address: str
    until: str
    why: str
    by: str
    """A gateway's name, webapp_api, or who did it by hand."""
    at: str


class Bans(msgspec.Struct, frozen=True):
    """All bans, and networks that are never banned."""

    bans: list[AddressBan]
    trusted: list[str]


class Lifted(msgspec.Struct, frozen=True):
    """What became of a ban."""

    address: str
    lifted: bool


@click.group(cls=Group)
def bans() -> None:
    """Client addresses that are shut out, on all gateways and at the web service."""


@command(bans, "list", Bans, "bans list", "bans list --json")
@pass_place
def list_bans(place: Place) -> Answer:
    """Show which addresses are banned, until when, and what for."""
    known = BanList(place.redis)
    found = [_shown(address, ban) for address, ban in sorted(known.all(time.time()).items())]
    trusted = known.trusted()
    rows = [(one.address, one.until, one.why, one.by, one.at) for one in found]
    lines = table(("ADDRESS", "UNTIL", "WHY", "BY", "AT"), rows, "nobody is banned")
    if trusted:
        lines = [*lines, f"never banned: {', '.join(trusted)}"]
    return Answer(Bans(found, trusted), lines)


@command(
    bans,
    "add",
    AddressBan,
    "bans add 192.0.2.7",
    "bans add 2001:db8::1 --for 86400 --why scanner",
    note=note_change,
)
@click.argument("address")
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(1, LONGEST_S),
    default=3600.0,
    show_default=True,
    help="Seconds until it ends by itself.",
)
@click.option("--why", default="operator", show_default=True, help="What others read about it.")
@pass_place
def add_ban(place: Place, address: str, for_s: float, why: str) -> Answer:
    """Ban ADDRESS (IPv4, or IPv6 with its whole /64); registered pages behind it stay."""
    if math.isnan(for_s):
        raise click.BadParameter("no number", param_hint="--for")
    kept, now = _kept(address), time.time()
    known = BanList(place.redis, place.settings.trusted_proxies)
    if known.is_front(kept):
        raise click.ClickException(f"{kept} is this machine, or a TLS front (trusted_proxies)")
    if known.is_trusted(kept):
        raise click.ClickException(f"{kept} is in gateway_trusted_networks")
    ban = SharedBan(now + for_s, why, who_types(), now)
    known.put(kept, ban)
    shown = _shown(kept, ban)
    return Answer(shown, [f"{kept} is banned until {shown.until}"])


@command(bans, "lift", Lifted, "bans lift 192.0.2.7", note=note_change)
@click.argument("address")
@pass_place
def lift_ban(place: Place, address: str) -> Answer:
    """End the ban of ADDRESS; HAProxy lets it in when its own mark has run out (haproxy_ban_mark_s)."""
    kept = _kept(address)
    lifted = BanList(place.redis).lift(kept)
    said = f"{kept} is not banned any more" if lifted else f"{kept} is not banned"
    return Answer(Lifted(kept, lifted), [said], ExitCode.DONE if lifted else ExitCode.WRONG)


def _kept(address: str) -> str:
    try:
        return banned_network(address)
    except ValueError as error:
        raise click.BadParameter(
            "one IPv4 address, or one IPv6 address or /64", param_hint="ADDRESS"
        ) from error


def _shown(address: str, ban: SharedBan) -> AddressBan:
    return AddressBan(address=address, until=when(ban.until), why=ban.why, by=ban.by, at=when(ban.at))
