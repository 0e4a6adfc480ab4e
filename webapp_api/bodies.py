"""Request bodies: JSON of one exact shape, small; and JSON answers that nobody keeps."""

from typing import Final, TypeVar

import msgspec
from flask import Response, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

MAX_BYTES: Final = 16_384
_LONGEST_DETAIL: Final = 200

T = TypeVar("T", bound=msgspec.Struct)


def body_of(shape: type[T]) -> T:
    """Read the request's body.

    Raises:
        UnsupportedMediaType: it is not called JSON.
        RequestEntityTooLarge: it is larger than MAX_BYTES.
        BadRequest: it is no JSON, or has another shape; the detail says where.
    """
    data = json_of_request()
    try:
        return msgspec.json.decode(data, type=shape, strict=True)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRequest(f"The body is not as described: {str(error)[:_LONGEST_DETAIL]}") from error


def json_of_request(most_bytes: int = MAX_BYTES) -> bytes:
    """Return the request's body; raise UnsupportedMediaType when it is not called JSON, RequestEntityTooLarge."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("The body must be application/json.")
    request.max_content_length = most_bytes
    return request.get_data(cache=False)


def answer(document: msgspec.Struct | dict[str, object], status: int = 200) -> Response:
    """Answer with a document that is never cached."""
    response = Response(msgspec.json.encode(document), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
