"""What of a page's requests goes on: limits and call policy, before anybody else is asked.

What one connection asks for is counted in the process alone: a worker keeps a connection as long as no 5 s pass without
a message (Kamailio's TCP_CHILD_TIMEOUT), so that a flood meets one count and costs the others nothing.  Identities and
addresses are counted in a table that all workers share.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kemi.adapters.calls.conference import removes_participant
from kemi.adapters.doors.bans import BANS
from kemi.adapters.doors.barring import Barring
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.adapters.notices import Notices
from kemi.core.bans import Offence
from kemi.core.errors import OverLimit, SipReject
from kemi.core.identity import canonical
from kemi.core.limits import (
    UNREFUSED,
    Kind,
    Tally,
    address_key,
    admit_call,
    count_failure,
    count_success,
    is_news,
    is_trusted,
    kind_of,
    locked_for_s,
    login_failed,
    take,
    would_take,
)
from kemi.core.messages import Request
from kemi.core.policy import TargetRules
from kemi.core.registration import DIGEST, Flow, PendingRegistration
from kemi.core.routing.permissions import Why
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from kemi.state.tallies import TallyStore

_LONGEST_KEPT: Final = 200
"""Characters of a URI that is remembered as it is: who sends long ones fills no memory."""
_RECIPIENTS_OF_ONE: Final = 10
"""So many of a list count as one more request: each is looked at like the target of a call."""


@dataclass(slots=True)
class _Connection:
    address: str
    tally: Tally = field(default_factory=Tally)
    asked: str = ""
    """Whom the last REGISTER of somebody who had not logged in was for."""


class Admission:
    """The door of a worker process."""

    _MOST_KEPT: Final = 4096

    def __init__(
        self,
        settings: Settings,
        flows: FlowStore,
        calls: CallStore,
        tallies: TallyStore,
        barring: Barring,
    ) -> None:
        self._limits = settings.limits
        self._hides_users = settings.registration.hide_users
        self._rules = TargetRules(settings.policy, settings.realm)
        self._flows = flows
        self._calls = calls
        self._barring = barring
        self._tallies = tallies
        self._notices = Notices(HtableTable("notice"), settings.node_name)
        self._connections: dict[str, _Connection] = {}

    # ------------------------------------------------------------ requests

    def admit(self, request: Request, identity: str) -> None:
        """Count a page's request; raise OverLimit (503) or SipReject (403) when it does not go on.

        ``identity``: who is registered over its connection, as ``identity_on`` says it.
        """
        kind = kind_of(request.method, in_dialog=bool(request.to_tag))
        if kind is None:
            return
        now = time.time()
        limits = self._limits
        connection = self._connection(request.connection_id)
        wait_s = take(connection.tally, kind, limits.connection.of(kind), limits.burst_s, now)
        if wait_s:
            raise self._over(
                "connection", request.connection_id, kind, wait_s, is_news(connection.tally, now)
            )
        self._admit_address(connection.address, kind, now, is_known=bool(identity))
        if identity:
            self._admit_identity(identity, request, kind, now)
        elif kind is Kind.REGISTER:
            self._ask(connection, request)
            self._check_lock(request, connection.address, now)
        self._check_target(request, identity, now)

    def admit_list(self, connection_id: str, recipients: int) -> None:
        """Count a list of recipients by its length, before anybody looks who they are; raise OverLimit (503)."""
        now, limits = time.time(), self._limits
        tally = self._connection(connection_id).tally
        rate = limits.connection.of(Kind.OTHER)
        # The request itself is counted already, and what counts for more than may come at once never would come in.
        number = min(math.ceil(recipients / _RECIPIENTS_OF_ONE), int(rate * limits.burst_s) - 1)
        if number > 0 and (wait_s := take(tally, Kind.OTHER, rate, limits.burst_s, now, number)):
            raise self._over("connection", connection_id, Kind.OTHER, wait_s, is_news(tally, now))

    def has_room(self, connection_id: str, kind: Kind) -> bool:
        """Whether a connection's own rate lets another such request in; it is not counted."""
        limits = self._limits
        tally = self._connection(connection_id).tally
        return would_take(tally, kind, limits.connection.of(kind), limits.burst_s, time.time())

    def floods(self, connection_id: str) -> bool:
        """Count a response, or a request that is never refused; True when its connection has sent too many of them."""
        limits, now = self._limits, time.time()
        connection = self._connection(connection_id)
        if not take(connection.tally, UNREFUSED, limits.unrefused, limits.burst_s, now):
            return False
        if is_news(connection.tally, now):
            log_event(logging.WARNING, "limit_reached", what="connection", who=connection_id, kind=UNREFUSED)
        BANS.offended(connection.address, Offence.FLOOD, connection_id)
        return True

    def admit_emergency(self, request: Request) -> None:
        """Count a page's emergency call beside all else it asked for; raise OverLimit (503) for a flood of them."""
        now, limits = time.time(), self._limits
        tally = self._connection(request.connection_id).tally
        wait_s = take(tally, "emergency", limits.connection.invite, limits.burst_s, now)
        if wait_s:
            raise self._over("connection", request.connection_id, Kind.INVITE, wait_s, is_news(tally, now))

    @staticmethod
    def _ask(connection: _Connection, request: Request) -> None:
        """Somebody who has not logged in asks for a user: who asks for one after the other is looking for some."""
        user = _kept(_identity(request.to_uri))
        if connection.asked not in ("", user):
            BANS.offended(connection.address, Offence.SCAN, request.connection_id)
        connection.asked = user

    def _admit_address(self, address: str, kind: Kind, now: float, *, is_known: bool) -> None:
        limits = self._limits
        may_be_locked = kind is Kind.REGISTER and not is_known and limits.failed_logins_address > 0
        if not address or not (limits.address.of(kind) or may_be_locked):
            return

        def step(tally: Tally) -> tuple[float, bool]:
            wait_s = locked_for_s(tally, limits.lock_s, now) if may_be_locked else 0.0
            wait_s = wait_s or take(tally, kind, limits.address.of(kind), limits.burst_s, now)
            return wait_s, bool(wait_s) and is_news(tally, now)

        wait_s, news = self._tallies.change(f"address {address}", step)
        if wait_s:
            raise self._over("address", address, kind, wait_s, news)

    def _admit_identity(self, identity: str, request: Request, kind: Kind, now: float) -> None:
        limits = self._limits
        most_calls = limits.calls_per_identity if kind is Kind.INVITE else 0
        if not (limits.identity.of(kind) or most_calls):
            return

        def step(tally: Tally) -> tuple[float, bool, bool]:
            wait_s = take(tally, kind, limits.identity.of(kind), limits.burst_s, now)
            admitted = not wait_s and admit_call(
                tally, request.call_id, most_calls, now, self._calls.is_running
            )
            return wait_s, admitted, not admitted and is_news(tally, now)

        wait_s, admitted, news = self._tallies.change(f"identity {_kept(identity)}", step)
        if wait_s:
            raise self._over("identity", identity, kind, wait_s, news)
        if not admitted:  # nobody knows when one of its calls ends: no time to come back could be named
            if news:
                self._notices.tell("call_refused", now, impu=identity, why="too many calls at once")
            raise SipReject(f"no more than {most_calls} calls at once are allowed")

    def _check_target(self, request: Request, identity: str, now: float) -> None:
        if removes_participant(self._calls, request):
            return
        try:
            self._rules.check(request)
        except SipReject as refused:
            registration = self._flows.registration(request.connection_id, now)
            user_class = registration.grant.user_class if registration is not None else ""
            self._barring.denied(request, identity, user_class, refused, Why.POLICY)
            raise

    # ------------------------------------------------------------ logins

    def _check_lock(self, request: Request, address: str, now: float) -> None:
        limits = self._limits
        if not limits.failed_logins_identity:
            return
        identity = _kept(_identity(request.to_uri))
        wait_s = locked_for_s(self._tallies.get(f"identity {identity}"), limits.lock_s, now, address)
        if wait_s:
            news = self._tallies.change(f"identity {identity}", lambda tally: is_news(tally, now))
            raise self._over("identity", identity, Kind.REGISTER, wait_s, news)

    def token_refused(self, connection_id: str) -> None:
        """An access token was not good.

        It counts for the address alone: a token cannot be guessed, and so locks nobody out whom it names.
        """
        address = self._connection(connection_id).address
        self._failed("address", address, time.time())
        BANS.offended(address, Offence.STALE, connection_id)

    def answered(self, pending: PendingRegistration, status: int, challenges: Sequence[str]) -> None:
        """Learn from the core's final response to a REGISTER."""
        if self._hides_users and pending.grant.scheme == DIGEST and not pending.guessed and status >= 300:
            return  # nobody has tried a password: that the core knows no such user must not be felt
        address = self._connection(pending.connection_id).address
        identity = _kept(_identity(pending.address_of_record))
        if login_failed(status, challenges, guessed=pending.guessed):
            now = time.time()
            self._failed("address", address, now)
            if pending.grant.scheme == DIGEST:
                self._failed("identity", identity, now)
            BANS.offended(address, Offence.LOGIN, pending.connection_id)
        elif 200 <= status < 300:
            BANS.logged_in(address)
            if not self._limits.failed_logins_identity:
                return
            key = f"identity {identity}"
            if not is_trusted(self._tallies.get(key), address):
                self._tallies.change(key, lambda tally: count_success(tally, address))

    def _failed(self, what: str, who: str, now: float) -> None:
        limits = self._limits
        most = limits.failed_logins_address if what == "address" else limits.failed_logins_identity
        if not who or not most:
            return
        locks = self._tallies.change(
            f"{what} {who}",
            lambda tally: count_failure(tally, most, limits.failed_logins_window_s, limits.lock_s, now),
        )
        if locks:
            log_event(logging.WARNING, "login_locked", what=what, who=who, for_s=limits.lock_s)
            whom = {"impu": who} if what == "identity" else {"address": who}
            self._notices.tell("login_locked", now, **whom)

    # ------------------------------------------------------------ what is kept

    def _connection(self, connection_id: str) -> _Connection:
        known = self._connections.get(connection_id)
        if known is None:
            flow = self._flows.opened(connection_id)
            if len(self._connections) >= self._MOST_KEPT:
                del self._connections[next(iter(self._connections))]
            known = _Connection(address_key(flow.client_address) if flow is not None else "")
            self._connections[connection_id] = known
        return known

    @staticmethod
    def _over(what: str, who: str, kind: Kind, wait_s: float, news: bool) -> OverLimit:
        if news:
            log_event(logging.WARNING, "limit_reached", what=what, who=who, kind=kind.value)
        error = OverLimit(
            f"too many requests of this {what}", lines=(f"Retry-After: {max(1, math.ceil(wait_s))}",)
        )
        error.shared = what == "address"
        return error


def identity_on(flow: Flow | None) -> str:
    """Return who is registered over a connection, "" for nobody."""
    return _identity(flow.binding.partition(" ")[0]) if flow is not None and flow.binding else ""


def _identity(uri: str) -> str:
    return _known_identity(uri) if len(uri) <= _LONGEST_KEPT else canonical(uri) or uri.lower()


@functools.lru_cache(maxsize=4096)
def _known_identity(uri: str) -> str:
    return canonical(uri) or uri.lower()


def _kept(identity: str) -> str:
    """Return what an identity is remembered by, which strangers may have made up."""
    if len(identity) <= _LONGEST_KEPT:
        return identity
    return f"sha256:{hashlib.sha256(identity.encode(errors='surrogatepass')).hexdigest()}"
