"""GET /config.json: what a page needs to reach the gateway."""

from flask import Blueprint, Response, current_app, jsonify

from webapp_api.settings import Settings
from webapp_api.version import VERSION

blueprint = Blueprint("config", __name__)


def config_document(settings: Settings) -> dict[str, object]:
    """The configuration as the SDK reads it (webapp_api/sdk/src/config.ts)."""
    return {
        "wssUrl": settings.wss_url,
        "domain": settings.domain,
        "iceServers": [{"urls": f"stun:{server}"} for server in settings.stun_servers],
        "iceGatheringTimeoutMs": settings.ice_gathering_timeout_ms,
        "version": VERSION,
        "features": dict(settings.features),
        "login": {
            "password": settings.web_login and settings.password_login,
            "guest": settings.web_login and settings.guest_login,
            "oidc": settings.web_login and settings.oidc is not None,
        },
    }


@blueprint.get("/config.json")
def get_config() -> Response:
    """Answer with the configuration; never cached, so that a change reaches the next page load."""
    response = jsonify(config_document(current_app.extensions["settings"]))
    response.headers["Cache-Control"] = "no-store"
    return response
