"""Translates the dialogs that the current request names (kemi/core/dialog_ids.py), before anybody forwards it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from kemi.adapters.kamailio import ksr
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.dialog_ids import (
    NAMING_FIELDS,
    REFER_TO,
    DialogName,
    check_named,
    facing_far_end,
    far_end,
    mentions_dialog,
    record_keys,
    tags_for,
    translated,
    with_far_end,
)
from kemi.core.identity import number_for_core
from kemi.core.messages import Request, Side
from kemi.state.calls import CallStore


class DialogIds:
    """The part of a worker process that knows a call by the name of either side."""

    def __init__(self, calls: CallStore, settings: CallSettings) -> None:
        self._calls = calls
        self._settings = settings

    def with_far_end(self, request: Request, owner: Callable[[], str]) -> Request:
        """Return a page's request as it reads with whom it refers to, where it knows that one by our Contact, and with
        a number's parameters as such; to be judged so before it goes on.  ``owner`` as in `translate`, which writes it
        into the message."""
        if request.method != "REFER":
            return request

        def far_end_of(name: DialogName) -> str:
            found = (
                far_end(record, self._settings.realm) for record, _ in self._own(Side.IMS, name, owner())
            )
            return next(found, "")

        read, contact = request.headers, self._settings.wic_contact
        values = [number_for_core(with_far_end(value, contact, far_end_of)) for value in read(REFER_TO)]
        return replace(
            request, headers=lambda name: values if name.lower() == REFER_TO.lower() else read(name)
        )

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
            if tags_of(name) is None:
                return None
            return next((record for record, _ in self._own(to, name, owner())), None)

        for field in NAMING_FIELDS:
            values = request.headers(field)
            changed = values
            if field == REFER_TO and to is Side.IMS:
                changed = [facing_far_end(value, call_of) for value in values]
            changed = [translated(field, value, tags_of) for value in changed]
            if changed != ksr.headers(field):
                ksr.remove_headers((field,))
                ksr.append_headers(f"{field}: {value}" for value in changed)

    def _tags(self, to: Side, name: DialogName, owner: str) -> Mapping[str, str] | None:
        return next((tags for _, tags in self._own(to, name, owner)), None)

    def _own(self, to: Side, name: DialogName, owner: str) -> Iterator[tuple[CallRecord, Mapping[str, str]]]:
        """Yield the calls of a page that go by this name on the other side, with their tags on side ``to``."""
        found = (self._calls.get(key) for key in record_keys(name))
        own = [record for record in found if record is not None and record.owner == owner]
        own.sort(key=lambda record: record.ims_tag != name.tags[0])  # who gets a Replaces is named first
        for record in own:
            if (tags := tags_for(to, record, name)) is not None:
                yield record, tags
