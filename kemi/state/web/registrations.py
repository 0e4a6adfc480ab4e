"""What the gateway nodes keep of their registrations, as far as the web API has to know it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from kemi.core.registration import Registration
from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis


class _Grant(msgspec.Struct):
    session: str = ""


class _Registration(msgspec.Struct):
    grant: _Grant
    expires_at: float


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A binding at one node."""

    id: str
    """One name for node and key."""
    node: str
    key: str
    binding: Registration


class RegistrationsView:
    """Registrations of all nodes, read only.  ``now``: seconds since 1970; what a gateway that died could not end in
    time is none any more.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def any_of(self, sid: str, now: float) -> bool:
        """Whether a registration is there whose token came from a web session; a record we cannot read may be one."""
        return any(_may_be_of(sid, text, now) for _, _, text in self._records())

    def all(self, now: float, node: str = "") -> list[Registered]:
        """Return the registrations of a node, or of all; those that cannot be read are left out."""
        return list(self._readable(now, node))

    def get(self, identifier: str, now: float) -> Registered | None:
        """Return one by its name; None when there is none."""
        return next((found for found in self._readable(now) if found.id == identifier), None)

    def _readable(self, now: float, only: str = "") -> Iterator[Registered]:
        for node, key, text in self._records(only):
            try:
                binding = msgspec.json.decode(text, type=Registration)
            except msgspec.DecodeError:
                continue
            if binding.expires_at > now:
                yield Registered(id=digest(f"{node} {key}")[:32], node=node, key=key, binding=binding)

    def _records(self, only: str = "") -> Iterator[tuple[str, str, str]]:
        # Every gateway tells of itself there, with or without relay nodes; to look through all keys would take a while,
        # for there are some for each finished call.
        nodes = [only] if only else [str(name) for name in self._redis.hkeys(keys.RELAY_NODES)]
        for node in nodes:
            for key, text in self._redis.hgetall(keys.registrations(node)).items():
                yield node, str(key), str(text)


def _may_be_of(sid: str, text: str, now: float) -> bool:
    try:
        found = msgspec.json.decode(text, type=_Registration)
    except msgspec.DecodeError:
        return True
    return found.grant.session == sid and found.expires_at > now
