"""Banned clients get nothing here; the TLS front, told so, does not even ask from then on."""

import time
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import Forbidden

from kemi.core.limits import address_key
from webapp_api.errors import problem
from webapp_api.services import EXTENSION, Services

FIELD: Final = "X-Banned"
"""Seconds that are left, for the TLS front alone (ansible/roles/haproxy)."""


def register(app: Flask) -> None:
    """Look at the client of every request."""
    parts: Services | None = app.extensions[EXTENSION]
    if parts is None:
        return
    bans = parts.bans

    @app.before_request
    def refuse_banned() -> Response | None:
        now = time.time()
        ban = bans.ban_of(address_key(request.remote_addr or ""), now)
        if ban is None:
            return None
        response = problem(Forbidden("Not now."))
        response.headers[FIELD] = str(max(1, round(ban.until - now)))
        return response
