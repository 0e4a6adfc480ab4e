"""What is remembered of a call on its way to another media node (recovery.py)."""

from __future__ import annotations

from dataclasses import dataclass

from kemi.core.call.states import MOVING, TELLING, Moving, MovingEvent, Telling, TellingEvent, advance
from kemi.core.messages import Side


@dataclass(slots=True)
class Recovery:
    """The media node is dead, and the call moves to another one (recovery.py)."""

    state: Moving = Moving.WAITING
    page: Telling = Telling.NOT_YET
    core: Telling = Telling.NOT_YET
    page_away: bool = False
    is_waited_for: bool = False
    """A call that waits will be woken up."""
    looks: int = 0
    """How often it was looked at while it waited."""
    searches: int = 0
    """How often no node could take it."""
    is_paused: bool = False
    """No node could take it a moment ago: none is asked before the timer fires."""
    nodes: int = 0
    """How many nodes have taken it."""
    again: bool = False
    """The new node is lost as well."""
    page_attempts: int = 0
    core_attempts: int = 0
    core_cseq: int = 0
    """Of our newest INVITE to the core."""
    is_joining: bool = False
    """The new node is being told the answers."""
    is_joined: bool = False
    """It works with the page's answer."""
    is_stale: bool = False
    """The far end has answered with another line since."""

    def moved(self, event: MovingEvent) -> Moving:
        """Return the state after an event."""
        return advance(MOVING, self.state, event)

    def told(self, side: Side, event: TellingEvent) -> None:
        """Advance one side's offer."""
        if side is Side.WIC:
            self.page = advance(TELLING, self.page, event)
        else:
            self.core = advance(TELLING, self.core, event)
