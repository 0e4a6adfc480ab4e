"""`users`: people who log in with name and password.

A password comes from a prompt, or from standard input when that is no terminal; never from an argument, which every
user of the machine could read.
"""

from __future__ import annotations

import re
import sys
from typing import Final

import click
import msgspec

from kemi.state.web.accounts import Account
from webapp_api.account_names import USER_CLASS, LoginNameError, login_name
from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table
from webapp_api.identities import Identity, IdentityError
from webapp_api.passwords import MAX_LENGTH, MIN_LENGTH, password_hash
from webapp_api.services import Services

CHANGED_MEANWHILE: Final = "somebody else has changed the account meanwhile; try again"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One person, without the password's hash."""

    name: str
    impi: str
    impus: list[str]
    user_class: str
    operator: bool
    disabled: bool
    """Nobody can log in with it."""


class Users(msgspec.Struct, frozen=True):
    """All of them."""

    users: list[User]


class ChangedUser(msgspec.Struct, frozen=True):
    """What became of one."""

    user: User
    sessions_ended: int = 0


@click.group(cls=Group)
def users() -> None:
    """People who log in with name and password (web accounts)."""


@command(users, "list", Users, "users list --operators", "users list --class guest --json")
@click.option("--operators", is_flag=True, help="Only operators.")
@click.option("--class", "user_class", default=None, help="Only those of this class.")
@pass_place
def list_users(place: Place, operators: bool, user_class: str | None) -> Answer:
    """Show the accounts."""
    found = [
        _shown(account)
        for account in place.web_login.accounts.all()
        if (account.operator or not operators) and user_class in (None, account.user_class)
    ]
    rows = [(one.name, one.impi, " ".join(one.impus), one.user_class, _role(one)) for one in found]
    return Answer(Users(found), table(("NAME", "IMPI", "IMPUS", "CLASS", "ROLE"), rows, "no accounts"))


@command(users, "show", User, "users show alice")
@click.argument("name")
@pass_place
def show_user(place: Place, name: str) -> Answer:
    """Show one account."""
    user = _shown(_account(place.web_login, name))
    return Answer(
        user,
        [
            f"name      {user.name}",
            f"impi      {user.impi}",
            *(f"impu      {impu}" for impu in user.impus),
            f"class     {user.user_class or '-'}",
            f"operator  {'yes' if user.operator else 'no'}",
            f"disabled  {'yes' if user.disabled else 'no'}",
        ],
    )


@command(
    users,
    "add",
    ChangedUser,
    "users add alice",
    "users add bob --impu sip:bob@ims.example.com --impu tel:+15550100",
    "users add carol < password-file",
    note=note_change,
)
@click.argument("name")
@click.option("--impi", help="Private identity; by default NAME@domain.")
@click.option(
    "--impu", "impus", multiple=True, help="Public identity, the default one first; repeat for more."
)
@pass_place
def add_user(place: Place, name: str, impi: str | None, impus: tuple[str, ...]) -> Answer:
    """Add an account; the password is asked for, or read from standard input."""
    parts = place.web_login
    name = _login_name(name)
    if parts.accounts.get(name) is not None:
        raise click.ClickException(f"there is an account {name} already")
    domain = parts.settings.domain
    try:
        identity = Identity(impi or f"{name}@{domain}", impus or (f"sip:{name}@{domain}",))
    except IdentityError as error:
        raise click.ClickException(str(error)) from error
    account = Account(
        name=name, password_hash=password_hash(_password()), impi=identity.impi, impus=list(identity.impus)
    )
    parts.logins.end_all(name)  # what a removal that came no further left of somebody else's
    if not parts.accounts.replace(name, None, account):
        raise click.ClickException(f"there is an account {name} already")
    return Answer(ChangedUser(_shown(account)), [f"{name} added: {identity.impi} {' '.join(identity.impus)}"])


@command(users, "remove", ChangedUser, "users remove bob", note=note_change)
@click.argument("name")
@pass_place
def remove_user(place: Place, name: str) -> Answer:
    """Remove an account and end its sessions and registrations."""
    parts = place.web_login
    name = _login_name(name)
    account = parts.accounts.get(name)
    if account is None:  # perhaps a second try, after one that came no further
        ended = parts.logins.end_all(name)
        if ended:
            note_change("gwctl users remove", f"name={name}")
        raise click.ClickException(
            f"there is no account {name}" + (f"; {ended} sessions of it ended" if ended else "")
        )
    if not parts.accounts.replace(name, account, None):
        raise click.ClickException(CHANGED_MEANWHILE)
    ended = parts.logins.end_all(account.name)
    return Answer(ChangedUser(_shown(account), ended), [f"{account.name} removed, {ended} sessions ended"])


@command(users, "password", ChangedUser, "users password bob", note=note_change)
@click.argument("name")
@pass_place
def change_password(place: Place, name: str) -> Answer:
    """Set another password and end the account's sessions."""
    parts = place.web_login
    _account(parts, name)
    account = _changed(parts, name, password_hash=password_hash(_password()))
    ended = parts.logins.end_all(account.name)
    return Answer(
        ChangedUser(_shown(account), ended), [f"password of {account.name} changed, {ended} sessions ended"]
    )


@command(
    users, "operator", ChangedUser, "users operator alice", "users operator alice --no", note=note_change
)
@click.argument("name")
@click.option("--no", "takes_away", is_flag=True, help="Take the role away.")
@pass_place
def make_operator(place: Place, name: str, takes_away: bool) -> Answer:
    """Let an account use what operators have on the web (/api/operator/, the console), at once."""
    account = _changed(place.web_login, name, operator=not takes_away)
    role = "no operator any more" if takes_away else "an operator"
    return Answer(ChangedUser(_shown(account)), [f"{account.name} is {role}"])


@command(users, "class", ChangedUser, "users class alice staff", "users class alice", note=note_change)
@click.argument("name")
@click.argument("user_class", default="")
@pass_place
def set_class(place: Place, name: str, user_class: str) -> Answer:
    """Let the routing table's rows for USER_CLASS count for NAME's calls, from the next login on; none: only those for
    everybody."""
    if not re.fullmatch(USER_CLASS, user_class):
        raise click.BadParameter("has at most 64 of A-Z, a-z, 0-9, _, . and -", param_hint="USER_CLASS")
    account = _changed(place.web_login, name, user_class=user_class)
    what = f"the class {user_class}" if user_class else "no class"
    return Answer(ChangedUser(_shown(account)), [f"{account.name} is of {what}"])


@command(users, "disable", ChangedUser, "users disable bob", "users disable bob --no", note=note_change)
@click.argument("name")
@click.option("--no", "takes_back", is_flag=True, help="Let it log in again.")
@pass_place
def disable_user(place: Place, name: str, takes_back: bool) -> Answer:
    """Let nobody log in with an account, and end its sessions and registrations; everything else of it stays."""
    parts = place.web_login
    account = _changed(parts, name, disabled=not takes_back)
    ended = 0 if takes_back else parts.logins.end_all(account.name)
    said = "can log in again" if takes_back else f"is disabled, {ended} sessions ended"
    return Answer(ChangedUser(_shown(account), ended), [f"{account.name} {said}"])


def _changed(parts: Services, name: str, **changes: object) -> Account:
    before = _account(parts, name)
    account = msgspec.structs.replace(before, **changes)
    if not parts.accounts.replace(account.name, before, account):
        raise click.ClickException(CHANGED_MEANWHILE)
    return account


def _account(parts: Services, name: str) -> Account:
    name = _login_name(name)
    account = parts.accounts.get(name)
    if account is None:
        raise click.ClickException(f"there is no account {name}")
    return account


def _shown(account: Account) -> User:
    return User(
        name=account.name,
        impi=account.impi,
        impus=account.impus,
        user_class=account.user_class,
        operator=account.operator,
        disabled=account.disabled,
    )


def _role(user: User) -> str:
    return ",".join(filter(None, ("operator" if user.operator else "", "disabled" if user.disabled else "")))


def _login_name(text: str) -> str:
    try:
        return login_name(text)
    except LoginNameError as error:
        raise click.ClickException(str(error)) from error


def _password() -> str:
    try:
        if sys.stdin.isatty():
            password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        password.encode()
    except UnicodeError as error:
        raise click.ClickException("the password is not UTF-8") from error
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise click.ClickException(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    return password
