"""What is due when.  A call waits for several things at once, one of each kind (``Wait``)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from kemi.core.call.events import Due
from kemi.state.table import Table

LOOK_AT_LIFETIMES_S: Final = 0.5
"""Every answered call has an entry there, so that looking at them all is not for every tick."""


class Wait(enum.StrEnum):
    """A kind of waiting, which is a table: what is due replaces what was due of the same kind."""

    STEP = "due"
    """The next step of a set-up, an exchange or an end."""
    LIFETIME = "lifetime"
    """The end of the longest time of a call."""
    SESSION = "session"
    """A refresh or the end of an RFC 4028 session towards the core."""
    PAGE_SESSION = "page_session"
    """The same towards the page."""
    RECOVERY = "recovery"
    """A call that moves to another media node."""


WAITS: Final[Mapping[Due, Wait]] = MappingProxyType(
    {
        Due.TOO_LONG: Wait.LIFETIME,
        Due.SESSION_REFRESH: Wait.SESSION,
        Due.SESSION_EXPIRED: Wait.SESSION,
        Due.PAGE_SESSION_EXPIRED: Wait.PAGE_SESSION,
        Due.RECOVERY: Wait.RECOVERY,
    }
)
"""What is not named here is a step."""


_DUES: Final = frozenset(due.value for due in Due)


class Schedule:
    """Wake-up times, in seconds since the epoch."""

    def __init__(self, new_table: Callable[[str], Table]) -> None:
        """``new_table`` gives a table by the name of a kind of waiting."""
        self._tables = {wait: new_table(wait.value) for wait in Wait}
        self._next_look = 0.0

    def put(self, call_id: str, due: Due, at: float) -> None:
        """Schedule; replaces what the call waited for in this way."""
        self._tables[WAITS.get(due, Wait.STEP)].set(call_id, f"{at:.3f} {due.value}")

    def drop(self, call_id: str) -> None:
        """The call waits for no step."""
        self._tables[Wait.STEP].remove(call_id)

    def forget(self, call_id: str) -> None:
        """The call is over."""
        for table in self._tables.values():
            table.remove(call_id)

    def waits(self, call_id: str, kinds: Iterable[Wait]) -> dict[str, str]:
        """Return what a call waits for in these ways, as ``restore`` takes it."""
        found = ((wait, self._tables[wait].get(call_id)) for wait in kinds)
        return {wait.value: text for wait, text in found if text is not None}

    def restore(self, call_id: str, waits: Mapping[str, str]) -> None:
        """Let a call wait again as it did before a restart; what nobody knows any more is left out."""
        for wait, table in self._tables.items():
            text = waits.get(wait.value)
            if text is not None and text.partition(" ")[2] in _DUES:
                table.set(call_id, text)

    def take_due(self, now: float) -> list[tuple[str, Due]]:
        """Return and remove what is due by ``now``."""
        taken = _taken(self._tables[Wait.STEP], now) + _taken(self._tables[Wait.RECOVERY], now)
        if not 0 <= self._next_look - now <= LOOK_AT_LIFETIMES_S:
            self._next_look = now + LOOK_AT_LIFETIMES_S
            for wait, table in self._tables.items():
                if wait not in (Wait.STEP, Wait.RECOVERY):
                    taken += _taken(table, now)
        return taken


def _taken(table: Table, now: float) -> list[tuple[str, Due]]:
    taken = []
    for call_id, text in table.items():
        at, _, due = text.partition(" ")
        if float(at) > now:
            continue
        with table.locked(call_id):
            if table.get(call_id) != text:
                continue  # rescheduled meanwhile
            table.remove(call_id)
        taken.append((call_id, Due(due)))
    return taken
