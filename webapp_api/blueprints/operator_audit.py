"""/api/operator/audit: what operators have changed, for accounts with the role of an operator."""

import re

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from kemi.state.web.audit import AuditEntry
from webapp_api import queries
from webapp_api.bodies import answer
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_audit", __name__)
_PLACE = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Changes by operators, the latest first."""

    entries: list[AuditEntry]
    next: str
    """Cursor of what follows, "" at the end."""


@blueprint.get("/api/operator/audit")
def get_audit() -> Response:
    """Tell who changed what."""
    only_operators(costs=True)
    before = queries.text("cursor")
    if before and not _PLACE.fullmatch(before):
        raise BadRequest("cursor is not one of ours.")
    entries, following = services().audit.list(
        before=before,
        limit=queries.limit(),
        operator=queries.text("operator"),
        since=queries.number("since", 0.0, 0.0, 1e11),
    )
    return answer(AuditPage(entries=entries, next=following))
