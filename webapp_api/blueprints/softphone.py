"""GET / and GET /console: the pages of the softphone and of the operators' console."""

from flask import Blueprint, Response, current_app, make_response, render_template

from webapp_api.settings import Settings
from webapp_api.static_files import HOW_TO_BUILD, asset_urls

blueprint = Blueprint("softphone", __name__)


@blueprint.get("/")
def get_softphone() -> Response:
    """Answer with the softphone, or with 503 and how to build it."""
    return _page("softphone.html")


@blueprint.get("/console")
def get_console() -> Response:
    """Answer with the console; it has nothing of its own to show before an operator has logged in."""
    return _page("console.html")


def _page(template: str) -> Response:
    settings: Settings = current_app.extensions["settings"]
    assets = asset_urls(current_app)
    if assets is None:
        response = make_response(render_template("not_built.html", commands=HOW_TO_BUILD), 503)
    else:
        response = make_response(render_template(template, assets=assets, domain=settings.domain))
    response.headers["Cache-Control"] = "no-store"
    return response
