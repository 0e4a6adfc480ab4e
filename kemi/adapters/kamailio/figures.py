"""What Kamailio counts of itself: its statistics and its shared memory."""

from __future__ import annotations

import json
from dataclasses import dataclass

import KSR

_MASK = 0xFFFFFFFF
"""``$stat`` and KEMI pass numbers on as C's ``int``: what is above 2**31 comes out negative, and 2**32 as 0."""
_KIB = 1024
_ASK_FOR_MEMORY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "core.shmmem", "params": ["k"]})


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """In bytes, to a KiB; what the allocator needs for itself is used, too."""

    free: int
    used: int
    most_used: int

    @property
    def free_share(self) -> float:
        """How much of all of it is free, 0.0 to 1.0."""
        whole = self.free + self.used
        return self.free / whole if whole else 1.0


def statistic(name: str) -> int | None:
    """Return one of Kamailio's own statistics ("group:name") modulo 2**32, None where there is no such one."""
    value = KSR.pv.get(f"$stat({name.partition(':')[2]})")
    return None if value is None else int(value) & _MASK


def growth(before: int, after: int) -> int:
    """Return by how much a statistic grew, that may have begun again at 0 in between."""
    return (after - before) & _MASK


def shared_memory() -> SharedMemory | None:
    """Ask for the shared memory, None if there was no answer.

    By RPC, in KiB: a pool of 2 GiB or more does not fit into a statistic.
    """
    if KSR.jsonrpcs.exec(_ASK_FOR_MEMORY) < 0:
        return None
    try:
        told = json.loads(str(KSR.jsonrpcs.response()))["result"]
        return SharedMemory(*(told[name] * _KIB for name in ("free", "real_used", "max_used")))
    except (KeyError, TypeError, ValueError):
        return None
