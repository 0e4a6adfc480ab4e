"""POST /api/calls and /api/dials: click-to-dial.

The person's own open page places the call, with its microphone and its registration, so that routes, permissions and
limits are those of any call; why not a REFER of the gateway's, is said in README.md.
"""

import re
import secrets
import time
from contextlib import suppress
from typing import Annotated, Final

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, Conflict, NotFound, TooManyRequests, UnprocessableEntity

from kemi.state.web.client import StateUnavailable, digest
from kemi.state.web.dials import Dial, DialState
from webapp_api.bodies import answer, body_of, whole
from webapp_api.services import services, session_of_request

blueprint = Blueprint("dials", __name__)

WAIT_S: Final = 20.0
"""How long a page may take; who has clicked looks at the screen until then."""
TAKEN: Final = "dial_taken"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,128}")
_WRITTEN_NUMBER: Final = re.compile(r"\(?\+?[0-9*#][0-9*# ()/.\u00a0\u2010-\u2013-]{0,60}")
_TRUNK_PREFIX: Final = re.compile(r"^(\(?\+(?!39)[0-9]{1,3}[^0-9(]*)\(0\)")
"""That some write after a country's code, where it is not dialled; Italy's zero is part of the number."""
_ADDRESS: Final = re.compile(r"[^\s<>\"\x00-\x20\x7f-\U0010ffff]{1,255}")

PageName = Annotated[str, whole("[A-Za-z0-9_-]{8,64}")]
CallId = Annotated[str, msgspec.Meta(max_length=300)]
Why = Annotated[str, msgspec.Meta(max_length=200)]


class DialWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to call."""

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    """A number as people write it, or an address (sip:, tel:, name)."""
    video: bool = False


class DialReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a page makes of it: takes it; later, with the same name of the page, the Call-ID or what went wrong."""

    page: PageName
    """A random name that the page gives itself."""
    call_id: CallId = ""
    failed: Why = ""


class DialDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was asked for.  Times are in seconds since the epoch."""

    dial: str
    to: str
    video: bool
    state: str
    """requested, taken, placed, failed, or expired: no page took it in time."""
    call_id: str
    """Of the call that was placed; what becomes of it is told by events and /api/calls/current."""
    why: str
    at: float
    until: float


@blueprint.post("/api/calls")
def post_call() -> Response:
    """Ask for a call: the person's pages are told, and one of them places it."""
    _, session = session_of_request()
    parts, now, owner = services(), time.time(), session.owner
    key = request.headers.get(IDEMPOTENCY_KEY, "")
    if key and not _KEY.fullmatch(key):
        raise BadRequest(f"{IDEMPOTENCY_KEY} has 1 to 128 characters that can be printed, and no spaces.")
    wish = body_of(DialWish)
    to = _target(wish.to)
    if wait_s := parts.dial_attempts.add(owner):
        raise TooManyRequests("Too many calls; wait before the next one.", retry_after=wait_s)
    identifier = digest(f"{owner} {key}")[:32] if key else secrets.token_hex(16)
    known = parts.dials.get(identifier)
    if known is None and not parts.listening.any_page(session.person, now):
        raise Conflict("No page of yours is open that could call.")
    wanted = Dial(id=identifier, owner=owner, to=to, video=wish.video, at=now, until=now + WAIT_S)
    dial = known or parts.dials.add(wanted, session.impus[0])
    if (dial.to, dial.video) != (to, wish.video):
        raise UnprocessableEntity(f"This {IDEMPOTENCY_KEY} belongs to another call.")
    response = answer(_document(dial), 202)
    response.headers["Location"] = f"/api/dials/{dial.id}"
    return response


@blueprint.get("/api/dials/<dial>")
def get_dial(dial: str) -> Response:
    """Tell how far it is."""
    _, session = session_of_request()
    found = services().dials.get(dial)
    if found is None or found.owner != session.owner:
        raise NotFound("There is no such call to be made.")
    return answer(_document(found))


@blueprint.put("/api/dials/<dial>")
def put_dial(dial: str) -> Response:
    """Take it, for this page; exactly one page can.  The page that has it may say so again, and what came of it."""
    _, session = session_of_request()
    report, owner, now = body_of(DialReport), session.owner, time.time()
    if not report.call_id.isprintable() or not report.failed.isprintable():
        raise BadRequest("call_id and failed are texts that can be printed.")

    def step(found: Dial) -> Dial | None:
        is_free = found.state is DialState.REQUESTED and now <= found.until
        if found.owner != owner or not (is_free or found.page == report.page):
            return None
        state = found.state
        if report.failed:
            state = DialState.FAILED
        elif report.call_id:
            state = DialState.PLACED
        elif is_free:
            state = DialState.TAKEN
        return msgspec.structs.replace(
            found,
            page=report.page,
            state=state,
            call_id=report.call_id or found.call_id,
            why=report.failed or found.why,
        )

    found = services().dials.change(dial, step)
    if found is None or found.owner != owner:
        raise NotFound("There is no such call to be made.")
    if found.page != report.page:
        raise Conflict("Another page has it, or it is too late.")
    with suppress(StateUnavailable):  # it is kept: the page has the call, and others hear it when they ask
        services().dials.tell(TAKEN, found, session.impus[0], now)
    return answer(_document(found))


def _target(text: str) -> str:
    """Return whom to call, as the page dials it: a written number without what parts it."""
    stripped = text.strip()
    if _WRITTEN_NUMBER.fullmatch(stripped):
        return re.sub(r"[^+0-9*#]", "", _TRUNK_PREFIX.sub(r"\1", stripped))
    if not _ADDRESS.fullmatch(stripped):
        raise BadRequest("to is neither a number nor an address.")
    return stripped


def _document(dial: Dial) -> DialDocument:
    expired = dial.state is DialState.REQUESTED and time.time() > dial.until
    return DialDocument(
        dial=dial.id,
        to=dial.to,
        video=dial.video,
        state="expired" if expired else dial.state.value,
        call_id=dial.call_id,
        why=dial.why,
        at=dial.at,
        until=dial.until,
    )
