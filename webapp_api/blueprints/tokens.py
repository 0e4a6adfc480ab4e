"""POST /api/tokens: an access token for the gateway, for the session of this browser."""

from flask import Blueprint, Response

from webapp_api.bodies import answer
from webapp_api.services import services, session_of_request

blueprint = Blueprint("tokens", __name__)


@blueprint.post("/api/tokens")
def post_token() -> Response:
    """Give a token; each one is new, and short-lived."""
    secret, session = session_of_request()
    return answer(services().tokens.for_session(secret, session))
