"""Cross-site request forgery: who may change state.

Every request below /api/ that is not GET, HEAD or OPTIONS needs

1. the header field `X-CSRF-Protection: 1`, which a form cannot send, and a script of another origin only after a CORS
   preflight that is never granted here;
2. an Origin equal to ours, which browsers set themselves on such requests.

Chosen over a double-submit token because the API is for scripts only: there is no token to hand out, to store or to
lose, no cookie that another host could plant, and the login itself, before any session, is protected in the same way.
A client that is no browser sends both fields, too.
"""

from typing import Final

from flask import Flask, request
from werkzeug.exceptions import Forbidden

from webapp_api.settings import Settings

HEADER: Final = "X-CSRF-Protection"
PREFIX: Final = "/api/"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


def register(app: Flask, settings: Settings) -> None:
    """Refuse what another site may have caused."""

    @app.before_request
    def refuse_foreign_requests() -> None:
        if request.method in _SAFE or not request.path.startswith(PREFIX):
            return
        if request.headers.getlist("Origin") != [settings.public_origin]:
            raise Forbidden("The request must come from a page of this origin, and say so in Origin.")
        if request.headers.get(HEADER) != "1":
            raise Forbidden(f"The request needs the header field {HEADER}: 1.")
