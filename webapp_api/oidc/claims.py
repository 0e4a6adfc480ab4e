"""The provider's claims: checked as OpenID Connect Core 1.0 §3.1.3.7 says, then read."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

import jwt
from werkzeug.exceptions import BadGateway, Forbidden

from webapp_api.identities import Identity, IdentityError, identity_from_claims
from webapp_api.login_settings import OidcSettings
from webapp_api.oidc.keys import ProviderKeys

ALGORITHMS: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA")
"""No HMAC: a public key must never be taken for a shared secret."""
_LEEWAY_S: Final = 60
_LONGEST_NAME: Final = 128


def checked_id_token(token: str, nonce: str, settings: OidcSettings, keys: ProviderKeys) -> Mapping[str, Any]:
    """Return the claims of an ID token.

    Raises:
        BadGateway: it is not the provider's, not for us, not of this login, or not of this time.
    """
    try:
        header = jwt.get_unverified_header(token)
        jwk = keys.find(str(header.get("kid", "")))
        if jwk is None or header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidKeyError("no key or algorithm of the provider's")
        claims = jwt.decode(
            token,
            jwt.PyJWK(jwk, algorithm=header["alg"]),
            algorithms=[header["alg"]],
            audience=settings.client_id,
            issuer=settings.issuer,
            leeway=_LEEWAY_S,
            options={"require": ["iss", "aud", "exp", "iat", "sub", "nonce"]},
        )
    except jwt.PyJWTError as error:
        raise BadGateway(f"The login service gave an ID token that is not valid: {error}") from error
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise BadGateway("The login service gave an ID token of another login.")
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != settings.client_id:
        raise BadGateway("The login service gave an ID token for another party.")
    return claims


def name_in(claims: Mapping[str, Any]) -> str:
    """The person's name at the provider, for `sub` of our tokens."""
    name = str(claims["sub"])
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise BadGateway("The login service gave a subject that cannot be used.")
    return name


def identity_in(claims: Mapping[str, Any], settings: OidcSettings) -> Identity:
    """The IMS identities that the claims name.

    Raises:
        Forbidden: there are none, or they cannot be used.
    """
    try:
        return identity_from_claims(claims.get(settings.impi_claim), claims.get(settings.impus_claim))
    except IdentityError as error:
        raise Forbidden(f"This account has no telephone identity here: {error}.") from error
