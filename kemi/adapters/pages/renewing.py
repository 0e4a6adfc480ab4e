"""Lets a page register again whose core server is dead: without a word of SIP for that, its connection is closed."""

from __future__ import annotations

import logging
import time
from typing import Final

from kemi.adapters.log import log_event
from kemi.core.call.actions import RenewRegistration
from kemi.core.registration import Registration
from kemi.core.registration.states import BindingState
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore

LEAVE_ALONE_S: Final = 10.0
"""How long a page that has just registered is not made to once more: the core names the dead server again."""


class Renewing:
    """Marks bindings; housekeeping closes their connections."""

    def __init__(self, flows: FlowStore, calls: CallStore) -> None:
        self._flows = flows
        self._calls = calls

    def renew(self, action: RenewRegistration) -> None:
        """Let the page of a connection register again, now."""
        now = time.time()
        found = self._flows.registration(action.connection_id, now)
        if found is None or self._has_other_calls(action):
            return

        def due(binding: Registration) -> Registration | None:
            if binding.state is not BindingState.REGISTERED or binding.granted_at > now - LEAVE_ALONE_S:
                return None
            binding.renew_at = now
            return binding

        if self._flows.change(found.key, due) is not None:
            log_event(
                logging.WARNING,
                "registration_renewed",
                call_id=action.call_id,
                identity=found.address_of_record,
            )

    def _has_other_calls(self, action: RenewRegistration) -> bool:
        others = set(self._calls.on_connections({action.connection_id})) - {action.call_id}
        return any((record := self._calls.get(key)) is not None and not record.ended for key in others)
