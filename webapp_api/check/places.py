"""Where in a TOML file a key is: tomllib does not tell.

A line of a table header or of a key is known by its first characters; what is inside a list or a text of several lines
has the line on which that begins.
"""

from __future__ import annotations

import re
from typing import Final

from kemi.core.unknown_keys import KeyPath

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]\]?")
_KEY: Final = re.compile(r"""\s*([\w-]+|"[^"]*"|'[^']*')\s*=\s*(.*)""")
_INLINE_KEY: Final = re.compile(r"""(?:^|[{,\s])([\w-]+)\s*=""")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


class Places:
    """The lines of one file."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {(): 1}
        self._table: KeyPath = ()
        self._counts: dict[KeyPath, int] = {}
        list_path: KeyPath = ()
        open_brackets, item = 0, -1
        for number, line in enumerate(text.splitlines(), 1):
            bare = _TEXT.sub('""', line).partition("#")[0]
            if open_brackets:
                if "{" in bare:
                    item += 1
                    self._inline((*list_path, item), bare, number)
            elif header := _HEADER.match(line):
                self._open(header[1], header[2], number)
                continue
            elif key := _KEY.match(line):
                list_path, item = (*self._table, key[1].strip("\"'")), -1
                self._lines.setdefault(list_path, number)
                if "{" in bare:
                    for item, part in enumerate(bare.split("{")[1:]):
                        self._inline((*list_path, item), part, number)
                        self._inline(list_path, part, number)
            open_brackets = max(0, open_brackets + bare.count("[") - bare.count("]"))

    def _open(self, brackets: str, name: str, number: int) -> None:
        path: KeyPath = tuple(part.strip("\"'") for part in name.split("."))
        if brackets == "[[":
            place = self._counts.get(path, 0)
            self._counts[path] = place + 1
            self._lines.setdefault(path, number)
            path = (*path, place)
        self._table = path
        self._lines.setdefault(path, number)

    def _inline(self, path: KeyPath, text: str, number: int) -> None:
        self._lines.setdefault(path, number)
        for found in _INLINE_KEY.finditer(text):
            self._lines.setdefault((*path, found[1]), number)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest thing around it that is there."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def paths(self) -> list[KeyPath]:
        """Return all that are known."""
        return list(self._lines)
