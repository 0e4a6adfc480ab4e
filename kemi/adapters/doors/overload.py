"""New work is let in or refused before anything dear is done for it; how much of it, a process of its own finds out.

A worker that has to refuse does it without a transaction, a record or a trace, because whoever asks for too much must
not take from those that are let in (kemi/core/overload.py).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final

from kemi.adapters.doors.admission import Admission
from kemi.adapters.doors.probes import Probes
from kemi.adapters.kamailio import figures, ksr, transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.core.emergency import is_emergency_registration
from kemi.core.limits import kind_of
from kemi.core.messages import Side, addresses_from_headers, uri_from_address
from kemi.core.metrics import catalogue as series
from kemi.core.overload import (
    NEVER,
    REFUSAL,
    WORK_OF,
    Regulator,
    Seen,
    Work,
    is_urgent,
    refusal_lines,
    typical_wait_s,
    weight_of,
)
from kemi.core.registration.records import binding_key
from kemi.core.screening import has_branch
from kemi.settings import Settings
from kemi.state.flows import FlowStore
from kemi.state.overload import OverloadStore

_UNREAD: Final = (NEVER, None)
_FRESH_S: Final = 0.005
"""So long a limit counts without another look: the process that sets it works twenty times a second."""
_OPEN: Final = (NEVER, (0.0, 0.0))
_LONGEST_CLOSED_S: Final = 0.1
_TELL_S: Final = 0.05
_TO_THE_CORE: Final = refusal_lines(None)


def overload_store() -> OverloadStore:
    """Return what all processes of this node share."""
    return OverloadStore(HtableTable("overload"), HtableTable("overload_refused"))


class OverloadGate:
    """What a worker asks before it begins anything new."""

    def __init__(
        self,
        settings: Settings,
        flows: FlowStore,
        admission: Admission,
        is_emergency: Callable[[str], bool],
        is_of_core: Callable[[], bool],
        is_of_trunk: Callable[[], bool],
    ) -> None:
        """``is_emergency``: whether a call to this URI is one for help; ``is_of_core``: whether the sender of the
        current message may speak with us as the core, or is a trunk, which ``is_of_trunk`` says."""
        self._settings = settings.overload
        self._emergency_registrations = settings.emergency.registration
        own = {f"{settings.sip.address}:{settings.sip.port}"}
        if settings.home is not None:
            own.add(f"{settings.home.address}:{settings.home.port}")
        self._own = own
        self._flows = flows
        self._admission = admission
        self._is_emergency = is_emergency
        self._is_of_core, self._is_of_trunk = is_of_core, is_of_trunk
        self._store = overload_store()
        self._read: dict[Work, tuple[float, float | None]] = {}
        """When the limit was looked at last, and what it was."""
        self._closed: dict[Work, tuple[float, tuple[float, float]]] = {}
        """Until when nobody is let in, by the limit of that moment."""
        self._uncounted: dict[str, int] = {}
        """Method -> requests that were refused since it was told last."""
        self._told_at = NEVER
        shortest_s = self._settings.retry_after_s
        self._later = [(wait_s, refusal_lines(wait_s)) for wait_s in range(shortest_s, 3 * shortest_s + 1)]

    def refuses(self, method: str) -> bool:
        """Answer the current request if it is new work and one too many; False: it goes on."""
        work = WORK_OF.get(method)
        if work is None:
            return False
        limit = self._limit(work)
        return limit is not None and self._refuses(work, method, limit)

    def _limit(self, work: Work) -> float | None:
        now = time.monotonic()
        read_at, limit = self._read.get(work, _UNREAD)
        if now - read_at > _FRESH_S:
            limit = self._store.limit(work)
            self._read[work] = now, limit
        return limit

    def refuses_connections(self) -> bool:
        """Whether no page may connect, because there is no memory for it."""
        return self._settings.enabled and self._settings.least_memory > 0 and self._store.is_full()

    # ------------------------------------------------------------ while there is a limit

    def _refuses(self, work: Work, method: str, limit: float) -> bool:
        if ksr.text("$tt"):
            return False
        if ksr.side() is Side.WIC:
            return self._refuses_page(work, method, limit)
        return self._refuses_core(work, method, limit)

    def _refuses_page(self, work: Work, method: str, limit: float) -> bool:
        connection_id = ksr.connection_id()
        if method == "REGISTER" and self._is_known(connection_id):
            return False
        if work is Work.CALLS and self._is_emergency(ksr.text("$ru")):
            return False
        now = time.monotonic()
        # What one page has no right to anyway must not take the places of others.
        kind = kind_of(method, in_dialog=False)
        if (
            kind is not None
            and self._admission.has_room(connection_id, kind)
            and self._takes(work, method, limit, now)
        ):
            return False
        wait_s, lines = random.choice(self._later)  # noqa: S311 - no secret
        if method == "REGISTER":  # or it would be closed before the time it was told
            self._flows.wait_from(connection_id, time.time() + wait_s)
        self._refuse(work, method, now, lines)
        return True

    def _is_known(self, connection_id: str) -> bool:
        """Whether a REGISTER is of a page that is registered, or was a moment ago; or answers a challenge."""
        flow = self._flows.opened(connection_id)
        if flow is not None and flow.binding:
            return True
        if any("response=" in value for value in ksr.headers("Authorization")):
            return True
        contacts = addresses_from_headers(ksr.headers("Contact"))
        if self._emergency_registrations and is_emergency_registration(contacts):
            return True
        if len(contacts) != 1:
            return False
        key = binding_key(ksr.text("$tu"), contacts[0], uri_from_address(contacts[0]))
        return self._flows.binding_text(key) is not None

    def _refuses_core(self, work: Work, method: str, limit: float) -> bool:
        branch = ksr.branch()
        if not has_branch(branch):
            return False  # it is refused for that, if its sender hears anything
        if ksr.source() in self._own or not self._is_of_core():
            return False
        if is_urgent(ksr.headers) and not self._is_of_trunk():
            return False
        now = time.monotonic()
        if not self._store.was_refused(branch):
            if transactions.transaction_state() >= 0:
                return False  # sent once more, and let in before
            if self._takes(work, method, limit, now):
                return False
            self._store.remember(branch)
        self._refuse(work, method, now, _TO_THE_CORE)
        return True

    def _takes(self, work: Work, method: str, limit: float, now: float) -> bool:
        weight = weight_of(method)
        closed = limit, weight
        until, what = self._closed.get(work, _OPEN)
        if now < until and what == closed:
            return False
        wait_s = self._store.take(work, weight, limit, now)
        if wait_s:
            self._closed[work] = now + min(wait_s, _LONGEST_CLOSED_S), closed
        return not wait_s

    def _refuse(self, work: Work, method: str, now: float, lines: tuple[str, ...]) -> None:
        NOTES.forget(ksr.call_id())
        transactions.reply_statelessly(*REFUSAL, lines, "")
        self._uncounted[method] = self._uncounted.get(method, 0) + 1
        if not 0 <= now - self._told_at < _TELL_S:
            self._told_at = now
            self._store.note_refused(work, now)
            for one, number in self._uncounted.items():
                METRICS.count(series.OVERLOAD_REFUSED, one, by=number)
            self._uncounted.clear()


class OverloadWatch:
    """The process that finds out how much new work this node can take."""

    SETTLED_S: Final = 1.0
    """So often the gauges are written."""
    _MEMORY_EVERY_S: Final = 0.2
    _RATE_S: Final = 0.5
    """Time that a rate is measured over."""
    _COUNTERS: Final = {
        Work.CALLS: "core:rcv_requests_invite",
        Work.LOGINS: "core:rcv_requests_register",
    }

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.overload
        sip = settings.sip
        self._probes = Probes((sip.ws_address, sip.ws_port), sip.tcp_workers, (sip.address, sip.port))
        self._store = overload_store()
        self._regulators = {work: Regulator(work, settings.overload) for work in Work}
        self._limits: dict[Work, float | None] = {}
        self._counted: list[tuple[float, dict[Work, int]]] = []
        self._full: bool | None = None
        """Whether there is no memory for anybody new; not known yet at first, so that the entry is made in time."""
        self._next_memory = 0.0
        self._next_gauges = 0.0

    def tick(self) -> None:
        """Measure, and say what is let in from now on."""
        if not self._settings.enabled:
            return
        tcp_s, udp_s = self._probes.look()
        wait_s = max(typical_wait_s(tcp_s, self._settings.target_wait_s), udp_s)
        now = time.monotonic()
        rates = self._rates(now)
        self._look_at_memory(now)
        for work, regulator in self._regulators.items():
            limit = regulator.step(Seen(wait_s, rates[work], self._store.refused_at(work)), now)
            self._set(work, 0.0 if self._full else limit, wait_s)
        if now >= self._next_gauges:
            self._next_gauges = now + self.SETTLED_S
            METRICS.set(series.OVERLOAD_WAIT, wait_s)
            for work in Work:
                METRICS.set(series.OVERLOAD_LIMITED, int(self._limits[work] is not None), work.value)

    def _set(self, work: Work, limit: float | None, wait_s: float) -> None:
        if work in self._limits and limit == self._limits[work]:
            return
        before, self._limits[work] = self._limits.get(work), limit
        self._store.set_limit(work, limit)
        if before is None and limit is not None:
            log_event(
                logging.WARNING,
                "overload_began",
                work=work.value,
                wait_ms=round(wait_s * 1000),
                limit=round(limit, 1),
            )
        elif limit is None and before is not None:
            log_event(logging.WARNING, "overload_ended", work=work.value)

    def _rates(self, now: float) -> dict[Work, float]:
        counted = {work: figures.statistic(name) or 0 for work, name in self._COUNTERS.items()}
        self._counted = [one for one in self._counted if now - one[0] <= self._RATE_S] + [(now, counted)]
        at, first = self._counted[0]
        passed_s = max(now - at, 0.05)
        return {work: figures.growth(first[work], counted[work]) / passed_s for work in Work}

    def _look_at_memory(self, now: float) -> None:
        least = self._settings.least_memory
        if not least or now < self._next_memory:
            return
        self._next_memory = now + self._MEMORY_EVERY_S
        memory = figures.shared_memory()
        if memory is None:
            return
        full = memory.free_share < (least * _MEMORY_BACK if self._full else least)
        if full == self._full:
            return
        was, self._full = self._full, full
        self._store.set_full(full)
        if full or was:
            level = logging.ERROR if full else logging.WARNING
            log_event(level, "memory_short", free=f"{memory.free_share:.3f}")


_MEMORY_BACK: Final = 1.2
"""So much more than the least must be free before anything new is taken again."""
