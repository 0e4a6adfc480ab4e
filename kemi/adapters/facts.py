"""What was read of the message that Kamailio is working on: nothing of it is asked twice within one callback.

A callback that runs inside of another one is about another message, and has its own.  Whoever changes the message
itself (ksr.py) says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")


class Facts:
    """Of the current message; outside callbacks nothing is kept."""

    def __init__(self) -> None:
        self._known: dict[object, Any] | None = None
        self._outer: list[dict[object, Any] | None] = []

    def enter(self) -> None:
        """A callback begins, maybe inside of another one."""
        self._outer.append(self._known)
        self._known = {}

    def leave(self) -> None:
        """It is over."""
        self._known = self._outer.pop()

    def forget(self) -> None:
        """The message is another one now."""
        if self._known is not None:
            self._known = {}

    def of(self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, which is called once for each message."""
        known = self._known
        if known is None:
            return read()
        try:
            found: T = known[read]
        except KeyError:
            found = known[read] = read()
        return found


FACTS: Final = Facts()
"""This process's: it works on one message at a time."""
