"""Memory of process trees, and what Kamailio says of its shared memory.

Knows /proc and Kamailio's RPC. Must not know what the processes do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.cpu import process_tree
from tests.lab.kamailio import KamailioRpc

_PROC: Final = Path("/proc")
_KIB: Final = 1024


@dataclass(frozen=True)
class Resident:
    """Proportional set size of some processes in bytes: a page that n of them share counts once, not n times."""

    private: int = 0
    shared: int = 0
    """Shared anonymous memory: Kamailio's pool, as far as it has ever been written to."""
    files: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.private + self.shared + self.files

    def __add__(self, other: Resident) -> Resident:
        return Resident(self.private + other.private, self.shared + other.shared, self.files + other.files)

    def __sub__(self, other: Resident) -> Resident:
        return Resident(self.private - other.private, self.shared - other.shared, self.files - other.files)


def resident(roots: Iterable[int]) -> Resident:
    """Return what these processes and all their descendants hold in memory."""
    total = Resident()
    for pid in process_tree(roots):
        total += resident_from_text(_read(_PROC / str(pid) / "smaps_rollup"))
    return total


def resident_from_text(text: str) -> Resident:
    """Parse a smaps_rollup."""
    sizes = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value.split()[0]) * _KIB
    return Resident(sizes.get("Pss_Anon", 0), sizes.get("Pss_Shmem", 0), sizes.get("Pss_File", 0))


def open_files(roots: Iterable[int]) -> int:
    """Return the most file descriptors that any of the processes has open."""
    return max(len(list((_PROC / str(pid) / "fd").iterdir())) for pid in process_tree(roots))


def shared_pool_used(rpc: KamailioRpc) -> int:
    """Return the bytes taken from Kamailio's shared memory pool, its own bookkeeping included."""
    return int(rpc("core.shmmem")["real_used"])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""
