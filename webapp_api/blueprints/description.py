"""GET /api/openapi.json: the description of the HTTP interface."""

from flask import Blueprint, Response, current_app

from webapp_api.bodies import answer
from webapp_api.openapi import openapi_document
from webapp_api.settings import Settings

blueprint = Blueprint("description", __name__)
MADE = "openapi"
"""Where it is kept: to make it takes longer than anything else that nobody has to log in for."""


@blueprint.get("/api/openapi.json")
def get_description() -> Response:
    """Describe what this version offers."""
    settings: Settings = current_app.extensions["settings"]
    if MADE not in current_app.extensions:
        current_app.extensions[MADE] = answer(openapi_document(settings)).get_data()
    response = Response(current_app.extensions[MADE], content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
