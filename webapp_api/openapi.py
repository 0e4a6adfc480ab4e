"""The description of the HTTP interface (OpenAPI 3.1), made from the very types that read and write the bodies."""

from typing import Any, Final

import msgspec

from kemi.state.routing_document import RoutingDocument
from webapp_api import cookies
from webapp_api.blueprints.calls import CurrentCalls, PastCalls
from webapp_api.blueprints.dials import IDEMPOTENCY_KEY, DialDocument, DialReport, DialWish
from webapp_api.blueprints.operator_audit import AuditPage
from webapp_api.blueprints.operator_bans import AddressBan, BanOrder, Bans
from webapp_api.blueprints.operator_calls import EndOrder, OperatorCalls, OperatorCounters
from webapp_api.blueprints.operator_nodes import DrainOrder, RelayNode, RelayNodes
from webapp_api.blueprints.operator_pools import PoolIdentity, Pools
from webapp_api.blueprints.operator_registrations import OperatorRegistration, OperatorRegistrations
from webapp_api.blueprints.operator_routes import RouteExplanation, RoutingTableDocument
from webapp_api.blueprints.operator_status import OperatorStatus
from webapp_api.blueprints.operator_traces import Trace, TracedCalls
from webapp_api.blueprints.operator_trunks import OperatorTrunks
from webapp_api.blueprints.operator_users import NewUser, User, UserChange, Users
from webapp_api.blueprints.session import Credentials, SessionDocument
from webapp_api.openapi_parts import KeySet, Problem, named
from webapp_api.openapi_parts import listening as _listening
from webapp_api.openapi_parts import operation as _operation
from webapp_api.settings import Settings
from webapp_api.tokens import TokenResponse
from webapp_api.version import VERSION

_MADE: Final = "There is an account of this name now."
_TABLE_PARTS: Final = ("Route", "Hours", "Permission", "DialPlan")
"""Data classes, of which msgspec does not know that document_from_json takes no other keys."""


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Describe every endpoint below /api/ and /.well-known/."""
    shapes = (
        Credentials, SessionDocument, TokenResponse, KeySet, Problem, DrainOrder, RelayNode, RelayNodes,
        RoutingTableDocument, RoutingDocument, RouteExplanation, OperatorCalls, EndOrder, OperatorCounters,
        OperatorTrunks, PastCalls, CurrentCalls, OperatorRegistration, OperatorRegistrations, User, Users, NewUser,
        UserChange, Pools, PoolIdentity, AuditPage, TracedCalls, Trace, DialDocument, DialReport, DialWish,
        AddressBan, BanOrder, Bans, OperatorStatus,
    )  # fmt: skip
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    for name in _TABLE_PARTS:
        schemas[name]["additionalProperties"] = False
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Web API of the WebRTC-IMS gateway",
            "version": VERSION,
            "description": (
                "Sessions by cookie, access tokens for SIP over WebSocket (RFC 8898), calls and events; for operators"
                " users, registrations, calls, nodes, trunks and routes. Errors are problem details (RFC 9457)."
            ),
        },
        "servers": [{"url": settings.public_origin}],
        "paths": named(_paths()),
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
                "400 401 403 404 408 413 415 429 503",
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
            "get": _operation(
                "Log in at the operator's provider", {"303": None}, "404 429 502 503", tells=("Location",)
            )
        },
        "/api/oidc/callback": {
            "get": _operation(
                "Come back from the operator's provider",
                {"303": None},
                "400 401 403 404 502 503",
                query=("state", "code", "error", "iss"),
                tells=("Location",),
            )
        },
        "/api/operator/status": {
            "get": _operation(
                "Tell how the site is, and what is wrong with it",
                {"200": OperatorStatus},
                "401 403 404 429 503",
                session=True,
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
                "400 401 403 404 408 413 415 429 503",
                body=DrainOrder,
                path=("node",),
                changes=True,
                session=True,
            )
        },
        "/api/operator/bans": {
            "get": _operation(
                "Tell which client addresses are banned", {"200": Bans}, "401 403 404 429 503", session=True
            )
        },
        "/api/operator/bans/{address}": {
            "put": _operation(
                "Ban a client address, or change its ban",
                {"200": AddressBan},
                "400 401 403 404 408 409 413 415 429 503",
                body=BanOrder,
                path=("address",),
                changes=True,
                session=True,
            ),
            "delete": _operation(
                "End a ban",
                {"204": None},
                "400 401 403 404 429 503",
                path=("address",),
                changes=True,
                session=True,
            ),
        },
        "/api/calls": {
            "get": _operation(
                "Tell what calls the user had, the latest first",
                {"200": PastCalls},
                "400 401 404 429 503",
                query=("cursor", "limit", "direction", "answered", "since", "until"),
                session=True,
            ),
            "post": _operation(
                "Let one of the user's open pages place a call (click-to-dial)",
                {"202": DialDocument},
                "400 401 403 404 408 409 413 415 422 429 503",
                body=DialWish,
                changes=True,
                session=True,
                fields=(IDEMPOTENCY_KEY,),
                tells=("Location",),
                words={
                    "202": "The user's pages have been told; Location says how far it is.",
                    "409": "No page of the user's is open that could call.",
                },
            ),
            "delete": _operation(
                "End a call of the user's by its Call-ID",
                {"204": None},
                "400 401 403 404 429 503",
                query=("call_id",),
                needs=("call_id",),
                changes=True,
                session=True,
            ),
        },
        "/api/dials/{dial}": {
            "get": _operation(
                "Tell how far a call is that was asked for",
                {"200": DialDocument},
                "401 404 503",
                path=("dial",),
                session=True,
            ),
            "put": _operation(
                "Take a call that was asked for, as one of the user's pages, and say what came of it",
                {"200": DialDocument},
                "400 401 403 404 408 409 413 415 503",
                body=DialReport,
                path=("dial",),
                changes=True,
                session=True,
                words={"409": "Another page has it, or it is too late."},
            ),
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
                "End a call of the user's whose Call-ID a path can name",
                {"204": None},
                "400 401 403 404 429 503",
                path=("call_id",),
                deprecated=True,
                changes=True,
                session=True,
            )
        },
        "/api/events": {"get": _listening("Listen to what becomes of the user's registrations and calls")},
        "/api/operator/events": {"get": _listening("Listen to everything that gateways tell")},
        "/api/operator/calls": {
            "get": _operation(
                "Tell which calls are running, the latest first",
                {"200": OperatorCalls},
                "400 401 403 404 429 503",
                query=(
                    *("cursor", "limit", "impu", "party", "call_id", "direction", "dialog"),
                    *("gateway", "node", "trunk", "older_s"),
                ),
                session=True,
            )
        },
        "/api/operator/calls/end": {
            "post": _operation(
                "End a call by its Call-ID, or all calls of a public identity",
                {"202": EndOrder},
                "400 401 403 404 408 413 415 429 503",
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
                "400 401 403 404 429 503",
                query=("impu", "call_id", "failed", "after", "limit"),
                session=True,
            )
        },
        "/api/operator/trace": {
            "get": _operation(
                "Return what a call did, by the key of its trace or its Call-ID",
                {"200": Trace},
                "400 401 403 404 429 503",
                query=("key",),
                session=True,
            )
        },
        "/api/operator/traces/{key}": {
            "get": _operation(
                "Return what a call did whose key or Call-ID a path can name",
                {"200": Trace},
                "401 403 404 429 503",
                path=("key",),
                deprecated=True,
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
        "/api/operator/registrations": {
            "get": _operation(
                "Tell who is registered on which gateway node, by identity",
                {"200": OperatorRegistrations},
                "400 401 403 404 429 503",
                query=("cursor", "limit", "impu", "node"),
                session=True,
            )
        },
        "/api/operator/registrations/{registration}": {
            "delete": _operation(
                "End a registration, its calls, and the web session it came from",
                {"202": OperatorRegistration},
                "401 403 404 429 503",
                path=("registration",),
                changes=True,
                session=True,
            )
        },
        "/api/operator/users": {
            "get": _operation(
                "Tell who has an account, by name",
                {"200": Users},
                "400 401 403 404 429 503",
                query=("cursor", "limit", "impu", "is_operator", "disabled"),
                session=True,
            ),
            "post": _operation(
                "Give a person an account",
                {"201": User},
                "400 401 403 404 408 409 413 415 429 503",
                body=NewUser,
                changes=True,
                session=True,
                tells=("ETag", "Location"),
                words={"201": _MADE},
            ),
        },
        "/api/operator/users/{name}": {
            "get": _operation(
                "Tell what is kept of a person; ETag names the state",
                {"200": User},
                "400 401 403 404 429 503",
                path=("name",),
                session=True,
                tells=("ETag",),
            ),
            "put": _operation(
                "Make or replace an account",
                {"200": User, "201": User},
                "400 401 403 404 408 409 412 413 415 429 503",
                body=UserChange,
                path=("name",),
                changes=True,
                session=True,
                fields=("If-Match", "If-None-Match"),
                tells=("ETag",),
                words={"201": _MADE},
            ),
            "delete": _operation(
                "Remove an account and end its sessions, registrations and calls",
                {"204": None},
                "400 401 403 404 409 412 429 503",
                path=("name",),
                changes=True,
                session=True,
                fields=("If-Match",),
            ),
        },
        "/api/operator/pools": {
            "get": _operation(
                "Tell who holds which identity of the pools that guests lease from",
                {"200": Pools},
                "401 403 404 429 503",
                session=True,
            )
        },
        "/api/operator/pools/{pool}/leases/{impi}": {
            "delete": _operation(
                "End the lease of an identity, and its holder's session",
                {"202": PoolIdentity},
                "401 403 404 429 503",
                path=("pool", "impi"),
                changes=True,
                session=True,
            )
        },
        "/api/operator/audit": {
            "get": _operation(
                "Tell what operators have changed, the latest first",
                {"200": AuditPage},
                "400 401 403 404 429 503",
                query=("cursor", "limit", "operator", "since"),
                session=True,
            )
        },
        "/api/operator/routes": {
            "get": _operation(
                "Return the routing table",
                {"200": RoutingTableDocument},
                "401 403 404 429 503",
                session=True,
                tells=("ETag",),
            ),
            "put": _operation(
                "Replace the routing table as a whole",
                {"200": RoutingTableDocument},
                "401 403 404 408 412 413 415 422 429 503",
                body=RoutingDocument,
                changes=True,
                session=True,
                fields=("If-Match",),
                tells=("ETag",),
            ),
        },
        "/api/operator/routes/explain": {
            "get": _operation(
                "Say which row wins for a number, and why",
                {"200": RouteExplanation},
                "400 401 403 404 429 503",
                query=("number", "realm", "class"),
                session=True,
            )
        },
        "/api/openapi.json": {"get": _operation("This description", {"200": None}, "")},
        "/.well-known/jwks.json": {
            "get": _operation("The keys that check access tokens", {"200": KeySet}, "404 503")
        },
    }
