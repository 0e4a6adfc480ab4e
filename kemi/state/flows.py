"""WebSocket flows, the bindings registered over them, and the REGISTERs under way.

A binding outlives its connection; the two know each other by key and connection id.  Workers write; what must follow
from a change (calls to end, Redis to be told) is noted in tables that the housekeeping process empties.  Locks are
taken in one order: flow, then registration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from kemi.core.call.states import advance
from kemi.core.identity import one_spelling
from kemi.core.registration import Flow, PendingRegistration, Registration, same_contact
from kemi.core.registration.records import Unregistered, binding_key
from kemi.core.registration.states import BINDING, ENDINGS, BindingEvent, BindingState, Cause
from kemi.state.index import Index
from kemi.state.records import RecordTable, taken
from kemi.state.table import Table

_OF, _AT, _IN = "of ", "at ", "in "
"""What entries of the index begin with: identity, Contact URI, web session."""
_CORE_FAILED = " core"
"""What ends the note of a connection without a registration whose core was silent."""


@dataclass(slots=True)
class Ended:
    """A binding that is over, and why."""

    registration: Registration
    cause: Cause


class Replaced(NamedTuple):
    """What is left of a binding whose place another one has taken; "" for what is not."""

    connection_id: str = ""
    """The connection it was reached by."""
    contact: str = ""
    """Its Contact, where the new one has another."""


class FlowStore:
    """Who is connected, and who of them is registered as whom."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._flows = RecordTable(table("flow"), Flow)
        self._registrations = RecordTable(table("registration"), Registration)
        self._pending = RecordTable(table("registering"), PendingRegistration)
        self._ended = RecordTable(table("ended"), Ended)
        self._ports = table("port")
        self._closed = table("closed")
        self._unregistered = table("unregistered")
        self._changed = table("changed")
        self._index = Index(table("binding_of"))

    # ------------------------------------------------------------ connections

    def open(self, flow: Flow, now: float = 0.0) -> None:
        """Remember a new connection; before its 101 leaves, because its first SIP message may be in another worker.

        Behind the TLS front all share one address, and ports come back: the one that had this port is gone.
        """
        before = self._ports.get(flow.source)
        if before is not None and before != flow.connection_id:
            self.note_closed(before)
        self._flows.set(flow.connection_id, flow)
        self._ports.set(flow.source, flow.connection_id)
        self._unregistered.set(flow.connection_id, f"{now:.3f}")

    def flow(self, connection_id: str) -> Flow | None:
        """Return the connection, or None when it is gone, whether or not anybody has worked on its end yet."""
        return None if self._closed.has(connection_id) else self._flows.get(connection_id)

    def opened(self, connection_id: str) -> Flow | None:
        """Return what is known of a connection, whether or not it still stands; for whoever only counts."""
        return self._flows.get(connection_id)

    def client_at(self, source: str) -> str:
        """Return where the page really is that Kamailio sees at ``address:port``, "" where there is none."""
        connection_id = self._ports.get(source)
        found = self._flows.get(connection_id) if connection_id is not None else None
        return "" if found is None else found.client_address

    def is_open(self, connection_id: str) -> bool:
        """Whether the connection stands."""
        return not self._closed.has(connection_id) and self._flows.raw.has(connection_id)

    def close(self, connection_id: str) -> None:
        """Forget a connection whose handshake failed."""
        flow = self._flows.take(connection_id)
        self._forget_port(flow)
        self._unregistered.remove(connection_id)

    def note_closed(self, connection_id: str) -> None:
        """Note that a connection is gone; all that may be done where Kamailio tells us."""
        self._closed.set(connection_id, "1")

    def take_closed(self) -> list[str]:
        """Return and remove the connections noted as gone; each is to be given to ``lose``."""
        return [connection_id for connection_id, _ in self._closed.items()]

    def lose(self, connection_id: str, away_until: float) -> Registration | None:
        """Forget a connection that is gone; its binding, which comes back, waits for the page."""
        with self._flows.locked(connection_id):
            flow = self._flows.take(connection_id)
            self._forget_port(flow)
            self._unregistered.remove(connection_id)
            left = None
            if flow is not None and flow.binding:
                left = self.change(
                    flow.binding,
                    lambda found: _away(found, away_until) if found.connection_id == connection_id else None,
                )
        self._closed.remove(connection_id)
        return left

    def _forget_port(self, flow: Flow | None) -> None:
        if flow is not None and self._ports.get(flow.source) == flow.connection_id:
            self._ports.remove(flow.source)

    def unregistered(self) -> Iterator[tuple[str, Unregistered]]:
        """Return the connections without a registration."""
        for connection_id, text in self._unregistered.items():
            since, *waited_from = text.split(" ")
            last = float(waited_from[0]) if waited_from else float(since)
            yield connection_id, Unregistered(float(since), last, text.endswith(_CORE_FAILED))

    def wait_from(self, connection_id: str, when: float, *, core_failed: bool = False) -> None:
        """Wait anew for a connection's registration: it is trying now, or was told to come back ``when``.

        ``core_failed``: the core did not answer, or could not, which is remembered of the connection.
        """
        with self._flows.locked(connection_id):
            known = self._unregistered.get(connection_id)
            if known is not None:
                failed = _CORE_FAILED if core_failed or known.endswith(_CORE_FAILED) else ""
                self._unregistered.set(connection_id, f"{known.partition(' ')[0]} {when:.3f}{failed}")

    # ------------------------------------------------------------ bindings

    def register(self, connection_id: str, registration: Registration, away_until: float) -> Replaced:
        """Write what the core granted; return what it takes the place of.

        A page that is gone meanwhile is away until ``away_until``.  Where it is back on another connection already, the
        answer comes too late, and nothing is written.
        """
        key = registration.key
        with self._flows.locked(connection_id):
            flow = self.flow(connection_id)
            with self._registrations.locked(key):
                before = self._registrations.get(key)
                if flow is None and before is not None and before.connection_id not in ("", connection_id):
                    return Replaced()
                state = before.state if before is not None else BindingState.REGISTERED
                registration.state = advance(BINDING, state, BindingEvent.GRANTED)
                registration.connection_id = connection_id
                replaced = contact = ""
                if before is not None:
                    registration.registered_at = before.registered_at or registration.registered_at
                    registration.former_connection_id = before.former_connection_id
                    if before.connection_id != connection_id:
                        replaced = before.connection_id
                        registration.former_connection_id = replaced or before.former_connection_id
                    if before.contact != registration.contact and not same_contact(
                        before.contact, registration.contact
                    ):
                        contact = before.contact
                if flow is None:
                    _away(registration, away_until)
                else:
                    registration.client_address = flow.client_address
                self._write(key, _found_by(before), registration)
            if flow is not None and flow.binding != key:
                abandoned, flow.binding = flow.binding, key
                self._flows.set(connection_id, flow)
                self._unregistered.remove(connection_id)
                if abandoned:  # the same user as another instance over the same connection
                    self._forget(abandoned)
                    self._changed.set(abandoned, "1")
        self._changed.set(key, "1")
        return Replaced(replaced, contact)

    def registration(self, connection_id: str, now: float) -> Registration | None:
        """Return the connection's registration unless it has run out."""
        flow = self.flow(connection_id)
        return None if flow is None else self.registration_on(flow, now)

    def registration_on(self, flow: Flow, now: float) -> Registration | None:
        """Return the registration of a connection that stands, unless it has run out."""
        found = self.binding(flow.binding) if flow.binding else None
        if found is None or found.connection_id != flow.connection_id or found.expires_at <= now:
            return None
        return found

    def binding(self, key: str) -> Registration | None:
        """Return a binding, whether its page is there or not."""
        return self._registrations.get(key)

    def binding_text(self, key: str) -> str | None:
        """Return a binding as it is kept elsewhere."""
        return self._registrations.raw.get(key)

    def bindings(self) -> Iterator[tuple[str, Registration]]:
        """Return a snapshot of all bindings."""
        return self._registrations.items()

    def bindings_of(self, impu: str) -> list[str]:
        """Return the keys of all bindings of an identity, however it is spelled."""
        owner = one_spelling(impu)
        return [key for key, binding in self._having(_OF + owner) if binding.owner == owner]

    def successor(self, owner: str, contact: str, now: float) -> Flow | None:
        """Return the connection over which a page registered again: the same identity with the same Contact."""
        for found in self._with_contact(owner, contact, now):
            flow = self.flow(found.connection_id)
            if flow is not None:
                return flow
        return None

    def other_flows(self, binding: Registration, now: float) -> set[str]:
        """Return the connections of the other flows of a binding's page: one Contact, several reg-ids (RFC 5626 §4.2).

        That of one that is away counts: the page may come back to its calls.
        """
        others = (
            found.connection_id or found.former_connection_id
            for found in self._with_contact(binding.owner, binding.contact, now)
            if found.key != binding.key
        )
        return set(others) - {"", binding.connection_id, binding.former_connection_id}

    def state_of(self, owner: str, contact: str, now: float) -> BindingState | None:
        """Return how an identity with this Contact is registered; None: nobody comes back to what it began."""
        return next((found.state for found in self._with_contact(owner, contact, now)), None)

    def _with_contact(self, owner: str, contact: str, now: float) -> Iterator[Registration]:
        return (
            found
            for found in self._of(owner)
            if found.expires_at > now and same_contact(found.contact, contact)
        )

    def abandoned(self, owner: str) -> list[str]:
        """Return the Contacts of an identity's pages that did not come back, and are not over at the core yet."""
        return [found.contact for found in self._of(owner) if found.state is BindingState.ABANDONED]

    def _of(self, owner: str) -> Iterator[Registration]:
        return (found for _, found in self._having(_OF + owner) if found.owner == owner)

    def once_on(self, connection_id: str, token: str, contact: str) -> Registration | None:
        """Return the binding whose page was reached over a connection, by this Path token, before it lost that."""
        for _, found in self._having(_at(contact)):
            if same_contact(found.contact, contact) and (
                found.sent.flow_token == token
                or (found.connection_id and found.former_connection_id == connection_id)
            ):
                return found
        return None

    def _having(self, value: str) -> Iterator[tuple[str, Registration]]:
        found = ((key, self._registrations.get(key)) for key in self._index.names(value))
        return ((key, binding) for key, binding in found if binding is not None)

    def _write(self, key: str, had: frozenset[str], binding: Registration) -> None:
        """Write a binding, which is locked, and by what it is found; ``had``: by what it was."""
        has = _found_by(binding)
        for value in has - had:
            self._index.add(value, key)
        self._registrations.set(key, binding)
        for value in had - has:
            self._index.remove(value, key)

    def _forget(self, key: str) -> None:
        with self._registrations.locked(key):
            known = self._registrations.get(key)
            self._registrations.remove(key)
            for value in _found_by(known):
                self._index.remove(value, key)

    def change(self, key: str, step: Callable[[Registration], Registration | None]) -> Registration | None:
        """Let ``step`` change a binding and return it, or None to leave it; return what was written."""
        with self._registrations.locked(key):
            found = self._registrations.get(key)
            had = _found_by(found)
            changed = None if found is None else step(found)
            if changed is not None:
                self._write(key, had, changed)
        if changed is not None:
            self._changed.set(key, "1")
        return changed

    def end(
        self, key: str, cause: Cause, now: float, only_if: Callable[[Registration], bool] = lambda _: True
    ) -> Registration | None:
        """Remove a binding and note its end for housekeeping; None when there is none, or ``only_if`` says no."""
        known = self._registrations.get(key)
        if known is None:
            return None
        with self._flows.locked(known.connection_id or key):
            with self._registrations.locked(key):
                found = self._registrations.get(key)
                if found is None or found.connection_id != known.connection_id or not only_if(found):
                    return None
                self._forget(key)
                connection_id = found.connection_id
                found.state = advance(BINDING, found.state, ENDINGS[cause].event)
            flow = self._flows.get(connection_id) if connection_id else None
            if flow is not None and flow.binding == key:
                self._flows.set(connection_id, replace(flow, binding=""))
                self._unregistered.set(connection_id, f"{now:.3f}")
        self._ended.set(f"{key} {found.sent.call_id} {found.sent.cseq} {now:.6f}", Ended(found, cause))
        self._changed.set(key, "1")
        return found

    def log_out(self, session: str, at: float, now: float) -> None:
        """End the bindings whose token came from a web session before that ended, ``at`` seconds since the epoch."""
        for key in self._index.names(_IN + session):
            self.end(key, Cause.LOGGED_OUT, now, lambda found: found.grant.is_ended_by(session, at))

    def restore(self, key: str, registration: Registration, away_until: float) -> bool:
        """Take over a binding of before a restart, whose page is not here yet; False when there is a newer one."""
        registration.connection_id = ""  # counted from 1 again: the old number is somebody else's now
        with self._registrations.locked(key):
            if self._registrations.raw.has(key):
                return False
            restored = _away(registration, away_until)
            restored.former_connection_id = ""
            self._write(key, frozenset(), restored)
        self._changed.set(key, "1")
        return True

    # ------------------------------------------------------------ notes for housekeeping

    def take_changed(self) -> list[str]:
        """Return and remove the keys of the bindings that were written or removed."""
        return [key for key, _ in taken(self._changed)]

    def take_ended(self) -> list[Ended]:
        """Return and remove the bindings that are over."""
        found = [self._ended.take(key) for key, _ in list(self._ended.raw.items())]
        return [ended for ended in found if ended is not None]

    # ------------------------------------------------------------ REGISTERs under way

    def expect(self, call_id: str, cseq: int, pending: PendingRegistration) -> None:
        """Remember a REGISTER that went to the core."""
        self._pending.set(f"{call_id} {cseq}", pending)

    def is_asked(self, binding: Registration) -> bool:
        """Whether a REGISTER about a binding, or about all of its identity, is with the core.

        All that are there are looked through: this is asked seldom, and each REGISTER would have to keep another note.
        """
        about = (binding.key, binding_key(binding.owner, "*", ""))
        return any(pending.key in about for _, pending in self._pending.items())

    def awaited(self, call_id: str, cseq: int) -> PendingRegistration | None:
        """Return the REGISTER a response belongs to; another entry point of the core may still answer it."""
        return self._pending.get(f"{call_id} {cseq}")

    def forget(self, call_id: str, cseq: int) -> None:
        """Forget a REGISTER that was answered."""
        self._pending.remove(f"{call_id} {cseq}")

    def expected(self, call_id: str, cseq: int) -> PendingRegistration | None:
        """Return the REGISTER a final response belongs to, once."""
        return self._pending.take(f"{call_id} {cseq}")


def _away(found: Registration, away_until: float) -> Registration:
    found.state = advance(BINDING, found.state, BindingEvent.FLOW_LOST)
    found.former_connection_id = found.connection_id or found.former_connection_id
    found.connection_id = ""
    found.away_until = away_until
    return found


def _at(contact: str) -> str:
    return _AT + contact.partition(";")[0].lower()


def _found_by(binding: Registration | None) -> frozenset[str]:
    if binding is None:
        return frozenset()
    session = binding.grant.session
    values = _OF + binding.owner, _at(binding.contact), _IN + session if session else ""
    return frozenset(filter(None, values))
