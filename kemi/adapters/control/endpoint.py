"""The control endpoint: what this node's own programs ask and tell the gateway, as JSON over HTTP on a loopback port.

A request comes to one worker process, as SIP over TCP does; a handler may wait for the relay as a call's step may,
and for nothing else.  Whoever knows the secret may do everything here.

An answer is one JSON object, of `/metrics` text; of a refusal ``{"error": "a sentence"}``:

    400  the body is no JSON object, or not what the route wants
    401  no secret, or a wrong one (RFC 6750)
    404  no such route, or no such thing
    405  the route has other methods
    413  more than MAX_BODY bytes
    500  our fault; the log has it
"""

from __future__ import annotations

import hmac
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from kemi.adapters.kamailio import connections, ksr
from kemi.adapters.log import log_event
from kemi.core.decimals import number_or
from kemi.settings import ControlSettings

MAX_BODY: Final = 20_000
"""Bytes: a call's name may have some 8,000 letters, of which JSON makes more.  What does not fit Kamailio's buffer
(kamailio_tcp_rd_buf_size) ends the connection before anybody reads it."""

MOST_NAMES: Final = 20_000
"""Letters of names in one answer: a page chooses its Call-ID, and what Kamailio sends is below 64 kB."""

Answer = tuple[int, dict[str, Any] | str]
"""Status and body: an object becomes JSON, a text goes as it is."""
Handler = Callable[[dict[str, Any]], Answer]
"""Gets the body, of a GET the query; returns status and body."""
Routes = Mapping[tuple[str, str], Handler]
"""(method, path) -> handler."""

_REASON_PHRASES: Final = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class ControlRefusal(Exception):
    """A request that is not carried out; the answer says why."""

    def __init__(self, status: int, detail: str, *lines: str) -> None:
        super().__init__(detail)
        self.status = status
        self.lines = lines
        """Header lines the answer needs."""


class Control:
    """The control endpoint in a worker process."""

    def __init__(self, settings: ControlSettings, routes: Routes) -> None:
        self._port = settings.port
        self._credentials = f"Bearer {settings.secret}".encode()
        self._routes = routes
        self._paths = {path for _, path in routes}

    def is_meant(self) -> bool:
        """Whether the current HTTP request came in on the control port."""
        return ksr.received_port() == self._port

    def answer(self) -> None:
        """Carry out the current HTTP request and answer it."""
        body: dict[str, Any] | str
        lines: tuple[str, ...] = ()
        try:
            status, body = self._carry_out()
        except ControlRefusal as refusal:
            status, body, lines = refusal.status, {"error": str(refusal)}, refusal.lines
            log_event(
                logging.INFO, "control_refused", status=status, detail=str(refusal), source=ksr.source()
            )
        except Exception:
            connections.http_reply(500, _REASON_PHRASES[500], '{"error":"see the log"}', connections.JSON)
            raise
        is_text = isinstance(body, str)
        text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
        kind = connections.METRICS if is_text else connections.JSON
        connections.http_reply(status, _REASON_PHRASES[status], text, kind, lines)

    def _carry_out(self) -> Answer:
        given = ksr.headers("Authorization")
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self._credentials):
            raise ControlRefusal(
                401, "the secret of the control endpoint is wanted", "WWW-Authenticate: Bearer"
            )
        method = ksr.method()
        path, _, query = ksr.text("$hu").partition("?")
        if path not in self._paths:
            raise ControlRefusal(404, f"no route {path}")
        handler = self._routes.get((method, path))
        if handler is None:
            others = ", ".join(sorted(one for one, of_path in self._routes if of_path == path))
            raise ControlRefusal(405, f"{path} has {others}", f"Allow: {others}")
        if ksr.body_length() > MAX_BODY:
            raise ControlRefusal(413, f"at most {MAX_BODY} bytes")
        return handler(dict(parse_qsl(query)) if method == "GET" else _body())


def _body() -> dict[str, Any]:
    try:
        body = msgspec.json.decode(ksr.body().content or b"{}")
    except ValueError as error:  # also what is no UTF-8
        raise ControlRefusal(400, f"no JSON: {error}") from error
    if not isinstance(body, dict):
        raise ControlRefusal(400, "a JSON object is wanted")
    return body


def text_of(body: Mapping[str, Any], name: str) -> str:
    """Return a text of the body; raise ControlRefusal unless there is one, and not an empty one."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ControlRefusal(400, f"{name}: a text is wanted")
    return value


def texts_of(body: Mapping[str, Any], name: str, most: int) -> list[str]:
    """Return a list of texts; raise ControlRefusal unless there is one, of ``most`` at the most, none of them empty."""
    values = body.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ControlRefusal(400, f"{name}: a list of names is wanted")
    if len(values) > most:
        raise ControlRefusal(400, f"{name}: at most {most}")
    return values


def portion_of(names: Sequence[str]) -> list[str]:
    """Return as many of these names, and one at least, as fit into an answer."""
    sizes = itertools.accumulate(map(len, names))
    return [
        name
        for number, (name, size) in enumerate(zip(names, sizes, strict=True))
        if not number or size <= MOST_NAMES
    ]


def number_of(body: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of the body or of the query; raise ControlRefusal unless it is within its limits."""
    value = body.get(name, default)
    if isinstance(value, str):
        value = number_or(value, value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ControlRefusal(400, f"{name}: a number from {least} to {most} is wanted")
    return value
