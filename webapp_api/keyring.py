"""The keys that sign our access tokens: made here, kept encrypted in Redis, exchanged one by one.

They are in Redis and not in files because several web processes on several machines sign with them, and any of them may
make the next one; they are encrypted because others can read Redis. A key is in the published set before it signs
(the gateway knows it by then) and stays there until its last token has run out.
"""

import base64
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from werkzeug.exceptions import ServiceUnavailable

from kemi.state.web.locks import Lock
from kemi.state.web.signing_keys import KeySetStore, SigningKey, SigningKeyStore
from webapp_api.sealing import Seal, SealError
from webapp_api.settings import Settings

CLOCK_SKEW_S: Final = 60
KEPT_S: Final = 1.0
"""So long the keys are not read again to sign."""
_DAY_S: Final = 86_400

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def signing_key(keys: Sequence[SigningKey], now: float) -> SigningKey | None:
    """The newest key whose time to sign has come, else the oldest of all. `keys`: oldest first."""
    ready = [key for key in keys if key.signs_from <= now]
    return ready[-1] if ready else keys[0] if keys else None


def needed_keys(keys: Sequence[SigningKey], now: float, token_lifetime_s: float) -> list[SigningKey]:
    """The keys without those whose last token has run out everywhere, clocks that go wrong included."""
    last_tokens_s = token_lifetime_s + CLOCK_SKEW_S
    return [
        key
        for key, successor in zip_longest(keys, keys[1:])
        if successor is None or successor.signs_from + last_tokens_s > now
    ]


def rotation_is_due(keys: Sequence[SigningKey], now: float, algorithm: str, rotation_days: float) -> bool:
    """Whether a new key is to be made: there is none, or the newest is old or of another algorithm."""
    if not keys:
        return True
    newest = keys[-1]
    return newest.algorithm != algorithm or newest.created_at + rotation_days * _DAY_S <= now


class Keyring:
    """All keys of one issuer."""

    def __init__(
        self,
        settings: Settings,
        store: SigningKeyStore,
        key_sets: KeySetStore,
        rotation: Lock,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._key_sets = key_sets
        self._rotation = rotation
        self._clock = clock
        self._seal = Seal(settings.key_secret)
        self._opened: dict[str, PrivateKey] = {}
        self._signing: tuple[float, list[SigningKey]] = (-math.inf, [])
        """When the keys that can sign were read last, and which they were."""

    def sign(self, claims: dict[str, Any]) -> str:
        """Make an access token (RFC 9068) of the claims.

        Raises:
            ServiceUnavailable: there is no key yet, and another process is making one.
        """
        key = signing_key(self._kept(), self._clock())
        if key is None:
            self.maintain()
            key = signing_key(self._usable(), self._clock())
        if key is None:
            raise ServiceUnavailable("The keys are being made; try again.", retry_after=1)
        header = {"kid": key.kid, "typ": "at+jwt"}
        return jwt.encode(claims, self._opened[key.kid], algorithm=key.algorithm, headers=header)

    def keys(self) -> list[SigningKey]:
        """Every key of the set, oldest first."""
        return needed_keys(self._store.all(), self._clock(), self._settings.token_lifetime_s)

    def key_set(self) -> dict[str, Any]:
        """The public keys as a JWK set (RFC 7517)."""
        return {"keys": [key.public_jwk for key in self.keys()]}

    def publish(self) -> None:
        """Show the public keys to the gateway."""
        self._key_sets.publish(self._settings.issuer, self.key_set())

    def maintain(self) -> None:
        """Forget keys that nobody needs, make a new one when it is time, and publish."""
        with self._rotation.attempt() as ours:
            if not ours:
                return
            needed = {key.kid for key in self.keys()}
            for key in self._store.all():
                if key.kid not in needed:
                    self._store.remove(key.kid)
            settings = self._settings
            if rotation_is_due(
                self._usable(), self._clock(), settings.token_algorithm, settings.key_rotation_days
            ):
                self._add_key()
            self.publish()

    def rotate(self) -> SigningKey | None:
        """Make the next key now; None when another process is at it."""
        with self._rotation.attempt() as ours:
            if not ours:
                return None
            key = self._add_key()
            self.publish()
            return key

    def _add_key(self) -> SigningKey:
        now = self._clock()
        algorithm = self._settings.token_algorithm
        private_key = _GENERATE[algorithm]()
        public_jwk = _public_jwk(private_key)
        kid = _thumbprint(public_jwk)
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        delay_s = self._settings.key_activation_s if self._usable() else 0
        key = SigningKey(
            kid=kid,
            algorithm=algorithm,
            public_jwk={**public_jwk, "kid": kid, "use": "sig", "alg": algorithm},
            encrypted_private_key=self._seal.seal(pem, f"signing key {kid}"),
            created_at=now,
            signs_from=now + delay_s,
        )
        self._store.add(key)
        self._signing = (-math.inf, [])
        return key

    def _kept(self) -> list[SigningKey]:
        """The same as they were a moment ago: every token asks, and a key that is new signs a little later."""
        now = time.monotonic()
        read_at, found = self._signing
        if not found or now - read_at > KEPT_S:
            found = self._usable()
            self._signing = now, found
        return found

    def _usable(self) -> list[SigningKey]:
        """The keys that our secret opens: after a change of the secret, none, and a new one is made."""
        usable = []
        for key in self._store.all():
            if key.kid not in self._opened:
                try:
                    pem = self._seal.open(key.encrypted_private_key, f"signing key {key.kid}")
                except SealError:
                    continue
                self._opened[key.kid] = _private_key(pem)
            usable.append(key)
        return usable


def _private_key(pem: str) -> PrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise SealError("a signing key is of no known kind")
    return key


_GENERATE: Final[dict[str, Callable[[], PrivateKey]]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=3072),
}


def _public_jwk(key: PrivateKey) -> dict[str, Any]:
    public = key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ECAlgorithm.to_jwk(public, as_dict=True)
    if isinstance(public, ed25519.Ed25519PublicKey):
        return OKPAlgorithm.to_jwk(public, as_dict=True)
    jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    return {name: jwk[name] for name in ("kty", "n", "e")}


def _thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638: the required members, sorted, without spaces."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y", "n", "e") if name in jwk}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
