"""The web side of the gateway: configuration for pages, the SDK's built files, the softphone page, and web login.

Knows HTTP and its own settings; with web login, Redis. Must not know SIP, Kamailio or rtpengine: pages speak SIP to the
gateway themselves, with a token from here.
"""

from pathlib import Path

from flask import Flask

from webapp_api import audit, bans, bodies, csrf, errors, gate, metrics, proxy, security, static_files
from webapp_api.blueprints import (
    calls,
    config,
    description,
    dials,
    events,
    health,
    keys,
    leases,
    oidc,
    operator_audit,
    operator_bans,
    operator_calls,
    operator_nodes,
    operator_pools,
    operator_registrations,
    operator_routes,
    operator_status,
    operator_traces,
    operator_trunks,
    operator_users,
    session,
    softphone,
    tokens,
)
from webapp_api.blueprints import (
    metrics as metrics_page,
)
from webapp_api.passwords import hash_of_nobody
from webapp_api.services import EXTENSION, Services
from webapp_api.settings import Settings

STATIC_DIRECTORY = Path(__file__).parent / "static"

__all__ = ["STATIC_DIRECTORY", "create_app"]

_BLUEPRINTS = (
    config, health, softphone, session, tokens, leases, keys, oidc, operator_nodes, operator_routes, operator_trunks,
    operator_calls, operator_traces, operator_registrations, operator_users, operator_pools, operator_audit,
    operator_bans, operator_status, calls, dials, events, description, metrics_page,
)  # fmt: skip


def create_app(settings: Settings, static_directory: Path = STATIC_DIRECTORY) -> Flask:
    """Make the application; it reads nothing but its arguments, files below `static_directory`, and Redis on demand."""
    app = Flask(__name__, static_folder=static_directory, static_url_path="/static")
    # A path that is not as described is answered with 404: were "//x" sent on to "/x", that might be another call.
    app.url_map.merge_slashes = False
    app.extensions["settings"] = settings
    app.extensions[EXTENSION] = Services.of(settings) if settings.web_login else None
    app.config["MAX_CONTENT_LENGTH"] = bodies.MAX_BYTES
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": events.LONGEST_MESSAGE}
    if settings.web_login:
        # Not at the first login: an unknown name would take longer, once.
        hash_of_nobody()
    for module in _BLUEPRINTS:
        app.register_blueprint(module.blueprint)
    metrics.register(app)
    bans.register(app)
    errors.register(app)
    security.register(app, settings)
    csrf.register(app, settings)
    audit.register(app)
    static_files.register(app)
    app.wsgi_app = gate.Gate(app.wsgi_app, settings.threads)  # type: ignore[method-assign]
    app.wsgi_app = proxy.TrustedProxy(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    return app
