"""Logins under way at an OpenID Connect provider: what must fit when the browser comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis

LIFETIME_S: Final = 600
"""How long a person may take at the provider."""


class OidcLogin(msgspec.Struct, frozen=True, kw_only=True):
    """One login between its two redirections."""

    browser: str
    """Digest of the secret in the browser's cookie: another browser cannot finish this login."""
    nonce: str
    code_verifier: str
    former: str = ""
    """Digest of the cookie of the session that the browser had when the login began; "" for none."""


class OidcLoginStore:
    """Logins by their ``state`` parameter, each good for one return."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def begin(self, state: str, login: OidcLogin) -> None:
        """Remember a login."""
        self._redis.set(keys.web_oidc_login(digest(state)), msgspec.json.encode(login), ex=LIFETIME_S)

    def finish(self, state: str) -> OidcLogin | None:
        """Return a login and forget it; None when there is none, or no longer."""
        text = self._redis.getdel(keys.web_oidc_login(digest(state)))
        return None if text is None else msgspec.json.decode(text, type=OidcLogin)
