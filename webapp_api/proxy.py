"""Takes scheme and client address of the browser's request from the TLS front, and from nobody else."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SCHEME = "HTTP_X_FORWARDED_PROTO"
_CLIENT = "HTTP_X_FORWARDED_FOR"


class TrustedProxy:
    """WSGI layer: X-Forwarded-Proto and -For count only when the peer is a TLS front, on loopback or a trusted one."""

    def __init__(self, wsgi_app: "WSGIApplication", trusted: Sequence[str] = ()) -> None:
        """``trusted``: addresses or networks of fronts on other machines."""
        self._wsgi_app = wsgi_app
        self._trusted = [ip_network(one) for one in trusted]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        scheme = environ.pop(_SCHEME, None)
        client = environ.pop(_CLIENT, "")
        if self._is_front(environ.get("REMOTE_ADDR", "")):
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
            # The front writes one address; were there more, only the last would be its own word.
            if (address := _address(client.rpartition(",")[2].strip())) is not None:
                environ["REMOTE_ADDR"] = address
        else:
            # The HTTP server may have believed the header already; nothing here terminates TLS itself.
            environ["wsgi.url_scheme"] = "http"
        return self._wsgi_app(environ, start_response)

    def _is_front(self, text: str) -> bool:
        known = _address(text)
        if known is None:
            return False
        peer = ip_address(known)
        return peer.is_loopback or any(peer in network for network in self._trusted)


def _address(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # Of a service that listens on ::, all IPv4 peers are ::ffff:...
    return str(getattr(address, "ipv4_mapped", None) or address)
