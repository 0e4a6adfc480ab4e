"""What was read of the message that Kamailio is working on: nothing of it is asked twice within one callback.

A callback that runs inside of another one is about another message, and has its own.  Whoever changes the message
itself (ksr.py) says so.
"""

from __future__ import annotations

from typing import Final

from kemi.core.bodies import Body
from kemi.core.header_fields import Fields
from kemi.core.messages import Side


class Facts:
    """Of one message; None: not asked yet."""

    side: Side | None = None
    method: str | None = None
    status: int | None = None
    source_address: str | None = None
    head: str | None = None
    fields: Fields | None = None
    body_length: int | None = None
    has_body: bool | None = None
    body: Body | None = None
    is_repeated: bool = False
    """tm has a transaction of this branch already, of another message, and has repeated what that was answered."""


class _Unkept(Facts):
    """Outside callbacks nothing is kept."""

    def __setattr__(self, _name: str, _value: object) -> None:
        return


class CurrentFacts:
    """Of the current message."""

    def __init__(self) -> None:
        self.known: Facts = _Unkept()
        self.is_led_back = False
        """The current response has got the Vias of the request it answers, which were kept here."""
        self._outer: list[Facts] = []

    def enter(self) -> None:
        """A callback begins, maybe inside of another one."""
        self._outer.append(self.known)
        self.known = Facts()

    def leave(self) -> None:
        """It is over."""
        self.known = self._outer.pop()

    def forget(self) -> None:
        """The message reads otherwise now; it is the same for tm."""
        if self._outer:
            is_repeated = self.known.is_repeated
            self.known = Facts()
            self.known.is_repeated = is_repeated


FACTS: Final = CurrentFacts()
"""This process's: it works on one message at a time."""
