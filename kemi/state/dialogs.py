"""Dialogs of pages outside calls, by the names that ``dialog_keys`` gives them.

Each has its own time in Kamailio's table, which forgets it then; what an owner has is in an index beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from kemi.core.page_dialogs import PageDialog, end_with_registration, of_another
from kemi.core.registration import same_contact
from kemi.state.index import Index
from kemi.state.records import RecordTable
from kemi.state.table import Table


class DialogStore:
    """The dialogs of this node."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._records = RecordTable(table("dialog"), PageDialog)
        self._index = Index(table("dialog_of"))

    def begin(self, key: str, dialog: PageDialog, most: int, now: float) -> bool:
        """Write a new one; False, and nothing is written, where its owner has as many as ``most`` on its side.

        Raise SipReject (482) where the name is one of another owner's.
        """
        owner = _owned(dialog.owner, by_page=dialog.by_page)
        known = self._index.names(owner)
        if key not in known:
            if len(known) >= most:
                known = self._living(owner, known)
            if len(known) >= most:
                return False
        with self._records.locked(key):
            found = self._records.get(key)
            if found is not None and found.owner not in ("", dialog.owner):
                raise of_another()
            self._index.add(owner, key)
            self._write(key, dialog, now)
        return True

    def rename(self, key: str, to: str, now: float) -> None:
        """Let it have another name."""
        dialog = self._records.get(key)
        if dialog is None:
            return
        owner = _owned(dialog.owner, by_page=dialog.by_page)
        self._write(to, dialog, now)
        if dialog.owner:
            self._index.add(owner, to)
        self._records.remove(key)
        self._index.remove(owner, key)

    def find(self, keys: tuple[str, ...]) -> tuple[str, PageDialog] | None:
        """Return name and copy of the one that has one of the names."""
        for key in keys:
            found = self._records.get(key)
            if found is not None:
                return key, found
        return None

    def change(self, key: str, step: Callable[[PageDialog], object], now: float) -> PageDialog | None:
        """Lock it and let ``step`` change it; it is forgotten when ``step`` returns False; None when it is gone."""
        with self._records.locked(key):
            found = self._records.get(key)
            if found is None:
                return None
            if step(found) is False:
                self._records.remove(key)
                self._index.remove(_owned(found.owner, by_page=found.by_page), key)
            else:
                self._write(key, found, now)
            return found

    def end_of_page(self, owner: str, connection_ids: set[str], contact: str, now: float) -> None:
        """A page's registration is over, and with it the dialogs on its connections, or with its Contact."""
        for side in (_owned(owner, by_page=True), _owned(owner, by_page=False)):
            for key in self._living(side, self._index.names(side)):
                dialog = self._records.get(key)
                if dialog is not None and (
                    dialog.connection_id in connection_ids or same_contact(dialog.contact_of_binding, contact)
                ):
                    self.change(key, partial(end_with_registration, now=now), now)
                    self._index.remove(side, key)

    def _write(self, key: str, dialog: PageDialog, now: float) -> None:
        self._records.set_for(key, dialog, max(1, math.ceil(dialog.expires_at - now)))

    def _living(self, owner: str, names: list[str]) -> list[str]:
        """Return those of an owner's that are still there; the others, whose time was over, leave the index."""
        living = [name for name in names if self._records.raw.has(name)]
        for gone in set(names).difference(living):
            self._index.remove(owner, gone)
        return living


def _owned(owner: str, *, by_page: bool) -> str:
    """Return the entry of the index: whom others watch can still watch."""
    return f"{'by' if by_page else 'to'} {owner}"
