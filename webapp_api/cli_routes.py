"""`routes`: the operator's commands about where calls go."""

import time
from datetime import datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from kemi.core.emergency import service_of
from kemi.core.routing.lookup import Verdict
from kemi.core.routing.numbers import BadNumber, DialPlan, dialled_from_uri, is_emergency
from kemi.core.routing.table import TableError
from kemi.state.routing_document import document_from_json
from kemi.state.web.routes import RoutesStore, explanation
from webapp_api.services import Services

_PASS_PARTS: Final = click.make_pass_decorator(Services)


@click.group()
def routes() -> None:
    """Where calls go: the routing table of all gateways."""


@routes.command("show")
@_PASS_PARTS
def show_routes(parts: Services) -> None:
    """Print the table as JSON, to be edited and loaded again."""
    _, document = parts.routes.get()
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


@routes.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_PASS_PARTS
def load_routes(parts: Services, file: Path) -> None:
    """Make FILE (JSON) the table that counts. A bad one is refused row by row, and the old one stays."""
    try:
        document = document_from_json(file.read_bytes())
        version, known = parts.routes.get()
        if version and known == document:
            click.echo(f"version {version} counts already")
            return
        version = parts.routes.put(document)
    except TableError as error:
        raise click.ClickException("the old table stays:\n" + "\n".join(error.problems)) from error
    click.echo(f"version {version} counts")


@routes.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_PASS_PARTS
def check_routes(parts: Services, file: Path) -> None:
    """Say whether FILE could be loaded, and change nothing."""
    try:
        parts.routes.check(document_from_json(file.read_bytes()))
    except TableError as error:
        raise click.ClickException("\n".join(error.problems)) from error
    click.echo("a good table")


@routes.command("explain")
@click.argument("number")
@click.option("--realm", default="", help="Of the caller; by default the domain of web login.")
@click.option("--class", "user_class", default="", help="Of the caller.")
@click.option("--at", default=None, help="A time, as 2026-12-24T18:00+01:00; by default now.")
@_PASS_PARTS
def explain_route(parts: Services, number: str, realm: str, user_class: str, at: str | None) -> None:
    """Say which row wins for NUMBER (as dialled: +49…, 030…, or a sip: address), which others fit it, and why not."""
    realm = realm or parts.settings.domain
    try:
        now = time.time() if at is None else datetime.fromisoformat(at).timestamp()
    except ValueError as error:
        raise click.ClickException(f"--at: {error}") from error
    _explain(parts.routes, number, realm, user_class, now)


def _explain(store: RoutesStore, number: str, realm: str, user_class: str, now: float) -> None:
    version, document = store.get()
    if not version:
        raise click.ClickException("there is no table: every call goes to the core")
    uri = number if ":" in number else f"tel:{number}"
    plan = document.plans.get(realm, DialPlan())
    if is_emergency(uri, plan):
        click.echo(
            f"{number} is for emergencies: refused with 380, or what gateway_emergency of the gateways says"
        )
        _echo(explanation(document, realm, user_class, service_of(uri), now).verdicts)
        return
    try:
        dialled = dialled_from_uri(uri, plan)
    except BadNumber as error:
        raise click.ClickException(f"{number} gets {error.status}: {error.detail}") from error
    click.echo(f"version {version}: {number} in {realm} is {dialled.number}")
    found = explanation(document, realm, user_class, dialled.number, now)
    if not found.verdicts:
        raise click.ClickException("no row fits: 404")
    allowed = f"denied: {found.denied}" if found.denied else "allowed"
    click.echo(f"rates: {found.cost}, {allowed}" + (f"; at most {found.limits}" if found.limits else ""))
    _echo(found.verdicts)


def _echo(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        row = verdict.route
        target = " ".join(filter(None, (row.to, row.name, str(row.status or ""), row.reason)))
        click.echo(f"{row.id}: {row.number} -> {target}: {verdict.why}")
