"""Running calls as an operator sees them: what a gateway says of its own, when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec

from kemi.core.call.record import CallRecord

MOST_CALLS: Final = 1000
"""Of one gateway, in one answer."""


class RunningCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as one gateway has it: a page that calls a page is two."""

    key: str
    """Its name in the gateway and in its relay."""
    call_id: str
    owner: str
    """Public identity of the page."""
    peer: str
    """Whom it calls, or who calls it."""
    direction: str
    """out: the page calls; in: it is called."""
    kinds: list[str]
    """audio, video."""
    dialog: str
    """none, early or confirmed."""
    since: float
    """When it began, in seconds since the epoch."""
    node: str
    """Its media relay node."""


class GatewayCalls(msgspec.Struct, frozen=True, kw_only=True):
    """What one gateway answered."""

    asked: str
    """The question it answers."""
    calls: list[RunningCall]
    left_out: int = 0
    """How many more there are."""


def running_call(record: CallRecord) -> RunningCall:
    """Describe a call."""
    is_out = record.incoming is None
    return RunningCall(
        key=record.key,
        call_id=record.call_id,
        owner=record.owner,
        peer=record.request_uri if is_out else record.target_uri,
        direction="out" if is_out else "in",
        kinds=[medium.kind for medium in record.media],
        dialog=record.dialog.value,
        since=record.since,
        node=record.node,
    )


def calls_as_text(asked: str, records: Iterable[CallRecord], number: int) -> str:
    """Write an answer; ``number``: of all calls there are."""
    calls = [running_call(record) for record in islice(records, MOST_CALLS)]
    answer = GatewayCalls(asked=asked, calls=calls, left_out=max(0, number - len(calls)))
    return msgspec.json.encode(answer).decode()


def calls_from_texts(texts: Mapping[str, str], asked: str) -> dict[str, GatewayCalls]:
    """Return the answers to one question, by gateway."""
    found = {name: msgspec.json.decode(text, type=GatewayCalls) for name, text in texts.items()}
    return {name: calls for name, calls in sorted(found.items()) if calls.asked == asked}
