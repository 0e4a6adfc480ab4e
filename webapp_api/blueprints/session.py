"""/api/session: the session of this browser. POST logs in, GET tells, DELETE logs out."""

import time
from typing import Annotated

import msgspec
from flask import Blueprint, Response, request

from kemi.state.web.client import StateUnavailable
from kemi.state.web.sessions import LoginMethod, Session
from webapp_api import cookies
from webapp_api.bodies import answer, body_of
from webapp_api.errors import problem, without_state
from webapp_api.services import services

blueprint = Blueprint("session", __name__)


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person types in."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class SessionDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A session as its page sees it; without one only `authenticated`, which is false."""

    authenticated: bool
    method: LoginMethod | None = None
    name: str = ""
    impi: str = ""
    impus: list[str] = []
    expires_in: int = 0
    """Seconds until the session ends whatever its use."""


def session_document(session: Session | None) -> SessionDocument:
    """Describe a session, without anything that opens it."""
    if session is None:
        return SessionDocument(authenticated=False)
    return SessionDocument(
        authenticated=True,
        method=session.method,
        name=session.name,
        impi=session.impi,
        impus=session.impus,
        expires_in=max(1, int(session.expires_at - time.time())),
    )


def begun(response: Response, secret: str) -> Response:
    """Put a new session's cookie into a response; the browser's former session is over (no fixation)."""
    parts = services()
    if former := cookies.read(cookies.SESSION):
        parts.logins.end(former)
    cookies.give(response, cookies.SESSION, secret, parts.settings.session_lifetime_s, "Strict")
    return response


@blueprint.post("/api/session")
def post_session() -> Response:
    """Log in with name and password."""
    parts = services()
    credentials = body_of(Credentials)
    secret, session = parts.logins.with_password(credentials.name, credentials.password, request.remote_addr)
    return begun(answer(session_document(session), 201), secret)


@blueprint.get("/api/session")
def get_session() -> Response:
    """Tell who is logged in; that nobody is, is no error."""
    sessions, secret = services().sessions, cookies.read(cookies.SESSION)
    return answer(session_document(sessions.use(secret, time.time()) if secret else None))


@blueprint.delete("/api/session")
def delete_session() -> Response:
    """Log out; nobody to log out is no error.

    A session that cannot be ended now, with 503, ends by itself; this browser has it no more in any case.
    """
    secret = cookies.read(cookies.SESSION)
    response = Response(status=204)
    try:
        logins = services().logins
        if secret:
            logins.end(secret)
    except StateUnavailable as error:
        if secret:
            response = problem(without_state(error))
    response.headers["Cache-Control"] = "no-store"
    cookies.take_away(response, cookies.SESSION)
    return response
