"""A REGISTER of somebody the core does not know, or does not take, gets the answer of one that it knows: a challenge,
and not sooner.

The worker suspends such a request, housekeeping answers it: nobody waits for it.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from kemi.adapters.guard import guarded, guarded_request
from kemi.adapters.kamailio import ksr, transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.core.messages import Reply, Request
from kemi.core.registration import BEARER, DIGEST, PendingRegistration, RegistrationSettings
from kemi.core.registration.answer_times import due_at, with_time
from kemi.core.registration.authorization import credentials_from_headers
from kemi.core.registration.likeness import likeness
from kemi.core.registration.token import challenge
from kemi.settings import Settings
from kemi.state.flows import FlowStore
from kemi.state.records import RecordTable

CONTINUE: Final = "ksr_continue_refusal"
FAILURE: Final = "ksr_failure_refusal"
GUARD_S: Final = 1.0
HALF_A_TICK_S: Final = 0.005
"""Housekeeping looks every 10 ms, so that who waits gets the answer so much later on average."""
LEAST_S: Final = 0.001
REFUSALS: Final = frozenset({401, 403, 404})
_LAST: Final = "last"
_SELDOM_S: Final = 0.02
"""Of so many challenges one tells how long the core takes: a busy node need not write down each."""
_MOST_CHALLENGED: Final = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """A suspended REGISTER."""

    transaction_index: int
    transaction_label: int
    due_at: float
    """When it is answered, in seconds since the epoch."""


class HiddenUsers:
    """The worker's side."""

    def __init__(self, settings: Settings, registration: RegistrationSettings, flows: FlowStore) -> None:
        self._flows = flows
        self._settings = registration
        self._issuers = settings.tokens.issuers
        self._hides = settings.registration.hide_users and DIGEST in settings.registration.schemes
        self._table = HtableTable("challenge")
        self._refusals = RecordTable(HtableTable("refusal"), Refusal)
        self._challenged: dict[tuple[str, int], list[str]] = {}
        """Challenges of the core that are on their way to a page: tm's failure callback follows in this process."""
        self._noted_at: dict[str, float] = {}
        """When this process wrote last what is common to all challenges of one kind."""

    def challenged(self, reply: Reply, challenges: list[str], pending: PendingRegistration | None) -> None:
        """The core has asked a user it knows for a password."""
        if not self._hides or not challenges:
            return
        while len(self._challenged) >= _MOST_CHALLENGED:
            del self._challenged[next(iter(self._challenged))]
        self._challenged[reply.call_id, reply.cseq] = challenges
        now = time.time()
        name = _times_of(pending) if pending is not None else ""
        if 0 <= now - self._noted_at.get(name, 0.0) < _SELDOM_S:
            return
        self._noted_at[name] = now
        self._table.set(_LAST, challenges[0])
        if pending is not None:
            times = with_time(self._times(name), now - pending.at)
            self._table.set(name, msgspec.json.encode(times).decode())

    def hides_from(self, connection_id: str) -> bool:
        """Whether a page without a token must not learn which users the core knows: nobody has logged in over its
        connection."""
        if not self._hides:
            return False
        flow = self._flows.opened(connection_id)
        return flow is None or not flow.binding

    def answers(self, request: Request, status: int, pending: PendingRegistration | None) -> bool:
        """Whether the core's refusal was answered, or is going to be, with a challenge."""
        if (
            status not in REFUSALS
            or not self.hides_from(request.connection_id)
            or credentials_from_headers(request.headers("Authorization")).token
        ):
            return False
        challenges = self._challenged.pop((request.call_id, request.cseq), [])
        if status == 401 and challenges:
            self._ask_for_password(challenges)
        elif pending is None or not self._waits(pending):
            self._ask_for_password([self._likeness()])
        return True

    def answer(self) -> None:
        """Answer the current request, which has waited."""
        self._ask_for_password([self._likeness()])

    def _waits(self, pending: PendingRegistration) -> bool:
        due = due_at(pending.at, self._times(_times_of(pending)), secrets.choice)
        wait_s = due - time.time()
        transaction = transactions.current()
        if wait_s < LEAST_S or transaction is None:
            return False
        branch = ksr.branch()
        self._refusals.set(branch, Refusal(*transaction, due - HALF_A_TICK_S))
        if transactions.suspend(wait_s + GUARD_S, FAILURE):
            return True
        self._refusals.remove(branch)
        return False

    def _ask_for_password(self, challenges: list[str]) -> None:
        if BEARER in self._settings.schemes:
            challenges = [challenge(self._settings.realm, self._issuers[0]), *challenges]
        lines = tuple(f"WWW-Authenticate: {value}" for value in challenges)
        transactions.reply_in_transaction(401, "Unauthorized", lines, "")

    def _likeness(self) -> str:
        return likeness(self._table.get(_LAST) or "", self._settings.realm, secrets.choice)

    def _times(self, name: str) -> list[float]:
        return msgspec.json.decode(self._table.get(name) or "[]", type=list[float])


class DueRefusals:
    """The housekeeping process's side."""

    def __init__(self) -> None:
        self._refusals = RecordTable(HtableTable("refusal"), Refusal)

    def due_refusals(self, now: float) -> None:
        """Let those be answered who have waited as long as others do."""
        for branch, refusal in list(self._refusals.items()):
            if refusal.due_at > now:
                continue
            # a worker writes it down before it suspends the request: it may not be there yet
            transaction = (refusal.transaction_index, refusal.transaction_label)
            if transactions.resume(transaction, CONTINUE) or refusal.due_at < now - GUARD_S:
                self._refusals.remove(branch)


class HidingCallbacks:
    """Kamailio's callbacks about these requests."""

    _hidden: HiddenUsers

    @guarded_request
    def ksr_continue_refusal(self, _message: object, *_: object) -> None:
        """A refusal is due."""
        self._hidden.answer()

    @guarded
    def ksr_failure_refusal(self, _message: object) -> None:
        """Nobody let it go on."""
        if transactions.is_local_timeout():
            self._hidden.answer()


def _times_of(pending: PendingRegistration) -> str:
    return "times with a password" if pending.guessed else "times without one"
