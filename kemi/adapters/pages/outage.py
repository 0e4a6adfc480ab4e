"""Pages with access tokens while Redis is away: housekeeping's part (kemi/core/registration/outage.py)."""

from __future__ import annotations

import secrets
from typing import Final

from kemi.adapters.calls.executor import Executor
from kemi.adapters.shared_state import SharedState
from kemi.core.pace import is_early
from kemi.core.registration import RegistrationSettings
from kemi.core.registration.outage import ASKED_S, is_asked_for, pending_on_behalf, prolonged
from kemi.core.registration.own_requests import refresh
from kemi.state.flows import FlowStore

LOOK_S: Final = 5.0


class Outage:
    """Keeps registrations whose tokens cannot be renewed."""

    def __init__(
        self,
        settings: RegistrationSettings,
        flows: FlowStore,
        shared: SharedState,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._flows = flows
        self._shared = shared
        self._executor = executor
        self._next_look = 0.0

    def keep_registrations(self, now: float) -> None:
        """While Redis is away, or takes nothing, let registrations by token go on that are about to end."""
        if self._shared.is_up or is_early(now, self._next_look, LOOK_S):
            return
        self._next_look = now + LOOK_S
        for key, binding in list(self._flows.bindings()):
            if is_asked_for(binding, now):
                call_id = secrets.token_hex(12)
                self._flows.expect(call_id, 1, pending_on_behalf(binding, now))
                self._executor.perform(
                    call_id, refresh(binding, self._settings, call_id, secrets.token_hex(12), ASKED_S)
                )
            if prolonged(binding, now) is not None:
                self._flows.change(key, lambda found: prolonged(found, now))
