"""The description of the HTTP interface (OpenAPI 3.1), made from the very types that read and write the bodies."""

from typing import Any, Final

import msgspec

from kemi.state.routing_document import RoutingDocument
from webapp_api import cookies, csrf
from webapp_api.blueprints.calls import CurrentCalls, PastCalls
from webapp_api.blueprints.operator_calls import EndOrder, OperatorCalls, OperatorCounters
from webapp_api.blueprints.operator_nodes import DrainOrder, RelayNode, RelayNodes
from webapp_api.blueprints.operator_routes import RouteExplanation, RoutingTableDocument
from webapp_api.blueprints.operator_traces import Trace, TracedCalls
from webapp_api.blueprints.operator_trunks import OperatorTrunks
from webapp_api.blueprints.session import Credentials, SessionDocument
from webapp_api.errors import CONTENT_TYPE as PROBLEM
from webapp_api.settings import Settings
from webapp_api.tokens import TokenResponse
from webapp_api.version import VERSION

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


_STATUS: Final = {
    "101": "A WebSocket; webapp_api/README.md describes its messages.",
    "200": "As asked.",
    "201": "A session has begun; its cookie comes along.",
    "202": "The gateways have been told.",
    "204": "There is no such session or call (any more).",
    "303": "Go on at Location.",
    "400": "The request is not as described.",
    "401": "Nobody is logged in, or the credentials are not right.",
    "403": "The request may come from another site, or the account has no identity, or is no operator's.",
    "404": "The operator does not offer this, or there is no such thing.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The table is not good; the detail names rows and reasons, and the old one stays.",
    "429": "Too many attempts; Retry-After says when the next one counts.",
    "500": "The service has a fault; it is in its log.",
    "502": "The login service of the operator does not answer as it should.",
    "503": "Not now; Retry-After says when.",
}
_WAITS: Final = ("429", "503")
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


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Describe every endpoint below /api/ and /.well-known/."""
    shapes = (
        Credentials, SessionDocument, TokenResponse, KeySet, Problem, DrainOrder, RelayNode, RelayNodes,
        RoutingTableDocument, RoutingDocument, RouteExplanation, OperatorCalls, EndOrder, OperatorCounters,
        OperatorTrunks, PastCalls, CurrentCalls, TracedCalls, Trace,
    )  # fmt: skip
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Web login of the WebRTC-IMS gateway",
            "version": VERSION,
            "description": "Sessions by cookie, access tokens for SIP over WebSocket (RFC 8898).",
        },
        "servers": [{"url": settings.public_origin}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": cookies.SESSION}},
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/api/session": {
            "get": _operation("Tell who is logged in", {"200": SessionDocument}, "404 503"),
            "post": _operation(
                "Log in with name and password",
                {"201": SessionDocument},
                "400 401 403 404 413 415 429 503",
                body=Credentials,
                changes=True,
            ),
            "delete": _operation("Log out", {"204": None}, "403 404 503", changes=True),
        },
        "/api/leases": {
            "post": _operation(
                "Begin a guest's session with a leased identity",
                {"201": SessionDocument},
                "403 404 429 503",
                changes=True,
            )
        },
        "/api/tokens": {
            "post": _operation(
                "Get an access token for the gateway",
                {"200": TokenResponse},
                "401 403 404 429 502 503",
                changes=True,
                session=True,
            )
        },
        "/api/oidc/login": {
            "get": _operation("Log in at the operator's provider", {"303": None}, "404 429 502 503")
        },
        "/api/oidc/callback": {
            "get": _operation(
                "Come back from the operator's provider",
                {"303": None},
                "400 401 403 404 502 503",
                query=("state", "code", "error", "iss"),
            )
        },
        "/api/operator/nodes": {
            "get": _operation(
                "Tell which media relay nodes there are", {"200": RelayNodes}, "401 403 404 503", session=True
            )
        },
        "/api/operator/nodes/{node}": {
            "put": _operation(
                "Drain a media relay node, or give it new calls again",
                {"200": RelayNode},
                "400 401 403 404 413 415 503",
                body=DrainOrder,
                path=("node",),
                changes=True,
                session=True,
            )
        },
        "/api/calls": {
            "get": _operation(
                "Tell what calls the user had, the latest first",
                {"200": PastCalls},
                "400 401 404 503",
                query=("cursor", "limit", "direction", "answered", "since", "until"),
                session=True,
            )
        },
        "/api/calls/current": {
            "get": _operation(
                "Tell which calls of the user are running",
                {"200": CurrentCalls},
                "401 404 429 503",
                session=True,
            )
        },
        "/api/calls/{call_id}": {
            "delete": _operation(
                "End a call of the user's by its Call-ID",
                {"204": None},
                "400 401 403 404 503",
                path=("call_id",),
                changes=True,
                session=True,
            )
        },
        "/api/events": {"get": _listening("Listen to what becomes of the user's registrations and calls")},
        "/api/operator/events": {"get": _listening("Listen to everything that gateways tell")},
        "/api/operator/calls": {
            "get": _operation(
                "Tell which calls are running, of all or of one public identity",
                {"200": OperatorCalls},
                "401 403 404 503",
                query=("impu",),
                session=True,
            )
        },
        "/api/operator/calls/end": {
            "post": _operation(
                "End a call by its Call-ID, or all calls of a public identity",
                {"202": EndOrder},
                "400 401 403 404 413 415 503",
                body=EndOrder,
                changes=True,
                session=True,
            )
        },
        "/api/operator/counters": {
            "get": _operation(
                "Tell what the gateways counted: calls by kind of rates, denied ones, emergencies, alarms",
                {"200": OperatorCounters},
                "401 403 404 503",
                session=True,
            )
        },
        "/api/operator/traces": {
            "get": _operation(
                "Tell which traced calls there are, the latest first",
                {"200": TracedCalls},
                "400 401 403 404 503",
                query=("impu", "call_id", "failed", "after", "limit"),
                session=True,
            )
        },
        "/api/operator/traces/{key}": {
            "get": _operation(
                "Return what a call did, by the key of its trace or its Call-ID",
                {"200": Trace},
                "401 403 404 503",
                path=("key",),
                session=True,
            )
        },
        "/api/operator/trunks": {
            "get": _operation(
                "Tell which trunks there are, and how they are",
                {"200": OperatorTrunks},
                "401 403 404 503",
                session=True,
            )
        },
        "/api/operator/routes": {
            "get": _operation(
                "Return the routing table", {"200": RoutingTableDocument}, "401 403 404 503", session=True
            ),
            "put": _operation(
                "Replace the routing table as a whole",
                {"200": RoutingTableDocument},
                "401 403 404 413 415 422 503",
                body=RoutingDocument,
                changes=True,
                session=True,
            ),
        },
        "/api/operator/routes/explain": {
            "get": _operation(
                "Say which row wins for a number, and why",
                {"200": RouteExplanation},
                "401 403 404 503",
                query=("number", "realm", "class"),
                session=True,
            )
        },
        "/api/openapi.json": {"get": _operation("This description", {"200": None}, "")},
        "/.well-known/jwks.json": {
            "get": _operation("The keys that check access tokens", {"200": KeySet}, "404 503")
        },
    }


def _listening(summary: str) -> dict[str, Any]:
    """A WebSocket: OpenAPI knows only the request that opens it."""
    operation = _operation(summary, {"101": None}, "400 401 403 404 429 503", query=("after",), session=True)
    operation["parameters"] += [
        _CSRF[1],
        *(
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
        ),
    ]
    return operation


def _operation(
    summary: str,
    results: dict[str, type[msgspec.Struct] | None],
    errors: str,
    *,
    body: type[msgspec.Struct] | None = None,
    query: tuple[str, ...] = (),
    path: tuple[str, ...] = (),
    changes: bool = False,
    session: bool = False,
) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [*_CSRF] if changes else []
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query]
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in path
    ]
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            **{status: _response(status, _JSON, shape) for status, shape in results.items()},
            **{status: _response(status, PROBLEM, Problem) for status in (*errors.split(), "500")},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": _reference(body)}}}
    if session:
        operation["security"] = [{"session": []}]
    return operation


def _response(status: str, content_type: str, shape: type[msgspec.Struct] | None) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _STATUS[status]}
    if shape is not None:
        response["content"] = {content_type: {"schema": _reference(shape)}}
    if status in _WAITS:
        response["headers"] = {
            "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}
        }
    return response


def _reference(shape: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
