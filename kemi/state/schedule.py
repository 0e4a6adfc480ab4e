"""What is due when.  A call waits for several things at once, one of each kind (``Wait``).

Workers write; housekeeping, which takes what is due, hears of each call that they wrote for and keeps its next time
itself, so that calls that wait cost nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from kemi.core.call.events import Due
from kemi.state.deadlines import Deadlines
from kemi.state.records import taken
from kemi.state.table import Table

_CHANGED: Final = "waits"


class Wait(enum.StrEnum):
    """A kind of waiting, which is a table: what is due replaces what was due of the same kind."""

    STEP = "due"
    """The next step of a set-up, an exchange or an end."""
    LIFETIME = "lifetime"
    """The end of the longest time of a call."""
    SESSION = "session"
    """A refresh or the end of an RFC 4028 session towards the core, which its answer or the far end's own sets anew."""
    PAGE_SESSION = "page_session"
    """The same towards the page."""
    AWAY = "away"
    """The end of the time that a page may be away."""
    TELL = "tell"
    """Something that the page is to be told again, or once it is there."""
    RELAY = "relay"
    """A relay that is to be told again."""
    RECOVERY = "recovery"
    """A call that moves to another media node, or whose page may have moved."""


WAITS: Final[Mapping[Due, Wait]] = MappingProxyType(
    {
        Due.TOO_LONG: Wait.LIFETIME,
        Due.SESSION_REFRESH: Wait.SESSION,
        Due.SESSION_EXPIRED: Wait.SESSION,
        Due.TARGET_REFRESH: Wait.SESSION,
        Due.PAGE_SESSION_EXPIRED: Wait.PAGE_SESSION,
        Due.FLOW_RECOVERY: Wait.AWAY,
        Due.TELL_PAGE: Wait.TELL,
        Due.TELL_RELAY: Wait.RELAY,
        Due.RECOVERY: Wait.RECOVERY,
        Due.ICE_RESTART: Wait.RECOVERY,
    }
)
"""What is not named here is a step."""


_DUES: Final = frozenset(due.value for due in Due)


class Schedule:
    """Wake-up times, in seconds since the epoch."""

    def __init__(self, new_table: Callable[[str], Table]) -> None:
        """``new_table`` gives a table by its name, which is that of a kind of waiting."""
        self._tables = {wait: new_table(wait.value) for wait in Wait}
        self._changed = new_table(_CHANGED)
        self._deadlines = Deadlines()
        """By call; of the housekeeping process."""

    def put(self, call_id: str, due: Due, at: float) -> None:
        """Schedule; replaces what the call waited for in this way."""
        self._tables[WAITS.get(due, Wait.STEP)].set(call_id, f"{at:.3f} {due.value}")
        self._changed.set(call_id, "1")

    def drop(self, call_id: str) -> None:
        """The call waits for no step."""
        self._tables[Wait.STEP].remove(call_id)

    def forget(self, call_id: str) -> None:
        """The call is over."""
        for table in self._tables.values():
            table.remove(call_id)
        self._changed.set(call_id, "1")

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
        self._changed.set(call_id, "1")

    def take_due(self, now: float) -> list[tuple[str, Due]]:
        """Return and remove what is due by ``now``."""
        for call_id, _ in taken(self._changed):
            self._look(call_id)
        found = []
        for call_id in self._deadlines.due(now):
            found += [
                (call_id, due) for table in self._tables.values() for due in _taken(table, call_id, now)
            ]
            self._look(call_id)
        return found

    def _look(self, call_id: str) -> None:
        texts = (table.get(call_id) for table in self._tables.values())
        times = [float(text.partition(" ")[0]) for text in texts if text is not None]
        if times:
            self._deadlines.put(call_id, min(times))
        else:
            self._deadlines.drop(call_id)


def _taken(table: Table, call_id: str, now: float) -> Iterator[Due]:
    text = table.get(call_id)
    if text is None or float(text.partition(" ")[0]) > now:
        return
    with table.locked(call_id):
        if table.get(call_id) != text:
            return  # rescheduled meanwhile, which is noted
        table.remove(call_id)
    yield Due(text.partition(" ")[2])
