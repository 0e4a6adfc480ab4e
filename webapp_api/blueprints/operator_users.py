"""/api/operator/users: people with an account, for accounts with the role of an operator.

A password is set here and never read.  PUT makes or replaces, so that it may be sent again; If-Match and If-None-Match
keep two operators from undoing each other's work.
"""

from typing import Annotated, Final

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed

from kemi.state.web.accounts import Account
from webapp_api import queries
from webapp_api.account_names import USER_CLASS, LoginNameError, login_name
from webapp_api.audit import remark
from webapp_api.bodies import answer, body_of, whole
from webapp_api.identities import MAX_IMPUS, Identity, IdentityError
from webapp_api.listeners import spelt
from webapp_api.passwords import MAX_LENGTH, MIN_LENGTH, password_hash
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_users", __name__)
USERS: Final = "/api/operator/users"

Password = Annotated[str, msgspec.Meta(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
UserClass = Annotated[str, whole(USER_CLASS)]
Impus = Annotated[list[str], msgspec.Meta(max_length=MAX_IMPUS)]


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be kept of a person: all of it, what is left out gets its default."""

    password: Password | None = None
    """Left out: it stays; a new account needs one."""
    impi: str = ""
    """Private identity; "": name@domain."""
    impus: Impus = []
    """Public identities, the default one first; none: sip:name@domain."""
    user_class: UserClass = ""
    operator: bool = False
    disabled: bool = False


class NewUser(UserChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who is to get an account."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person with an account."""

    name: str
    impi: str
    impus: list[str]
    user_class: str
    """Whose rows of the routing table count."""
    operator: bool
    disabled: bool
    """Nobody can log in with it."""
    etag: str
    """For If-Match, without the quotes."""


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """People with an account, by name."""

    users: list[User]
    total: int
    """How many fit the filters, on all pages."""
    next: str
    """Cursor of what follows, "" at the end."""


@blueprint.get(USERS)
def get_users() -> Response:
    """Tell who has an account."""
    only_operators(costs=True)
    impu = spelt(queries.identity())
    operator, disabled = (queries.choice(name, ("true", "false")) for name in ("is_operator", "disabled"))
    found = [
        account
        for account in services().accounts.all()
        if (not impu or impu in map(spelt, account.impus))
        and operator in ("", str(account.operator).lower())
        and disabled in ("", str(account.disabled).lower())
    ]
    page, following = queries.page_of(found, lambda account: account.name)
    return answer(Users(users=[_shown(one) for one in page], total=len(found), next=following))


@blueprint.get(f"{USERS}/<name>")
def get_user(name: str) -> Response:
    """Tell what is kept of one person."""
    only_operators(costs=True)
    return _answer(_account(name))


@blueprint.post(USERS)
def post_user() -> Response:
    """Give a person an account."""
    only_operators(costs=True)
    wanted = body_of(NewUser)
    account = _changed(None, _login_name(wanted.name), wanted)
    _end_what_was_left(services().accounts.get(account.name), account.name)
    remark(_words(None, account))
    if not services().accounts.replace(account.name, None, account):
        raise Conflict("There is an account of this name.")
    response = _answer(account, 201)
    response.headers["Location"] = f"{USERS}/{account.name}"
    return response


@blueprint.put(f"{USERS}/<name>")
def put_user(name: str) -> Response:
    """Make or replace an account.  Another password or identity, or none to log in with, ends the person's sessions."""
    operator = only_operators(costs=True)
    name = _login_name(name)
    wanted = body_of(UserChange)
    before = services().accounts.get(name)
    _end_what_was_left(before, name)
    _check_preconditions(before)
    if name == operator and (wanted.disabled or not wanted.operator):
        raise Conflict("Nobody takes the role of an operator, or the account, from himself.")
    account = _changed(before, name, wanted)
    remark(_words(before, account))
    if not services().accounts.replace(name, before, account):
        raise Conflict("Somebody else has changed the account meanwhile; read it again.")
    if account.disabled or (before is not None and account.password_hash != before.password_hash):
        services().logins.end_all(name)
    else:  # not by what was before: of a request that comes again that is the same
        services().logins.end_outdated(account)
    return _answer(account, 201 if before is None else 200)


@blueprint.delete(f"{USERS}/<name>")
def delete_user(name: str) -> Response:
    """Remove an account; its sessions, registrations and calls end.  One that is not there is no error."""
    operator = only_operators(costs=True)
    name = _login_name(name)
    before = services().accounts.get(name)
    _end_what_was_left(before, name)
    _check_preconditions(before)
    if name == operator:
        raise Conflict("Nobody removes his own account.")
    remark(f"user {name}")
    if before is not None and not services().accounts.replace(name, before, None):
        raise Conflict("Somebody else has changed the account meanwhile; read it again.")
    services().logins.end_all(name)
    response = Response(status=204)
    response.headers["Cache-Control"] = "no-store"
    return response


def _account(name: str) -> Account:
    found = services().accounts.get(_login_name(name))
    if found is None:
        raise NotFound("There is no account of this name.")
    return found


def _end_what_was_left(now: Account | None, name: str) -> None:
    """End what no account allows any more: a change may have failed between the account and its sessions, and the same
    request, sent again, does not meet its preconditions."""
    if now is None or now.disabled:
        services().logins.end_all(name)
    else:
        services().logins.end_outdated(now)


def _check_preconditions(before: Account | None) -> None:
    """Raise PreconditionFailed when the account is not the one the operator has seen (RFC 9110 §13.1)."""
    if "If-Match" in request.headers and (
        before is None or not (request.if_match.star_tag or before.version in request.if_match)
    ):
        raise PreconditionFailed("The account is not the one that If-Match names.")
    if request.if_none_match.star_tag and before is not None:
        raise PreconditionFailed("There is an account of this name.")


def _changed(before: Account | None, name: str, wanted: UserChange) -> Account:
    domain = services().settings.domain
    impi, impus = wanted.impi or f"{name}@{domain}", wanted.impus or [f"sip:{name}@{domain}"]
    # Those that it has from before may be ones that cannot be used any more: they do not keep it from being disabled.
    if before is None or (impi, impus) != (before.impi, before.impus):
        try:
            Identity(impi, tuple(impus))
        except IdentityError as error:
            raise BadRequest(f"The identities cannot be used: {error}.") from error
    if wanted.password is not None:
        hashed = password_hash(wanted.password)
    elif before is not None:
        hashed = before.password_hash
    else:
        raise BadRequest("A new account needs a password.")
    return Account(
        name=name,
        password_hash=hashed,
        impi=impi,
        impus=impus,
        user_class=wanted.user_class,
        operator=wanted.operator,
        disabled=wanted.disabled,
    )


def _words(before: Account | None, after: Account) -> str:
    names = ("impi", "impus", "user_class", "operator", "disabled")
    changed = [
        f"{name}={getattr(after, name)}"
        for name in names
        if before is None or getattr(before, name) != getattr(after, name)
    ]
    if before is not None and before.password_hash != after.password_hash:
        changed.append("password")
    return f"user {after.name}: {', '.join(changed) or 'nothing new'}"


def _shown(account: Account) -> User:
    return User(
        name=account.name,
        impi=account.impi,
        impus=account.impus,
        user_class=account.user_class,
        operator=account.operator,
        disabled=account.disabled,
        etag=account.version,
    )


def _answer(account: Account, status: int = 200) -> Response:
    response = answer(_shown(account), status)
    response.set_etag(account.version)
    return response


def _login_name(text: str) -> str:
    try:
        return login_name(text)
    except LoginNameError as error:
        raise BadRequest(f"This is no login name: {error}.") from error
