"""Banned addresses as this node knows them, and what others have done that may become a ban."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from kemi.core.bans import Ban, Offender
from kemi.state.records import RecordTable
from kemi.state.table import Table

T = TypeVar("T")
_NUMBER, _CHANGED = "number", "changed"


@dataclass(frozen=True, slots=True)
class SharedBan:
    """A ban as it stands in Redis, for all gateways and the web API.  Times are seconds since the epoch."""

    until: float
    why: str
    by: str
    """A gateway's name, ``webapp_api``, or who did it by hand."""
    at: float


def bans_from_texts(texts: Mapping[str, str]) -> dict[str, SharedBan]:
    """Return bans by address; what another release wrote and this one cannot read is left out."""
    found = {}
    for address, text in texts.items():
        try:
            found[address] = msgspec.json.decode(text, type=SharedBan)
        except msgspec.MsgspecError:
            continue
    return found


def ban_to_text(ban: SharedBan) -> str:
    """Write a ban as it stands in Redis."""
    return msgspec.json.encode(ban).decode()


class BanStore:
    """What all workers share.  An address stands as kemi.core.limits.address_key writes it.

    To walk through all bans takes long when there are many: workers ask for their number as it was counted last, and
    who counts them is told when there is something new.
    """

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._bans = RecordTable(table("ban"), Ban)
        self._about = table("bans")
        self._offenders = RecordTable(table("offender"), Offender)

    def ban(self, address: str, now: float) -> Ban | None:
        """Return the ban of an address that has not run out."""
        found = self._bans.get(address)
        return found if found is not None and found.until > now else None

    def put(self, address: str, ban: Ban) -> None:
        """Ban an address."""
        self._bans.set(address, ban)
        self._about.set(_CHANGED, "1")

    def lift(self, address: str) -> None:
        """End a ban."""
        self._bans.remove(address)

    def all(self) -> dict[str, Ban]:
        """Return all bans, those that have run out too."""
        return dict(self._bans.items())

    def number(self) -> int:
        """Return how many bans there were when they were counted last."""
        return int(self._about.get(_NUMBER) or 0)

    def counted(self, number: int) -> None:
        """Tell all how many bans there are."""
        self._about.set(_NUMBER, str(number))

    def take_changed(self) -> bool:
        """Whether somebody was banned since this was asked last."""
        if not self._about.has(_CHANGED):
            return False
        self._about.remove(_CHANGED)
        return True

    def offender(self, address: str) -> Offender:
        """Return a copy of what is known of an address."""
        return self._offenders.get(address) or Offender()

    def change(self, address: str, step: Callable[[Offender], T]) -> T:
        """Let ``step`` look at what is known of an address, and change it."""
        with self._offenders.locked(address):
            offender = self._offenders.get(address) or Offender()
            result = step(offender)
            self._offenders.set(address, offender)
        return result
