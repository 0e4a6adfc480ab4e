"""The audit log: every attempt of an operator to change something, kept in Redis and written to the log.

Who did what, when, from where, and what became of it; never a body.  A view may say in words what it changed.
"""

import logging
import time

from flask import Flask, Response, g, request

from kemi.state.web.audit import AuditEntry
from kemi.state.web.client import StateUnavailable
from webapp_api.services import services

_SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST = 500
_log = logging.getLogger("webapp_api.audit")


def remark(words: str) -> None:
    """Say what this request changes; no secrets."""
    g.audit_remark = words


def register(app: Flask) -> None:
    """Note what operators do."""

    @app.after_request
    def note(response: Response) -> Response:
        operator = g.get("operator", "")
        if operator and request.method not in _SAFE:
            entry = AuditEntry(
                at=time.time(),
                operator=operator,
                address=request.remote_addr or "",
                action=f"{request.method} {request.path}"[:_LONGEST],
                status=response.status_code,
                detail=str(g.get("audit_remark", ""))[:_LONGEST],
            )
            what, why = ascii(entry.action), ascii(entry.detail)
            _log.info(
                "event=operator_change operator=%s address=%s action=%s status=%d detail=%s",
                *(operator, entry.address, what, entry.status, why),
            )
            try:
                services().audit.add(entry)
            except StateUnavailable:
                _log.error("event=audit_not_kept operator=%s action=%s", operator, what)
        return response
