"""Flow tokens: what our Path says about the WebSocket a registration came over (RFC 5626 §5.2).

Behind a proxy every flow is the proxy's address and a port that is used again, so an address would name the wrong
page sooner or later.  The token names Kamailio's connection id, a nonce drawn in that connection's handshake and the
gateway that has the connection, and is signed; whoever brings it back is checked against the flow that has this
connection id now, by that gateway: any other one of the site passes the request on to it (RFC 5626 §5.3).
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import NamedTuple

from kemi.core.errors import SipReject
from kemi.core.messages import addresses_from_headers, uri_from_address

_SIGNATURE_BYTES = 10
_BRANCH = re.compile(r";\s*branch\s*=\s*([^;,\s]+)", re.IGNORECASE)


class FlowName(NamedTuple):
    """What a token says."""

    connection_id: str
    nonce: str
    host: str = ""
    """``address:port`` of the gateway's socket towards the core; "": of a release whose tokens did not name it."""


def token_from_flow(secret: str, connection_id: str, nonce: str, host: str = "") -> str:
    """Return the user part of our Path URI."""
    payload = ".".join((connection_id, nonce, *([host] if host else []))).encode()
    return base64.urlsafe_b64encode(_signature(secret, payload) + payload).decode().rstrip("=")


def flow_from_token(secret: str, token: str) -> FlowName:
    """Return what the token says; raise SipReject (403) when it is not ours or was changed."""
    try:
        signature, payload, name = _parts(token)
    except ValueError:
        raise SipReject("not a flow token", reason_phrase="Invalid Flow Token") from None
    if name is None or not hmac.compare_digest(signature, _signature(secret, payload)):
        raise SipReject("flow token with a wrong signature", reason_phrase="Invalid Flow Token")
    return name


def host_from_token(token: str) -> str:
    """Return the gateway that a token names which a gateway of this site has kept; "" where it names none.

    Its signature does not count: while the secret is changed node by node, each gateway signs with its own.
    """
    try:
        name = _parts(token)[2]
    except ValueError:
        return ""
    return "" if name is None else name.host


def token_from_routes(values: list[str]) -> str:
    """Return the flow token of the topmost Route, "" when there is none: user part of the Path the core gives back."""
    routes = addresses_from_headers(values)
    uri = uri_from_address(routes[0]) if routes else ""
    user, separator, _ = uri.partition(":")[2].partition("@")
    return user if separator else ""


def second_branch(values: list[str]) -> str:
    """Return the branch of the second Via of a response, "" when there is none: whose request it answers behind us."""
    branches = _BRANCH.findall(",".join(values))
    return branches[1] if len(branches) > 1 else ""


def _parts(token: str) -> tuple[bytes, bytes, FlowName | None]:
    """Return signature, what is signed, and what that says; raise ValueError for what is no token's text."""
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    connection_id, separator, rest = payload.decode("ascii").partition(".")
    nonce, _, host = rest.partition(".")
    return signature, payload, FlowName(connection_id, nonce, host) if separator else None


def _signature(secret: str, payload: bytes) -> bytes:
    return hmac.digest(secret.encode(), payload, "sha256")[:_SIGNATURE_BYTES]
