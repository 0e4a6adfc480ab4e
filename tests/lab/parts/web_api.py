"""The web service: gunicorn with the Flask application of this working copy, configured by its Ansible role."""

import http.client
import sys
from typing import Final

from tests.lab.ports import LOOPBACK
from tests.lab.roles import REPOSITORY
from tests.lab.site import Site
from tests.lab.subscribers import REALM

WORKERS: Final = 1
HEALTH_PATH: Final = "/healthz"


def start(site: Site) -> None:
    plan = site.plan
    settings = site.render(
        "webapp_api",
        "webapp_api.toml.j2",
        {
            "webapp_api_listen_address": LOOPBACK,
            "webapp_api_listen_port": plan.web_api,
            "webapp_api_public_origin": f"https://localhost:{plan.https}",
            "webapp_api_domain": REALM,
            "webapp_api_stun_servers": [f"{LOOPBACK}:{plan.gateway_sip}"],
            "webapp_api_workers": WORKERS,
        },
    )
    site.processes.spawn(
        "web_api",
        [
            *(sys.executable, "-m", "gunicorn"),
            *("--config", "python:webapp_api.gunicorn_config", "webapp_api.wsgi:app"),
        ],
        cwd=REPOSITORY,
        env={"WEBAPP_SETTINGS": str(settings)},
    )


def ready(site: Site) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, site.plan.web_api, timeout=1)
    try:
        connection.request("GET", HEALTH_PATH)
        return connection.getresponse().status == http.HTTPStatus.OK
    finally:
        connection.close()
