"""What was measured as a table, and whether the bar is met.

Knows figures and the bar.  Must not run anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.first_audio.cases import Case
from tests.bench.first_audio.measure import CallTimes
from tests.bench.report import Bar, aligned
from tests.bench.results import percentiles

ON_TOP_BAR_MS: Final = 40.0
"""What gateway and set-up may add to the network's own one-way delay."""

JUDGED_CLIENT: Final = "aiortc"
"""A browser does not show when a packet came, only when it plays: its own 40 ms are no matter of the gateway."""

_COLUMNS: Final[tuple[tuple[str, Callable[[CallTimes], float | None]], ...]] = (
    ("200 at page", lambda call: call.answered_s),
    ("first packet", lambda call: call.packet_s),
    ("page hears", lambda call: call.page_s),
    ("page plays", lambda call: call.played_s),
    ("phone hears", lambda call: call.phone_s),
)


@dataclass(frozen=True)
class Cell:
    """All calls of one case on one network; None for a call that failed."""

    case: Case
    network: str
    one_way_s: float
    client: str
    calls: Sequence[CallTimes | None]

    @property
    def complete(self) -> list[CallTimes]:
        """The calls in which both heard each other."""
        return [call for call in self.calls if call is not None and call.complete]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "case": self.case.name,
            "network": self.network,
            "one_way_s": self.one_way_s,
            "client": self.client,
            "calls": [None if call is None else asdict(call) for call in self.calls],
        }


def table(cells: Sequence[Cell]) -> str:
    """Return milliseconds after the callee's 200, p50/p95, one line for each cell."""
    rows = [["case", "network", "one way", "calls", "failed", *(name for name, _ in _COLUMNS)]]
    for cell in cells:
        calls = cell.complete
        figures = []
        for _, value in _COLUMNS:
            rank = percentiles([v for call in calls if (v := value(call)) is not None])
            figures.append(f"{rank.p50:.0f}/{rank.p95:.0f}")
        failed = len(cell.calls) - len(calls)
        one_way = f"{1000 * cell.one_way_s:.1f}"
        rows.append([cell.case.label, cell.network, one_way, str(len(calls)), str(failed), *figures])
    return aligned(rows)


def bars(cells: Sequence[Cell]) -> list[Bar]:
    """Return the promises: of every case for which the media path stands before the answer, the 95th percentile."""
    found = []
    for cell in cells:
        if not cell.case.judged or cell.client != JUDGED_CLIENT:
            continue
        # What becomes G.711 or AMR waits for the page's next packet in rtpengine before 11.2: its resampler keeps a
        # little back, and a phone wants 20 ms in each packet.
        ends = [("page", _page), ("phone", _phone)] if cell.case.codec == "opus" else [("page", _page)]
        for end, value in ends:
            on_top = percentiles([value(call) - cell.one_way_s for call in cell.complete]).p95
            promise = f"{cell.case.label}, {cell.network}: {end} hears p95 at most 40 ms after the network's own delay"
            kept = bool(cell.complete) and on_top <= ON_TOP_BAR_MS
            found.append(Bar(promise, on_top, kept))
        failed = len(cell.calls) - len(cell.complete)
        found.append(Bar(f"{cell.case.label}, {cell.network}: no call failed", failed, not failed))
    return found


def _page(call: CallTimes) -> float:
    assert call.page_s is not None
    return call.page_s


def _phone(call: CallTimes) -> float:
    assert call.phone_s is not None
    return call.phone_s
