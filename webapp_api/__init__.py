"""The web side of the gateway: configuration for pages, the SDK's built files, the softphone page.

Knows HTTP and its own settings. Must not know SIP, Kamailio or rtpengine: pages speak SIP to the gateway themselves.
"""

from pathlib import Path

from flask import Flask

from webapp_api import errors, proxy, security, static_files
from webapp_api.blueprints import config, health, softphone
from webapp_api.settings import Settings

STATIC_DIRECTORY = Path(__file__).parent / "static"

__all__ = ["STATIC_DIRECTORY", "create_app"]


def create_app(settings: Settings, static_directory: Path = STATIC_DIRECTORY) -> Flask:
    """Make the application; it reads nothing but its arguments and files below `static_directory`."""
    app = Flask(__name__, static_folder=static_directory, static_url_path="/static")
    app.extensions["settings"] = settings
    app.register_blueprint(config.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(softphone.blueprint)
    errors.register(app)
    security.register(app, settings)
    static_files.register(app)
    app.wsgi_app = proxy.LoopbackProxy(app.wsgi_app)  # type: ignore[method-assign]
    return app
