"""The door of the conference service: a caller dials a PIN, which names the room.

Knows keys, not calls. A PIN is kept here and in no log and no description.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

LONGEST_PIN: Final = 16
END_KEY: Final = "#"
MOST_ATTEMPTS: Final = 3


class Verdict(Enum):
    """What a key led to."""

    TYPING = auto()
    ADMITTED = auto()
    WRONG = auto()
    TURNED_AWAY = auto()


class Door:
    """One caller in front of it; `#` ends a PIN."""

    def __init__(self, rooms: Mapping[str, str]) -> None:
        """`rooms`: PIN -> name of the room."""
        self._rooms = rooms
        self._typed = ""
        self._failures = 0
        self.room: str | None = None

    @property
    def is_typing(self) -> bool:
        return bool(self._typed)

    def key(self, key: str) -> Verdict:
        """Take one key."""
        if key != END_KEY and len(self._typed) < LONGEST_PIN:
            self._typed += key
            return Verdict.TYPING
        pin, self._typed = self._typed, ""
        self.room = self._rooms.get(pin)
        if self.room is not None:
            return Verdict.ADMITTED
        self._failures += 1
        return Verdict.TURNED_AWAY if self._failures == MOST_ATTEMPTS else Verdict.WRONG
