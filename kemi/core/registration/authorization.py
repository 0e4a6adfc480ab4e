"""The page's credentials on their way to the core: nothing passes that only the network may say (TS 24.229 §7.2A)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from kemi.core.errors import RemoteProtocolError
from kemi.core.headers import quotable
from kemi.core.identity import canonical

_WORD = r"[\w.!%*+`'~/-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*("(?:[^"\\\r\n]|\\[^\r\n])*"|{_WORD})\s*(?:,|$)', re.ASCII)
_PLAIN_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*("[^"]*"|{_WORD})\s*(?:,|$)', re.ASCII)
_ESCAPED = re.compile(r"[\\\r\n]")
_TRUSTED_PARAMETERS = frozenset({"integrity-protected", "ck", "ik"})
"""Digest parameters that only a P-CSCF or the core may write (TS 24.229 §7.2A)."""
_TRUSTED_ANYWHERE = re.compile(r"""integrity-protected|(?:^|[\s,;"'])(?:ck|ik)\s*=""", re.IGNORECASE)
"""The same, as a parser might find them that does not care for quotes, commas or the scheme."""
_BEARER = re.compile(r'(?:access_token\s*=\s*)?(?:"([\w.~+/-]+=*)"|([\w.~+/-]+=*))', re.ASCII)
"""``Bearer <b64token>`` (RFC 8898 §2.1.3) and ``Bearer access_token="<b64token>"`` (TS 24.371 table A.3.2-1)."""
_KEY = r'(?:ck|ik)\s*=\s*(?:"[^"]*"|[^,\s]*)'
_KEYS = re.compile(rf"(?<!\s)\s*,\s*{_KEY}|(?<=\s){_KEY}\s*,?\s*", re.IGNORECASE)
"""ck and ik of a challenge for AKA (RFC 3310 with TS 24.229 §7.2A.1), with the comma before or behind them."""
_QOP = re.compile(r'(\bqop\s*=\s*)"([^"\\]*)"', re.IGNORECASE)
_NOT_IN_AN_IMPI: Final = frozenset('"\\<>,; ')
AUTH_DONE: Final = "auth-done"
"""The trusted node has authenticated this user (TS 33.203 annex U)."""


@dataclass(slots=True)
class Credentials:
    """What a page's Authorization (or Proxy-Authorization) header fields hold; other schemes are not passed on."""

    token: str = field(default="", repr=False)
    digests: list[str] = field(default_factory=list, repr=False)
    """Values for the core, cleaned."""


def credentials_from_headers(values: list[str]) -> Credentials:
    """Sort a page's credentials; raise RemoteProtocolError for what is unreadable or could be read in two ways."""
    found = Credentials()
    for value in values:
        scheme, _, rest = " ".join(value.split()).partition(" ")
        if scheme.lower() == "digest":
            found.digests.append(clean_digest(value))
        elif scheme.lower() == "bearer":
            match = _BEARER.fullmatch(rest)
            if match is None or found.token:
                raise RemoteProtocolError("Authorization holds no single access token")
            found.token = match.group(1) or match.group(2)
    return found


def clean_digest(value: str) -> str:
    """Return Digest credentials without what only trusted nodes may claim; raise RemoteProtocolError if unreadable.

    A page's own ``integrity-protected="auth-done"`` would let it in without a password, so the value is taken apart
    and written anew; whatever does not parse is refused rather than passed.
    """
    cleaned = ", ".join(
        f"{name}={text}" for name, text in _parameters(value) if name.lower() not in _TRUSTED_PARAMETERS
    )
    if _may_claim(cleaned) and _TRUSTED_ANYWHERE.search(cleaned):
        raise RemoteProtocolError("Authorization claims what only the network may say")
    return f"Digest {cleaned}"


def _may_claim(digest: str) -> bool:
    """Whether it is worth a closer look: nearly all hold none of these letters side by side."""
    lower = digest.lower()
    return "ik" in lower or "ck" in lower or "integrity" in lower or not digest.isascii()


@lru_cache(maxsize=4)
def _parameters(value: str) -> tuple[tuple[str, str], ...]:
    """Return names and values, as written, of digest credentials or a digest challenge; one is asked for several."""
    _, *others = value.split(maxsplit=1)
    rest = "".join(others).rstrip()
    # Most have nothing escaped, and are read twice as fast without a thought of that.
    pattern = _PARAMETER if _ESCAPED.search(rest) else _PLAIN_PARAMETER
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(rest):
        match = pattern.match(rest, position)
        if match is None:
            raise RemoteProtocolError("Authorization is malformed")
        position = match.end()
        found.append((match.group(1), match.group(2)))
    return tuple(found)


def digest_parameter(value: str, name: str) -> str:
    """Return one parameter of digest credentials without its quotation marks, "" when it is absent."""
    return _by_name(value).get(name, "")


@lru_cache(maxsize=4)
def _by_name(value: str) -> dict[str, str]:
    """Return the parameters by their names in lower case; of two of one name the first counts."""
    return {name.lower(): text.strip('"') for name, text in reversed(_parameters(value))}


def protected(digest: str, protection: str) -> str:
    """Return digest credentials with what this node vouches for (TS 24.229 §5.2.2.2, §7.2A.2)."""
    return f'{digest}, integrity-protected="{protection}"'


def digest_protection(digest: str, access: str, *, bound: bool) -> str:
    """Return the value of integrity-protected for a page's digest, "" for none (TS 24.229 §5.2.2.2).

    Args:
        digest: the page's credentials.
        access: "tls" when the page's TLS ends at this site, "ip-assoc" when it does not count, "" to say nothing.
        bound: whether this connection holds a registration with the same private identity.
    """
    if not access or not digest_parameter(digest, "response"):
        return ""
    if digest_parameter(digest, "algorithm").upper().startswith("AKA"):
        return ""  # "yes" would claim an IPsec association, which a page has not
    return f"{access}-{'yes' if bound else 'pending'}"


def empty_digest(impi: str, realm: str) -> str:
    """Return the credentials of a page that sent none: without them a core may guess the user (TS 24.229 §5.4.1.1)."""
    return f'Digest username="{quotable(impi)}", realm="{realm}", nonce="", uri="sip:{realm}", response=""'


def impi_from_impu(public_identity: str) -> str:
    """Derive the private identity of a user who has none from the public one (TS 23.003 §13.4B, §13.3)."""
    known = canonical(public_identity)
    if known is None or not known.startswith("sip:") or not _NOT_IN_AN_IMPI.isdisjoint(known):
        raise RemoteProtocolError("To is not a public identity that a private one could be derived from")
    return known.removeprefix("sip:")


def challenge_without_body(value: str) -> str:
    """Return a challenge that asks for no hash of the body (RFC 7616 §3.4.3) where it need not: JsSIP prefers that one,
    and the core gets another body than the page has hashed."""
    return _QOP.sub(lambda match: f'{match.group(1)}"{_without_body(match.group(2))}"', value)


def _without_body(options: str) -> str:
    asked = [one.strip() for one in options.split(",")]
    if "auth" not in map(str.lower, asked):
        return options
    return ",".join(one for one in asked if one.lower() != "auth-int")


def challenge_for_page(value: str) -> str:
    """Return a challenge of the core without the keys that are the P-CSCF's alone (TS 24.229 §5.2.2.2)."""
    return _KEYS.sub("", value) if _may_claim(value) else value
