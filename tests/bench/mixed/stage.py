"""The world of a run: one core for all calls, many pages, and traces that forget.

Knows how ends of calls are kept apart.  Must not know scenarios.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tests.integration.calls.stage import Stage
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.peers.core import RegistrarScript
from tests.peers.core_script import CoreScript
from tests.peers.trace import Trace
from tests.peers.wic import ScriptedWic

_REMEMBERED_CALLS: Final = 200
"""Ended calls that both ends still know: repeated messages come late."""


class Ledger(Trace):
    """A trace of many calls: a fault is noted, and fails nobody who waits for another call."""

    def __init__(self, name: str, faults: list[str]) -> None:
        super().__init__(name)
        self._faults = faults

    def fail(self, failure: BaseException) -> None:
        """Note it."""
        self._faults.append(f"{type(failure).__name__}: {failure}")


class MixedStage(Stage):
    """A stage whose core treats every callee by a script of its own."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.scripts: dict[str, CoreScript] = {}
        self.core.scripts = self.scripts
        self.core.registrar = RegistrarScript(realm=REALM, associated_uris=())
        self._ended: deque[tuple[ScriptedWic, str]] = deque()
        self.faults: list[str] = []
        """What went wrong at an end of a call without anybody waiting for it."""
        self.core.trace = Ledger("core", self.faults)

    async def join(self, page: ScriptedWic, *, registered: bool = True) -> ScriptedWic:
        """As ever; one call's fault is not another's."""
        page.trace = Ledger(page.trace.name, self.faults)
        return await super().join(page, registered=registered)

    def ended(self, page: ScriptedWic, call_ids: list[str]) -> None:
        """Note calls as over, and forget the oldest."""
        self._ended += [(page, call_id) for call_id in call_ids]
        while len(self._ended) > _REMEMBERED_CALLS:
            oldest, call_id = self._ended.popleft()
            self.core.calls.pop(call_id, None)
            self.core.trace.forget(call_id)
            oldest.calls.pop(call_id, None)
            oldest.trace.forget(call_id)

    def violations_of(self, page: ScriptedWic, call_ids: list[str]) -> list[str]:
        """Return what both ends saw the gateway do against an RFC in these calls."""
        ends = [
            calls[call_id]
            for calls in (self.core.calls, page.calls)
            for call_id in call_ids
            if call_id in calls
        ]
        return [violation for end in ends for violation in end.violations]
