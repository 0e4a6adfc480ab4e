"""Errors of the HTTP interface as problem details (RFC 9457)."""

import json
import logging
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from kemi.state.web.client import StateRefused, StateUnavailable

CONTENT_TYPE: Final = "application/problem+json"

_log = logging.getLogger(__name__)


def problem(error: HTTPException) -> Response:
    """The problem document for an HTTP error; header fields the error demands (Allow, Retry-After) stay."""
    status = error.code or 500
    document = {
        "type": "about:blank",
        "title": error.name,
        "status": status,
        "detail": error.description or error.name,
        "instance": request.path,
    }
    response = Response(json.dumps(document), status=status, content_type=CONTENT_TYPE)
    for name, value in error.get_headers(request.environ):
        if name.lower() != "content-type":
            response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    return response


def without_state(error: StateUnavailable) -> ServiceUnavailable:
    """Note that Redis is away, or refuses; return what the client is told."""
    path, refuses = ascii(request.path), isinstance(error, StateRefused)
    reason = ascii(str(error)) if refuses else type(error).__name__
    _log.error("event=state_unavailable path=%s reason=%s", path, reason)
    if refuses:
        return ServiceUnavailable(
            "The service can keep nothing new just now; try again later.", retry_after=5
        )
    return ServiceUnavailable("The service cannot reach its data; try again.", retry_after=5)


def register(app: Flask) -> None:
    """Answer every error of `app` with a problem document."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return problem(error)

    @app.errorhandler(StateUnavailable)
    def state_unavailable(error: StateUnavailable) -> Response:
        return problem(without_state(error))

    @app.errorhandler(Exception)
    def unexpected_error(error: Exception) -> Response:
        _log.error(
            "event=request_failed method=%s path=%s", request.method, ascii(request.path), exc_info=error
        )
        return problem(InternalServerError(description="The service has a fault; it is in its log."))
