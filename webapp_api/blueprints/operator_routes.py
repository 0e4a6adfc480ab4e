"""/api/operator/routes: where calls go, for accounts with the role of an operator."""

import time

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound, PreconditionFailed, UnprocessableEntity

from kemi.core.decimals import is_number
from kemi.core.emergency import service_of
from kemi.core.routing.numbers import BadNumber, Dialled, DialPlan, is_emergency
from kemi.core.routing.table import TableError
from kemi.state.routing_document import RoutingDocument, document_from_json
from kemi.state.web.routes import Explanation, OtherVersion, dialled_by_table, explanation
from webapp_api import queries
from webapp_api.audit import remark
from webapp_api.bodies import answer, json_of_request
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_routes", __name__)
MAX_BYTES = 4 << 20
"""About 20,000 rows; larger tables are loaded by command."""
MOST_PROBLEMS = 10


class RoutingTableDocument(msgspec.Struct, frozen=True):
    """The table that counts."""

    version: int
    """0: there is none, and every call goes to the core; as with a table that has nothing in it."""
    table: RoutingDocument


class RouteVerdict(msgspec.Struct, frozen=True):
    """What becomes of one row."""

    id: str
    why: str


class RouteExplanation(msgspec.Struct, frozen=True):
    """Which rows fit a number: those that win first, in the order they are tried.  None: 404; or, of an emergency
    number, that the gateways' setting gateway_emergency alone says what becomes of it."""

    version: int
    number: str
    """As it is looked up."""
    emergency: bool
    rows: list[RouteVerdict]
    cost: str = ""
    """Kind of rates: internal, free, national, mobile, shared-cost, premium, international or satellite."""
    denied: str = ""
    """Why a caller of the class may not call it by the table's permissions; "" for one who may.  Settings of the
    gateways, as gateway_denied_numbers and gateway_callable_domains, are not looked at."""
    limits: str = ""
    """Of the caller's class, in words."""
    user: str = ""
    """Whose number or address it is, by account: without an IMS core this person's pages are called, by no trunk and
    whatever its rates, unless a row refuses it."""


@blueprint.get("/api/operator/routes")
def get_routes() -> Response:
    """Return the table; ETag names its version."""
    only_operators(costs=True)
    return _answer(*services().routes.get())


@blueprint.put("/api/operator/routes")
def put_routes() -> Response:
    """Replace the table, with If-Match only the one that the operator has seen; a bad one changes nothing."""
    only_operators(costs=True)
    try:
        document = document_from_json(json_of_request(MAX_BYTES))
        version = services().routes.put(document, _seen_version())
        remark(f"version={version} rows={len(document.routes)}")
    except TableError as error:
        raise UnprocessableEntity("; ".join(error.problems[:MOST_PROBLEMS])) from error
    except OtherVersion as error:
        raise PreconditionFailed("Somebody has replaced the table meanwhile; read it again.") from error
    return _answer(version, document)


@blueprint.get("/api/operator/routes/explain")
def explain_route() -> Response:
    """Say which row wins for ?number= of ?realm= and ?class=, and why."""
    only_operators(costs=True)
    realm = (queries.text("realm") or services().settings.domain).lower()
    number, user_class = queries.text("number"), queries.text("class")
    version, document = services().routes.get()
    uri, plan = number if ":" in number else f"tel:{number}", document.plans.get(realm, DialPlan())
    emergency = is_emergency(uri, plan)
    user = "" if emergency else services().accounts.named_by(uri, realm, plan)
    at_home = f" Without an IMS core it is {user}'s, whose pages are called, by no trunk." if user else ""
    if document == RoutingDocument():
        raise NotFound(
            f"There is no table: every call goes to the core, or without one to users alone.{at_home}"
        )
    if emergency:
        found = explanation(document, realm, user_class, Dialled(service_of(uri)), time.time())
        return answer(RouteExplanation(version, number, True, _rows(found)))
    try:
        dialled = dialled_by_table(document, realm, user_class, uri, time.time())
    except BadNumber as error:
        raise NotFound(f"This number gets {error.status}: {error.detail}.{at_home}") from error
    found = explanation(document, realm, user_class, dialled, time.time())
    told = RouteExplanation(
        *(version, dialled.number, False, _rows(found), found.cost.value, found.denied, found.limits),
        user,
    )
    return answer(told)


def _seen_version() -> int | None:
    """Return which version the operator has seen: the table is replaced only if it still counts (RFC 9110 §13.1.1)."""
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return None
    versions = [int(tag) for tag in request.if_match.as_set() if tag is not None and is_number(tag)]
    counts = services().routes.version()
    return counts if counts in versions else -1


def _answer(version: int, document: RoutingDocument) -> Response:
    response = answer(RoutingTableDocument(version, document))
    response.set_etag(str(version))
    return response


def _rows(found: Explanation) -> list[RouteVerdict]:
    return [RouteVerdict(verdict.route.id, verdict.why) for verdict in found.verdicts]
