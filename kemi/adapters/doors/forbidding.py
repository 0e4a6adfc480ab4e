"""A call that the site does not want is ended on both sides, and the web API is told."""

from __future__ import annotations

from collections.abc import Callable

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.notices import Notices
from kemi.core.call.events import CallForbidden
from kemi.core.registration import Flow
from kemi.state.calls import CallStore

PageOf = Callable[[str], tuple[bool, Flow | None]]
"""Whether a call's page can be reached; and the connection it came back on, if the call knows an old one."""


class Forbidding:
    """Ends calls."""

    def __init__(self, calls: CallStore, dispatcher: Dispatcher, notices: Notices, page_of: PageOf) -> None:
        self._calls = calls
        self._dispatcher = dispatcher
        self._notices = notices
        self._page_of = page_of

    def end(self, key: str, why: str, now: float) -> bool:
        """End a call; False when there is none, or it has ended already.  ``why`` is read by both sides."""
        record = self._calls.get(key)
        if record is None or record.ended:
            return False
        self._dispatcher.dispatch(key, CallForbidden(why, *self._page_of(key)))
        self._notices.tell("call_forbidden", now, impu=record.owner, call_id=record.call_id, why=why)
        return True
