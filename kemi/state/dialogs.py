"""Dialogs of pages outside calls, by the names that ``dialog_keys`` gives them."""

from __future__ import annotations

from collections.abc import Callable

from kemi.core.standalone import PageDialog
from kemi.state.records import RecordTable
from kemi.state.table import Table


class DialogStore:
    """The dialogs of this node."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._records = RecordTable(table("dialog"), PageDialog)

    def set(self, key: str, dialog: PageDialog) -> None:
        """Write a new one."""
        self._records.set(key, dialog)

    def find(self, keys: tuple[str, str]) -> tuple[str, PageDialog] | None:
        """Return name and copy of the one that has one of the names."""
        for key in keys:
            found = self._records.get(key)
            if found is not None:
                return key, found
        return None

    def change(self, key: str, step: Callable[[PageDialog], object]) -> PageDialog | None:
        """Lock it and let ``step`` change it; it is forgotten when ``step`` returns False; None when it is gone."""
        with self._records.locked(key):
            found = self._records.get(key)
            if found is None:
                return None
            if step(found) is False:
                self._records.remove(key)
            else:
                self._records.set(key, found)
            return found

    def forget_expired(self, now: float) -> None:
        """Forget those whose time is over."""
        for key, dialog in list(self._records.items()):
            if dialog.expires_at <= now:
                self.change(key, lambda found: found.expires_at > now)
