"""IMS identities as the web side takes them: from the operator's hands and from claims of other issuers.

They end up in SIP header fields of the gateway, so that only plain forms are let in: no quotes, no brackets, no
parameters, no control characters.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from kemi.core.identity import canonical

MAX_IMPUS: Final = 16
_DOMAIN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_USER: Final = r"[A-Za-z0-9._~+%*!=-]{1,64}"
_IMPI: Final = re.compile(rf"{_USER}@{_DOMAIN}")
_IMPU: Final = re.compile(rf"sip:{_USER}@{_DOMAIN}|tel:\+[0-9]{{1,32}}")


class IdentityError(ValueError):
    """Identities that cannot be used; the message says which and why."""


class Identity(msgspec.Struct, frozen=True):
    """A private identity and the public ones that belong to it, the default one first (TS 23.003 §13)."""

    impi: str
    impus: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _IMPI.fullmatch(self.impi):
            raise IdentityError("the private identity is not user@domain")
        if not 1 <= len(self.impus) <= MAX_IMPUS:
            raise IdentityError(f"there must be 1 to {MAX_IMPUS} public identities")
        if not all(map(is_usable, self.impus)):
            raise IdentityError(
                "a public identity is neither sip:user@domain (short numbers, too: sip:600@domain) nor tel:+number"
            )
        if len(set(self.impus)) != len(self.impus):
            raise IdentityError("a public identity is named twice")


def is_usable(impu: str) -> bool:
    """Whether the gateway takes such a public identity; it refuses each token with another one."""
    return _IMPU.fullmatch(impu) is not None and bool(canonical(impu))


def identity_from_claims(impi: object, impus: object) -> Identity:
    """Make an identity of two claims of any JSON type; raises IdentityError."""
    if not isinstance(impi, str):
        raise IdentityError("the private identity is not a text")
    names: Sequence[object] = [impus] if isinstance(impus, str) else impus if isinstance(impus, list) else []
    texts = tuple(name for name in names if isinstance(name, str))
    if len(texts) != len(names):
        raise IdentityError("the public identities are not texts")
    return Identity(impi, texts)
