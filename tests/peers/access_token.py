"""An issuer of access tokens (RFC 9068): keys, key sets, tokens, and forgeries of them.

Knows JWT only. Must not know who checks them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")


def base64url(data: bytes) -> str:
    """Return unpadded base64url text (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def _private_key(algorithm: str, _name: str) -> Any:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class SigningKey:
    """One key pair of an issuer."""

    algorithm: str = "ES256"
    kid: str = "key-1"

    @property
    def private(self) -> Any:
        """The private half; the same for each equal SigningKey of this process."""
        return _private_key(self.algorithm, self.kid)

    @property
    def public_pem(self) -> bytes:
        """The public half as everybody can download it."""
        public: bytes = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def jwk(self) -> dict[str, Any]:
        """Return the public half as in a key set."""
        algorithm = get_default_algorithms()[self.algorithm]
        entry: dict[str, Any] = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**entry, "kid": self.kid, "use": "sig", "alg": self.algorithm}


def key_set(*keys: SigningKey) -> str:
    """Return a JWK set (RFC 7517 §5)."""
    return json.dumps({"keys": [key.jwk() for key in keys]})


@dataclass(frozen=True)
class Issuer:
    """Who writes tokens, and the claims all of them have."""

    url: str = "https://issuer.test"
    audience: str = "sip:ims.test"
    key: SigningKey = field(default_factory=SigningKey)
    typ: str = "at+jwt"
    impi_claim: str = "impi"
    impus_claim: str = "impus"

    def claims(self, user: str, realm: str, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token for ``user@realm``; a change to None takes a claim away."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": self.audience,
            "sub": user,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": secrets.token_hex(12),
            "scope": "sip",
            "sid": f"session-{user}",
            self.impi_claim: f"{user}@{realm}",
            self.impus_claim: [f"sip:{user}@{realm}"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Sign claims; ``header`` overrides or, with None, removes header parameters."""
        fields = {"typ": self.typ, "kid": self.key.kid, **header}
        return jwt.encode(dict(claims), self.key.private, self.key.algorithm, headers=fields)

    def token(self, user: str, realm: str = "ims.test", **changes: Any) -> str:
        """Return a good token, but for the changes to its claims."""
        return self.sign(self.claims(user, realm, **changes))

    # ------------------------------------------------------------ forgeries

    def unsigned(self, user: str, realm: str = "ims.test", alg: str = "none") -> str:
        """Return a token that says it needs no signature (RFC 7519 §6)."""
        return self.assembled({"alg": alg}, self.claims(user, realm))

    def signed_with_the_public_key(self, user: str, realm: str = "ims.test") -> str:
        """Return a token whose HMAC secret is the published key: who trusts alg takes it (RFC 8725 §2.1)."""
        unsigned = self.assembled({"alg": "HS256"}, self.claims(user, realm)).rpartition(".")[0]
        return f"{unsigned}.{base64url(hmac.new(self.key.public_pem, unsigned.encode(), hashlib.sha256).digest())}"

    def assembled(self, header: Mapping[str, Any], claims: Mapping[str, Any] | None = None) -> str:
        """Return a token with any header, any claims (good ones unless given) and an empty signature."""
        parts = ({"typ": self.typ, "kid": self.key.kid, **header}, claims or self.claims("alice", "ims.test"))
        return ".".join(base64url(json.dumps(part).encode()) for part in parts) + "."


def tampered(token: str, **claims: Any) -> str:
    """Return a token whose claims were changed after it was signed."""
    header, payload, signature = token.split(".")
    padded = payload + "=" * (-len(payload) % 4)
    changed = {**json.loads(base64.urlsafe_b64decode(padded)), **claims}
    return f"{header}.{base64url(json.dumps(changed).encode())}.{signature}"
