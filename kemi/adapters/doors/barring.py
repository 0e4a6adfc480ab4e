"""How much of what users may call they do call, and what is told of calls that were denied.

Counted for each user in a record of its own, which all workers share; what is watched of a whole class, too.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kemi.adapters.log import log_event
from kemi.adapters.notices import Notices
from kemi.core.errors import GatewayError, OverLimit
from kemi.core.limits import Tally, admit_call, raises_alarm, take
from kemi.core.messages import Request
from kemi.core.routing.costs import CostClass
from kemi.core.routing.permissions import ALARM_S, DENIED, CallDenied, Permission, Why
from kemi.core.routing.way import Way
from kemi.state.calls import CallStore
from kemi.state.counters import Counters
from kemi.state.tallies import TallyStore

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _TooMany:
    """Which limit a request would break."""

    why: Why
    cost: CostClass
    most: int
    what: str = ""
    number: int = 1
    """What the request itself has."""
    wait_s: float = 0.0

    def error(self) -> CallDenied | OverLimit:
        if self.why is Why.CALLS:  # nobody knows when one of them ends
            return CallDenied(f"you may have no more than {self.most} calls at once", self.why, self.cost)
        detail = f"you may make no more than {self.most} {self.what} in a minute"
        if self.number > self.most:  # as a list of so many makes: later it would be no better
            return CallDenied(detail, self.why, self.cost)
        return OverLimit(detail, lines=(f"Retry-After: {max(1, math.ceil(self.wait_s))}",))


class Barring:
    """The limits of classes, counters and alarms, in a worker process."""

    def __init__(
        self,
        calls: CallStore,
        tallies: TallyStore,
        counters: Counters,
        notices: Notices,
        permission_of: Callable[[str], Permission],
    ) -> None:
        """``permission_of``: a class, as the table that counts has it."""
        self._permission_of = permission_of
        self._calls = calls
        self._tallies = tallies
        self._counters = counters
        self._notices = notices

    def admit(
        self, request: Request, impu: str, user_class: str, ways: Sequence[Way], *, begins: bool
    ) -> None:
        """Count the calls of a user that one request makes, all of them or none; raise OverLimit (503) or CallDenied
        (403) where they are too many.

        ``ways``: one at least; ``begins``: a call of the page's own; others are made for it, as by REFER.
        """
        now = time.time()
        limits = ways[0].permission
        costs = Counter(way.cost for way in ways)

        def step(tally: Tally) -> _TooMany | None:
            for cost, number in costs.items():
                most = limits.per_minute.get(cost, 0)
                if wait_s := take(tally, f"minute {cost}", most / _MINUTE_S, _MINUTE_S, now, number):
                    return _TooMany(Why.RATE_OF_CLASS, cost, most, f"{cost} calls", number, wait_s)
            most, number = limits.calls_per_minute, len(ways)
            if wait_s := take(tally, "minute", most / _MINUTE_S, _MINUTE_S, now, number):
                return _TooMany(Why.RATE, ways[0].cost, most, "calls", number, wait_s)
            if begins and not admit_call(tally, request.call_id, limits.calls, now, self._is_running):
                return _TooMany(Why.CALLS, ways[0].cost, limits.calls)
            return None

        def all_or_none(tally: Tally) -> _TooMany | None:
            before = dict(tally.even_at)
            found = step(tally)
            if found is not None:
                tally.even_at = before
            return found

        if limits.calls or limits.calls_per_minute or limits.per_minute:
            too_many = self._tallies.change(f"user {impu}", all_or_none)
            if too_many is not None:
                error = too_many.error()
                self.denied(request, impu, user_class, error, too_many.why)
                raise error
        for cost, number in costs.items():
            for _ in range(number):
                self._counters.add(f"calls.{cost}")
                self._watch(cost.value, impu, user_class, limits, now)

    def denied(
        self,
        request: Request,
        impu: str,
        user_class: str,
        error: GatewayError,
        why: Why,
    ) -> None:
        """Tell of a call that was denied: log, counters, event, alarm."""
        now = time.time()
        cost = error.cost.value if isinstance(error, CallDenied) and error.cost else ""
        log_event(
            logging.INFO,
            "call_denied",
            call_id=request.call_id,
            method=request.method,
            why=why.value,
            cost=cost,
            user_class=user_class,
            detail=error.detail,
        )
        self._counters.add(f"denied.{cost if cost and why is Why.CLASS else why.value}")
        self._notices.tell("call_refused", now, impu=impu, call_id=request.call_id, why=error.detail)
        self._watch(DENIED, impu, user_class, self._permission_of(user_class), now)

    def _watch(self, what: str, impu: str, user_class: str, permission: Permission, now: float) -> None:
        for key, whom, alarms in (
            (f"user {impu}", {"impu": impu}, permission.alarms),
            (f"class {user_class}", {}, permission.class_alarms),
        ):
            most = alarms.get(what, 0)
            if not most:
                continue

            def step(tally: Tally, most: int = most) -> bool:
                return raises_alarm(tally, what, most, ALARM_S, now)

            if self._tallies.change(key, step):
                told = {**whom, "user_class": user_class, "what": what, "calls": str(most)}
                log_event(logging.WARNING, "fraud_alarm", **told, within_s=ALARM_S)
                self._counters.add("alarms")
                self._notices.tell("fraud_alarm", now, **told)

    def _is_running(self, key: str) -> bool:
        record = self._calls.get(key)
        return record is not None and not record.ended
