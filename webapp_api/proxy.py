"""Takes the scheme of the browser's request from the TLS front, and from nobody else."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEADER = "HTTP_X_FORWARDED_PROTO"


class LoopbackProxy:
    """WSGI layer: X-Forwarded-Proto counts only when the peer is on loopback, where the TLS front is."""

    def __init__(self, wsgi_app: "WSGIApplication") -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        scheme = environ.pop(_HEADER, None)
        if _is_loopback(environ.get("REMOTE_ADDR", "")):
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
        else:
            # The HTTP server may have believed the header already; nothing here terminates TLS itself.
            environ["wsgi.url_scheme"] = "http"
        return self._wsgi_app(environ, start_response)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
