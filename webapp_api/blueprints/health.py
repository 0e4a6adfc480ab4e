"""GET /healthz: whether this process serves."""

from flask import Blueprint, Response, current_app, jsonify

from webapp_api.static_files import asset_urls
from webapp_api.version import VERSION

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def get_health() -> Response:
    """Answer 200; a missing softphone is reported but does not take the configuration out of service."""
    built = asset_urls(current_app) is not None
    response = jsonify({"status": "ok", "version": VERSION, "softphone": "built" if built else "not built"})
    response.headers["Cache-Control"] = "no-store"
    return response
