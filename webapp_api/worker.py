"""The HTTP server's worker: what it refuses before the application sees it is a problem document (RFC 9457), too."""

import json
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

_STATUS: Final = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ConfigurationProblem, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
)
_log = logging.getLogger(__name__)


class ProblemWorker(ThreadWorker):  # type: ignore[misc]
    """A thread for each connection that has a request; answers what is no HTTP in the words of the API."""

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Count the connection no more; a WebSocket has closed its own, and to close it again would count once more."""
        if conn.sock.fileno() < 0:
            conn.close = lambda graceful=False: None
        super().finish_request(conn, fs)

    def handle_error(self, _req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Refuse a request that cannot be read; nothing of it is repeated, in the answer or in the log."""
        status = next(
            (known for kind, known in _STATUS if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("event=request_failed address=%s", (addr or ("",))[0], exc_info=exc)
        else:
            _log.info("event=request_unreadable address=%s status=%d", (addr or ("",))[0], status)
        document = {"type": "about:blank", "title": status.phrase, "status": int(status)}
        body = json.dumps(document | {"detail": status.description or status.phrase, "instance": ""}).encode()
        head = (
            f"HTTP/1.1 {int(status)} {status.phrase}\r\nConnection: close\r\nCache-Control: no-store\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with suppress(OSError):
            client.sendall(head.encode() + body)
