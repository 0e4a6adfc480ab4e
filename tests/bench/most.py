"""The most that somebody did on a ladder, which is known only of who broke there.

Knows rows and ladders as they are handed over, earlier ones, too. Must not climb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tests.bench.page.table import quantity
from tests.bench.rows import Ladder, Row

CANNOT_CONNECT: Final = "load clients cannot connect"
"""What ends a ladder without saying how much its climber can do."""
WHO: Final = {"ladder.signalling": "gateway", "ladder.media": "gateway with rtpengine"}
"""By figure whose most it is."""


def bounded(row: Row, ladders: Sequence[Ladder]) -> Row:
    """Return a row of the most without figures of those who never broke; their notes say how far they were tried."""
    if row.figure.id not in WHO:
        return row
    ends = {one.who: one.breaks or "more was not tried" for one in ladders}
    unbroken = {one.who for one in ladders if one.breaks in ("", CANNOT_CONNECT)}

    def note(who: str, value: float, said: str) -> str:
        least = f"at least {quantity(value, row.figure.unit)}: {ends[who]}"
        return f"{least}; {said}" if said else least

    peers = tuple(
        replace(peer, value=None, note=note(peer.name, peer.value, peer.note))
        if peer.value is not None and peer.name in unbroken
        else peer
        for peer in row.peers
    )
    who = WHO[row.figure.id]
    if row.value is None or who not in unbroken:
        return replace(row, peers=peers)
    return replace(row, value=None, note=note(who, row.value, row.note), peers=peers)
