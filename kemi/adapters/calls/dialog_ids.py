"""Translates the dialogs that the current request names (kemi/core/dialog_ids.py), before anybody forwards it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kemi.adapters.kamailio import ksr
from kemi.core.call.record import CallRecord
from kemi.core.dialog_ids import (
    NAMING_FIELDS,
    REFER_TO,
    DialogName,
    check_named,
    facing_far_end,
    mentions_dialog,
    record_keys,
    tags_for,
    translated,
)
from kemi.core.messages import Request, Side
from kemi.state.calls import CallStore


class DialogIds:
    """The part of a worker process that knows a call by the name of either side."""

    def __init__(self, calls: CallStore) -> None:
        self._calls = calls

    def translate(self, request: Request, owner: Callable[[], str]) -> None:
        """Write the dialogs that ``request`` names as the side it goes to knows them.

        ``owner``: the public identity of the page that sends the request or is to get it; only its calls are looked
        at, so that nobody learns of another's.
        """
        if not mentions_dialog(ksr.head()):
            return
        to = Side.IMS if request.side is Side.WIC else Side.WIC
        named: dict[DialogName, Mapping[str, str] | None] = {}

        def tags_of(name: DialogName) -> Mapping[str, str] | None:
            if name not in named:
                check_named(len(named))
                named[name] = self._tags(to, name, owner())
            return named[name]

        def call_of(name: DialogName) -> CallRecord | None:
            return None if tags_of(name) is None else next(self._calls_of(name, owner()), None)

        for field in NAMING_FIELDS:
            values = request.headers(field)
            changed = values
            if field == REFER_TO and to is Side.IMS:
                changed = [facing_far_end(value, call_of) for value in values]
            changed = [translated(field, value, tags_of) for value in changed]
            if changed != values:
                ksr.remove_headers((field,))
                ksr.append_headers(f"{field}: {value}" for value in changed)

    def _tags(self, to: Side, name: DialogName, owner: str) -> Mapping[str, str] | None:
        own = list(self._calls_of(name, owner))
        own.sort(key=lambda record: record.ims_tag != name.tags[0])  # who gets a Replaces is named first
        return next((tags for record in own if (tags := tags_for(to, record, name)) is not None), None)

    def _calls_of(self, name: DialogName, owner: str) -> Iterator[CallRecord]:
        found = (self._calls.get(key) for key in record_keys(name))
        return (record for record in found if record is not None and record.owner == owner)
