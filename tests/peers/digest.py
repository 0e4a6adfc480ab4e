"""Digest access authentication of SIP (RFC 3261 §22, RFC 8760), both ends.

Knows challenge and credentials text only. Must not know who is registered or when to ask.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from tests.peers.sip import SipRequest, SipResponse

_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_PARAM = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))')

CHALLENGES: Final = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
"""Status → field of the challenge, field of the credentials."""


class NoUsableChallengeError(LookupError):
    """The response holds no digest challenge that a page could answer."""


@dataclass(frozen=True)
class Credentials:
    """User name and password of one digest user."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Challenge:
    """A digest challenge (RFC 3261 §20.44)."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: str | None = "auth"
    opaque: str | None = None
    stale: bool = False


def params_from_text(text: str) -> dict[str, str]:
    """Parse the parameters after the scheme word; names in lower case."""
    return {key.lower(): quoted or token for key, quoted, token in _PARAM.findall(text)}


def challenge_from_text(text: str) -> Challenge:
    """Parse the value of WWW-Authenticate or Proxy-Authenticate.

    Raises:
        NoUsableChallengeError: another scheme than Digest.
    """
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest":
        raise NoUsableChallengeError(scheme)
    params = params_from_text(rest)
    offered = {part.strip() for part in params.get("qop", "").split(",")}
    return Challenge(
        params.get("realm", ""),
        params.get("nonce", ""),
        params.get("algorithm", "MD5"),
        "auth" if "auth" in offered else None,
        params.get("opaque"),
        params.get("stale", "").lower() == "true",
    )


def challenge_to_text(challenge: Challenge) -> str:
    """Print a challenge."""
    parts = [
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f"algorithm={challenge.algorithm}",
        *([f'qop="{challenge.qop}"'] if challenge.qop else []),
        *([f'opaque="{challenge.opaque}"'] if challenge.opaque else []),
        *(["stale=true"] if challenge.stale else []),
    ]
    return "Digest " + ", ".join(parts)


def page_challenge(response: SipResponse) -> Challenge:
    """Pick the challenge a page answers: the last field, and only when it is Digest MD5.

    SIP.js and JsSIP keep the last of several fields and know no other algorithm.
    """
    field_name, _ = CHALLENGES[response.status]
    values = response.headers.fields(field_name)
    if not values:
        raise NoUsableChallengeError(f"{response.status} without {field_name}")
    challenge = challenge_from_text(values[-1])
    if challenge.algorithm.upper() != "MD5":
        raise NoUsableChallengeError(challenge.algorithm)
    return challenge


def authorization(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    *,
    cnonce: str | None = None,
    nc: int = 1,
) -> str:
    """Return the credentials field value that answers a challenge."""
    cnonce = cnonce or secrets.token_hex(8)
    digest = _response(challenge, credentials, method, uri, cnonce=cnonce, nc=f"{nc:08x}")
    parts = [
        f'username="{credentials.username}"',
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f'uri="{uri}"',
        f'response="{digest}"',
        f"algorithm={challenge.algorithm}",
        *([f'opaque="{challenge.opaque}"'] if challenge.opaque else []),
        *([f"qop={challenge.qop}", f'cnonce="{cnonce}"', f"nc={nc:08x}"] if challenge.qop else []),
    ]
    return "Digest " + ", ".join(parts)


def is_authorized(request: SipRequest, challenge: Challenge, credentials: Credentials) -> bool:
    """Tell whether a request carries the right answer to the challenge."""
    values = request.headers.fields("Authorization") + request.headers.fields("Proxy-Authorization")
    return any(credentials_fit(value, request.method, challenge, credentials) for value in values)


def credentials_fit(value: str, method: str, challenge: Challenge, credentials: Credentials) -> bool:
    """Tell whether one credentials field value is the right answer to the challenge."""
    scheme, _, rest = value.partition(" ")
    given = params_from_text(rest)
    if scheme.lower() != "digest" or given.get("nonce") != challenge.nonce:
        return False
    expected = _response(
        challenge,
        credentials,
        method,
        given.get("uri", ""),
        cnonce=given.get("cnonce", ""),
        nc=given.get("nc", ""),
    )
    return given.get("username") == credentials.username and given.get("response") == expected


def _response(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, *, cnonce: str, nc: str
) -> str:
    new_hash = _HASHES[challenge.algorithm.upper()]

    def hashed(text: str) -> str:
        return new_hash(text.encode()).hexdigest()

    ha1 = hashed(f"{credentials.username}:{challenge.realm}:{credentials.password}")
    ha2 = hashed(f"{method}:{uri}")
    if challenge.qop:
        return hashed(f"{ha1}:{challenge.nonce}:{nc}:{cnonce}:{challenge.qop}:{ha2}")
    return hashed(f"{ha1}:{challenge.nonce}:{ha2}")
