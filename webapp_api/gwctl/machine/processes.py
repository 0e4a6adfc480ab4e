"""What the kernel says of sockets and processes (/proc): who has a port, what that program has loaded and may open."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_LISTENS: Final = "0A"
_ACCEPTS: Final = "00010000"
"""The flag of a Unix socket that listens."""
_OPEN_FILES: Final = re.compile(r"Max open files\s+(\S+)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Socket:
    """A bound UDP socket, or a TCP socket that listens."""

    address: str
    port: int
    inode: str
    drops: int
    """Datagrams that found no room."""


def sockets(kind: str) -> list[Socket]:
    """Return the sockets of this network namespace; ``kind``: udp or tcp."""
    found = []
    for name in (kind, f"{kind}6"):
        try:
            lines = (PROC / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if kind == "udp" or parts[3] == _LISTENS:
                address, _, port = parts[1].partition(":")
                drops = int(parts[-1]) if kind == "udp" else 0
                found.append(Socket(_address(address), int(port, 16), parts[9], drops))
    return found


def sockets_at(kind: str, address: str, port: int) -> list[Socket]:
    """Return those that get what is sent to an address and port."""
    wanted = {str(ipaddress.ip_address(address)), "0.0.0.0", "::"}  # noqa: S104
    return [one for one in sockets(kind) if one.port == port and one.address in wanted]


def listens_at_path(path: str) -> bool:
    """Whether a program listens at a Unix socket; HAProxy binds its own as PATH.PID.tmp, and renames the file then."""
    try:
        lines = (PROC / "net" / "unix").read_text().splitlines()[1:]
    except OSError:
        return False
    found = (line.split(maxsplit=7) for line in lines)
    bound = (parts[7] for parts in found if len(parts) == 8 and parts[3] == _ACCEPTS)
    return any(one == path or re.fullmatch(rf"{re.escape(path)}\.\d+\.tmp", one) for one in bound)


def _address(text: str) -> str:
    raw = bytes.fromhex(text)
    words = [raw[start : start + 4] for start in range(0, len(raw), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return str(ipaddress.ip_address(b"".join(words)))


def owners_of(groups: Sequence[list[Socket]]) -> list[int | None]:
    """Return for each group of sockets the process that has one of them, the oldest; None where we may not see it.

    One pass over all open files of all processes, which are hundreds of thousands on a busy node: for a thread.
    """
    wanted = {f"socket:[{one.inode}]": place for place, found in enumerate(groups) for one in found}
    owners: dict[int, int] = {}
    for pid in sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()):
        if len(owners) == len(set(wanted.values())):
            break
        # Not ours to see, or gone.
        with suppress(OSError), os.scandir(PROC / str(pid) / "fd") as files:
            for entry in files:
                place = wanted.get(_target(entry.path))
                if place is not None:
                    owners.setdefault(place, pid)
    return [owners.get(place) for place in range(len(groups))]


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - a Path for each takes thrice as long
    except OSError:  # closed meanwhile
        return ""


def most_open_files(pid: int, *, raises_it: bool = False) -> int | None:
    """Return how many files a process may have open; None: no limit, or not known.

    Of one that raises its limit itself, to what it needs, the hard limit counts.
    """
    try:
        found = _OPEN_FILES.search((PROC / str(pid) / "limits").read_text())
    except OSError:
        return None
    most = found[2 if raises_it else 1] if found else ""
    return int(most) if most.isdigit() else None


def has_loaded(pid: int, name: str) -> bool | None:
    """Whether a library is in a process; None: not ours to see."""
    try:
        return name in (PROC / str(pid) / "maps").read_text()
    except OSError:
        return None


def kernel_number(name: str) -> int | None:
    """Return a setting of the kernel, as ``net/core/rmem_max``; None where there is none to see."""
    try:
        return int((PROC / "sys" / name).read_text().split()[0])
    except (OSError, ValueError):
        return None
