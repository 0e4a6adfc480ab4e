"""What a site says of traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_CALLS: Final = 100_000
LONGEST_S: Final = 366 * 86_400


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """How many calls' traces Redis keeps, and for how long."""

    enabled: bool = True
    calls: int = 2_000
    """Those that went well."""
    failed_calls: int = 2_000
    """Those that failed, or had no sound."""
    kept_s: int = 86_400
    failed_kept_s: int = 7 * 86_400


def check_trace(settings: TraceSettings) -> None:
    """Raise ValueError that names the key."""
    for name in ("calls", "failed_calls"):
        if not 1 <= getattr(settings, name) <= MOST_CALLS:
            raise ValueError(f"trace.{name}: from 1 to {MOST_CALLS}; enabled = false keeps none")
    for name in ("kept_s", "failed_kept_s"):
        if not 60 <= getattr(settings, name) <= LONGEST_S:
            raise ValueError(f"trace.{name}: from 60 to {LONGEST_S} seconds")
