"""The keys that sign our access tokens, and the key sets the gateway checks tokens with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key pair."""

    kid: str
    algorithm: str
    """As in a token's header: ES256, EdDSA, RS256."""
    public_jwk: dict[str, Any]
    encrypted_private_key: str
    created_at: float
    signs_from: float
    """When it may sign its first token: the gateway knows it by then."""


class SigningKeyStore:
    """All key pairs that are in the set, or were until lately."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def all(self) -> list[SigningKey]:
        """Return the key pairs in the order in which they sign."""
        found = [
            msgspec.json.decode(text, type=SigningKey)
            for text in self._redis.hgetall(keys.WEB_SIGNING_KEYS).values()
        ]
        return sorted(found, key=lambda key: (key.signs_from, key.created_at, key.kid))

    def add(self, key: SigningKey) -> None:
        """Keep a key pair."""
        self._redis.hset(keys.WEB_SIGNING_KEYS, key.kid, msgspec.json.encode(key).decode())

    def remove(self, kid: str) -> None:
        """Forget a key pair."""
        self._redis.hdel(keys.WEB_SIGNING_KEYS, kid)


class KeySetStore:
    """JWK sets (RFC 7517) by issuer, for every gateway node.  They stay when the web API is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def publish(self, issuer: str, key_set: dict[str, Any]) -> None:
        """Replace an issuer's set."""
        self._redis.set(keys.jwks(issuer), msgspec.json.encode(key_set))

    def get(self, issuer: str) -> dict[str, Any] | None:
        """Return an issuer's set."""
        text = self._redis.get(keys.jwks(issuer))
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])
