"""How much runs while a fault strikes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Self

CALLS_VARIABLE: Final = "FAULT_CALLS"
RATE_VARIABLE: Final = "FAULT_RATE"


@dataclass(frozen=True)
class Scale:
    """Calls that stand, new ones each second, and how many of those that stand have real sound at both ends."""

    running: int = 50
    per_s: float = 20.0
    heard: int = 6
    slack: float = 1.0
    """How many times longer than promised things may take, where nobody measures."""

    @property
    def calling_pages(self) -> int:
        """How many pages the new calls come from."""
        return max(2, min(10, int(self.per_s)))

    @property
    def is_short(self) -> bool:
        """Whether time matters more than figures."""
        return self.slack > 1

    @classmethod
    def from_environment(cls) -> Self:
        """Return the whole scale, or a smaller one for a machine that has other work."""
        running = int(os.environ.get(CALLS_VARIABLE, cls.running))
        return cls(running, float(os.environ.get(RATE_VARIABLE, cls.per_s)), min(cls.heard, running))


SHORT: Final = Scale(running=4, per_s=4.0, heard=1, slack=5.0)
"""Of the tests that run every time, beside others."""
