"""Names we give and know again without remembering them: our user part at a trunk, Call-IDs of our own requests."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from kemi.core.trunk.trunk import Trunk

_SIGNATURE_DIGITS: Final = 16
_OWN: Final = "gw-trunk-"


def trunk_user(secret: str, trunk: str) -> str:
    """Return the user part of our Contact at a trunk, which nobody guesses: a call to it counts as the trunk's."""
    return f"{trunk}.{_signature(secret, f'user {trunk}')}"


def trunks_by_user(trunks: Iterable[Trunk], secret: str) -> dict[str, Trunk]:
    """Return the registering trunks by the user part of our Contact there."""
    return {trunk_user(secret, trunk.name): trunk for trunk in trunks if trunk.register}


def own_call_id(secret: str, token: str) -> str:
    """Return the Call-ID of our own requests to a trunk; ``token``: drawn anew, of letters and digits."""
    return f"{_OWN}{token}-{_signature(secret, token)}"


def is_own_call_id(secret: str, call_id: str) -> bool:
    """Whether we made this Call-ID, which nobody else can."""
    if not call_id.startswith(_OWN):
        return False
    token, _, signature = call_id.removeprefix(_OWN).rpartition("-")
    return hmac.compare_digest(signature.encode(), _signature(secret, token).encode())


def _signature(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), f"trunk {text}".encode(), hashlib.sha256).hexdigest()[:_SIGNATURE_DIGITS]
