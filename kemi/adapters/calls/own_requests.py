"""Requests of our own: tm tells us their responses by callbacks of their own, one pair for each side."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.executor import Executor
from kemi.adapters.guard import guarded
from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.kamailio.facts import FACTS
from kemi.adapters.pages.registrar import Registrar
from kemi.adapters.pages.subscriptions import Notifications
from kemi.adapters.trunks.calls import TrunkAnswers
from kemi.core.call.actions import SendRequest
from kemi.core.call.events import OwnRequestAnswered, UpdateAnswered
from kemi.core.call.record_key import record_key
from kemi.core.decimals import retry_after_or
from kemi.core.entry_points import UNAVAILABLE
from kemi.core.messages import Reply, Side

REPLY: Final = "ksr_onreply_own_request"
FAILURE: Final[Mapping[Side, str]] = MappingProxyType(
    {Side.WIC: "ksr_failure_own_request_to_page", Side.IMS: "ksr_failure_own_request"}
)

_OUTSIDE_CALLS: Final = frozenset({"REGISTER", "SUBSCRIBE"})
"""What is soon sent to the next entry point where one is silent."""


class OwnRequests:
    """Gives each response to whoever sent the request."""

    def __init__(
        self,
        executor: Executor,
        dispatcher: Dispatcher,
        notifications: Notifications,
        registrar: Registrar,
        trunks: TrunkAnswers,
    ) -> None:
        self._executor = executor
        self._dispatcher = dispatcher
        self._notifications = notifications
        self._registrar = registrar
        self._trunks = trunks

    def being_sent(self) -> None:
        """Set how long the request is sent that tm is building, and ask for its responses when somebody wants them."""
        method = ksr.method()
        if method == "BYE" or (self._executor.sending_to is Side.IMS and method not in _OUTSIDE_CALLS):
            transactions.repeat_patiently()
        to = self._executor.reporting
        if to is not None:
            transactions.on_local_request(REPLY, FAILURE[to])

    def answered(self, reply: Reply) -> None:
        """Take a response."""
        if self._trunks.is_ours(reply.call_id):
            if reply.status >= 200:
                self._trunks.answered(reply.status)
            return
        if reply.status < 200 or (reply.status == UNAVAILABLE and self._executor.request_tries_next()):
            return
        sent = self._executor.challenges.take(reply.method, reply.call_id, reply.cseq)
        if sent is not None and (self._answers_challenge(sent, reply) or not sent.report):
            return
        if reply.method == "SUBSCRIBE":
            self._notifications.answered(reply)
        elif reply.method == "REGISTER":
            self._registrar.answered_on_behalf(reply.call_id, reply.cseq, reply.status, reply)
        else:
            self._answered_in_call(reply)

    def _answers_challenge(self, sent: SendRequest, reply: Reply) -> bool:
        """Send a request to a trunk once more where it asks who sends it."""
        challenged = self._executor.challenges.of_own(sent, reply)
        if challenged is None:
            return False
        if not self._dispatcher.dispatch(record_key(reply.call_id, reply.from_tag), challenged):
            self._executor.perform(reply.call_id, self._executor.challenges.answering(challenged))
        return True

    def _answered_in_call(self, reply: Reply) -> None:
        seconds = retry_after_or(None, "".join(reply.headers("Retry-After")))
        retry_after_s = None if seconds is None else float(seconds)
        jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
        event: UpdateAnswered | OwnRequestAnswered
        if reply.method == "UPDATE" and reply.side is Side.WIC:
            session = "".join(reply.headers("Session-Expires")[:1])
            event = UpdateAnswered(
                reply.status, reply.body, retry_after_s, jitter, reply.contact, session, reply.cseq
            )
        else:
            event = OwnRequestAnswered(
                reply.side, reply.method, reply.cseq, reply.status, reply, retry_after_s, jitter
            )
        self._dispatcher.dispatch(record_key(reply.call_id, reply.from_tag), event)

    def answered_stray(self) -> None:
        """Take a page's 2xx to a re-INVITE of ours that tm has forgotten: it comes for longer than transactions stay,
        until its ACK does (RFC 3261 §13.3.1.4)."""
        is_answer = ksr.method() == "INVITE" and 200 <= ksr.status() < 300
        if is_answer and ksr.side() is Side.WIC and not FACTS.is_led_back:
            self._answered_in_call(ksr.reply())

    def unanswered(self, to: Side) -> None:
        """In tm's failure callback: nobody answered the current request."""
        if self._trunks.is_ours(ksr.call_id()):
            if transactions.is_local_timeout():
                self._trunks.answered(0)
            return
        if not transactions.is_local_timeout() or self._executor.request_tries_next():
            return
        method = ksr.method()
        sent = self._executor.challenges.take(method, ksr.call_id(), ksr.number("$cs"))
        if sent is not None and not sent.report:
            return
        if method == "SUBSCRIBE":
            self._notifications.unanswered(ksr.call_id(), ksr.number("$cs"))
        elif method == "REGISTER":
            self._registrar.answered_on_behalf(ksr.call_id(), ksr.number("$cs"), 408)
        else:
            event: UpdateAnswered | OwnRequestAnswered
            if method == "UPDATE" and to is Side.WIC:
                event = UpdateAnswered(408, cseq=ksr.number("$cs"))
            else:
                event = OwnRequestAnswered(to, method, ksr.number("$cs"), 408)
            self._dispatcher.dispatch(record_key(ksr.call_id(), ksr.text("$ft")), event)


class OwnRequestCallbacks:
    """Kamailio's callbacks about requests of our own, as a part of all callbacks."""

    _own_requests: OwnRequests

    @guarded
    def ksr_tm_event(self, _message: object, _event: str) -> None:
        """tm builds a request of ours; ask for its replies when somebody wants them."""
        self._own_requests.being_sent()

    @guarded
    def ksr_onreply_own_request(self, _message: object) -> None:
        """A response to a request of our own."""
        self._own_requests.answered(ksr.reply())

    @guarded
    def ksr_failure_own_request(self, _message: object) -> None:
        """A request of our own to the core was never answered."""
        self._own_requests.unanswered(Side.IMS)

    @guarded
    def ksr_failure_own_request_to_page(self, _message: object) -> None:
        """The same of one to a page."""
        self._own_requests.unanswered(Side.WIC)
