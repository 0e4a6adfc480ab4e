"""Command line for operators: which relay nodes there are, and which ones get no new calls.

Asks the gateway, so it works without a running agent, too; where the gateway is stands in the agent's settings.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from rtpengine.agent.control import ControlClient, ControlRefused, ControlUnreachable
from rtpengine.agent.settings import DEFAULT_PATH, SettingsError, settings_from_file

EXIT_REFUSED: Final = 1
EXIT_WRONG: Final = 2
EXIT_NO_ANSWER: Final = 3

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PATH,
    show_default=True,
    help="Settings of the media agent.",
)


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def nodes(config: Path, as_json: bool) -> None:
    """Show the gateway's relay nodes: state, calls, weight."""
    found = _ask(config, "GET", "/v1/nodes")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found["agent"]:
        click.echo("no media agent reports to the gateway: states and calls are not known")
    for node in found["nodes"]:
        click.echo(node_to_text(node))


def node_to_text(node: dict[str, Any]) -> str:
    """Write a node on one line."""
    calls = "calls not known" if node["calls"] is None else f"{node['calls']} media calls"
    state = node["state"]
    if node["drained"]:
        state = f"{state}, {'drained' if node['calls'] == 0 else 'draining'}"
    if node["broken"]:
        state = f"{state}, left alone for a moment"
    return f"{node['node']}  {state}  {calls}  weight {node['weight']}  version {node['version']}"


@click.command()
@config_option
@click.argument("node")
def drain(config: Path, node: str) -> None:
    """Give NODE (address:port) no new calls; those it has go on."""
    _ask(config, "PUT", "/v1/nodes/drain", {"node": node, "drain": True})
    click.echo(f"{node} gets no new calls")


@click.command()
@config_option
@click.argument("node")
def undrain(config: Path, node: str) -> None:
    """Give NODE new calls again."""
    _ask(config, "PUT", "/v1/nodes/drain", {"node": node, "drain": False})
    click.echo(f"{node} gets new calls")


def _ask(config: Path, method: str, path: str, body: object = None) -> dict[str, Any]:
    try:
        control = settings_from_file(config).control
        return asyncio.run(
            _asked(ControlClient(control.address, control.port, control.secret), method, path, body)
        )
    except SettingsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_WRONG)
    except ControlRefused as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_REFUSED)
    except ControlUnreachable as error:
        click.echo(f"error: the gateway does not answer: {error}", err=True)
        sys.exit(EXIT_NO_ANSWER)


async def _asked(client: ControlClient, method: str, path: str, body: object) -> dict[str, Any]:
    try:
        return await client.ask(method, path, body)
    finally:
        client.close()
