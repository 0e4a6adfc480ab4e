"""The web service: gunicorn with the Flask application of this working copy, configured by its Ansible role."""

import http.client
import secrets
import sys
from typing import Final

from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.client import connect
from tests.lab.options import Part
from tests.lab.parts import carrier
from tests.lab.ports import LOOPBACK
from tests.lab.roles import REPOSITORY
from tests.lab.site import Site
from tests.lab.subscribers import BY_NAME, GUEST_NAMES, REALM, SUBSCRIBERS, Subscriber
from webapp_api.passwords import password_hash

WORKERS: Final = 1
OPERATOR: Final = "operator"
"""Login name of the account with that role."""
HEALTH_PATH: Final = "/healthz"


def start(site: Site) -> None:
    plan = site.plan
    redis_url = f"redis://{LOOPBACK}:{plan.redis}/0"
    if Part.REDIS in site.options.parts:
        add_accounts(redis_url, with_dids=site.options.standalone)
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
            "webapp_api_redis_url": redis_url,
            "webapp_api_key_secret": secrets.token_hex(32),
            "webapp_api_guest_login": True,
            "webapp_api_metrics_secret": site.metrics_secret,
            "webapp_api_features": {"video": True, "sipPassword": not site.options.standalone},
            "webapp_api_identity_pool": [
                {"impi": BY_NAME[name].impi, "impus": list(BY_NAME[name].impus)} for name in GUEST_NAMES
            ],
        },
    )
    site.processes.spawn(
        "web_api",
        [
            *(sys.executable, "-m", "gunicorn"),
            *("--config", "python:webapp_api.gunicorn_config", "webapp_api.wsgi:app"),
        ],
        cwd=REPOSITORY,
        env={
            "WEBAPP_SETTINGS": str(settings),
            "PROMETHEUS_MULTIPROC_DIR": str(site.folder("web-metrics")),
        },
    )


def has_account(subscriber: Subscriber) -> bool:
    """Whether somebody logs in on the web: everybody whom no other device plays, and no guest."""
    return subscriber.name == "alice" or subscriber.name.startswith("web")


def web_password(name: str) -> str:
    """Return the password of an account: not the SIP password, to see that this one never reaches a page."""
    return f"web-login-{name}"


def add_accounts(redis_url: str, *, with_dids: bool = False) -> None:
    """Make the accounts, as `gwctl users add` does one by one; perhaps with the carrier's numbers."""
    store = AccountStore(connect(redis_url))
    for subscriber in filter(has_account, SUBSCRIBERS):
        store.put(
            Account(
                name=subscriber.name,
                password_hash=password_hash(web_password(subscriber.name)),
                impi=subscriber.impi,
                impus=[
                    *subscriber.impus[:1],
                    *([f"tel:{carrier.did_of(subscriber)}"] if with_dids else subscriber.impus[1:]),
                ],
            )
        )
    store.put(
        Account(
            name=OPERATOR,
            password_hash=password_hash(web_password(OPERATOR)),
            impi=f"{OPERATOR}@{REALM}",
            impus=[f"sip:{OPERATOR}@{REALM}"],
            operator=True,
        )
    )


def ready(site: Site) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, site.plan.web_api, timeout=1)
    try:
        connection.request("GET", HEALTH_PATH)
        return connection.getresponse().status == http.HTTPStatus.OK
    finally:
        connection.close()
