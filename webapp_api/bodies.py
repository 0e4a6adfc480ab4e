"""Request bodies: JSON of one exact shape, small; and JSON answers that nobody keeps."""

import threading
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from flask import Response, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout, UnsupportedMediaType

from webapp_api.gate import stepped_aside

MAX_BYTES: Final = 16_384
_PATIENCE_S: Final = 5.0
_SLOWEST: Final = 100_000
"""Bytes in a second of a body that is as large as it may be."""
_NOTHING_IN: Final = 0
"""socket.SHUT_RD."""
_LONGEST_DETAIL: Final = 200

T = TypeVar("T", bound=msgspec.Struct)


def body_of(shape: type[T]) -> T:
    """Read the request's body.

    Raises:
        UnsupportedMediaType: it is not called JSON.
        RequestEntityTooLarge: it is larger than MAX_BYTES.
        RequestTimeout: it comes too slowly.
        BadRequest: it is no JSON, or has another shape; the detail says where.
    """
    data = json_of_request()
    try:
        return msgspec.json.decode(data, type=shape, strict=True)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRequest(f"The body is not as described: {str(error)[:_LONGEST_DETAIL]}") from error


def whole(pattern: str) -> msgspec.Meta:
    """Return that a text as a whole has a form: in Python ``$`` alone fits before a last line end, too."""
    return msgspec.Meta(pattern=rf"^{pattern}$(?!\n)")


def json_of_request(most_bytes: int = MAX_BYTES) -> bytes:
    """Return the request's body.

    Raises:
        UnsupportedMediaType: it is not called JSON.
        RequestEntityTooLarge: it is larger than ``most_bytes``.
        RequestTimeout: it comes too slowly.
        BadRequest: its chunks (RFC 9112 §7.1) are none.
        ServiceUnavailable: too many bodies are waited for.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("The body must be application/json.")
    # One more: of a body in chunks no length is told, and it would end without a word where reading does.
    request.max_content_length = most_bytes + 1
    try:
        data = _read(most_bytes)
    except ParseException as error:
        raise BadRequest("The chunks of the body cannot be read.") from error
    if len(data) > most_bytes:
        raise RequestEntityTooLarge
    return data


def _read(most_bytes: int) -> bytes:
    line = request.environ.get("gunicorn.socket")
    if line is None:
        return request.get_data(cache=False)
    late = threading.Event()
    # The HTTP server waits for each piece anew: only the end of what can be read ends that.
    watch = threading.Timer(_PATIENCE_S + most_bytes / _SLOWEST, _give_up, (line, late))
    watch.daemon = True
    watch.start()
    try:
        with stepped_aside():
            return request.get_data(cache=False)
    finally:
        watch.cancel()
        if late.is_set():
            raise RequestTimeout("The body came too slowly.")


def _give_up(line: Any, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        line.shutdown(_NOTHING_IN)


def answer(document: msgspec.Struct | dict[str, object], status: int = 200) -> Response:
    """Answer with a document that is never cached."""
    response = Response(msgspec.json.encode(document), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
