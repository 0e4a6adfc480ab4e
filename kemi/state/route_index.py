"""The routing table as a file that all workers of a gateway read: built once, never changed, replaced as a whole.

A worker that loaded a table of 100,000 rows would answer nothing for a second, and keep a copy of its own.  SQLite maps
one file into all of them, and a lookup reads the few pages it needs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Self

import msgspec

from kemi.core.routing.lookup import Entry, entries_of
from kemi.core.routing.table import ANY, Route

_MOST_BEGINNINGS: Final = 26
"""A number of 25 characters, and the empty beginning; longer ones match by their first 25."""
FORMAT: Final = 1
"""Raised whenever patterns.py writes beginnings in another way: in a file of before, rows would be missed."""
_SCHEMA: Final = f"""
    PRAGMA user_version = {FORMAT};
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -65536;
    CREATE TABLE entry (
        realm TEXT, beginning TEXT, position INTEGER, whole INTEGER, open_digits INTEGER, route BLOB,
        PRIMARY KEY (realm, beginning, position)
    ) WITHOUT ROWID;
    CREATE TABLE length (length INTEGER PRIMARY KEY);
    CREATE TABLE rest (text TEXT);
"""
_INSERT: Final = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)"
_MAP_BYTES: Final = 1 << 30
_FIND: Final = tuple(
    "SELECT beginning, route, whole, open_digits FROM entry WHERE realm IN (?, ?) AND beginning IN ("  # noqa: S608
    + ", ".join("?" * number)
    + ")"
    for number in range(_MOST_BEGINNINGS + 1)
)
"""By the number of beginnings; SQLite keeps those that are in use ready."""
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Route)


def build(path: Path, routes: Iterable[Route], rest: str = "") -> None:
    """Write a table that was checked into a file; who reads the path sees the old file or the whole new one.

    ``rest``: what else belongs to it, as its keeper writes it.
    """
    for _ in build_in_steps(path, routes, rest):
        pass


def build_in_steps(
    path: Path, routes: Iterable[Route], rest: str = "", rows_at_once: int = 500
) -> Iterator[None]:
    """The same, with a pause whenever some rows are written, for who has other work to do."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as file:
        yield from _fill(file, routes, rest, rows_at_once)
    unfinished.replace(path)


def _fill(file: sqlite3.Connection, routes: Iterable[Route], rest: str, rows_at_once: int) -> Iterator[None]:
    file.executescript(_SCHEMA)
    file.execute("INSERT INTO rest VALUES (?)", (rest,))
    waiting: list[tuple[object, ...]] = []
    for position, route in enumerate(routes):
        encoded = _ENCODER.encode(route)
        waiting += [
            (route.realm, entry.beginning, position, entry.exact, entry.open_digits, encoded)
            for entry in entries_of(route)
        ]
        if len(waiting) >= rows_at_once:
            file.executemany(_INSERT, waiting)
            waiting.clear()
            yield
    file.executemany(_INSERT, waiting)
    file.execute("INSERT INTO length SELECT DISTINCT length(beginning) FROM entry")
    file.commit()


class RouteFile:
    """An open file.  Belongs to the process that opened it: SQLite is not carried over a fork."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._lengths = frozenset(length for (length,) in file.execute("SELECT length FROM length"))
        """Of the beginnings there are: others need not be looked for."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open what was built; raise sqlite3.Error for what is no such file."""
        file = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        file.execute(f"PRAGMA mmap_size = {_MAP_BYTES}")
        return cls(file)

    @classmethod
    def in_memory(cls, routes: Iterable[Route]) -> Self:
        """Return the same without a file, for who asks once."""
        file = sqlite3.connect(":memory:")
        for _ in _fill(file, routes, "", rows_at_once=10_000):
            pass
        return cls(file)

    def entries(self, realm: str, beginnings: Sequence[str]) -> list[Entry]:
        """Return those of one realm, and those for every realm, with one of these beginnings."""
        wanted = [one for one in beginnings[:_MOST_BEGINNINGS] if len(one) in self._lengths]
        return [
            Entry(beginning, _DECODER.decode(route), bool(whole), open_digits)
            for beginning, route, whole, open_digits in self._file.execute(
                _FIND[len(wanted)], (realm, ANY, *wanted)
            )
        ]

    def has_rows(self) -> bool:
        """Return whether any number at all is in it."""
        return bool(self._lengths)

    def format(self) -> int:
        """Return the FORMAT of the release that built it; 0 of one that had none."""
        (number,) = self._file.execute("PRAGMA user_version").fetchone()
        return int(number)

    def rest(self) -> str:
        """Return what else belongs to the table."""
        (text,) = self._file.execute("SELECT text FROM rest").fetchone()
        return str(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
