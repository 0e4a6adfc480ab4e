"""/api/calls: the calls of a user: those that are over, those that are running, and the end of one."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest, TooManyRequests

from kemi.state.call_history import ELSEWHERE, FinishedCall
from kemi.state.call_questions import CallQuestion
from kemi.state.running_calls import RunningCall
from kemi.state.web.sessions import Session
from webapp_api import log_lines, queries
from webapp_api.bodies import answer
from webapp_api.event_documents import direction_of, fork_of
from webapp_api.gate import stepped_aside
from webapp_api.services import holds_since, services, session_of_request

blueprint = Blueprint("calls", __name__)

_MOST_READ: Final = 500
_AUDIT = logging.getLogger("webapp_api.audit")

Direction = Literal["out", "in"]


class PastCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that is over.  Times are in seconds since the epoch."""

    id: str
    call_id: str
    fork: str
    """One device's part in the call: those that ring for it, and a call to oneself, have one call_id."""
    impu: str
    """The identity of the user that called or was called."""
    peer: str
    direction: Direction
    began_at: float
    answered_at: float
    """0: never."""
    ended_at: float
    duration_s: float
    """From the answer on."""
    by: str
    """Who ended it: page, core or gateway."""
    why: str
    status: int
    """SIP status of a call that was not answered, else 0."""
    elsewhere: bool
    """Whether another device has answered it."""
    quality: dict[str, Any]
    """Of audio and video: packets, loss, delay and the mean opinion score (MOS) of both legs, or why there is none."""


class PastCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that are over, the latest first."""

    calls: list[PastCall]
    next: str
    """Cursor of what follows, "" at the end.  A page may have few calls, or none, and others still follow."""


class CurrentCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that is running."""

    call_id: str
    fork: str
    """One device's part in the call: as in PastCall."""
    impu: str
    peer: str
    direction: Direction
    kinds: list[str]
    """audio, video."""
    answered: bool
    since: float
    """When it began, in seconds since the epoch."""


class CurrentCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that are running."""

    calls: list[CurrentCall]
    complete: bool
    """False: a gateway did not answer in time."""


@blueprint.get("/api/calls")
def get_calls() -> Response:
    """Tell what calls there were."""
    _, session = session_of_request()
    if wait_s := services().history_requests.add(session.owner):
        raise TooManyRequests("Too many questions; wait before the next one.", retry_after=wait_s)
    limit, after, fits = queries.limit(), queries.text("cursor"), _filter(session)
    try:
        found, following = services().finished_calls.page(
            limit, impus=session.impus, after=after, most_read=_MOST_READ, fits=fits
        )
    except ValueError as error:
        raise BadRequest("cursor is not one of ours.") from error
    return answer(PastCalls(calls=[_past(call) for call in found], next=following))


@blueprint.get("/api/calls/current")
def get_current_calls() -> Response:
    """Tell which calls are running; the gateways are asked."""
    _, session = session_of_request()
    parts = services()
    if wait_s := parts.questions.add(session.owner):
        raise TooManyRequests("Too many questions; listen to /api/events instead.", retry_after=wait_s)
    with stepped_aside():
        answers, silent = parts.running_calls.ask(time.time(), CallQuestion(impus=tuple(session.impus)))
    since = holds_since(session)
    current = [_current(call) for one in answers.values() for call in one.calls if call.since >= since]
    return answer(CurrentCalls(calls=sorted(current, key=lambda call: call.since), complete=not silent))


@blueprint.delete("/api/calls")
def delete_call() -> Response:
    """End an own call, within a second; one that is not there (any more), or is somebody else's, is no error.

    Its Call-ID is in the query: a path cannot name each ("/x", "..").
    """
    return delete_call_by_path(queries.text("call_id", queries.LONGEST_CALL_ID))


@blueprint.delete("/api/calls/<path:call_id>")
def delete_call_by_path(call_id: str) -> Response:
    """End an own call, as clients of before ask for it."""
    _, session = session_of_request()
    if not call_id or not call_id.isprintable():
        raise BadRequest("This is no Call-ID.")
    if wait_s := services().calls_to_end.add(session.owner):
        raise TooManyRequests("Too many calls to end; wait before the next one.", retry_after=wait_s)
    commands = services().commands
    for impu in session.impus:
        commands.end_calls(call_id=call_id, impu=impu, by="user", now=time.time())
    _AUDIT.info("event=call_ended user=%s call_id=%s", session.name, log_lines.value(call_id))
    response = Response(status=204)
    response.headers["Cache-Control"] = "no-store"
    return response


def _filter(session: Session) -> Callable[[FinishedCall], bool]:
    direction = queries.choice("direction", ("out", "in"))
    answered = queries.choice("answered", ("true", "false"))
    since = max(queries.number("since", 0.0, 0.0, 1e11), holds_since(session))
    until = queries.number("until", 1e11, 0.0, 1e11)

    def fits(call: FinishedCall) -> bool:
        return (
            direction in ("", direction_of(call.direction))
            and answered in ("", "true" if call.answered_at else "false")
            and since <= call.began_at < until
        )

    return fits


def _past(call: FinishedCall) -> PastCall:
    return PastCall(
        id=call.id,
        call_id=call.call_id,
        fork=fork_of(call.key),
        impu=call.impu,
        peer=call.peer,
        direction="out" if direction_of(call.direction) == "out" else "in",
        began_at=call.began_at,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        duration_s=call.duration_s,
        by=call.by,
        why=call.why,
        status=call.status,
        elsewhere=call.why == ELSEWHERE,
        quality=call.media,
    )


def _current(call: RunningCall) -> CurrentCall:
    return CurrentCall(
        call_id=call.call_id,
        fork=fork_of(call.key),
        impu=call.owner,
        peer=call.peer,
        direction="out" if call.direction == "out" else "in",
        kinds=call.kinds,
        answered=call.dialog == "confirmed",
        since=call.since,
    )
