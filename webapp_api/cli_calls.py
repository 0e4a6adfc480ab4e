"""`calls`: the operator's commands about running calls; `counters`: what gateways counted."""

import time
from datetime import UTC, datetime
from typing import Final

import click

from webapp_api.services import Services

_PASS_PARTS: Final = click.make_pass_decorator(Services)


@click.group()
def calls() -> None:
    """Calls that are running on any gateway node."""


@calls.command("list")
@click.option("--impu", default="", help="Only those of this public identity.")
@_PASS_PARTS
def list_calls(parts: Services, impu: str) -> None:
    """Show running calls, one a line: whose, in or out, with whom, state, since when, Call-ID, gateway."""
    found, silent = parts.running_calls.ask(time.time())
    for gateway, answer in found.items():
        for call in answer.calls:
            if impu in ("", call.owner):
                since = datetime.fromtimestamp(call.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                who = f"{call.owner} {call.direction} {call.peer}"
                click.echo(f"{who} {call.dialog} {since} call_id={call.call_id} gateway={gateway}")
        if answer.left_out:
            click.echo(f"{gateway} has {answer.left_out} more calls", err=True)
    for gateway in silent:
        click.echo(f"{gateway} does not answer", err=True)


@calls.command("end")
@click.option("--impu", default="", help="Every call of this public identity, made or answered.")
@click.option("--call-id", default="", help="The call with this Call-ID.")
@_PASS_PARTS
def end_calls(parts: Services, impu: str, call_id: str) -> None:
    """End calls within a second; both sides hear why. Who may go on calling does so: end the session too."""
    if not (impu or call_id):
        raise click.ClickException("say which: --impu or --call-id")
    parts.commands.end_calls(impu=impu, call_id=call_id, now=time.time())
    click.echo(f"every node ends {'the calls of ' + impu if impu else 'call ' + call_id}")


@click.command()
@_PASS_PARTS
def counters(parts: Services) -> None:
    """Show what each gateway has counted since its start: calls by kind of rates, denied ones, emergencies, alarms."""
    for gateway, seen in parts.relay_nodes.seen(time.time()).items():
        for name, number in seen.counters.items():
            click.echo(f"{gateway} {name} {number}")
