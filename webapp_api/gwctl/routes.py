"""`routes`: where calls go."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from kemi.core.emergency import service_of
from kemi.core.routing.numbers import BadNumber, Dialled, DialPlan, is_emergency
from kemi.core.routing.table import TableError
from kemi.state.routing_document import RoutingDocument, check_document, document_from_json
from kemi.state.web.routes import Explanation, OtherVersion, dialled_by_table, explanation
from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, to_json
from webapp_api.services import Services

NO_TABLE: Final = "there is no table: every call goes to the core, or without one to users alone"
WHAT_COUNTS: Final = "rows that refuse, limits and denied numbers count, rates do not"
"""For calls between users of a gateway without an IMS core."""
NOT_LOOKED_AT: Final = "not looked at: gateway_denied_numbers and gateway_callable_domains of the gateways"
"""What each gateway refuses by its settings, whatever the table says."""


class Version(msgspec.Struct, frozen=True):
    """Which table counts."""

    version: int
    changed: bool


class CheckedTable(msgspec.Struct, frozen=True):
    """What is wrong with a table; nothing: it can be loaded."""

    problems: list[str]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row that fits."""

    id: str
    number: str
    target: str
    why: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What the table says of one number."""

    version: int
    number: str
    """As it is looked up."""
    emergency: bool
    rows: list[Row]
    """Those that win first."""
    cost: str
    denied: str
    """Why the caller may not call it by the table's permissions, "" for one who may; settings of the gateways, as
    gateway_denied_numbers and gateway_callable_domains, are not looked at."""
    limits: str
    user: str
    """Whose number or address it is, by account: without an IMS core this person's pages are called."""


@click.group(cls=Group)
def routes() -> None:
    """Where calls go: the routing table of all gateways."""


@command(routes, "show", RoutingDocument, "routes show > table.json")
@pass_place
def show_routes(place: Place) -> Answer:
    """Print the table as JSON, to be edited and loaded again."""
    _, document = place.services.routes.get()
    return Answer(document, [msgspec.json.format(to_json(document), indent=2)])


@command(routes, "load", Version, "routes load table.json", note=note_change)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_place
def load_routes(place: Place, file: Path) -> Answer:
    """Make FILE (JSON) the table that counts. A bad one is refused row by row, and the old one stays."""
    store = place.services.routes
    try:
        document = document_from_json(file.read_bytes())
        is_empty = document == RoutingDocument()
        version, known = store.get()
        if version and known == document:
            counts = (
                f"version {version} is empty, as it was" if is_empty else f"version {version} counts already"
            )
            return Answer(Version(version, False), [counts])
        version = store.put(document)
    except TableError as error:
        raise click.ClickException("the old table stays:\n" + "\n".join(error.problems)) from error
    except OtherVersion as error:
        raise click.ClickException(
            "somebody else has replaced the table meanwhile; look at it and try again"
        ) from error
    counts = f"version {version} is empty, and {NO_TABLE}" if is_empty else f"version {version} counts"
    return Answer(Version(version, True), [counts])


@command(routes, "check", CheckedTable, "routes check table.json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_place
def check_routes(place: Place, file: Path) -> Answer:
    """Say whether FILE could be loaded, and change nothing."""
    try:
        check_document(document_from_json(file.read_bytes()))
    except TableError as error:
        return Answer(CheckedTable(list(error.problems)), [], 1, [f"Error: {one}" for one in error.problems])
    return Answer(CheckedTable([]), ["a good table"])


@command(
    routes,
    "explain",
    Explained,
    "routes explain +493012345",
    "routes explain 0900123 --class guest --at 2026-12-24T18:00+01:00",
)
@click.argument("number")
@click.option("--realm", default="", help="Of the caller; by default the domain of web login.")
@click.option("--class", "user_class", default="", help="Of the caller.")
@click.option(
    "--at", default=None, help="A time, as 2026-12-24T18:00+01:00; UTC without an offset; by default now."
)
@pass_place
def explain_route(place: Place, number: str, realm: str, user_class: str, at: str | None) -> Answer:
    """Say which row wins for NUMBER (as dialled: +49…, 030…, or a sip: address), which others fit it, and why not."""
    realm = (realm or place.settings.domain).lower()
    try:
        now = time.time() if at is None else _seconds(at)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from error
    return _explain(place.services, number, realm, user_class, now)


def _seconds(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).timestamp()


def _explain(services: Services, number: str, realm: str, user_class: str, now: float) -> Answer:
    version, document = services.routes.get()
    uri = number if ":" in number else f"tel:{number}"
    plan = document.plans.get(realm, DialPlan())
    emergency = is_emergency(uri, plan)
    user = "" if emergency else services.accounts.named_by(uri, realm, plan)
    at_home = [f"without an IMS core: to the pages of {user}, by no trunk; {WHAT_COUNTS}"] if user else []
    if document == RoutingDocument():
        raise click.ClickException("\n".join((NO_TABLE, *at_home)))
    if emergency:
        found = explanation(document, realm, user_class, Dialled(service_of(uri)), now)
        told = _explained(version, number, found, emergency=True)
        says = (
            f"{number} is for emergencies: refused with 380, or what gateway_emergency of the gateways says"
        )
        return Answer(told, [says, *_lines(told)])
    try:
        dialled = dialled_by_table(document, realm, user_class, uri, now)
    except BadNumber as error:
        raise click.ClickException(
            "\n".join((f"{number} gets {error.status}: {error.detail}", *at_home))
        ) from error
    found = explanation(document, realm, user_class, dialled, now)
    told = _explained(version, dialled.number, found, user=user)
    says = f"version {version}: {number} in {realm} is {dialled.number}"
    if not told.rows:
        return Answer(told, [says], 1, ["Error: no row fits: 404", *at_home])
    rates = f"rates: {told.cost}, {_whether(found)}" + (f"; at most {told.limits}" if told.limits else "")
    return Answer(told, [says, rates, NOT_LOOKED_AT, *_lines(told), *at_home])


def _whether(found: Explanation) -> str:
    """Say whether the table lets the caller call the number."""
    if found.denied:
        return f"denied: {found.denied}"
    if found.refused:
        return "refused by the table"
    return "allowed by the table"


def _explained(
    version: int, number: str, found: Explanation, *, emergency: bool = False, user: str = ""
) -> Explained:
    rows = []
    for verdict in found.verdicts:
        row = verdict.route
        target = " ".join(filter(None, (row.to, row.name, str(row.status or ""), row.reason)))
        rows.append(Row(id=row.id, number=row.number, target=target, why=verdict.why))
    return Explained(
        version=version,
        number=number,
        emergency=emergency,
        rows=rows,
        cost=found.cost.value,
        denied=found.denied,
        limits=found.limits,
        user=user,
    )


def _lines(told: Explained) -> list[str]:
    return [f"{row.id}: {row.number} -> {row.target}: {row.why}" for row in told.rows]
