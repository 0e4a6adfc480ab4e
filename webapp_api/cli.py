"""The operator's commands: accounts, signing keys and running calls, with the settings of the running service.

A password comes from a prompt, or from standard input when that is no terminal; never from an argument, which every
user of the machine could read.
"""

import sys
import time
from datetime import UTC, datetime
from typing import Final

import click
import msgspec

from kemi.state.web.accounts import Account
from kemi.state.web.client import StateUnavailable
from webapp_api.account_names import LoginNameError, login_name
from webapp_api.cli_calls import calls, counters
from webapp_api.cli_check import check
from webapp_api.cli_routes import routes
from webapp_api.identities import Identity, IdentityError
from webapp_api.keyring import signing_key
from webapp_api.passwords import MAX_LENGTH, MIN_LENGTH, password_hash
from webapp_api.services import Services
from webapp_api.settings import Settings, SettingsError, settings_from_environment

_PASS_PARTS: Final = click.make_pass_decorator(Services)


class _Commands(click.Group):
    """Turns what an operator can mend into one line."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.ClickException(f"the settings cannot be used:\n{error}") from error
        except StateUnavailable as error:
            raise click.ClickException(f"Redis cannot be used: {error}") from error


@click.group(cls=_Commands)
@click.pass_context
def main(context: click.Context) -> None:
    """Web login, calls, routes, and a check of the configuration. WEBAPP_SETTINGS names the settings file."""
    if context.invoked_subcommand == check.name:
        return  # which looks at settings that cannot be used, too
    settings: Settings = settings_from_environment()
    if not settings.web_login:
        raise click.ClickException("key_secret is not set: there is no web login")
    context.obj = Services.of(settings)


@main.group()
def accounts() -> None:
    """People who log in with name and password."""


@accounts.command("add")
@click.argument("name")
@click.option("--impi", help="Private identity; by default NAME@domain.")
@click.option(
    "--impu", "impus", multiple=True, help="Public identity, the default one first; repeat for more."
)
@_PASS_PARTS
def add_account(parts: Services, name: str, impi: str | None, impus: tuple[str, ...]) -> None:
    """Add an account; the password is asked for, or read from standard input."""
    name = _login_name(name)
    if parts.accounts.get(name) is not None:
        raise click.ClickException(f"there is an account {name} already")
    domain = parts.settings.domain
    try:
        identity = Identity(impi or f"{name}@{domain}", impus or (f"sip:{name}@{domain}",))
    except IdentityError as error:
        raise click.ClickException(str(error)) from error
    parts.accounts.put(
        Account(
            name=name,
            password_hash=password_hash(_password()),
            impi=identity.impi,
            impus=list(identity.impus),
        )
    )
    click.echo(f"{name} added: {identity.impi} {' '.join(identity.impus)}")


@accounts.command("list")
@_PASS_PARTS
def list_accounts(parts: Services) -> None:
    """Show the accounts, one a line: name, private identity, public identities."""
    for account in parts.accounts.all():
        click.echo(" ".join((account.name, account.impi, *account.impus)))


@accounts.command("remove")
@click.argument("name")
@_PASS_PARTS
def remove_account(parts: Services, name: str) -> None:
    """Remove an account and end its sessions and registrations."""
    name = _login_name(name)
    if not parts.accounts.remove(name):
        raise click.ClickException(f"there is no account {name}")
    click.echo(f"{name} removed, {parts.logins.end_all(name)} sessions ended")


@accounts.command("password")
@click.argument("name")
@_PASS_PARTS
def change_password(parts: Services, name: str) -> None:
    """Set another password and end the account's sessions."""
    name = _login_name(name)
    account = parts.accounts.get(name)
    if account is None:
        raise click.ClickException(f"there is no account {name}")
    parts.accounts.put(msgspec.structs.replace(account, password_hash=password_hash(_password())))
    click.echo(f"password of {name} changed, {parts.logins.end_all(name)} sessions ended")


@accounts.command("operator")
@click.argument("name")
@click.option("--no", "takes_away", is_flag=True, help="Take the role away.")
@_PASS_PARTS
def make_operator(parts: Services, name: str, takes_away: bool) -> None:
    """Let an account see and drain relay nodes on the web (/api/operator/), at once."""
    name = _login_name(name)
    account = parts.accounts.get(name)
    if account is None:
        raise click.ClickException(f"there is no account {name}")
    parts.accounts.put(msgspec.structs.replace(account, operator=not takes_away))
    click.echo(f"{name} is {'no operator any more' if takes_away else 'an operator'}")


@accounts.command("class")
@click.argument("name")
@click.argument("user_class", default="")
@_PASS_PARTS
def set_class(parts: Services, name: str, user_class: str) -> None:
    """Let the routing table's rows for USER_CLASS count for NAME's calls, from the next login on; none: only those for
    everybody."""
    name = _login_name(name)
    account = parts.accounts.get(name)
    if account is None:
        raise click.ClickException(f"there is no account {name}")
    parts.accounts.put(msgspec.structs.replace(account, user_class=user_class))
    click.echo(f"{name} is of {f'the class {user_class}' if user_class else 'no class'}")


@main.group()
def nodes() -> None:
    """Media relay nodes of all gateways."""


@nodes.command("list")
@_PASS_PARTS
def list_nodes(parts: Services) -> None:
    """Show the nodes as each gateway sees them, one a line."""
    drained = parts.relay_nodes.drained()
    for gateway, seen in parts.relay_nodes.seen(time.time()).items():
        for node in seen.nodes:
            calls = "?" if node.calls is None else node.calls
            state = f"{node.state},drained" if node.node in drained else node.state
            click.echo(f"{node.node} {state} calls={calls} weight={node.weight} gateway={gateway}")


@nodes.command("drain")
@click.argument("node")
@click.option("--no", "takes_back", is_flag=True, help="Give it new calls again.")
@_PASS_PARTS
def drain_node(parts: Services, node: str, takes_back: bool) -> None:
    """Give NODE (address:port) no new calls, on every gateway; those it has go on."""
    parts.relay_nodes.drain(node, not takes_back)
    click.echo(f"{node} gets {'new calls again' if takes_back else 'no new calls'}")


@main.group()
def trunks() -> None:
    """Trunks of all gateways."""


@trunks.command("list")
@_PASS_PARTS
def list_trunks(parts: Services) -> None:
    """Show the trunks as each gateway sees them, one a line, each with its next hops below."""
    for gateway, seen in parts.trunks.seen(time.time()).items():
        for view in seen.trunks:
            since = f" since={_when(view.since)}" if view.since else ""
            until = f" until={_when(view.registered_until)}" if view.registered_until else ""
            registration = f" {view.registration}{until}" if view.registration else ""
            why = f" ({view.why})" if view.why else ""
            click.echo(
                f"{view.trunk} {view.state}{since}{registration}{why} calls={view.calls} gateway={gateway}"
            )
            for hop in view.hops:
                since = f" since={_when(hop.since)}" if hop.since else ""
                click.echo(f"    {hop.uri} {hop.state}{since}{f' ({hop.why})' if hop.why else ''}")


@main.group()
def keys() -> None:
    """Keys that sign access tokens."""


@keys.command("list")
@_PASS_PARTS
def list_keys(parts: Services) -> None:
    """Show the keys of the published set, oldest first."""
    now = time.time()
    found = parts.keyring.keys()
    signing = signing_key(found, now)
    for key in found:
        state = "signs" if key == signing else "waits" if key.signs_from > now else "checks old tokens"
        click.echo(f"{key.kid} {key.algorithm} made {_when(key.created_at)} {state}")


@keys.command("rotate")
@_PASS_PARTS
def rotate_keys(parts: Services) -> None:
    """Make the next key now; the former one stays in the set until its last token has run out."""
    key = parts.keyring.rotate()
    if key is None:
        raise click.ClickException("another process is making a key; try again")
    click.echo(f"{key.kid} {key.algorithm} signs from {_when(key.signs_from)}")


main.add_command(calls)
main.add_command(counters)
main.add_command(routes)
main.add_command(check)


def _login_name(text: str) -> str:
    try:
        return login_name(text)
    except LoginNameError as error:
        raise click.ClickException(str(error)) from error


def _password() -> str:
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise click.ClickException(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    return password


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
