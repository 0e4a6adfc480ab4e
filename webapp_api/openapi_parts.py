"""The parts that every operation of the description has in common."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from kemi.state.call_questions import DIALOGS, DIRECTIONS
from webapp_api import csrf, queries
from webapp_api.errors import CONTENT_TYPE as PROBLEM

_JSON: Final = "application/json"


class Problem(msgspec.Struct, frozen=True):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


class KeySet(msgspec.Struct, frozen=True):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, Any]]


_WHOLE_NUMBER: Final = {"type": "integer", "minimum": 1, "maximum": queries.MOST, "default": queries.USUAL}
_SECONDS: Final = {"type": "number", "minimum": 0, "maximum": 1e11}
_FLAG: Final = {"enum": ["true", "false"]}
_TEXT: Final = {"type": "string", "maxLength": queries.LONGEST}
_QUERY: Final[dict[str, dict[str, Any]]] = {
    "limit": _WHOLE_NUMBER,
    "since": _SECONDS,
    "until": _SECONDS,
    "answered": _FLAG,
    "operator": _TEXT,
    "is_operator": _FLAG,
    "disabled": _FLAG,
    "failed": _FLAG,
    "after": {"type": "string"},
    "direction": {"enum": list(DIRECTIONS)},
    "dialog": {"enum": list(DIALOGS)},
    "older_s": {
        "type": "number",
        "minimum": 0,
        "maximum": 1e9,
        "default": 0,
        "description": "Only calls that began at least so many seconds ago.",
    },
    "party": {**_TEXT, "description": "Part of the identity or number of either side; case does not count."},
    **{name: {"type": "string"} for name in ("key", "call_id", "state", "code", "error", "iss")},
}
"""What a query's values are; short texts otherwise."""
_STATUS: Final = {
    "101": "A WebSocket; webapp_api/README.md describes its messages.",
    "200": "As asked.",
    "201": "A session has begun; its cookie comes along.",
    "202": "The gateways have been told.",
    "204": "There is no such thing (any more).",
    "303": "Go on at Location.",
    "400": "The request is not as described.",
    "401": "Nobody is logged in, or the credentials are not right.",
    "403": "The request may come from another site, the account has no identity, or is no operator's; or a ban.",
    "404": "The operator does not offer this, or there is no such thing.",
    "408": "The body came too slowly.",
    "409": "It would not be right as things are: there is one already, or somebody has changed it meanwhile.",
    "412": "It is not, any more, what If-Match or If-None-Match names.",
    "413": "The body is too large.",
    "414": "The address is longer than 8190 characters.",
    "415": "The body is not JSON.",
    "422": "The table is not good (the detail names rows and reasons; the old one stays), or the key was another's.",
    "429": "Too many attempts; Retry-After says when the next one counts.",
    "500": "The service has a fault; it is in its log.",
    "502": "The login service of the operator does not answer as it should.",
    "503": "Not now; Retry-After says when.",
}
_WAITS: Final = ("429", "503")
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."},
    "ETag": {"schema": {"type": "string"}, "description": "The state, for If-Match of the next change."},
    "Location": {"schema": {"type": "string"}, "description": "Where it is from now on."},
}
_CSRF: Final = [
    {
        "name": csrf.HEADER,
        "in": "header",
        "required": True,
        "schema": {"const": "1"},
        "description": "A form of another site cannot send it.",
    },
    {
        "name": "Origin",
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
        "description": "The public origin; browsers set it themselves.",
    },
]


def named(paths: dict[str, Any]) -> dict[str, Any]:
    """Give each operation a name for those who make clients of the description: getOperatorUsersByName."""
    for path, operations in paths.items():
        words = [
            f"By{part[1:-1].title()}" if part.startswith("{") else part.partition(".")[0].title()
            for part in path.strip("/").split("/")
            if part not in ("api", ".well-known")
        ]
        for method, operation in operations.items():
            operation["operationId"] = method + "".join(words).replace("_", "")
    return paths


def listening(summary: str) -> dict[str, Any]:
    """A WebSocket: OpenAPI knows only the request that opens it."""
    described = operation(summary, {"101": None}, "400 401 403 404 429 503", query=("after",), session=True)
    described["parameters"] += [
        _CSRF[1],
        *(
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
        ),
    ]
    return described


def operation(
    summary: str,
    results: dict[str, type[msgspec.Struct] | None],
    errors: str,
    *,
    body: type[msgspec.Struct] | None = None,
    query: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    path: tuple[str, ...] = (),
    changes: bool = False,
    session: bool = False,
    fields: tuple[str, ...] = (),
    deprecated: bool = False,
    tells: tuple[str, ...] = (),
    words: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Describe one.

    Args:
        summary: what it does.
        results: status of success -> what the body is.
        errors: statuses, parted by spaces.
        body: of the request.
        query: names of parameters.
        needs: which of them there have to be.
        path: names of the parts that vary.
        changes: whether it wants what other sites cannot send.
        session: whether it is for who is logged in.
        fields: header fields of the request.
        deprecated: whether there is a better one.
        tells: header fields of each answer of success.
        words: status -> what it means here, where that is not what it means elsewhere.
    """
    statuses = sorted({*errors.split(), *(["414"] if query else []), "403", "500"})
    parameters: list[dict[str, Any]] = [*_CSRF] if changes else []
    parameters += [
        {"name": name, "in": "query", "required": name in needs, "schema": _QUERY.get(name, _TEXT)}
        for name in query
    ]
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in path
    ]
    parameters += [{"name": name, "in": "header", "schema": {"type": "string"}} for name in fields]
    described: dict[str, Any] = {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            **{
                status: _response(words.get(status, _STATUS[status]), _JSON, shape, tells)
                for status, shape in results.items()
            },
            **{
                status: _response(
                    words.get(status, _STATUS[status]),
                    PROBLEM,
                    Problem,
                    ("Retry-After",) if status in _WAITS else (),
                )
                for status in statuses
            },
        },
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": _reference(body)}}}
    if deprecated:
        described["deprecated"] = True
    if session:
        described["security"] = [{"session": []}]
    return described


def _response(
    description: str, content_type: str, shape: type[msgspec.Struct] | None, headers: tuple[str, ...]
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": description}
    if shape is not None:
        response["content"] = {content_type: {"schema": _reference(shape)}}
    if headers:
        response["headers"] = {name: _HEADERS[name] for name in headers}
    return response


def _reference(shape: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
