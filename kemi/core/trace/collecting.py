"""A traced call while housekeeping collects what workers noted: which entry is whose, and what becomes of the call.

Calls with a record tell themselves how they end; of the others (an INVITE that was refused before it had one, a call
of a trunk that is passed on) the messages do.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from kemi.core.trace.entries import Entry, What
from kemi.core.trace.reading import CORE, PAGE, Facts
from kemi.core.trace.redaction import redact_sip

MOST_ENTRIES: Final = 300
"""Of one call, without figures of its quality."""
MOST_FIGURES: Final = 400
"""Of one medium."""
MOST_CHARACTERS: Final = 200_000
"""Of all messages and descriptions of a call."""
LAST_ENTRIES: Final = 60
"""Of them are kept for the end of the call."""
LAST_CHARACTERS: Final = 50_000
REFUSED: Final = ";refused"
"""Ends the key of an INVITE of the core that got no record; a page's call may have its Call-ID."""


@dataclass(slots=True, kw_only=True)
class Collected:
    """A call and the entries that were not shipped yet."""

    key: str
    call_id: str
    began_at: float
    impu: str = ""
    peer: str = ""
    direction: str = "from_page"
    relay: str = ""
    has_record: bool = False
    caller_tag: str = ""
    """Of a trunk's call that is passed on: the trunk's tag."""
    trunk: str = ""
    """By which the far end is reached now; "": it is the core."""
    answered_at: float = 0.0
    ended_at: float = 0.0
    by: str = ""
    why: str = ""
    status: int = 0
    media: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: bool = False
    left_out: int = 0
    """Entries that are not kept, or wait in `last`."""
    entries: list[Entry] = field(default_factory=list)
    kept: int = 0
    characters: int = 0
    last: deque[Entry] = field(default_factory=deque)
    """Those that came last, once there is no more room for all."""
    last_characters: int = 0
    has_last: bool = False
    """They are among the entries: nothing more is taken."""
    figures: Counter[str] = field(default_factory=Counter)
    last_why: str = ""
    """Of a refusal."""
    last_media: dict[str, Any] = field(default_factory=dict)
    changed: bool = True
    """The head is to be shipped."""
    touched_at: float = 0.0
    next_figures_at: float = 0.0
    next_entry_at: float = 0.0
    """When the trace gets figures again, which are asked for more often."""
    latest_figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Medium -> ``at``, and what was counted last of both legs."""

    def add(self, entry: Entry) -> bool:
        """Take an entry, if there is room; False: it is left out, or waits whether it is one of the last."""
        self.touched_at = entry.at
        if entry.what is What.QUALITY:
            if self.figures[entry.name] >= MOST_FIGURES:
                self._leave_out()
                return False
            self.figures[entry.name] += 1
        elif self.last or self.has_last or not self._has_room(entry):
            self._leave_out()
            if not self.has_last:
                self._wait(entry)
            return False
        else:
            self.kept += 1
            self.characters += _length(entry)
        self.entries.append(entry)
        return True

    def take_last(self) -> int:
        """Take the entries that came last, of a call that is over; return how many."""
        found = len(self.last)
        if found:
            self.entries += self.last
            self.kept += found
            self.left_out -= found
            self.last.clear()
            self.has_last = True
        return found

    def _has_room(self, entry: Entry) -> bool:
        if self.kept >= MOST_ENTRIES - LAST_ENTRIES:
            return False
        return self.characters + _length(entry) <= MOST_CHARACTERS - LAST_CHARACTERS

    def _wait(self, entry: Entry) -> None:
        self.last.append(entry)
        self.last_characters += _length(entry)
        while len(self.last) > LAST_ENTRIES or self.last_characters > LAST_CHARACTERS:
            self.last_characters -= _length(self.last.popleft())

    def _leave_out(self) -> None:
        self.left_out, self.changed = self.left_out + 1, True

    def message(self, at: float, facts: Facts, text: str, *, incoming: bool) -> None:
        """Take a message."""
        self.add(
            Entry(
                at=at,
                what=What.SIP,
                leg=self.leg(facts, incoming=incoming),
                incoming=incoming,
                name=facts.name,
                values={"call_id": facts.call_id, "cseq": f"{facts.cseq} {facts.method}"},
                text=redact_sip(text),
            )
        )
        if not self.has_record:
            self._follow(at, facts, incoming=incoming)

    def leg(self, facts: Facts, *, incoming: bool) -> str:
        """Return whom a message came from, or goes to."""
        if facts.is_of_page:
            return PAGE
        trunk = self.trunk
        if not trunk:
            return CORE
        if not self.caller_tag:
            return f"trunk:{trunk}"
        # Both ways through us have the same Call-ID and tags.
        asked_by_trunk = facts.from_tag == self.caller_tag
        from_trunk = asked_by_trunk == (not facts.status)
        return f"trunk:{trunk}" if from_trunk == incoming else CORE

    def _follow(self, at: float, facts: Facts, *, incoming: bool) -> None:
        """Learn from a message how a call without a record goes on."""
        if facts.method == "INVITE" and facts.status >= 200 and not incoming and not self.answered_at:
            self.changed = True
            if facts.status < 300:
                self.answered_at = at
                return
            self.ended_at, self.status, self.failed = at, facts.status, facts.status != 487
            self.by = self.by or "gateway"
            self.why = self.last_why or facts.name.partition(" ")[2]
        elif facts.method == "INVITE" and facts.status >= 300 and incoming:
            self.by = "core"
        elif facts.method == "BYE" and not facts.status and incoming:
            self.ended_at, self.why, self.changed = at, "BYE", True
            self.by = "core" if facts.from_tag != self.caller_tag or not self.caller_tag else "trunk"

    def decision(self, at: float, name: str, why: str, values: dict[str, Any]) -> None:
        """Take what was decided."""
        if name == "request_rejected":
            self.last_why = why
        self.add(Entry(at=at, what=What.DECISION, name=name, why=why, values=values))

    def media_chosen(self, at: float, values: dict[str, Any]) -> None:
        """Take what the media are now, where that is new."""
        if values != self.last_media:
            self.last_media = values
            self.add(Entry(at=at, what=What.DECISION, name="media", values=values))


def _length(entry: Entry) -> int:
    return len(entry.text) + len(entry.result)


class Calls:
    """The calls that are collected, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Collected] = {}

    def owner_of(self, facts: Facts, named: list[str], *, incoming: bool) -> str:
        """Return the key that a message belongs to.

        ``named``: keys that the same step named.  Only messages after our tag was given say themselves whose they are.
        """
        if facts.own_tag:
            return f"{facts.call_id};{facts.own_tag}"
        for key in named:
            if key == facts.call_id or key.startswith(f"{facts.call_id};"):
                return key
        refused = facts.call_id + REFUSED
        if facts.is_of_page or facts.method not in ("INVITE", "ACK", "CANCEL"):
            return facts.call_id
        asked = incoming if not facts.status else not incoming
        if refused in self.by_key and asked:
            return refused
        if facts.begins and incoming:
            return refused
        return facts.call_id
