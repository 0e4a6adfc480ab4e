"""The provider's keys: fetched, cleaned, and shown to the gateway; checked against by ourselves."""

import time
from collections.abc import Mapping
from typing import Any, Final

import jwt
from werkzeug.exceptions import BadGateway

from kemi.state.web.locks import Pause
from kemi.state.web.signing_keys import KeySetStore
from webapp_api.gate import stepped_aside
from webapp_api.oidc.provider import Provider

EARLIEST_S: Final = 60
"""An unknown key makes us fetch the set again, but not more often than this."""
_POLL_S: Final = 0.1
_PATIENCE_S: Final = 1.0
_PUBLIC_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}
_COMMON_MEMBERS: Final = ("kty", "kid", "alg", "use")


def public_signing_keys(key_set: Mapping[str, Any]) -> dict[str, Any]:
    """What of a set may be shown and believed: asymmetric keys for signatures, without their private parts."""
    keys = []
    found = key_set.get("keys")
    for jwk in found if isinstance(found, list) else []:
        if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
            continue
        members = _PUBLIC_MEMBERS.get(str(jwk.get("kty")))
        if members is not None and all(isinstance(jwk.get(name), str) for name in members):
            keys.append({name: jwk[name] for name in (*_COMMON_MEMBERS, *members) if name in jwk})
    return {"keys": keys}


class ProviderKeys:
    """The provider's current key set, in Redis for every process and gateway."""

    def __init__(self, provider: Provider, store: KeySetStore, early: Pause) -> None:
        """`early`: the pause of EARLIEST_S between two looks for an unknown key."""
        self._provider = provider
        self._store = store
        self._early = early

    def refresh(self) -> dict[str, Any]:
        """Fetch the set and show it to the gateway; raises BadGateway, also for one in which nothing can be used."""
        key_set = public_signing_keys(self._provider.key_set())
        if not key_set["keys"]:
            raise BadGateway("The login service of the operator shows no keys.")
        self._store.publish(self._provider.settings.issuer, key_set)
        return key_set

    def find(self, kid: str) -> dict[str, Any] | None:
        """Return a key; one that is not known makes us look at the provider, at most once a minute."""
        known = self._store.get(self._provider.settings.issuer)
        if known is None:
            return _find(self.refresh(), kid)
        if (key := _find(known, kid)) is not None:
            return key
        if not self._early.begin():
            return self._found_by_others(kid)
        try:
            return _find(self.refresh(), kid)
        except BadGateway:
            self._early.end()
            raise

    def _found_by_others(self, kid: str) -> dict[str, Any] | None:
        """Give another request, which may be looking at this moment, a little time."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            with stepped_aside():
                time.sleep(_POLL_S)
            if (key := _find(self._store.get(self._provider.settings.issuer) or {}, kid)) is not None:
                return key
        return None

    def has_key_of(self, token: str) -> bool:
        """Whether the gateway can check a token; an unknown key is looked for."""
        try:
            # Not the header alone: who kept the token would fail where its payload is no claims.
            header = jwt.decode_complete(token, options={"verify_signature": False})["header"]
        except jwt.InvalidTokenError:
            return False
        return self.find(str(header.get("kid", ""))) is not None


def _find(key_set: Mapping[str, Any], kid: str) -> dict[str, Any] | None:
    keys: list[dict[str, Any]] = key_set.get("keys", [])
    for key in keys:
        if key.get("kid", "") == kid:
            return key
    # A set with one key needs no kid (OpenID Connect Core 1.0 §10.1).
    return keys[0] if not kid and len(keys) == 1 else None
