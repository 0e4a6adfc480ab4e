"""From a program's own complaint to the key it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kemi.core.unknown_keys import KeyPath

_AT: Final = re.compile(r"(?P<reason>.*) - at `\$\.?(?P<path>[^`]*)`", re.DOTALL)
"""As msgspec says it; ``[...]`` is some key of a table."""
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_OWN: Final = re.compile(r"(?P<keys>[a-z_][\w.]*(?:, [\w.]+)*(?: and [\w.]+)*): (?P<reason>.*)", re.DOTALL)
_NAMED: Final = re.compile(r"(?P<name>'[^']*'|[\w-]+):? (?P<rest>.*)", re.DOTALL)
_EXPECTED: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_TYPES: Final[Mapping[str, type]] = {
    "int": int, "float": float, "str": str, "bool": bool, "array": list, "object": dict,
}  # fmt: skip


def blamed(message: str, document: Mapping[str, Any]) -> tuple[KeyPath, str]:
    """Return the path of the key that a message is about, and the rest of it."""
    if at := _AT.fullmatch(message):
        reason, path = at["reason"], _found(at["path"], document, _got(at["reason"]))
    elif own := _OWN.fullmatch(message):
        first = re.split(r", | and ", own["keys"])[0]
        path, reason = _deeper(tuple(first.split(".")), own["reason"], document)
    else:
        reason, path = message, ()
    if missing := _MISSING.search(reason):
        return (*path, missing[1]), "missing"
    return path, reason


def _got(reason: str) -> type | None:
    expected = _EXPECTED.search(reason)
    return _TYPES.get(expected[2]) if expected else None


def _found(text: str, document: Mapping[str, Any], got: type | None) -> KeyPath:
    """Return the first path that fits; ``got``: the type of what is wrong there."""
    parts: list[str] = re.findall(r"[A-Za-z_][\w-]*|\[\.\.\.\]|\[\d+\]", text)
    candidates: list[tuple[KeyPath, Any]] = [((), document)]
    for part in parts:
        following: list[tuple[KeyPath, Any]] = []
        for path, value in candidates:
            if part == "[...]" and isinstance(value, list):
                following += [((*path, place), item) for place, item in enumerate(value)]
            elif part == "[...]" and isinstance(value, dict):
                following += [((*path, key), item) for key, item in value.items()]
            elif isinstance(value, list) and int(part[1:-1]) < len(value):
                following.append(((*path, int(part[1:-1])), value[int(part[1:-1])]))
            elif isinstance(value, dict):
                following.append(((*path, part), value.get(part)))
        candidates = following
    fitting = [path for path, value in candidates if got is None or type(value) is got]
    return next(iter([*fitting, *(path for path, _ in candidates)]), ())


def _deeper(path: KeyPath, reason: str, document: Mapping[str, Any]) -> tuple[KeyPath, str]:
    """Follow ``trunks: NAME: KEY: …`` into the list, by name or by any text of the item."""
    value: Any = document
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return path, reason
    named = _NAMED.match(reason)
    name = named["name"].strip("'") if named else ""
    place = _place(value, name, reason)
    if place is None or not isinstance(value[place], dict):
        return path, reason
    rest = named["rest"] if named and name in _texts(value[place]) else reason
    key, colon, after = rest.partition(": ")
    key = re.split(r", ", key)[0]
    if colon and re.fullmatch(r"\w+", key):
        return (*path, place, key), after
    word = rest.partition(" ")[0]
    if word in value[place]:
        return (*path, place, word), rest
    return (*path, place), rest


def _place(items: Sequence[Any], name: str, reason: str) -> int | None:
    for place, item in enumerate(items):
        if name and name in _texts(item):
            return place
    for place, item in enumerate(items):
        if any(text and text in reason for text in _texts(item)):
            return place
    return None


def _texts(item: Any) -> list[str]:
    if isinstance(item, dict):
        return [value for value in item.values() if isinstance(value, str)]
    return [item] if isinstance(item, str) else []
