"""Which running calls somebody asks for, and the page of them that a gateway answers.

Calls are in the order of their begin, the latest first; what began at the same moment is in the order of ``mark``.  A
place in that order never changes, so a page that goes on after one neither repeats nor leaves out a call that runs all
the while, whatever begins and ends meanwhile.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable
from heapq import nlargest
from typing import Any, Final, TypeAlias

import msgspec

from kemi.core.call.history import peer_of
from kemi.core.call.record_key import record_key
from kemi.core.identity import one_spelling
from kemi.state.calls import record_from_text
from kemi.state.running_calls import MOST_CALLS, Figures, GatewayCalls, RunningCall, far_side, live_call

ANSWER_S: Final = 2.0
"""How long who asks waits for gateways; they read their commands twice a second."""

Place: TypeAlias = tuple[float, str]
"""When a call began, and its mark."""

DIRECTIONS: Final = ("out", "in")
DIALOGS: Final = ("none", "early", "confirmed")

_NUMBER: Final = re.compile(r"\+?[0-9 .()/-]+")
_SEPARATORS: Final = str.maketrans("", "", " .()/-")
_OVER: Final = "terminated"


class CallQuestion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls: those that fit all that is said."""

    impus: tuple[str, ...] = ()
    """Public identities of pages, in any spelling."""
    party: str = ""
    """Part of the identity or number of either side; case, and what separates digits, do not count."""
    call_id: str = ""
    direction: str = ""
    dialog: str = ""
    gateway: str = ""
    """Only this one answers."""
    node: str = ""
    """Media relay node."""
    trunk: str = ""
    begun_until: float | None = None
    """In seconds since the epoch."""
    after: Place | None = None
    """Only what follows this place."""
    limit: int = MOST_CALLS

    def fits(self, call: RunningCall, by: str) -> bool:
        """Whether a call is asked for; ``by``: how its far side is reached (LiveLeg.by)."""
        return (
            (not self.impus or call.owner in map(one_spelling, self.impus))
            and _has(self.party, (call.owner, call.peer))
            and self.call_id in ("", call.call_id)
            and self.direction in ("", call.direction)
            and self.dialog in ("", call.dialog)
            and self.node in ("", call.node)
            and (not self.trunk or by == f"trunk:{self.trunk}")
            and (self.begun_until is None or call.since <= self.begun_until)
        )

    def follows(self, place: Place) -> bool:
        """Whether a place is on this page, or on one that follows it."""
        return self.after is None or place < self.after


ALL_CALLS: Final = CallQuestion()


class _Outbound(msgspec.Struct):
    trunk: str = ""


class _Incoming(msgspec.Struct):
    withheld: bool = False


class _Glance(msgspec.Struct):
    """What of a record (kemi/core/call/record.py) says whether it is asked for: the rest is not read."""

    call_id: str
    gateway_tag: str
    owner: str
    request_uri: str
    target_uri: str
    since: float
    dialog: str
    node: str
    dialled: str = ""
    remote_identity: str = ""
    incoming: _Incoming | None = None
    outbound: _Outbound | None = None

    def call(self) -> RunningCall:
        return RunningCall(
            key=record_key(self.call_id, self.gateway_tag),
            call_id=self.call_id,
            owner=self.owner,
            peer=peer_of(self),
            direction="out" if self.incoming is None else "in",
            kinds=[],
            dialog=self.dialog,
            since=self.since,
            node=self.node,
        )


_DECODER: Final = msgspec.json.Decoder(_Glance)


def place_of(call: RunningCall) -> Place:
    """Return a call's place; the mark stands for its name, which a page may have made long."""
    return call.since, hashlib.sha256(call.key.encode(errors="replace")).hexdigest()[:16]


def place_to_text(place: Place) -> str:
    """Return a place as one word."""
    since, mark = place
    return f"{since!r}:{mark}"


def place_from_text(text: str) -> Place:
    """Return the place; raise ValueError when it is none."""
    since, found, mark = text.partition(":")
    begun = float(since)
    if not found or not math.isfinite(begun):
        raise ValueError(text)
    return begun, mark


def answer_text(
    asked: str,
    question: CallQuestion,
    texts: Iterable[str],
    figures_of: Callable[[str], Figures],
    now: float,
) -> str:
    """Answer a question with the records that there are.

    ``asked`` names it; ``figures_of``: of a call's key, what is known last; ``now`` is in seconds since the epoch.
    """
    total, found = 0, []
    for text in texts:
        glance = _DECODER.decode(text)
        call = glance.call()
        by = far_side("" if glance.outbound is None else glance.outbound.trunk)
        if glance.dialog == _OVER or not question.fits(call, by):
            continue
        total += 1
        place = place_of(call)
        if question.follows(place):
            found.append((place, text))
    page = nlargest(max(1, min(question.limit, MOST_CALLS)), found)
    calls = [
        live_call(record, figures_of(record.key)) for record in (record_from_text(text) for _, text in page)
    ]
    answer = GatewayCalls(
        asked=asked, calls=calls, left_out=len(found) - len(calls), total=total, at=round(now, 3)
    )
    return msgspec.json.encode(answer).decode()


def question_fields(question: CallQuestion) -> dict[str, Any]:
    """Return what a command has of a question."""
    fields: dict[str, Any] = msgspec.to_builtins(question)
    return fields


def _has(wanted: str, names: Iterable[str]) -> bool:
    wanted = wanted.strip().lower()
    if not _NUMBER.fullmatch(wanted):
        return any(wanted in name.lower() for name in names)
    wanted = wanted.translate(_SEPARATORS)
    return any(wanted in name.translate(_SEPARATORS) for name in names)
