"""How long the core takes to challenge users it knows, so that strangers wait as long for one it does not know.

A core that knows a user fetches keys for the challenge; without a delay of ours a clock would tell who there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

KEPT: Final = 32
"""Times that are remembered: a stranger gets one of them, so that not even their spread says anything."""
LONGEST_S: Final = 1.0
"""What took longer is no usual time."""
USUAL_S: Final = 0.05
"""Before any is known."""


def with_time(times: Sequence[float], took_s: float) -> list[float]:
    """Return the times that are remembered, the newest last."""
    if not 0 <= took_s <= LONGEST_S:
        return list(times)
    return [*times, round(took_s, 4)][-KEPT:]


def due_at(began: float, times: Sequence[float], choose: Callable[[Sequence[float]], float]) -> float:
    """Return when somebody is to be answered whose request came at ``began``; ``choose`` draws one of the times."""
    return began + (choose(times) if times else USUAL_S)
