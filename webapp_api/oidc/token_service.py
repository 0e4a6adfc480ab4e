"""An issuer of the operator's own: its keys are fetched as a provider's are, and nobody logs in there by us."""

from typing import Any

from webapp_api.login_settings import OidcSettings, TokenService
from webapp_api.oidc.provider import Provider


class KeysOnly(Provider):
    """A provider of which the settings name the keys' place, instead of its metadata."""

    def __init__(self, service: TokenService) -> None:
        super().__init__(OidcSettings(issuer=service.issuer, client_id=""), "")
        self._jwks_uri = service.jwks_uri

    def key_set(self) -> dict[str, Any]:
        """Fetch the JWK set."""
        return self._document(self._jwks_uri)
