"""Where each name has logged in last: there a stranger's guesses do not lock it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis

REMEMBERED_S: Final = 30 * 24 * 3600


class LoginPlaces:
    """One address of each name, kept as a digest."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def is_known(self, name: str, address: str) -> bool:
        """Whether the last login of a name came from this address (as address_key writes it)."""
        return bool(self._redis.get(keys.web_login_place(digest(name))) == digest(address))

    def remember(self, name: str, address: str) -> None:
        """Note a login."""
        self._redis.set(keys.web_login_place(digest(name)), digest(address), ex=REMEMBERED_S)
