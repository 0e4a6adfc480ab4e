"""The settings of web login that are tables, and what is wrong with the others: types and checks, no files.

The settings themselves are in settings.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from kemi.state.connection import sentinel_address_from_url
from webapp_api.identities import Identity

if TYPE_CHECKING:
    from webapp_api.settings import Settings

MIN_SECRET_LENGTH: Final = 32
ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
MAX_POOL: Final = 1000

TokensFrom = Literal["own", "oidc"]

RANGES: Final[dict[str, tuple[float, float]]] = {
    "session_lifetime_s": (60, 30 * 86_400),
    "session_idle_s": (60, 86_400),
    "login_attempts": (1, 1000),
    "login_attempts_per_address": (1, 100_000),
    "login_window_s": (1, 86_400),
    "token_lifetime_s": (10, 600),
    "key_rotation_days": (1, 3650),
    "key_activation_s": (0, 86_400),
    "lease_settling_s": (0, 300),
    "lease_grace_s": (0, 300),
}


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID Connect provider of the operator's own."""

    issuer: str
    client_id: str
    client_secret: str = ""
    """Empty for a public client; the code exchange is protected by PKCE either way."""
    scopes: tuple[str, ...] = ("openid",)
    impi_claim: str = "impi"
    impus_claim: str = "impus"
    tokens_from: TokensFrom = "own"
    """Whose access tokens the page gets: "own" maps the provider's claims into ours."""
    resource: str = ""
    """Resource indicator (RFC 8707) that makes the provider's access token one for the gateway."""

    def __repr__(self) -> str:
        return f"OidcSettings(issuer={self.issuer!r}, client_id={self.client_id!r})"


class TokenService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer of access tokens of the operator's own, at which nobody logs in by the web service."""

    issuer: str
    """Claim iss of its tokens."""
    jwks_uri: str
    """Where its public keys are (a JWK set, RFC 7517)."""


def tables_from_toml(table: dict[str, Any]) -> Iterator[str]:
    """Replace the tables by their types, in place; yields what is wrong."""
    if "identity_pool" in table:
        try:
            table["identity_pool"] = msgspec.convert(table["identity_pool"], tuple[Identity, ...])
        except ValueError as error:
            yield f"identity_pool: {error}"
    if "token_services" in table:
        try:
            table["token_services"] = msgspec.convert(table["token_services"], tuple[TokenService, ...])
        except ValueError as error:
            yield f"token_services: {error}"
    if "oidc" in table:
        try:
            table["oidc"] = msgspec.convert(table["oidc"], OidcSettings)
        except ValueError as error:
            yield f"oidc: {error}"


def login_faults(settings: Settings) -> Iterator[str]:
    """What is wrong with the settings of web login, each a type of its own already."""
    if settings.key_secret and len(settings.key_secret) < MIN_SECRET_LENGTH:
        yield f"key_secret: must have at least {MIN_SECRET_LENGTH} characters, from a random generator"
    try:
        sentinel_address_from_url(settings.redis_url)
    except ValueError as error:
        yield f"redis_url: {error}"
    if settings.token_algorithm not in ALGORITHMS:
        yield f"token_algorithm: must be one of {', '.join(ALGORITHMS)}"
    if settings.session_idle_s > settings.session_lifetime_s:
        yield "session_idle_s: must not exceed session_lifetime_s"
    for name in ("token_issuer", "token_audience"):
        if re.search(r"[\s\"\\]", getattr(settings, name)):
            yield f"{name}: must have no spaces, quotes or backslashes"
    yield from _pool_faults(settings)
    for name, lost in (
        ("guest_login", "nobody logs in here"),
        ("oidc", "nobody logs in here"),
        ("token_services", "no keys are fetched"),
    ):
        if getattr(settings, name) and not settings.key_secret:
            yield f"{name}: needs key_secret; without it {lost}"
    yield from _token_service_faults(settings)
    if settings.oidc is not None:
        yield from _oidc_faults(settings.oidc, settings.issuer)


def _pool_faults(settings: Settings) -> Iterator[str]:
    pool = settings.identity_pool
    if settings.guest_login and not pool:
        yield "guest_login: needs an identity_pool"
    if len(pool) > MAX_POOL:
        yield f"identity_pool: must have at most {MAX_POOL} identities"
    for what, names in (
        ("private", [identity.impi for identity in pool]),
        ("public", [impu for identity in pool for impu in identity.impus]),
    ):
        if len(set(names)) != len(names):
            yield f"identity_pool: a {what} identity is there twice"


def _token_service_faults(settings: Settings) -> Iterator[str]:
    taken = {settings.issuer}
    if settings.oidc is not None:
        taken.add(settings.oidc.issuer)
    for service in settings.token_services:
        if not service.issuer or service.issuer in taken:
            yield f"token_services: issuer {service.issuer!r} is empty, or there twice (token_issuer, oidc.issuer)"
        taken.add(service.issuer)
        url = _url(service.jwks_uri)
        if url.scheme not in ("https", "http") or not url.hostname or url.fragment:
            yield f"token_services: jwks_uri {service.jwks_uri!r} must be an https URL"
        elif url.scheme == "http" and not _is_loopback(url.hostname):
            yield f"token_services: jwks_uri {service.jwks_uri!r} must be https"


def _url(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:  # as of "https://["
        return urlsplit("")


def _oidc_faults(oidc: OidcSettings, own_issuer: str) -> Iterator[str]:
    url = _url(oidc.issuer)
    if url.scheme not in ("https", "http") or not url.hostname or url.query or url.fragment:
        yield "oidc.issuer: must be an https URL without query"
    elif url.scheme == "http" and not _is_loopback(url.hostname):
        yield "oidc.issuer: must be https"
    if oidc.issuer == own_issuer:
        yield "oidc.issuer: must not be token_issuer"
    if not oidc.client_id:
        yield "oidc.client_id: missing"
    if "openid" not in oidc.scopes:
        yield "oidc.scopes: must contain openid"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


LOGIN_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "redis_url": (str, "a text"),
    "key_secret": (str, "a text"),
    "password_login": (bool, "true or false"),
    "session_lifetime_s": (int, "a whole number"),
    "session_idle_s": (int, "a whole number"),
    "login_attempts": (int, "a whole number"),
    "login_attempts_per_address": (int, "a whole number"),
    "login_window_s": (int, "a whole number"),
    "token_issuer": (str, "a text"),
    "token_audience": (str, "a text"),
    "token_algorithm": (str, "a text"),
    "token_lifetime_s": (int, "a whole number"),
    "key_rotation_days": (int, "a whole number"),
    "key_activation_s": (int, "a whole number"),
    "guest_login": (bool, "true or false"),
    "lease_settling_s": (int, "a whole number"),
    "lease_grace_s": (int, "a whole number"),
}
