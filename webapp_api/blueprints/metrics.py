"""GET /metrics: for Prometheus, with the secret the operator has given it.

The TLS front forwards everything to this service, so that being asked from loopback says nothing.
"""

import hmac

from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import NotFound, Unauthorized

from webapp_api.metrics import CONTENT_TYPE, metrics_text
from webapp_api.settings import Settings

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def get_metrics() -> Response:
    """Tell what was measured."""
    settings: Settings = current_app.extensions["settings"]
    if not settings.metrics_secret:
        raise NotFound
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.metrics_secret}".encode()):
        raise Unauthorized("The secret of the metrics is wanted.", www_authenticate=WWWAuthenticate("bearer"))
    response = Response(metrics_text(), content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response
