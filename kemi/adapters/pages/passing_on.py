"""Requests of the core for pages that are not, or not now, on a connection of this gateway (RFC 5626 §5.3).

The Path token names the gateway that has the page's connection: a request that comes to another one is passed on to
that, as by a proxy.  Where the connection has just ended, the request waits here for a moment, because the page is most
likely on its way back: to this gateway, or to another one, which then gets the request (elsewhere.py finds out).
A worker suspends such a request, housekeeping lets it go on.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final

from kemi.adapters.guard import guarded, guarded_request
from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.log import log_event
from kemi.adapters.pages.flows import LiveFlows
from kemi.core.call.in_dialog.common import ask_again
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.flow_token import flow_from_token, host_from_token, second_branch, token_from_routes
from kemi.core.messages import Request, Side, addresses_from_headers
from kemi.core.pace import is_early
from kemi.core.registration.states import BindingState
from kemi.core.standalone import FINAL_RESPONSE_S
from kemi.settings import Settings
from kemi.state.flows import FlowStore
from kemi.state.waiting import PassedOn, Waiting, WaitingStore

FAILURE: Final = "ksr_failure_passed_on"
CONTINUE: Final = "ksr_continue_waiting"
LONGER_S: Final = 5.0
"""The gateway that has the page ends the INVITE first."""
GUARD_S: Final = 1.0
FOLLOWS_WITHIN_S: Final = 15.0
"""So long after its page a call comes from another gateway at most: one that is silent is robbed of it after nine
seconds (kemi/adapters/calls/adoption.py)."""
_GONE: Final = 430, "Flow Failed"


class PassingOn:
    """The part of a worker process that passes requests on."""

    def __init__(
        self, settings: Settings, flows: FlowStore, live_flows: LiveFlows, store: WaitingStore
    ) -> None:
        self._live_flows = live_flows
        self._sip = settings.sip
        self._timers = settings.timers
        self._secret = settings.flow_secret
        self._own = f"{settings.sip.address}:{settings.sip.port}"
        self._flows = flows
        self._store = store

    # ------------------------------------------------------------ requests outside dialogs

    def takes(self, request: Request) -> bool:
        """Pass the current request of the core on, or let it wait; False where it is for a page that is here, or for
        nobody any more.

        Raise SipReject (403) for a token that is not ours, and (430) where the other gateway cannot be reached.
        """
        token = token_from_routes(request.headers("Route"))
        if not token:
            return False
        name = flow_from_token(self._secret, token)
        if name.host not in ("", self._own):
            self._pass_on(request, PassedOn(name.host))
            return True
        if request.method == "OPTIONS" or self._live_flows.stands(name):
            return False
        return self._takes_of_absent(request, token, name.connection_id)

    def _takes_of_absent(self, request: Request, token: str, connection_id: str) -> bool:
        """The connection is gone: find out where its page is."""
        moved = self._store.moved_to(token)
        if moved:
            self._pass_on(request, self._next(moved))
            return True
        binding = self._flows.once_on(connection_id, token, request.request_uri)
        if binding is None:
            return False
        if binding.connection_id not in ("", connection_id):
            self._pass_on(request, self._next(binding.sent.flow_token))
            return True
        now, wait_s = time.time(), self._timers.flow_wait_s
        # A binding with its connection: housekeeping has not heard yet that this has ended.
        is_over = not binding.connection_id and now >= binding.awaited_until(
            self._timers.flow_recovery_s, wait_s
        )
        if binding.state is BindingState.ABANDONED or is_over or not wait_s:
            return False
        self._wait(request, token, connection_id, now + wait_s)
        return True

    def _next(self, token: str) -> PassedOn:
        return PassedOn(host_from_token(token) or self._own, token)

    def _wait(self, request: Request, token: str, connection_id: str, until: float) -> None:
        transaction = transactions.new_transaction()
        if transaction is None:
            raise RemoteProtocolError(f"no transaction can be made of this {request.method}")
        log_event(logging.INFO, "request_waits", call_id=request.call_id, method=request.method)
        waiting = Waiting(*transaction, token, connection_id, request.request_uri, until)
        self._store.wait(ksr.branch(), waiting)  # before: its CANCEL may be here already
        if not transactions.suspend(until - time.time() + GUARD_S, FAILURE):
            raise RemoteProtocolError(f"this {request.method} cannot wait")

    def _pass_on(self, request: Request, to: PassedOn) -> None:
        log_event(logging.INFO, "request_passed_on", call_id=request.call_id, to=to.host)
        # An ACK has no response.
        self._store.passed_on(ksr.branch(), replace(to, is_over=request.method == "ACK"))
        if not self._relay(request.method, to):
            self._store.is_over(ksr.branch())
            raise SipReject("the page's gateway cannot be reached", status=_GONE[0], reason_phrase=_GONE[1])

    def _relay(self, method: str, to: PassedOn) -> bool:
        """Send the current request to a gateway of the site; with another token, where the page has another flow."""
        if to.token:
            others = addresses_from_headers(ksr.headers("Route"))[1:]
            ksr.remove_headers(("Route",))
            ksr.insert_headers([f"Route: {value}" for value in (f"<sip:{to.token}@{to.host};lr>", *others)])
        next_hop = f"sip:{to.host}"
        ksr.set_next_hop(next_hop)
        ksr.set_send_socket(self._sip.socket_towards(next_hop))
        transactions.on_failure(FAILURE)
        if method == "INVITE":
            return transactions.relay_within(
                self._timers.ims_response_s, self._timers.ims_answer_s + LONGER_S
            )
        return transactions.relay_within(FINAL_RESPONSE_S)

    def goes_on(self) -> None:
        """Inside the transaction of a request that waited."""
        to = self._store.next_of(ksr.branch())
        if transactions.is_cancelled():  # before it was suspended: tm has answered the CANCEL only
            self._answer(487, "Request Terminated")
            return
        if to is None or not self._relay(ksr.method(), to):
            self._answer(*_GONE)
            return
        log_event(logging.INFO, "request_passed_on", call_id=ksr.call_id(), to=to.host)

    def given_up(self) -> None:
        """Inside the transaction of a request that was passed on, or waited: no response of another gateway is better
        than the one it gets here."""
        self._store.is_over(ksr.branch())
        if transactions.is_local_timeout() and not transactions.is_cancelled():
            self._answer(*_GONE)

    def _answer(self, status: int, reason_phrase: str) -> None:
        transactions.reply_in_transaction(status, reason_phrase, (), "")
        self._store.is_over(ksr.branch())

    def inside(self, key: str, request: Request) -> None:
        """Pass a request inside a call on that was handed over to another gateway; raise SipReject where the call is
        not here yet (491, 500), or nowhere (481)."""
        host = self._store.has_now(key) if request.side is Side.IMS else ""
        if host:
            self._pass_on(request, PassedOn(host))
            return
        later = ask_again(request) if self._may_follow(request) else None
        if later is not None:
            raise SipReject(
                "this call may be on its way here",
                status=later.status,
                reason_phrase=later.reason_phrase,
                lines=later.headers,
            )
        if request.method != "ACK":
            raise SipReject("no such call", status=481, reason_phrase="Call/Transaction Does Not Exist")

    def _may_follow(self, request: Request) -> bool:
        """Whether a page has just come to this gateway, or is about to register here, so that its calls may come, too.

        A subscription does not follow it: after 481 the page makes another one.
        """
        if request.side is not Side.WIC or not self._sip.peers or request.method == "SUBSCRIBE":
            return False
        now = time.time()
        found = self._flows.registration(request.connection_id, now)
        return found is None or is_early(now, found.registered_at + FOLLOWS_WITHIN_S, FOLLOWS_WITHIN_S)

    # ------------------------------------------------------------ what belongs to them

    def cancels(self) -> bool:
        """Whether the current CANCEL is for a request that was passed on, or waits; it has been carried out then."""
        if ksr.side() is not Side.IMS or not self._store.knows(ksr.branch()):
            return False
        transactions.relay()  # one that waits gets its 487 here, or as soon as it is suspended
        self._store.wait_until(ksr.branch(), time.time())
        return True

    def takes_reply(self, status: int) -> bool:
        """Whether the current response is to a request that was passed on; it goes back as it is."""
        if ksr.side() is not Side.IMS:
            return False
        branch = second_branch(ksr.headers("Via"))
        if not branch or not self._store.knows(branch):
            return False
        if status >= 200:
            self._store.is_over(branch)
        return True


class PassingOnCallbacks:
    """Kamailio's callbacks about these requests."""

    _passing_on: PassingOn

    @guarded_request
    def ksr_continue_waiting(self, _message: object, *_: object) -> None:
        """A request that waited goes on, or has waited in vain."""
        self._passing_on.goes_on()

    @guarded
    def ksr_failure_passed_on(self, _message: object) -> None:
        """The other gateway is silent, or nobody let the request go on."""
        self._passing_on.given_up()
