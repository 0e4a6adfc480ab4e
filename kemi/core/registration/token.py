"""Access tokens in SIP (RFC 8898; TS 24.371 §6.1; RFC 9068): what one must say, and what it then allows.

The signature has been verified before anything here sees the claims (adapters/pages/tokens.py).  A page learns that its
token is no good, never why: the reason is for our log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kemi.core.errors import SipReject
from kemi.core.headers import quotable
from kemi.core.identity import canonical
from kemi.core.registration.records import Grant

ALGORITHMS: Final[Mapping[str, str]] = {
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
    "EdDSA": "OKP",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
}
"""Signature algorithms that may be allowed, with the key type (RFC 7518 §6.1) each one needs.  All of them are
asymmetric: with a shared secret, or "none", whoever reads our keys could write tokens (RFC 8725 §2.1)."""
DEFAULT_ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
CLOCK_SKEW_S: Final = 60.0
"""How far an issuer's clock may be ahead of ours.  The end of a token is the end: no skew is granted there, because a
registration never outlives its token."""
MAX_CLAIM_LENGTH: Final = 255
MAX_IMPUS: Final = 32
REFUSAL: Final = "the access token is missing or not valid"
NO_PASSWORDS: Final = "this network takes access tokens, no passwords"
TOO_SHORT: Final = "the network registers for longer than the access token lasts"
"""What a page is told, whatever was wrong: who the users are is nobody's to find out."""


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """One issuer of access tokens: our own web server, or an operator's OpenID provider."""

    issuer: str
    audience: str
    authz_server: str
    """https URL that a page is sent to for a token (RFC 8898 §4)."""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    types: tuple[str, ...] = ("at+jwt",)
    """Accepted values of the header parameter typ, lower case."""
    scope: str = "sip"
    impi_claim: str = "impi"
    impus_claim: str = "impus"
    max_lifetime_s: float = 600.0


_NOT_IN_AN_IMPI: Final = frozenset('"\\<>,;@ ')


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token whose signature is right: who made it, and what it says."""

    issuer: TokenIssuer
    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    token_hash: str = ""
    """What the token is recognised by (``token_hash``)."""


class TokenRefused(SipReject):
    """A token that registers nobody: 401, or 407 for other requests (RFC 8898 §2.3).  The detail is for the log only;
    the page is told no more than ``REFUSAL``, or what is no secret."""

    status = 401
    reason_phrase = "Unauthorized"

    def __init__(self, detail: str, *, error: str = "invalid_token", told: str = REFUSAL) -> None:
        super().__init__(detail)
        self.told = told
        """What the page is told."""
        self.error = error
        """Code of RFC 6750 §3.1 and RFC 8898 §4 for the challenge; "" when there were no credentials at all."""


def challenge(realm: str, issuer: TokenIssuer, error: str = "") -> str:
    """Return the Bearer challenge (RFC 8898 §4)."""
    parts = [f'realm="{quotable(realm)}"', f'scope="{issuer.scope}"', f'authz_server="{issuer.authz_server}"']
    if error:
        parts.append(f'error="{error}"')
    return "Bearer " + ", ".join(parts)


def token_hash(token: str) -> str:
    """Return what a token is recognised by; the token cannot be made of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def grant_from_token(token: VerifiedToken, *, origin: str, now: float) -> Grant:
    """Return what a token allows a page of web origin ``origin``; raise TokenRefused."""
    issuer, claims = token.issuer, token.claims
    if _text(token.header, "typ").lower().removeprefix("application/") not in issuer.types:
        raise TokenRefused("typ is not that of an access token")
    if _text(claims, "iss") != issuer.issuer:
        raise TokenRefused("iss is another issuer")
    if issuer.audience not in _texts(claims, "aud"):
        raise TokenRefused("aud does not name this gateway")
    issued_at, expires_at = _checked_times(claims, issuer, now)
    if issuer.scope not in _text(claims, "scope").split():
        raise TokenRefused("scope does not allow SIP", error="invalid_scope")
    if "origin" in claims and claims["origin"] != origin:
        raise TokenRefused("made for a page of another web origin")
    impi = _text(claims, issuer.impi_claim)
    if not _is_impi(impi):
        raise TokenRefused("no private identity")
    impus = _texts(claims, issuer.impus_claim)
    if not 0 < len(impus) <= MAX_IMPUS or any(canonical(impu) is None for impu in impus):
        raise TokenRefused("no public identities, or such that are none")
    return Grant(
        scheme="bearer",
        impi=impi,
        impus=impus,
        expires_at=expires_at,
        session=_text(claims, "sid", required=False),
        token_id=_text(claims, "jti"),
        user_class=_text(claims, "user_class", required=False),
        token_hash=token.token_hash,
        issuer=issuer.issuer,
        issued_at=min(issued_at, now),
    )


def _checked_times(claims: Mapping[str, Any], issuer: TokenIssuer, now: float) -> tuple[float, float]:
    """Return begin and end of the token (RFC 7519 §4.1.4 to §4.1.6)."""
    expires_at, issued_at = _seconds(claims, "exp"), _seconds(claims, "iat")
    if expires_at - now < 1:
        raise TokenRefused("expired")
    if issued_at - now > CLOCK_SKEW_S:
        raise TokenRefused("issued in the future")
    if "nbf" in claims and _seconds(claims, "nbf") - now > CLOCK_SKEW_S:
        raise TokenRefused("not valid yet")
    if not 0 < expires_at - issued_at <= issuer.max_lifetime_s:
        raise TokenRefused("lives longer than this site allows")
    return issued_at, expires_at


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        raise TokenRefused(f"{name} is missing or no time")
    return float(value)


def _text(claims: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    value = claims.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value or len(value) > MAX_CLAIM_LENGTH or not value.isprintable():
        raise TokenRefused(f"{name} is missing or no text")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    """Return a claim that is a list, or a single text."""
    value = claims.get(name)
    return [_text({name: one}, name) for one in (value if isinstance(value, list) else [value])]


def _is_impi(text: str) -> bool:
    """Whether this is a network access identifier (TS 23.003 §13.3) that can stand between quotation marks."""
    user, separator, realm = text.rpartition("@")
    return bool(user and separator and realm) and _NOT_IN_AN_IMPI.isdisjoint(user + realm)
