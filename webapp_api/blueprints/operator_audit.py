"""/api/operator/audit: what operators have changed, for accounts with the role of an operator."""

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from kemi.state.web.audit import AuditEntry
from webapp_api import queries
from webapp_api.bodies import answer
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_audit", __name__)


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Changes by operators, the latest first."""

    entries: list[AuditEntry]
    next: str
    """Cursor of what follows, "" at the end."""


@blueprint.get("/api/operator/audit")
def get_audit() -> Response:
    """Tell who changed what."""
    only_operators(costs=True)
    limit, operator = queries.limit(), queries.text("operator")
    before, since = queries.text("cursor"), queries.number("since", 0.0, 0.0, 1e11)
    try:
        entries, following = services().audit.list(before=before, limit=limit, operator=operator, since=since)
    except ValueError as error:
        raise BadRequest("cursor is not one of ours.") from error
    return answer(AuditPage(entries=entries, next=following))
