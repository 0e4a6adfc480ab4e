"""Trunks of a node: what of them its workers and its operators know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from kemi.core.call.actions import RememberRedirection
from kemi.core.trunk.diversion import Diversion
from kemi.core.trunk.health import Health, health_from_text, health_key, health_to_text
from kemi.core.trunk.registration import Answer
from kemi.state.records import RecordTable, taken
from kemi.state.stamps import age_s
from kemi.state.table import Table

OLD_S: Final = 10.0
"""A gateway that has not written for so long does not run."""
ENDED_KEPT_S: Final = 40.0
"""So long a call that is over waits for the answer to its BYE."""
LONGEST_S: Final = 86_400.0
"""As long the table keeps a call (kamailio/params/state.cfg)."""
_MOST_OVER: Final = 20
"""Dialogs of one call that have had their BYE: whoever sends more of them fills no memory."""
MOST_TARGETS: Final = 5
"""Of one redirection, that are remembered."""
_LEAVING: Final = "leaving"
_KEPT: Final = "trunk "
"""Begins the name of a trunk's call among those that Redis keeps; no Call-ID has a space."""


class HopView(msgspec.Struct, frozen=True):
    """A next hop as operators see it."""

    uri: str
    state: str
    """up, down, or unknown: it has not been asked, or not answered yet."""
    since: float
    """Seconds since the epoch; 0: unknown."""
    why: str


class TrunkView(msgspec.Struct, frozen=True):
    """A trunk as operators see it at one gateway.  Times are seconds since the epoch, 0: none."""

    trunk: str
    state: str
    """up: a next hop is not down; down: none of them is up."""
    since: float
    registration: str
    """A state of kemi/core/trunk/registration.py; "": we do not register there."""
    registered_until: float
    why: str
    """What is wrong with the registration, "" for nothing."""
    calls: int
    """Running on this gateway, both directions."""
    most_calls: int
    hops: list[HopView]


class GatewayTrunks(msgspec.Struct, frozen=True):
    """What one gateway sees of trunks."""

    at: float
    """Seconds since the epoch."""
    trunks: list[TrunkView]
    written_at: float = 0.0
    """The same by the clock of Redis (kemi/state/stamps.py)."""


def seen_trunks(texts: Mapping[str, str], redis_now: float, now: float) -> dict[str, GatewayTrunks]:
    """Return what each running gateway sees, by its name, from the hash in Redis, at this time of Redis and of ours."""
    found = {}
    for name, text in sorted(texts.items()):
        with suppress(msgspec.MsgspecError):  # of another release
            seen = msgspec.json.decode(text, type=GatewayTrunks)
            if abs(age_s(seen.at, seen.written_at, now, redis_now)) < OLD_S:
                found[name] = seen
    return found


class HomeEnd(msgspec.Struct):
    """Where a trunk's requests go inside one of its dialogs (RFC 3261 §12.1.2)."""

    target: str
    routes: list[str]
    """Of the home network alone: what follows our own."""


class TrunkCall(msgspec.Struct):
    """A call that a trunk began: what of it was changed, to be changed back."""

    trunk: str
    from_tag: str
    from_value: str
    """From as the trunk wrote it, with its tag."""
    shown_from: str
    """From as the home network has it."""
    source: str
    """IP address the INVITE came from."""
    since: float
    answered: bool = False
    """Then it outlives a restart of the gateway."""
    ended_at: float = 0.0
    """When the BYE of its last dialog passed, seconds since the epoch."""
    running: list[str] = msgspec.field(default_factory=list)
    """Tags of those who have answered: two may at once, and then one of them gets a BYE (RFC 3261 §13.2.2.4)."""
    over: list[str] = msgspec.field(default_factory=list)
    """Those that have had their BYE: a 2xx that comes once more begins nothing."""
    ends: dict[str, HomeEnd] | None = None
    """Tag of whoever rings or has answered -> where that is; None: of the release before, which kept none."""


class TrunkStore:
    """The tables of trunks that all processes of a node share."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        self._health = table("trunks")
        self._views = RecordTable(table("trunk_state"), TrunkView)
        self._answers = RecordTable(table("trunk_answer"), Answer)
        self._calls = RecordTable(table("trunk_call"), TrunkCall)
        self._elsewhere = table("trunk_elsewhere")
        self._changed = table("changed_call")

    # ------------------------------------------------------------ next hops

    def health(self, trunk: str, uri: str) -> Health:
        """Return what is known of a next hop."""
        return health_from_text(self._health.get(health_key(trunk, uri)))

    def set_health(self, trunk: str, uri: str, health: Health) -> None:
        """Let all workers know of it."""
        text = health_to_text(health)
        if text is None:
            self._health.remove(health_key(trunk, uri))
        else:
            self._health.set(health_key(trunk, uri), text)

    # ------------------------------------------------------------ housekeeping and its answers

    def answered(self, call_id: str, cseq: int, answer: Answer) -> None:
        """Leave the final response to a request of housekeeping's."""
        self._answers.set(f"{call_id} {cseq}", answer)

    def take_answers(self) -> dict[tuple[str, int], Answer]:
        """Return and remove the responses that have come, by Call-ID and CSeq number."""
        found = {}
        for key, text in taken(self._answers.raw):
            call_id, _, cseq = key.rpartition(" ")
            found[call_id, int(cseq)] = msgspec.json.decode(text, type=Answer)
        return found

    def show(self, view: TrunkView) -> None:
        """Let operators see a trunk."""
        self._views.set(view.trunk, view)

    def views(self) -> list[TrunkView]:
        """Return the trunks as operators see them, by name."""
        return [view for _, view in sorted(self._views.items(), key=lambda item: item[0])]

    def leave(self, leave: bool) -> None:
        """Let housekeeping de-register from all trunks, or register again."""
        if leave:
            self._health.set(_LEAVING, "1")
        else:
            self._health.remove(_LEAVING)

    @property
    def is_leaving(self) -> bool:
        """Whether this gateway is to be registered nowhere."""
        return self._health.has(_LEAVING)

    def set_elsewhere(self, trunk: str, calls: int) -> None:
        """Remember how many calls a trunk has on the other gateways."""
        self._elsewhere.set(trunk, str(calls))

    # ------------------------------------------------------------ calls of trunks

    def call(self, call_id: str) -> TrunkCall | None:
        """Return the call of a trunk."""
        return self._calls.get(call_id)

    def begin(self, call_id: str, call: TrunkCall) -> bool:
        """Remember a call; False when there is one of this Call-ID."""
        with self._calls.locked(call_id):
            if self._calls.raw.has(call_id):
                return False
            self._calls.set(call_id, call)
        return True

    def answer(self, call_id: str, tag: str) -> None:
        """The home network has answered a call."""

        def answered(call: TrunkCall) -> bool:
            if tag in call.running or tag in call.over:
                return False
            call.answered = True
            call.running.append(tag)
            return True

        self._change(call_id, answered)

    def learn(self, call_id: str, tag: str, target: str, routes: Sequence[str] | None = None) -> None:
        """Whoever has ``tag`` in the home network is at ``target``; ``routes``: of a response to the INVITE.

        What has been answered keeps its routes (RFC 3261 §12.2).
        """

        def learned(call: TrunkCall) -> bool:
            if call.ends is None:
                return False
            known = call.ends.get(tag)
            if known is not None and (routes is None or tag in call.running):
                end = HomeEnd(target, known.routes)
            elif routes is not None:
                end = HomeEnd(target, list(routes))
            else:
                return False
            call.ends[tag] = end
            return end != known

        self._change(call_id, learned)

    def end(self, call_id: str, tag: str, now: float) -> bool:
        """A BYE has passed in the dialog with ``tag``; before anybody has answered it ends a ringing fork alone.

        Return whether it has ended the call.
        """
        is_over = False

        def ended(call: TrunkCall) -> bool:
            nonlocal is_over
            if not call.answered or call.ended_at:
                return False
            call.running = [one for one in call.running if one != tag]
            call.over = [*call.over[-_MOST_OVER:], tag]
            is_over = not call.running
            call.ended_at = now if is_over else 0.0
            return True

        self._change(call_id, ended)
        return is_over

    def _change(self, call_id: str, change: Callable[[TrunkCall], bool]) -> None:
        with self._calls.locked(call_id):
            call = self._calls.get(call_id)
            if call is not None and change(call):
                self._calls.set(call_id, call)
                self._note(call_id, call)

    def _note(self, call_id: str, call: TrunkCall) -> None:
        if call.answered:
            self._changed.set(_KEPT + call_id, "1")

    def forget(self, call_id: str) -> None:
        """The call is over."""
        call = self._calls.take(call_id)
        if call is not None:
            self._note(call_id, call)

    # ------------------------------------------------------------ calls that outlive a restart

    @staticmethod
    def is_kept_name(name: str) -> bool:
        """Whether a name among the kept calls is one of a trunk's call."""
        return name.startswith(_KEPT)

    @staticmethod
    def call_id_of(name: str) -> str:
        """Return the Call-ID of a trunk's call by that name."""
        return name.removeprefix(_KEPT)

    def kept_names(self) -> list[str]:
        """Return the names of the calls that are to be kept."""
        return [_KEPT + call_id for call_id, call in self._calls.items() if _is_kept(call)]

    def kept_text(self, name: str) -> str | None:
        """Return what is to be kept of a call now; None: nothing."""
        call_id = self.call_id_of(name)
        call = self._calls.get(call_id)
        return self._calls.raw.get(call_id) if call is not None and _is_kept(call) else None

    def restore(self, name: str, text: str, now: float) -> TrunkCall | None:
        """Take over a call of before a restart; None: there is none to go on with."""
        try:
            call = msgspec.json.decode(text, type=TrunkCall)
        except msgspec.MsgspecError:  # of another release
            return None
        is_running = _is_kept(call) and now - call.since < LONGEST_S
        return call if is_running and self.begin(self.call_id_of(name), call) else None

    # ------------------------------------------------------------ all of them

    def is_running(self, call_id: str) -> bool:
        """Whether a trunk's call has not ended."""
        call = self._calls.get(call_id)
        return call is not None and not call.ended_at

    def forget_ended(self, now: float) -> None:
        """Forget calls whose BYE nobody answered."""
        for call_id, call in self._calls.items():
            if call.ended_at and now - call.ended_at > ENDED_KEPT_S:
                self.forget(call_id)


def _is_kept(call: TrunkCall) -> bool:
    return call.answered and not call.ended_at


class Redirection(msgspec.Struct, frozen=True):
    """One redirection that the core has told a page of."""

    diversions: list[Diversion]
    """Whom the call was for, the oldest first."""
    parameters: list[str] = []
    """What the core said of where the number is ported to (RFC 4694)."""


class Redirections:
    """By caller and by whom it was sent to; forgotten a minute later (autoexpire of the table)."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def remember(self, action: RememberRedirection) -> None:
        """Keep it for each of the targets."""
        for target, parameters in action.targets[:MOST_TARGETS]:
            found = Redirection(list(action.diversions), list(parameters))
            self._table.set(_redirected_key(action.owner, target), msgspec.json.encode(found).decode())

    def take(self, owner: str, targets: Iterable[str]) -> Redirection | None:
        """Return the one that sent a caller to one of ``targets``, which are names of one; it counts for one call."""
        for target in dict.fromkeys(targets):
            text = self._table.get(_redirected_key(owner, target))
            if text is not None:
                self._table.remove(_redirected_key(owner, target))
                return msgspec.json.decode(text, type=Redirection)
        return None


def _redirected_key(owner: str, target: str) -> str:
    return f"{owner} {target}"
