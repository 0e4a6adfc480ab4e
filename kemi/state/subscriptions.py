"""Our subscriptions to registration state, by Call-ID of their dialog."""

from __future__ import annotations

from collections.abc import Callable

from kemi.core.registration.own_requests import Subscription
from kemi.state.records import RecordTable, taken
from kemi.state.table import Table


class SubscriptionStore:
    """The subscriptions of this node."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._records = RecordTable(table("subscription"), Subscription)
        self._changed = table("subscribed")

    def get(self, call_id: str) -> Subscription | None:
        """Return a copy, or None."""
        return self._records.get(call_id)

    def text(self, call_id: str) -> str | None:
        """Return it as it is kept elsewhere."""
        return self._records.raw.get(call_id)

    def set(self, subscription: Subscription) -> None:
        """Write it."""
        self._records.set(subscription.call_id, subscription)
        self._changed.set(subscription.call_id, "1")

    def change(self, call_id: str, step: Callable[[Subscription], None]) -> Subscription | None:
        """Lock it, let ``step`` change it, write it back; None when there is no such dialog."""
        with self._records.locked(call_id):
            found = self._records.get(call_id)
            if found is None:
                return None
            step(found)
            self._records.set(call_id, found)
        self._changed.set(call_id, "1")
        return found

    def ask_again(self, binding_key: str, at: float) -> None:
        """Let the core be asked for the state of a binding, ``at`` seconds since the epoch.

        All that are there are looked through: this is seldom needed.
        """

        def due(found: Subscription) -> None:
            found.refresh_at = at

        for subscription in self.all():
            if binding_key in subscription.bindings:
                self.change(subscription.call_id, due)

    def remove(self, call_id: str) -> None:
        """Forget the dialog."""
        self._records.remove(call_id)
        self._changed.set(call_id, "1")

    def all(self) -> list[Subscription]:
        """Return a snapshot."""
        return [record for _, record in self._records.items()]

    def take_changed(self) -> list[str]:
        """Return and remove the Call-IDs of those that were written or removed."""
        return [call_id for call_id, _ in taken(self._changed)]
