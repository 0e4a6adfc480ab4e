"""Requests inside calls, sent on to the other side, that got no 2xx: tm's failure callbacks about them."""

from __future__ import annotations

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.executor import Executor
from kemi.adapters.guard import guarded
from kemi.adapters.kamailio import ksr, transactions
from kemi.core.call.events import ChangeFailed
from kemi.core.call.in_dialog.to_page import unanswered
from kemi.core.call.record_key import record_key
from kemi.core.call.settings import CallSettings
from kemi.core.messages import Side


class UnansweredCallbacks:
    """Kamailio's callbacks; whoever inherits has made the parts."""

    _call_settings: CallSettings
    _dispatcher: Dispatcher
    _executor: Executor

    @guarded
    def ksr_failure_change(self, _message: object) -> None:
        """A re-INVITE or UPDATE of a page was not answered."""
        if not self._answer_challenge():
            self._change_failed(Side.IMS)

    @guarded
    def ksr_failure_change_to_page(self, _message: object) -> None:
        """The same of one of the core."""
        self._change_failed(Side.WIC)
        self._answer_for_page()

    @guarded
    def ksr_failure_to_page(self, _message: object) -> None:
        """A request of the core that changes nothing was not answered by the page."""
        self._answer_for_page()

    @guarded
    def ksr_failure_asked(self, _message: object) -> None:
        """A request of a page that changes nothing was refused by a trunk."""
        self._answer_challenge()

    def _answer_challenge(self) -> bool:
        challenged = self._executor.challenges.of_forwarded()
        return challenged is not None and self._dispatcher.dispatch(*challenged)

    def _change_failed(self, to: Side) -> None:
        if transactions.is_local_timeout():
            event = ChangeFailed(to, ksr.method(), 487 if transactions.is_cancelled() else 408)
            self._dispatcher.dispatch(_key(), event)

    def _answer_for_page(self) -> None:
        """Say something else than tm, which would say 408."""
        if transactions.is_local_timeout() and not transactions.is_cancelled():
            self._executor.perform(_key(), unanswered(ksr.method(), self._call_settings))


def _key() -> str:
    return record_key(ksr.call_id(), ksr.text("$tt"))
