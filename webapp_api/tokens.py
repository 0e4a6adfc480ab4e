"""Access tokens for a session: ours (RFC 9068), or the ones its provider gave."""

import secrets
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from werkzeug.exceptions import TooManyRequests

from kemi.state.web.attempts import AttemptStore
from kemi.state.web.sessions import Session
from webapp_api.keyring import Keyring
from webapp_api.logins import Logins
from webapp_api.oidc.sessions import ProviderSessions
from webapp_api.settings import Settings

SCOPE = "sip"
CLIENT_ID = "web"
"""RFC 9068 §2.2 wants a client; ours has one: pages of this origin."""


class TokenResponse(msgspec.Struct, kw_only=True):
    """As RFC 6749 §5.1, with the identities the page registers."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 the name of a type
    expires_in: int
    """Seconds."""
    impi: str
    impus: list[str]


class Tokens:
    """Gives tokens to sessions."""

    def __init__(
        self,
        settings: Settings,
        *,
        keyring: Keyring,
        logins: Logins,
        requests: AttemptStore,
        provider: ProviderSessions | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._logins = logins
        self._requests = requests
        self._provider = provider
        self._clock = clock

    def for_session(self, secret: str, session: Session) -> TokenResponse:
        """Make or fetch a token.

        Raises:
            TooManyRequests: the person's pages ask without end.
            Unauthorized: the lease, or what the provider gave, has ended; so has the session.
            ServiceUnavailable, BadGateway: no key yet; the provider is away.
        """
        if wait_s := self._requests.add(session.owner):
            raise TooManyRequests("Too many tokens; use the one you have.", retry_after=wait_s)
        if session.provider_tokens is not None and self._provider is not None:
            return self._provided(self._provider, secret, session)
        now = self._clock()
        # The lease first: no token outlives it.
        self._logins.keep_lease(secret, session)
        return TokenResponse(
            access_token=self._keyring.sign(self._claims(session, now)),
            expires_in=self._settings.token_lifetime_s,
            impi=session.impi,
            impus=session.impus,
        )

    def _provided(self, provider: ProviderSessions, secret: str, session: Session) -> TokenResponse:
        tokens = provider.current_tokens(secret, session)
        return TokenResponse(
            access_token=tokens.access_token,
            expires_in=max(0, int(tokens.expires_at - self._clock())),
            impi=session.impi,
            impus=session.impus,
        )

    def _claims(self, session: Session, now: float) -> dict[str, object]:
        issued_at = int(now)
        return {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": session.name,
            "client_id": CLIENT_ID,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + self._settings.token_lifetime_s,
            "jti": secrets.token_urlsafe(16),
            "scope": SCOPE,
            "impi": session.impi,
            "impus": session.impus,
            "sid": session.sid,
            **({"user_class": session.user_class} if session.user_class else {}),
            "origin": self._settings.public_origin,
        }
