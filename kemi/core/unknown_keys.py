"""Keys of a settings file that nobody reads: a slip of the pen must not leave a default in force unnoticed."""

from __future__ import annotations

import difflib
import functools
import typing
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast

KeyPath = tuple[str | int, ...]
"""Names of tables and keys, and places in lists."""


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """One of them."""

    path: KeyPath
    meant: str
    """The known key that looks most like it; "": none does."""

    def __str__(self) -> str:
        hint = f", perhaps {self.meant}" if self.meant else ""
        return f"{path_to_text(self.path)}: unknown{hint}"


def path_to_text(path: KeyPath) -> str:
    """Write a path as ``media.nodes[0].port``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def unknown_keys(document: Mapping[str, Any], kind: type[Any], path: KeyPath = ()) -> Iterator[UnknownKey]:
    """Compare a document with the dataclass it is read into; what has another type than it should is passed over."""
    known = _dataclasses_of(cast("Hashable", kind))
    for key, value in document.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            yield UnknownKey((*path, key), near[0] if near else "")
        elif (inner := known[key]) is not None:
            items = {(): value} if isinstance(value, dict) else _places(value)
            for place, item in items.items():
                if isinstance(item, dict):
                    yield from unknown_keys(item, inner, (*path, key, *place))


def _places(value: object) -> dict[KeyPath, Any]:
    return {(place,): item for place, item in enumerate(value)} if isinstance(value, list) else {}


@functools.cache
def _dataclasses_of(kind: Hashable) -> dict[str, type[Any] | None]:
    """Return the keys of a dataclass, and the dataclass that their values, or the items of these, are read into."""
    hints = typing.get_type_hints(kind)
    found = {}
    for one in fields(cast("type[Any]", kind)):
        options = [hints[one.name], *typing.get_args(hints[one.name])]
        kinds = (option for option in options if is_dataclass(option) and isinstance(option, type))
        found[one.name] = next(kinds, None)
    return found
