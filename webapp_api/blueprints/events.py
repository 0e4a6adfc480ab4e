"""/api/events and /api/operator/events: what happens, as it happens, over WebSocket.

The session's cookie opens them, for a page of our own origin only; nothing secret is in the address. Who listens only
reads; whoever does not keep up is cut off (1013). The messages are described in webapp_api/README.md.
"""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from flask import Blueprint, Response, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed
from werkzeug.exceptions import BadRequest, Forbidden, ServiceUnavailable, TooManyRequests
from wsproto.utilities import RemoteProtocolError

from kemi.core.limits import address_key
from kemi.state.web.client import StateUnavailable
from kemi.state.web.event_feed import Entry, Recent, order_of
from kemi.state.web.listening import CONSOLE
from kemi.state.web.sessions import Session
from webapp_api.errors import problem
from webapp_api.gate import step_aside
from webapp_api.listeners import (
    GOING_AWAY,
    LOGGED_OUT,
    NOT_AN_OPERATOR,
    SILENT,
    Audience,
    Listener,
    position_text,
    text_of,
)
from webapp_api.quiet_socket import QuietServer
from webapp_api.services import Services, holds_since, is_operator, services, session_of_request

blueprint = Blueprint("events", __name__)

EVENTS: Final = "/api/events"
OPERATOR_EVENTS: Final = "/api/operator/events"
LONGEST_MESSAGE: Final = 1024
_RETRY_S: Final = 10
_SEQ = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_CLOSED_WITHIN_S: Final = 1.0
_BOTH_WAYS: Final = 2
"""socket.SHUT_RDWR."""


@blueprint.before_request
def admit() -> None:
    """Look at who wants to listen before the connection becomes a WebSocket, while there still are HTTP errors."""
    parts = services()
    if request.headers.getlist("Origin") != [parts.settings.public_origin]:
        raise Forbidden("The request must come from a page of this origin, and say so in Origin.")
    secret, session = session_of_request()
    is_for_operators = request.path == OPERATOR_EVENTS
    if is_for_operators and not is_operator(session):
        raise Forbidden("This is for operators.")
    if request.headers.get("Sec-WebSocket-Version") != "13" or not _KEY.fullmatch(
        request.headers.get("Sec-WebSocket-Key", "")
    ):
        raise BadRequest("This is no WebSocket of RFC 6455.")
    after = request.args.get("after", "")
    if after and not _SEQ.fullmatch(after):
        raise BadRequest("after is no sequence number.")
    if len(parts.hub) >= parts.settings.event_listeners or parts.hub.stopped or not parts.hub.position:
        raise ServiceUnavailable("Nobody else can listen here now.", retry_after=_RETRY_S)
    # A compressor would take a quarter of a megabyte for each listener.
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    if wait_s := parts.listen_attempts.add(session.owner):
        raise TooManyRequests("Too many begin to listen; wait before the next one.", retry_after=wait_s)
    listener = (CONSOLE if is_for_operators else "") + secrets.token_hex(8)
    names = listener, session.person, address_key(request.remote_addr or "")
    if not parts.listening.begin(*names, time.time()):
        raise TooManyRequests("There are enough listeners of this person, or address.", retry_after=_RETRY_S)
    g.listening = names
    g.parts, g.secret, g.session, g.after = parts, secret, session, after


@blueprint.teardown_request
def leave(_error: BaseException | None) -> None:
    """Count the listener no more; when Redis is away its time runs out by itself."""
    names = g.pop("listening", None)
    if names is not None:
        try:
            services().listening.end(*names)
        except StateUnavailable:
            return


@blueprint.errorhandler(RemoteProtocolError)
def no_websocket(_error: RemoteProtocolError) -> Response:
    """Refuse an upgrade that is none."""
    return problem(BadRequest("This is no WebSocket of RFC 6455."))


def user_events(socket: QuietServer) -> None:
    """Tell a user what becomes of the registrations and calls of the session's identities."""
    session: Session = g.session
    since = holds_since(session)
    _Conversation(socket, Audience(session.sid, tuple(session.impus), session.owner, since=since)).hold()


def operator_events(socket: QuietServer) -> None:
    """Tell an operator everything."""
    _Conversation(socket, Audience(g.session.sid, operator=True)).hold()


for _path, _handler in ((EVENTS, user_events), (OPERATOR_EVENTS, operator_events)):
    Sock().route(_path, bp=blueprint)(_handler)


class _Conversation:
    """One connection, in the thread of its request: nobody else waits for it."""

    def __init__(self, socket: QuietServer, audience: Audience) -> None:
        self._socket = socket
        self._parts: Services = g.parts
        self._after: str = g.after
        self._listener = Listener(audience, wake=socket.event.set, abort=self._abort)

    def hold(self) -> None:
        """Tell what was missed, then what comes, until one side ends it."""
        hub = self._parts.hub
        step_aside()
        try:
            gap = bool(self._after) and self._is_cut()
            if self._after and not gap:
                self._listener.floor = order_of(self._after)
            position = hub.join(self._listener)
            for text in self._missed(position, gap):
                if not self._goes_on():
                    break
                self._socket.send(text)
            while self._goes_on():
                self._socket.event.wait()
                self._socket.event.clear()
                self._send_waiting()
        except StateUnavailable:
            self._listener.cut(GOING_AWAY)
        except (ConnectionClosed, OSError):
            return
        finally:
            hub.leave(self._listener)
            self._close()

    def _goes_on(self) -> bool:
        if self._socket.input_buffer or self._socket.talks:
            self._listener.cut(SILENT)
        return self._socket.connected and self._listener.closing is None

    def _missed(self, position: str, gap: bool) -> Iterator[str]:
        """Give the events between the one that is known and those that will come by themselves."""
        after = self._after
        if not after:
            yield position_text(position)
            return
        yield position_text(after, gap=gap)
        recent = Recent()
        while self._goes_on():
            # Nobody waits here for a client: what it is told is sent when the next one has its turn.
            with self._parts.catching_up:
                entries = self._parts.feed.between(after, position)
                texts = list(self._texts(entries, recent))
            if not entries:
                return
            after = entries[-1][0]
            yield from texts

    def _is_cut(self) -> bool:
        with self._parts.catching_up:
            return self._parts.feed.is_cut(self._after)

    def _texts(self, entries: list[Entry], recent: Recent) -> Iterator[str]:
        for seq, event in entries:
            told = self._listener.audience.document(seq, event)
            if told is not None and recent.is_new(event):
                yield text_of(told)

    def _send_waiting(self) -> None:
        listener = self._listener
        while listener.waiting and self._goes_on():
            self._socket.send(listener.waiting.popleft())
        if listener.due:
            listener.due = False
            self._look_again()

    def _look_again(self) -> None:
        """See whether the session still is one, and its owner an operator."""
        try:
            if not self._parts.sessions.is_there(g.secret):
                self._listener.cut(LOGGED_OUT)
            elif self._listener.audience.operator and not is_operator(g.session):
                self._listener.cut(NOT_AN_OPERATOR)
            else:
                listener, user, address = g.listening
                self._parts.listening.goes_on(listener, user, address, time.time())
        except StateUnavailable:
            return  # the next time

    def _close(self) -> None:
        """Say why, and see that the connection is closed before the HTTP server has it back: it would wait for it."""
        socket, thread = self._socket, self._socket.thread
        if socket.connected and self._listener.closing is not None:
            with suppress(ConnectionClosed, OSError):
                socket.close(*self._listener.closing)
        thread.join(_CLOSED_WITHIN_S)
        if thread.is_alive():
            self._abort()
            thread.join(_CLOSED_WITHIN_S)

    def _abort(self) -> None:
        with suppress(OSError):
            self._socket.sock.shutdown(_BOTH_WAYS)
