"""Every name in Redis, in one place: the gateway nodes and the web API share nothing else.

| key | type | written by | read by |
|---|---|---|---|
| gw:jwks:ISSUER | text, a JWK set (RFC 7517) | web API | gateway: keys that sign access tokens |
| gw:commands | stream of one field, ``json`` | web API | every gateway node, from its last id on |
| gw:events | stream of one field, ``json`` | gateway | web API |
| gw:registrations:NODE | hash, binding -> JSON | gateway node NODE | the same node at its start |
| gw:subscriptions:NODE | hash, Call-ID -> JSON | gateway node NODE | the same node at its start |
| gw:position:NODE | text, id of the last command done | gateway node NODE | the same node at its start |

Commands: ``{"type": "logout", "sid": SID, "impi": IMPI, "at": SECONDS}`` ends every registration whose token came from
web session SID.  Events: ``{"type": "registered" | "deregistered", "impu": ..., "impi": ..., "sid": ..., "node": ...,
"at": ...}``.  Keys below ``gw:web:`` belong to the web API alone (accounts, sessions, leases).
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = "gw:commands"
EVENTS: Final = "gw:events"
STREAM_FIELD: Final = "json"
STREAM_LENGTH: Final = 10_000
"""Streams are cut to about this many entries (XADD MAXLEN ~)."""


def jwks(issuer: str) -> str:
    """Return the key of an issuer's public keys."""
    return f"gw:jwks:{issuer}"


def registrations(node: str) -> str:
    """Return the key of a node's registrations."""
    return f"gw:registrations:{node}"


def subscriptions(node: str) -> str:
    """Return the key of a node's subscriptions to registration state."""
    return f"gw:subscriptions:{node}"


def position(node: str) -> str:
    """Return the key of the last command a node has carried out."""
    return f"gw:position:{node}"
