"""/api/operator/routes: where calls go, for accounts with the role of an operator."""

import time

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound, UnprocessableEntity

from kemi.core.routing.numbers import BadNumber, DialPlan, dialled_from_uri, is_emergency
from kemi.core.routing.table import TableError
from kemi.state.routing_document import RoutingDocument, document_from_json
from kemi.state.web.routes import explanation
from webapp_api.bodies import answer, json_of_request
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_routes", __name__)
MAX_BYTES = 4 << 20
"""About 20,000 rows; larger tables are loaded by command."""
MOST_PROBLEMS = 10


class RoutingTableDocument(msgspec.Struct, frozen=True):
    """The table that counts."""

    version: int
    """0: there is none, and every call goes to the core."""
    table: RoutingDocument


class RouteVerdict(msgspec.Struct, frozen=True):
    """What becomes of one row."""

    id: str
    why: str


class RouteExplanation(msgspec.Struct, frozen=True):
    """Which rows fit a number: those that win first, in the order they are tried.  None: 404; or, of an emergency
    number, that it goes to the core whatever the table says."""

    version: int
    number: str
    """As it is looked up."""
    emergency: bool
    rows: list[RouteVerdict]


@blueprint.get("/api/operator/routes")
def get_routes() -> Response:
    """Return the table."""
    only_operators()
    version, document = services().routes.get()
    return answer(RoutingTableDocument(version, document))


@blueprint.put("/api/operator/routes")
def put_routes() -> Response:
    """Replace the table; a bad one changes nothing."""
    only_operators()
    try:
        document = document_from_json(json_of_request(MAX_BYTES))
        version = services().routes.put(document)
    except TableError as error:
        raise UnprocessableEntity("; ".join(error.problems[:MOST_PROBLEMS])) from error
    return answer(RoutingTableDocument(version, document))


@blueprint.get("/api/operator/routes/explain")
def explain_route() -> Response:
    """Say which row wins for ?number= of ?realm= and ?class=, and why."""
    only_operators()
    asked = request.args
    realm = asked.get("realm") or services().settings.domain
    number = asked.get("number", "")
    version, document = services().routes.get()
    if not version:
        raise NotFound("There is no table: every call goes to the core.")
    try:
        uri, plan = number if ":" in number else f"tel:{number}", document.plans.get(realm, DialPlan())
        if is_emergency(uri, plan):
            return answer(RouteExplanation(version, number, True, []))
        dialled = dialled_from_uri(uri, plan)
    except BadNumber as error:
        raise NotFound(f"This number gets {error.status}: {error.detail}.") from error
    found = explanation(document, realm, asked.get("class", ""), dialled.number, time.time())
    rows = [RouteVerdict(verdict.route.id, verdict.why) for verdict in found]
    return answer(RouteExplanation(version, dialled.number, False, rows))
