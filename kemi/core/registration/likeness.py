"""A challenge for a user the core does not know, that looks like the core's own ones (RFC 3261 §26.3.2.4).

Without it the core's 403 or 404 would tell strangers which users there are.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Final

_FRESH: Final = re.compile(r'\b(nonce|opaque)\s*=\s*"([^"]*)"', re.IGNORECASE)
_STALE: Final = re.compile(r",?\s*\bstale\s*=\s*\"?\w+\"?", re.IGNORECASE)
_ALPHABETS: Final = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.ascii_letters + string.digits + "+/",
    string.ascii_letters + string.digits + "-_",
)
_NONCE_LENGTH: Final = 32


def likeness(challenge: str, realm: str, choose: Callable[[str], str]) -> str:
    """Return a challenge that the core might have made.

    Args:
        challenge: one that it made for somebody else; "": nobody has seen any.
        realm: of the site, for a challenge of our own.
        choose: returns one of the characters of a text, at random.
    """

    def fresh(found: re.Match[str]) -> str:
        value = found.group(2)
        inner = value.rstrip("=")
        alphabet = next((one for one in _ALPHABETS if not set(inner) - set(one)), _ALPHABETS[-1])
        made = "".join(choose(alphabet) for _ in inner)
        return f'{found.group(1)}="{made}{value[len(inner) :]}"'

    if not challenge:
        challenge = (
            f'Digest realm="{realm}", nonce="{"a0" * (_NONCE_LENGTH // 2)}", algorithm=MD5, qop="auth"'
        )
    return _FRESH.sub(fresh, _STALE.sub("", challenge))
