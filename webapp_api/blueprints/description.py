"""GET /api/openapi.json: the description of the HTTP interface."""

from flask import Blueprint, Response, current_app

from webapp_api.bodies import answer
from webapp_api.openapi import openapi_document
from webapp_api.settings import Settings

blueprint = Blueprint("description", __name__)


@blueprint.get("/api/openapi.json")
def get_description() -> Response:
    """Describe what this version offers."""
    settings: Settings = current_app.extensions["settings"]
    return answer(openapi_document(settings))
