"""POST /api/leases: a guest's session with an identity of the pool. It ends like any other, by DELETE /api/session."""

from flask import Blueprint, Response, request

from webapp_api.blueprints.session import begun, session_document
from webapp_api.bodies import answer
from webapp_api.services import services

blueprint = Blueprint("leases", __name__)


@blueprint.post("/api/leases")
def post_lease() -> Response:
    """Lease an identity; 503 with Retry-After when all are taken."""
    secret, session = services().logins.as_guest(request.remote_addr)
    return begun(answer(session_document(session), 201), secret)
