"""Requests of the core that were passed on to another gateway, or wait for their page to come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from kemi.state.records import RecordTable
from kemi.state.table import Table

OVER_KEPT_S: Final = 300
"""How long it is known where a request went that has its final response: that may come once more."""


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Where a request goes."""

    host: str
    """``address:port`` of the gateway that has the page."""
    token: str = ""
    """Of the page's connection there, where the request names another one."""
    is_over: bool = False
    """Whether its final response is here, or none will come."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A suspended request."""

    transaction_index: int
    transaction_label: int
    token: str
    """Path token it came with."""
    connection_id: str
    """Of the connection that this names."""
    contact: str
    """Its Request-URI."""
    until: float
    """When its page is not waited for any longer, seconds since the epoch."""


class WaitingStore:
    """By the branch of the topmost Via they came with: their CANCEL has the same, their responses have it second."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._passed = RecordTable(table("passed_on"), PassedOn)
        self._waiting = RecordTable(table("waiting"), Waiting)
        self._moved = table("moved")
        self._handed_over = table("handed_over")

    def passed_on(self, branch: str, to: PassedOn) -> None:
        """Remember where a request goes."""
        if to.is_over:
            self._passed.set_for(branch, to, OVER_KEPT_S)
        else:
            self._passed.set(branch, to)

    def is_over(self, branch: str) -> None:
        """Note that a request that was passed on has its final response, or will have none."""
        with self._passed.locked(branch):
            found = self._passed.get(branch)
            if found is not None and not found.is_over:
                self._passed.set_for(branch, replace(found, is_over=True), OVER_KEPT_S)

    def in_hand(self) -> int:
        """Count the requests without a final response: what this gateway must not leave behind."""
        passed_on = {branch for branch, to in self._passed.items() if not to.is_over}
        return len(passed_on | {branch for branch, _ in self._waiting.items()})

    def next_of(self, branch: str) -> PassedOn | None:
        """Return where a request goes; None: nowhere."""
        return self._passed.get(branch)

    def knows(self, branch: str) -> bool:
        """Whether a request was passed on, or waits."""
        return self._passed.raw.has(branch) or self._waiting.raw.has(branch)

    def wait(self, branch: str, waiting: Waiting) -> None:
        """Remember a suspended request."""
        self._waiting.set(branch, waiting)

    def wait_until(self, branch: str, until: float) -> None:
        """Let a request, if it waits, wait no longer than this."""
        with self._waiting.locked(branch):
            found = self._waiting.get(branch)
            if found is not None:
                self._waiting.set(branch, replace(found, until=until))

    def waiting(self) -> Iterator[tuple[str, Waiting]]:
        """Return all that wait."""
        return self._waiting.items()

    def waits_no_longer(self, branch: str) -> None:
        """Forget that it waits."""
        self._waiting.remove(branch)

    def moved(self, token: str, to: str) -> None:
        """Remember that the page of this Path token has another one now, at another gateway."""
        self._moved.set(token, to)

    def moved_to(self, token: str) -> str:
        """Return the token that has taken the place of this one, "": none is known."""
        return self._moved.get(token) or ""

    def handed_over(self, call: str, host: str, trunk: str = "") -> None:
        """Remember which gateway has a call now that was here; ``trunk``: by which its far end is reached."""
        self._handed_over.set(call, f"{host} {trunk}")

    def has_now(self, call: str) -> str:
        """Return ``address:port`` of the gateway that has a call now that was here, "": none is known."""
        return (self._handed_over.get(call) or "").partition(" ")[0]

    def trunk_of(self, call: str) -> str:
        """Return the trunk of a call that another gateway has now, "": it has none, or none is known."""
        return (self._handed_over.get(call) or "").partition(" ")[2]
