"""The page's credentials on their way to the core: nothing passes that only the network may say (TS 24.229 §7.2A)."""

from __future__ import annotations

import re

from kemi.core.errors import RemoteProtocolError

_WORD = r"[\w.!%*+`'~/-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*("(?:[^"\\\r\n]|\\[^\r\n])*"|{_WORD})\s*(?:,|$)', re.ASCII)
_TRUSTED_PARAMETERS = frozenset({"integrity-protected", "ck", "ik"})
"""Digest parameters that only a P-CSCF or the core may write (TS 24.229 §7.2A)."""
_TRUSTED_ANYWHERE = re.compile(r"""integrity-protected|(?:^|[\s,;"'])(?:ck|ik)\s*=""", re.IGNORECASE)
"""The same, as a parser might find them that does not care for quotes, commas or the scheme."""


def empty_authorization(public_identity: str, realm: str) -> str:
    """Return the Authorization of a page that sent none: without it a core may guess the user (TS 24.229 §5.4.1.1)."""
    user = public_identity.partition(":")[2] or public_identity
    return f'Digest username="{user}", realm="{realm}", nonce="", uri="sip:{realm}", response=""'


def clean_authorization(value: str) -> str:
    """Return a page's credentials without what only trusted nodes may claim; raise RemoteProtocolError if unreadable.

    A page's own ``integrity-protected="auth-done"`` would let it in without a password, so the value is taken apart
    and written anew; whatever does not parse is refused rather than passed.
    """
    scheme, *others = value.split(maxsplit=1) or [""]
    if scheme.lower() != "digest":
        return _without_trusted(" ".join(value.split()))
    rest = "".join(others).rstrip()
    kept: list[str] = []
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise RemoteProtocolError("Authorization is malformed")
        position = match.end()
        name, text = match.groups()
        if name.lower() not in _TRUSTED_PARAMETERS:
            kept.append(f"{name}={text}")
    return _without_trusted("Digest " + ", ".join(kept))


def _without_trusted(credentials: str) -> str:
    if _TRUSTED_ANYWHERE.search(credentials):
        raise RemoteProtocolError("Authorization claims what only the network may say")
    return credentials
