"""GET /.well-known/jwks.json: the public keys that check our access tokens (RFC 7517)."""

from flask import Blueprint, Response

from webapp_api.bodies import answer
from webapp_api.services import services

blueprint = Blueprint("keys", __name__)

_LIFETIME_S = 60


@blueprint.get("/.well-known/jwks.json")
def get_keys() -> Response:
    """Give the set; it may be kept for less time than a new key waits."""
    response = answer(services().keyring.key_set())
    response.headers["Cache-Control"] = f"public, max-age={_LIFETIME_S}"
    return response
