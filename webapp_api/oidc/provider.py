"""The provider as we talk to it: discovery, keys, authorization and token endpoint. All with deadlines."""

import io
import logging
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import msgspec
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.auth import ClientAuth
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from werkzeug.exceptions import BadGateway

from webapp_api.gate import stepped_aside
from webapp_api.login_settings import OidcSettings

_log = logging.getLogger(__name__)

DEADLINE_S: Final = 5.0
"""For connecting, for the header of an answer, and for its body."""
METADATA_LIFETIME_S: Final = 3600
REST_S: Final = 5.0
"""A provider that let us wait in vain is left alone for so long."""
QUICK_S: Final = 1.0
"""What fails sooner (a refused connection, while the provider starts) costs nobody anything: it is asked again."""
_MAX_DOCUMENT_BYTES: Final = 256 * 1024
_CHUNK_BYTES: Final = 16 * 1024
_REFUSED_GRANT: Final = "invalid_grant"
_BASIC: Final = "client_secret_basic"
_AWAY: Final = "The login service of the operator does not answer as it should; try again later."


class RefusedGrantError(BadGateway):
    """The provider takes this code or refresh token no more (invalid_grant, RFC 6749 §5.2); asking again is vain."""


class Metadata(msgspec.Struct, frozen=True):
    """What we need of the provider's metadata (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    authorization_response_iss_parameter_supported: bool = False


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What we need of the provider's answer at its token endpoint; when the token ends, it says itself."""

    access_token: str
    token_type: str
    refresh_token: str | None = None
    id_token: str | None = None


class Provider:
    """One OpenID Connect provider. Threads may share it.

    Every method that talks to it raises BadGateway when it is away or breaks the protocol.
    """

    def __init__(
        self, settings: OidcSettings, redirect_uri: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._metadata: Metadata | None = None
        self._metadata_until = 0.0
        self._rests_until: float | None = None

    def metadata(self) -> Metadata:
        """Return the provider's metadata, kept for an hour."""
        if self._metadata is None or self._clock() >= self._metadata_until:
            issuer = self.settings.issuer
            found = self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            try:
                metadata = msgspec.convert(found, Metadata)
            except msgspec.ValidationError as error:
                raise BadGateway(_AWAY) from error
            if metadata.issuer != issuer or not all(
                _same_security(issuer, url)
                for url in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
            ):
                raise BadGateway(_AWAY)
            self._metadata, self._metadata_until = metadata, self._clock() + METADATA_LIFETIME_S
        return self._metadata

    def key_set(self) -> dict[str, Any]:
        """Fetch the provider's JWK set."""
        return self._document(self.metadata().jwks_uri)

    def authorization_url(self, state: str, nonce: str, code_verifier: str) -> str:
        """Where the browser goes to log in."""
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self.metadata().authorization_endpoint,
                state=state,
                nonce=nonce,
                code_verifier=code_verifier,
                **self._resource(),
            )
        return str(url)

    def redeem(self, code: str, code_verifier: str) -> TokenAnswer:
        """Exchange an authorization code for tokens."""
        return self._tokens(
            lambda client, url: client.fetch_token(
                url,
                grant_type="authorization_code",
                code=code,
                code_verifier=code_verifier,
                timeout=DEADLINE_S,
                **self._resource(),
            )
        )

    def refresh(self, refresh_token: str) -> TokenAnswer:
        """Exchange a refresh token for a new access token; raises RefusedGrantError when it is over."""
        return self._tokens(
            lambda client, url: client.refresh_token(
                url, refresh_token=refresh_token, timeout=DEADLINE_S, **self._resource()
            )
        )

    def _tokens(self, ask: Callable[[OAuth2Session, str], object]) -> TokenAnswer:
        url = self.metadata().token_endpoint
        try:
            with self._asked(), self._client() as client:
                return msgspec.convert(dict(ask(client, url)), TokenAnswer)  # type: ignore[call-overload]
        # Authlib computes with expires_in, whatever it is: TypeError, OverflowError.
        except (
            AuthlibBaseError,
            requests.RequestException,
            HTTPError,
            OSError,
            msgspec.ValidationError,
            ValueError,
            TypeError,
            OverflowError,
        ) as error:
            # An OAuth error code says what the operator has to mend; nothing of the request is in it.
            reason = getattr(error, "error", None) or type(error).__name__
            _log.warning("event=provider_refused reason=%.64r", reason)
            kind = RefusedGrantError if reason == _REFUSED_GRANT else BadGateway
            raise kind("The login service of the operator refused; log in again.") from error

    def _client(self) -> OAuth2Session:
        settings = self.settings
        client = OAuth2Session(
            client_id=settings.client_id,
            client_secret=settings.client_secret or None,
            token_endpoint_auth_method=_BASIC if settings.client_secret else "none",
            scope=" ".join(settings.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )
        client.register_client_auth_method((_BASIC, _basic))
        _limit(client)
        return client

    def _resource(self) -> dict[str, str]:
        return {"resource": self.settings.resource} if self.settings.resource else {}

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """While the provider is waited for, other requests are worked on."""
        if self._rests_until is not None and self._clock() < self._rests_until:
            raise BadGateway(_AWAY)
        begun = self._clock()
        with stepped_aside():
            try:
                yield
            except (requests.ConnectionError, requests.Timeout, HTTPError):
                if (now := self._clock()) - begun >= QUICK_S:
                    self._rests_until = now + REST_S
                raise

    def _document(self, url: str) -> dict[str, Any]:
        try:
            with self._asked(), requests.Session() as client:
                _limit(client)
                response = client.get(
                    url, headers={"Accept": "application/json"}, timeout=DEADLINE_S, allow_redirects=False
                )
            if response.status_code != requests.codes.ok:
                raise BadGateway(_AWAY)
            return msgspec.json.decode(response.content, type=dict[str, Any])
        # What comes late or broken after the header is urllib3's error: requests does not read the body.
        except (requests.RequestException, HTTPError, OSError, msgspec.DecodeError) as error:
            _log.warning("event=provider_unreachable reason=%.400r", str(error))
            raise BadGateway(_AWAY) from error


class _Limited(HTTPAdapter):
    """Reads the whole answer, which may be neither long nor late: a deadline of requests is for each read."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **{**options, "stream": True})
        until, body = time.monotonic() + DEADLINE_S, b""
        try:
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise requests.RequestException("The answer is too long.")
                if time.monotonic() > until:
                    raise requests.Timeout("The answer does not end.")
        finally:
            response.close()
        response.raw = io.BytesIO(body)
        return response


def _limit(client: requests.Session) -> None:
    for scheme in ("https://", "http://"):
        client.mount(scheme, _Limited())


def _basic(
    client: ClientAuth, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Name and secret form-encoded first (RFC 6749 §2.3.1), which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return uri, headers, body


def _same_security(issuer: str, url: str) -> bool:
    """An https issuer has https endpoints; http is for a provider on this machine."""
    try:
        return urlsplit(url).scheme == "https" or urlsplit(issuer).scheme == "http"
    except ValueError:  # no URL
        return False
