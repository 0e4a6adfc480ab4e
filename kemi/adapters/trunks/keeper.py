"""Keeps in touch with trunks: OPTIONS to every next hop, REGISTER where a trunk wants it.  Housekeeping's work.

The responses come to whatever worker process reads them; they are left in a table for the next tick.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio import transactions
from kemi.adapters.log import log_event
from kemi.adapters.notices import Notices
from kemi.adapters.shared_state import SharedState
from kemi.adapters.trunks.room import TrunkRoom
from kemi.core.messages import Side
from kemi.core.pace import is_early
from kemi.core.trunk import registration as reg
from kemi.core.trunk.health import MOST_RETRY_AFTER_S, Health, after_answer, after_silence
from kemi.core.trunk.names import own_call_id, trunk_user
from kemi.core.trunk.registration import Answer, Registration
from kemi.core.trunk.trunk import Trunk, hop_parts, transport_of
from kemi.settings import Settings
from kemi.state.trunks import HopView, TrunkStore, TrunkView

GIVEN_UP_S: Final = 40.0
"""When a request whose response never came is taken for unanswered."""
_MOST_SPREAD: Final = 1.1
"""OPTIONS are spread by a tenth."""
SHOWN_EVERY_S: Final = 1.0
SWEEP_S: Final = 5.0


@dataclass(slots=True)
class Hop:
    """A next hop that is asked by OPTIONS."""

    trunk: Trunk
    uri: str
    call_id: str
    from_tag: str
    next_at: float
    cseq: int = 0
    asked_at: float = 0.0
    """0.0: no answer is waited for."""
    known_since: float = 0.0
    """Since when it is up; 0.0: it has not answered yet."""


@dataclass(slots=True)
class Membership:
    """Our registration at a trunk, and the REGISTER under way."""

    trunk: Trunk
    registration: Registration
    contact: str
    asked_at: float = 0.0


class TrunkKeeper:
    """The trunks as the housekeeping process keeps them."""

    def __init__(
        self,
        settings: Settings,
        store: TrunkStore,
        room: TrunkRoom,
        executor: Executor,
        notices: Notices,
        new_token: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._store = store
        self._room = room
        self._executor = executor
        self._notices = notices
        self._new_token = new_token
        self._hops: dict[str, Hop] = {}
        self._members: dict[str, Membership] = {}
        self._next_show = self._next_sweep = 0.0

    def tick(self, now: float) -> None:
        """Do what is due."""
        if not self._settings.trunks:
            return
        if not self._next_show:
            self._begin(now)
        self._hear(now)
        for hop in self._hops.values():
            if not hop.asked_at and not self._is_early(hop, now):
                self._ask(hop, now)
        self._follow_orders(now)
        for member in self._members.values():
            if reg.is_due(member.registration, now) and not member.asked_at:
                reg.due(member.registration, now)
                self._register(member, now)
        if not is_early(now, self._next_show, SHOWN_EVERY_S):
            self._show(now)
        if not is_early(now, self._next_sweep, SWEEP_S):
            self._next_sweep = now + SWEEP_S
            self._store.forget_ended(now)

    def ship(self, now: float, shared: SharedState) -> None:
        """Let the other gateways and the web API know."""
        if self._settings.trunks:
            shared.exchange_trunks(now, self._store)

    def _begin(self, now: float) -> None:
        for trunk in self._settings.trunks:
            for uri in trunk.uris if trunk.options_s else ():
                hop = Hop(trunk, uri, self._new_call_id(), self._new_token(), now)
                self._hops[hop.call_id] = hop
            if trunk.register:
                registration = reg.begin(trunk, self._new_call_id(), self._new_token(), now)
                self._members[registration.call_id] = Membership(trunk, registration, "")

    def _new_call_id(self) -> str:
        return own_call_id(self._settings.flow_secret, self._new_token())

    # ------------------------------------------------------------ responses

    def _hear(self, now: float) -> None:
        for (call_id, cseq), answer in self._store.take_answers().items():
            hop, member = self._hops.get(call_id), self._members.get(call_id)
            if hop is not None and hop.cseq == cseq and hop.asked_at:
                self._heard(hop, answer, now)
            elif member is not None and member.registration.cseq == cseq and member.asked_at:
                self._registrar_said(member, answer, now)
        for hop in self._hops.values():
            if hop.asked_at and not 0 <= now - hop.asked_at <= GIVEN_UP_S:
                self._heard(hop, Answer(0), now)
        for member in self._members.values():
            if member.asked_at and not 0 <= now - member.asked_at <= GIVEN_UP_S:
                self._registrar_said(member, Answer(0), now)

    # ------------------------------------------------------------ OPTIONS

    def _is_early(self, hop: Hop, now: float) -> bool:
        not_before = self._health(hop).not_before
        return is_early(now, hop.next_at, hop.trunk.options_s * _MOST_SPREAD) or is_early(
            now, not_before, MOST_RETRY_AFTER_S
        )

    def _ask(self, hop: Hop, now: float) -> None:
        hop.cseq += 1
        hop.asked_at = now
        host, port, _ = hop_parts(hop.uri)
        target = f"sip:{host}:{port}" if port else f"sip:{host}"
        ourselves = f"sip:{self._settings.sip.address}:{self._settings.sip.port}"
        lines = (
            f"From: <{ourselves}>;tag={hop.from_tag}",
            f"To: <{target}>",
            f"Call-ID: {hop.call_id}",
            f"CSeq: {hop.cseq} OPTIONS",
            f"Contact: <{ourselves}>",
            "Accept: application/sdp",
        )
        if not self._send("OPTIONS", target, hop.uri, lines):
            self._heard(hop, Answer(0), now)

    def _heard(self, hop: Hop, answer: Answer, now: float) -> None:
        hop.asked_at = 0.0
        hop.next_at = now + hop.trunk.options_s * random.uniform(2 - _MOST_SPREAD, _MOST_SPREAD)  # noqa: S311 - spreads requests
        before = self._health(hop)
        if answer.status:
            health = after_answer(before, answer.status, answer.retry_after_s, now)
        else:
            health = after_silence(before, now)
        if health != before:
            self._store.set_health(hop.trunk.name, hop.uri, health)
        if not health.is_down and (before.is_down or not hop.known_since):
            hop.known_since = now
        if health.is_down != before.is_down:
            self._tell(hop, health, now)

    def _tell(self, hop: Hop, health: Health, now: float) -> None:
        what = "trunk_down" if health.is_down else "trunk_up"
        level = logging.WARNING if health.is_down else logging.INFO
        log_event(level, what, trunk=hop.trunk.name, next_hop=hop.uri, why=health.reason)
        self._notices.tell(what, now, trunk=hop.trunk.name, next_hop=hop.uri, why=health.reason)
        self._next_show = min(self._next_show, now)

    def _health(self, hop: Hop) -> Health:
        return self._store.health(hop.trunk.name, hop.uri)

    # ------------------------------------------------------------ REGISTER

    def _follow_orders(self, now: float) -> None:
        leaving = self._store.is_leaving
        for member in self._members.values():
            if leaving and reg.leave(member.registration, now):
                self._register(member, now)
            elif not leaving and member.registration.state is reg.State.GONE:
                reg.come_back(member.registration, now)

    def _register(self, member: Membership, now: float) -> None:
        trunk, registration = member.trunk, member.registration
        uri = trunk.uris[registration.hop]
        member.contact = self._contact(trunk, uri)
        request = reg.next_register(registration, trunk, member.contact, self._new_token())
        member.asked_at = now
        if not self._send("REGISTER", request.uri, request.next_hop, request.headers):
            self._registrar_said(member, Answer(0), now)

    def _contact(self, trunk: Trunk, uri: str) -> str:
        sip, transport = self._settings.sip, transport_of(uri)
        port = sip.tls_port if transport == "tls" else sip.port
        parameter = "" if transport == "udp" else f";transport={transport}"
        return f"sip:{trunk_user(self._settings.flow_secret, trunk.name)}@{sip.address}:{port}{parameter}"

    def _registrar_said(self, member: Membership, answer: Answer, now: float) -> None:
        trunk, registration = member.trunk, member.registration
        member.asked_at = 0.0
        before = (registration.state, reg.is_registered(registration, now))
        jitter = random.random()  # noqa: S311 - spreads retries
        again = reg.answered(registration, trunk, answer, member.contact, now, jitter)
        if again:
            self._register(member, now)
            return
        registered = reg.is_registered(registration, now)
        if (registration.state, registered) == before:
            return
        level = logging.WARNING if registration.why else logging.INFO
        fields = {"trunk": trunk.name, "state": registration.state.value, "why": registration.why}
        if registration.state is not reg.State.REGISTERED or not before[1]:
            log_event(level, "trunk_registration", **fields, registered=int(registered))
            self._notices.tell("trunk_registration", now, **fields)
        self._next_show = min(self._next_show, now)

    # ------------------------------------------------------------ both

    def _send(self, method: str, uri: str, next_hop: str, lines: tuple[str, ...]) -> bool:
        socket = self._settings.sip.socket_towards(next_hop)
        self._executor.reporting = Side.IMS
        try:
            sent = transactions.send_request(method, uri, next_hop, socket, lines, "")
        finally:
            self._executor.reporting = None
        if not sent:
            log_event(logging.WARNING, "request_not_sent", method=method, to=next_hop)
        return sent

    def _show(self, now: float) -> None:
        self._next_show = now + SHOWN_EVERY_S
        members = {member.trunk.name: member.registration for member in self._members.values()}
        for trunk in self._settings.trunks:
            views = [self._hop_view(trunk, uri, now) for uri in trunk.uris]
            is_down = all(view.state == "down" for view in views)
            of_state = [view.since for view in views if (view.state == "down") == is_down and view.since]
            registration = members.get(trunk.name)
            self._store.show(
                TrunkView(
                    trunk=trunk.name,
                    state="down" if is_down else "up",
                    since=(max if is_down else min)(of_state, default=0.0),
                    registration="" if registration is None else registration.state.value,
                    registered_until=0.0 if registration is None else round(registration.until, 3),
                    why="" if registration is None else registration.why,
                    calls=self._room.running(trunk.name),
                    most_calls=trunk.most_calls,
                    hops=views,
                )
            )

    def _hop_view(self, trunk: Trunk, uri: str, now: float) -> HopView:
        health = self._store.health(trunk.name, uri)
        if health.is_down:
            return HopView(uri, "down", round(health.down_since, 3), health.reason)
        found: Iterable[Hop] = (
            hop for hop in self._hops.values() if hop.uri == uri and hop.trunk.name == trunk.name
        )
        since = next((hop.known_since for hop in found), 0.0)
        return HopView(uri, "up" if since else "unknown", round(since, 3), "")
