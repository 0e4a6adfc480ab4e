"""What the gateway nodes keep of their registrations, as far as the web API has to know it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis


class _Grant(msgspec.Struct):
    session: str = ""


class _Registration(msgspec.Struct):
    grant: _Grant


class RegistrationsView:
    """Registrations of all nodes, read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def any_of(self, sid: str) -> bool:
        """Whether a registration is there whose token came from a web session; a record we cannot read may be one."""
        return any(_may_be_of(sid, text) for text in self._records())

    def _records(self) -> Iterator[str]:
        for name in self._redis.scan_iter(match=keys.registrations("*")):
            yield from map(str, self._redis.hvals(name))


def _may_be_of(sid: str, text: str) -> bool:
    try:
        return msgspec.json.decode(text, type=_Registration).grant.session == sid
    except msgspec.DecodeError:
        return True
