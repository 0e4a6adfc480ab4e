"""Keys of a settings file that nobody reads: a slip of the pen must not leave a default in force unnoticed."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

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
    hints = typing.get_type_hints(kind)
    known = [one.name for one in fields(kind)]
    for key, value in document.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            yield UnknownKey((*path, key), near[0] if near else "")
            continue
        for inner, place, item in _items(hints[key], value):
            yield from unknown_keys(item, inner, (*path, key, *place))


def _items(hint: Any, value: Any) -> Iterator[tuple[type[Any], KeyPath, Mapping[str, Any]]]:
    """Return what of a value is read into dataclasses, and where in it."""
    options = [hint, *typing.get_args(hint)]
    kinds = [option for option in options if is_dataclass(option) and isinstance(option, type)]
    if not kinds:
        return
    if isinstance(value, dict):
        yield kinds[0], (), value
    elif isinstance(value, list):
        for place, item in enumerate(value):
            if isinstance(item, dict):
                yield kinds[0], (place,), item
