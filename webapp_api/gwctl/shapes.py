"""The shape of a command's JSON, as its help shows it: written from the types, so that it cannot be out of date."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import inspect

_WORDS: Mapping[type, str] = {
    inspect.StrType: "text",
    inspect.IntType: "number",
    inspect.FloatType: "number",
    inspect.BoolType: "true/false",
    inspect.NoneType: "null",
}


def shape_to_text(shape: type) -> list[str]:
    """Return lines like ``{"nodes": [{"node": text, "calls": number | null}]}``."""
    return _lines(inspect.type_info(shape), 0)


def _lines(kind: inspect.Type, depth: int) -> list[str]:
    if not isinstance(kind, inspect.StructType | inspect.DataclassType):
        return [_short(kind)]
    indent = "  " * (depth + 1)
    lines = ["{"]
    for field in kind.fields:
        name, inner = field.encode_name, field.type
        if (item := _item(inner)) is not None:
            nested = _lines(item, depth + 1)
            lines += [f'{indent}"{name}": [{nested[0]}', *nested[1:-1], f"{nested[-1]}]"]
        elif isinstance(inner, inspect.StructType | inspect.DataclassType):
            nested = _lines(inner, depth + 1)
            lines += [f'{indent}"{name}": {nested[0]}', *nested[1:]]
        else:
            lines.append(f'{indent}"{name}": {_short(inner)}')
    return [*lines, "  " * depth + "}"]


def _item(kind: inspect.Type) -> inspect.StructType | inspect.DataclassType | None:
    """Return what a list has, where that has fields of its own."""
    item = getattr(kind, "item_type", None)
    return item if isinstance(item, inspect.StructType | inspect.DataclassType) else None


def _short(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        return " | ".join(_short(one) for one in kind.types)
    if isinstance(kind, inspect.DictType):
        return f"{{{_short(kind.key_type)}: {_short(kind.value_type)}}}"
    if isinstance(kind, inspect.EnumType):
        return " | ".join(f'"{one.value}"' for one in kind.cls)
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        return "{...}"
    item: inspect.Type | None = getattr(kind, "item_type", None)
    if item is not None:
        return f"[{_short(item)}]"
    return next((word for known, word in _WORDS.items() if type(kind) is known), "any")
