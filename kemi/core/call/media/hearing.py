"""What one side of a call hears, in one word, and when a change of it is worth telling."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from kemi.core.pace import is_early

MARGIN: Final = 0.1
"""So much beyond a limit a score has to be before it counts as better: one that wavers about it is not told again."""


class Hearing(Enum):
    """By the limits of ITU-T G.107 Annex B: satisfied (R 80), many dissatisfied (R 60)."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    SILENT = "silent"
    """Nothing has been sent to this side: it is on hold, or there is no sound."""


_LEAST: Final = ((4.03, Hearing.GOOD), (3.10, Hearing.FAIR))


def hearing_of(mos: float, packets: int, before: Hearing | None) -> Hearing:
    """Return what a side hears.

    ``mos``: 1.0 to 4.5; ``packets``: that were sent to it meanwhile; ``before``: what it heard until now.
    """
    if not packets:
        return Hearing.SILENT
    for least, hearing in _LEAST:
        is_better = before is Hearing.POOR or (before is Hearing.FAIR and hearing is Hearing.GOOD)
        if mos >= least + (MARGIN if is_better else 0.0):
            return hearing
    return Hearing.POOR


@dataclass(slots=True)
class ToldHearing:
    """What was told of a call."""

    told: dict[str, Hearing] = field(default_factory=dict)
    """Leg -> what it hears."""
    at: float = 0.0
    """When, in seconds since the epoch."""

    def is_news(self, found: dict[str, Hearing], now: float, least_s: float) -> bool:
        """Whether this is to be told now: something is new, and the last time is ``least_s`` ago."""
        changed = {**self.told, **found} != self.told
        if not changed or (self.told and is_early(now, self.at + least_s, least_s)):
            return False
        self.told, self.at = {**self.told, **found}, now
        return True
