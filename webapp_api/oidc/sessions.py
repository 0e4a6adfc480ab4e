"""From the browser's return to a session, and the provider's tokens while the session lasts."""

import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import jwt
import msgspec
from werkzeug.exceptions import BadGateway, BadRequest, ServiceUnavailable, Unauthorized

from kemi.state.web.client import StateRefused, digest
from kemi.state.web.locks import Lock
from kemi.state.web.oidc_logins import OidcLogin, OidcLoginStore
from kemi.state.web.sessions import ProviderTokens, Session, SessionStore
from webapp_api.gate import stepped_aside
from webapp_api.logins import Logins, new_secret, not_logged_in
from webapp_api.oidc.claims import checked_id_token, identity_in, name_in
from webapp_api.oidc.keys import ProviderKeys
from webapp_api.oidc.provider import Provider, RefusedGrantError, TokenAnswer
from webapp_api.sealing import Seal, SealError

REFRESH_BELOW_S: Final = 120
"""A token with less time left is exchanged for a new one, when the provider gave the means."""
_POLL_S: Final = 0.1
_PATIENCE_S: Final = 6.0
_SEAL_CONTEXT: Final = "provider tokens"


class AuthorizationResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser brings back (RFC 6749 §4.1.2, RFC 9207)."""

    state: str = ""
    code: str = ""
    error: str = ""
    iss: str = ""


class ProviderSessions:
    """Logins at the provider and what they lead to."""

    def __init__(
        self,
        provider: Provider,
        keys: ProviderKeys,
        *,
        under_way: OidcLoginStore,
        sessions: SessionStore,
        logins: Logins,
        seal: Seal,
        refresh_lock: Callable[[str], Lock],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._keys = keys
        self._under_way = under_way
        self._sessions = sessions
        self._logins = logins
        self._seal = seal
        self._refresh_lock = refresh_lock
        self._clock = clock

    def begin(self, former: str | None) -> tuple[str, str]:
        """Begin a login; returns the provider's URL and the secret for the browser's cookie.

        ``former``: the cookie of the session that the browser has now. It is Strict, so it does not come along when the
        provider sends the browser back.
        """
        state, nonce, code_verifier, browser = (new_secret() for _ in range(4))
        url = self._provider.authorization_url(state, nonce, code_verifier)
        login = OidcLogin(
            browser=digest(browser),
            nonce=nonce,
            code_verifier=code_verifier,
            former=digest(former) if former else "",
        )
        self._under_way.begin(state, login)
        return url, browser

    def finish(self, response: AuthorizationResponse, browser: str | None) -> tuple[str, Session]:
        """End a login with a session, which ends the browser's former one; returns the cookie and the session.

        Raises:
            BadRequest: no such login is under way in this browser, or the response is another issuer's.
            Unauthorized: the provider did not let the person in.
            Forbidden: the provider names no identity.
            BadGateway: the provider breaks the protocol.
        """
        login = self._under_way.finish(response.state)
        if login is None or browser is None or not hmac.compare_digest(login.browser, digest(browser)):
            raise BadRequest("No login is under way in this browser; begin again.")
        metadata = self._provider.metadata()
        expects_iss = metadata.authorization_response_iss_parameter_supported
        if (response.iss or expects_iss) and response.iss != metadata.issuer:
            raise BadRequest("The response comes from another login service.")
        if response.error or not response.code:
            raise Unauthorized("The login service did not let you in.")
        tokens = self._provider.redeem(response.code, login.code_verifier)
        settings = self._provider.settings
        claims = checked_id_token(tokens.id_token or "", login.nonce, settings, self._keys)
        identity = identity_in(claims, settings)
        kept, sid = None, None
        if settings.tokens_from == "oidc":
            kept, sid = self._kept(tokens), _session_of(tokens.access_token)
        secret, session = self._logins.with_provider(name_in(claims), identity, sid, kept)
        if login.former:
            self._logins.end_former(login.former, session.sid)
        return secret, session

    def current_tokens(self, secret: str, session: Session) -> ProviderTokens:
        """The session's access token, exchanged for a new one when its end is near and the provider can be asked.

        Raises:
            Unauthorized: it has run out and there is no new one, or was kept with another ``key_secret``; the session
                ends.
            BadGateway, ServiceUnavailable: it has run out and the provider is away, or others are still asking it.
        """
        tokens = session.provider_tokens
        assert tokens is not None, "only sessions of a provider have its tokens"
        try:
            if self._left_s(tokens) < REFRESH_BELOW_S and tokens.refresh_token:
                try:
                    tokens = self._refreshed(secret, session)
                except StateRefused:  # nothing new can be kept: what is good still, is given
                    if self._left_s(tokens) <= 0:
                        raise
            access_token: str | None = self._seal.open(tokens.access_token, _SEAL_CONTEXT)
        except SealError:
            access_token = None
        if access_token is None or self._left_s(tokens) <= 0:
            self._logins.end(secret)
            raise not_logged_in("OpenID Connect")
        return msgspec.structs.replace(tokens, access_token=access_token)

    def _refreshed(self, secret: str, session: Session) -> ProviderTokens:
        """One request at a time: a provider may end everything when a refresh token is used twice (RFC 9700 §4.14)."""
        with suppress(BadGateway):  # who holds the lock then asks one question only
            self._provider.metadata()
        lock = self._refresh_lock(session.sid)
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with lock.attempt() as ours:
                if ours:
                    return self._refresh_now(secret)
            with stepped_aside():
                time.sleep(_POLL_S)
        if (tokens := session.provider_tokens) is not None and self._left_s(tokens) > 0:
            return tokens
        raise ServiceUnavailable("The token is being renewed; try again.", retry_after=1)

    def _refresh_now(self, secret: str) -> ProviderTokens:
        newest = self._sessions.use(secret, self._clock())
        if newest is None or newest.provider_tokens is None:
            raise not_logged_in("OpenID Connect")
        tokens = newest.provider_tokens
        if self._left_s(tokens) >= REFRESH_BELOW_S or not tokens.refresh_token:
            return tokens  # somebody else was faster
        try:
            answer = self._provider.refresh(self._seal.open(tokens.refresh_token, _SEAL_CONTEXT))
            renewed = self._kept(answer, tokens.refresh_token)
        except RefusedGrantError:
            # The login at the provider is over; ours lasts as long as what it gave.
            renewed = msgspec.structs.replace(tokens, refresh_token="")
        except BadGateway:
            if self._left_s(tokens) <= 0:
                raise
            return tokens  # is good still, and asked about again
        if not self._sessions.change(secret, msgspec.structs.replace(newest, provider_tokens=renewed)):
            # Logged out meanwhile: the gateway, which goes by the time, might take what was issued after that.
            raise not_logged_in("OpenID Connect")
        return renewed

    def _kept(self, answer: TokenAnswer, former_refresh_token: str = "") -> ProviderTokens:
        """The tokens as the session keeps them: sealed; raises BadGateway for what the gateway could not check."""
        if answer.token_type.lower() != "bearer" or not self._keys.has_key_of(answer.access_token):
            raise BadGateway("The login service gives no access tokens that the gateway can check.")
        ends_at = jwt.decode(answer.access_token, options={"verify_signature": False}).get("exp", 0)
        refresh_token = answer.refresh_token and self._seal.seal(answer.refresh_token, _SEAL_CONTEXT)
        return ProviderTokens(
            access_token=self._seal.seal(answer.access_token, _SEAL_CONTEXT),
            refresh_token=refresh_token or former_refresh_token,
            expires_at=float(ends_at) if isinstance(ends_at, int | float) else 0.0,
        )

    def _left_s(self, tokens: ProviderTokens) -> float:
        return tokens.expires_at - self._clock()


def _session_of(access_token: str) -> str | None:
    """The claim sid of a provider's token: our session takes its name, so that a logout finds the registration."""
    sid = jwt.decode(access_token, options={"verify_signature": False}).get("sid")
    return sid if isinstance(sid, str) and 1 <= len(sid) <= 128 and sid.isprintable() else None
