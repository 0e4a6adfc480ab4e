"""The way into the home network: requests go to its best entry point, and on to the next one when that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.log import log_event
from kemi.core.call.actions import ForwardInvite, SendRequest
from kemi.core.entry_points import UNAVAILABLE, Attempt, attempt_key, in_order, on_trial
from kemi.settings import Settings
from kemi.state.records import RecordTable
from kemi.state.table import Table

FAILURE_REGISTER = "ksr_failure_register"


class EntryPoints:
    """The entry points as one worker sees them; which of them failed is known to all."""

    def __init__(self, settings: Settings, table: Callable[[str], Table]) -> None:
        self._uris = settings.icscf_uris
        self._response_s = settings.timers.entry_point_s
        self._avoid_s = settings.timers.entry_point_avoid_s
        self._avoided = table("avoided")
        self._attempts = RecordTable(table("attempt"), Attempt)

    def begin(
        self, key: str, *, invite: ForwardInvite | None = None, request: SendRequest | None = None
    ) -> str:
        """Return the URI a request goes to first; ``key`` names it until it is answered."""
        if len(self._uris) == 1:
            return self._uris[0]
        now = time.time()
        avoided = {uri: float(until) for uri, until in self._avoided.items()}
        order = in_order(self._uris, avoided, now)
        if on_trial(order[0], avoided):
            self._avoided.set(order[0], f"{now + self._response_s:.3f}")
        self._attempts.set(key, Attempt(order, invite, request))
        return order[0]

    def best(self) -> str:
        """Return the URI for a request that is not tried again."""
        avoided = {uri: float(until) for uri, until in self._avoided.items()} if len(self._uris) > 1 else {}
        return in_order(self._uris, avoided, time.time())[0]

    def failed(self, key: str) -> Attempt | None:
        """Avoid the entry point a request is at; return the attempt at the next one, None when there is none left."""
        attempt = self._attempts.take(key)
        if attempt is None or transactions.is_refused_by_page():
            return None
        uri = attempt.uris.pop(0)
        self._avoided.set(uri, f"{time.time() + self._avoid_s:.3f}")
        log_event(logging.WARNING, "entry_point_failed", uri=uri, request=key, left=len(attempt.uris))
        if not attempt.uris:
            return None
        self._attempts.set(key, attempt)
        return attempt

    def answered(self, key: str, status: int) -> None:
        """A final response has come in."""
        if len(self._uris) == 1 or status == UNAVAILABLE:
            return
        attempt = self._attempts.take(key)
        if attempt is not None and self._avoided.get(attempt.uris[0]) is not None:
            self._avoided.remove(attempt.uris[0])
            log_event(logging.INFO, "entry_point_back", uri=attempt.uris[0])

    # ------------------------------------------------------------ the current REGISTER

    def forward_register(self, key: str) -> bool:
        """Send the current REGISTER, which has been edited, to the first entry point; False: to none of them."""
        return self._relay_register(self.begin(key)) or self.forward_register_on(key)

    def forward_register_on(self, key: str = "") -> bool:
        """Its entry point failed: send the current REGISTER to the next one; False when there is none left."""
        key = key or _current_key()
        while (attempt := self.failed(key)) is not None:
            if self._relay_register(attempt.uris[0]):
                return True
        return False

    def _relay_register(self, uri: str) -> bool:
        ksr.set_next_hop(uri)
        transactions.on_failure(FAILURE_REGISTER)
        return transactions.relay_within(self._response_s)


def _current_key() -> str:
    return attempt_key(ksr.method(), ksr.call_id(), ksr.number("$cs"))
