"""Digest access authentication, as a client (RFC 7616, RFC 8760): what a trunk asks of us.

The gateway's pages answer the core's challenges themselves; this is for what the gateway sends in its own name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kemi.core.errors import RemoteProtocolError

_HASHES: Final[dict[str, Callable[[bytes], str]]] = {
    "sha-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
    "sha-256": lambda data: hashlib.sha256(data).hexdigest(),
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
"""The strongest first."""
_PARAMETER: Final = re.compile(r'\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are at somebody's."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate that we can answer."""

    realm: str
    nonce: str
    algorithm: str
    """As it was written."""
    opaque: str | None
    qop: bool
    """Whether quality of protection is offered, of which we use ``auth``."""
    stale: bool
    """Only the nonce was too old."""


def challenge_from_values(values: Sequence[str]) -> Challenge:
    """Return the strongest challenge that we can answer; raise RemoteProtocolError when there is none."""
    found: dict[str, Challenge] = {}
    for value in values:
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "digest":
            continue
        parameters = _parameters(rest)
        algorithm = parameters.get("algorithm", "MD5")
        offered = parameters.get("qop")
        takes_auth = offered is not None and "auth" in (one.strip() for one in offered.split(","))
        readable = "realm" in parameters and "nonce" in parameters and (offered is None or takes_auth)
        if readable and algorithm.lower() in _HASHES:
            challenge = Challenge(
                parameters["realm"],
                parameters["nonce"],
                algorithm,
                parameters.get("opaque"),
                takes_auth,
                parameters.get("stale", "").lower() == "true",
            )
            found.setdefault(algorithm.lower(), challenge)
    for algorithm in _HASHES:
        if algorithm in found:
            return found[algorithm]
    raise RemoteProtocolError("no challenge that can be answered: Digest with SHA-512-256, SHA-256 or MD5")


def authorization(
    challenge: Challenge, credentials: Credentials, method: str, uri: str, *, cnonce: str, count: int = 1
) -> str:
    """Return the value of Authorization or Proxy-Authorization.

    ``cnonce``: drawn anew for each nonce; ``count``: how many requests were sent with this nonce, this one included.
    """
    hashed = _HASHES[challenge.algorithm.lower()]

    def h(text: str) -> str:
        return hashed(text.encode())

    secret = h(f"{credentials.user}:{challenge.realm}:{credentials.password}")
    request = h(f"{method}:{uri}")
    nc = f"{count:08x}"
    middle = f"{challenge.nonce}:{nc}:{cnonce}:auth" if challenge.qop else challenge.nonce
    parts = [
        f"username={_quoted(credentials.user)}",
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{h(f"{secret}:{middle}:{request}")}"',
        f"algorithm={challenge.algorithm}",
    ]
    if challenge.opaque is not None:
        parts.append(f"opaque={_quoted(challenge.opaque)}")
    if challenge.qop:
        parts += ["qop=auth", f"nc={nc}", f"cnonce={_quoted(cnonce)}"]
    return "Digest " + ", ".join(parts)


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            return {}
        name, quoted, token = match.groups()
        found[name.lower()] = _ESCAPED.sub(r"\1", quoted) if quoted is not None else token
        position = match.end()
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
