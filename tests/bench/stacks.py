"""Samples of running processes, and which functions they fell into.

Knows the texts of py-spy (``--format raw``) and of ``perf script``.  Must not know what is measured, nor run anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_FRAME = re.compile(r"(?P<name>.+) \((?P<file>[^()]+?)(?::\d+)?\)")
_LEAF = re.compile(
    r"\s*(?P<pid>\d+)\s+(?P<address>[0-9a-f]+)\s+(?P<symbol>.+?)(?:\+0x[0-9a-f]+)?\s+\((?P<object>[^()]*)\)"
)


@dataclass
class Samples:
    """How many samples fell into each function."""

    total: int = 0
    exclusive: Counter[str] = field(default_factory=Counter)
    """In the function itself."""
    inclusive: Counter[str] = field(default_factory=Counter)
    """In it or in what it called."""

    def share(self, counter: Counter[str], name: str) -> float:
        """Return a function's share of all samples."""
        return counter[name] / self.total if self.total else 0.0


def add_stacks(samples: Samples, text: str, roots: tuple[str, ...] = ()) -> None:
    """Add what py-spy saw: a line is a stack, its outermost frame first, and how often it was seen.

    Frames are named ``file.function``, the file by the last two parts of its path and without ending; ``roots``: only
    stacks with a frame whose name begins so.
    """
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        names = [_frame_name(frame) for frame in stack.split(";")]
        if roots and not any(name.startswith(roots) for name in names):
            continue
        count = int(number)
        samples.total += count
        samples.exclusive[names[-1]] += count
        for name in set(names):
            samples.inclusive[name] += count


def _frame_name(frame: str) -> str:
    match = _FRAME.fullmatch(frame)
    if match is None:
        return frame
    parts = match["file"].removesuffix(".py").split("/")
    return f"{'/'.join(parts[-2:])}.{match['name']}"


def add_leaves(samples: Samples, text: str) -> None:
    """Add what ``perf script -F pid,ip,sym,dso`` printed: a line is a sample; inclusive are whole objects.

    The exclusive names are ``object symbol``; of the kernel there is one object.
    """
    for line in text.splitlines():
        match = _LEAF.fullmatch(line.rstrip())
        if match is None:
            continue
        of = object_name(match["object"])
        samples.total += 1
        samples.exclusive[f"{of} {match['symbol']}"] += 1
        samples.inclusive[of] += 1


def object_name(path: str) -> str:
    """Return a short name of what a sample was in."""
    name = path.rpartition("/")[2]
    if path.startswith(("[kernel", "[guest.kernel", "[unknown", "[vdso", "[")):
        return "kernel" if "kernel" in path else name.strip("[]")
    stem = re.sub(r"\.so[.\d]*$", "", name)
    return re.sub(r"\.cpython-.*$", "", stem)


def dearest(counter: Counter[str], most: int = 10, without: Iterable[str] = ()) -> list[tuple[str, int]]:
    """Return the functions with most samples, but those whose name begins with one of ``without``."""
    left_out = tuple(without)
    found = [
        (name, count)
        for name, count in counter.most_common()
        if not left_out or not name.startswith(left_out)
    ]
    return found[:most]
