"""What counts say beside older ones.  Knows numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST_GROWTH: Final = 0.05


@dataclass(frozen=True)
class Change:
    """One case, now and before."""

    name: str
    now: int
    before: int | None

    @property
    def growth(self) -> float:
        """0.05: a twentieth dearer; 0.0 for a new case."""
        return self.now / self.before - 1 if self.before else 0.0

    @property
    def is_dearer(self) -> bool:
        """Whether it grew by more than is let pass."""
        return self.before is not None and self.now > self.before * (1 + MOST_GROWTH)

    def line(self) -> str:
        """Return it for people."""
        mark = "BROKEN" if self.is_dearer else "new   " if self.before is None else "kept  "
        return f"{mark} {self.name:44} {self.now:9,d} instructions {self.growth:+7.1%}"


def counts_from_totals(names: Sequence[str], totals: Sequence[int], rounds: int) -> dict[str, int]:
    """Return the instructions of one round of each case.

    ``totals``: four for each case: what came before it, its rounds, what came between, twice its rounds.
    """
    if len(totals) != 4 * len(names):
        raise ValueError(f"{len(totals)} counts for {len(names)} cases: something else called getppid")
    return {
        name: round((totals[4 * place + 3] - totals[4 * place + 1]) / rounds)
        for place, name in enumerate(names)
    }


def changes(now: Mapping[str, int], before: Mapping[str, int]) -> list[Change]:
    """Compare; a case that is gone is not told of."""
    return [Change(name, count, before.get(name)) for name, count in now.items()]
