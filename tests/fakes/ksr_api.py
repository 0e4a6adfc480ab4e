"""Kamailio's real function table, read from the stub that was generated from a running Kamailio."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STUB: Final = Path(__file__).resolve().parents[2] / "kemi" / "typings" / "KSR.pyi"
_TYPES: Final[Mapping[str, type]] = {"str": str, "int": int}


@dataclass(frozen=True, slots=True)
class Signature:
    """One KEMI function: positional parameters of type str or int, and what comes back."""

    name: str
    """``module.function``, or only ``function`` for Kamailio's core."""
    parameters: tuple[type, ...]
    returns: str
    """As the stub says: int, bool, None, str, or ``int | str | None``."""

    def check(self, arguments: tuple[object, ...]) -> None:
        """Raise TypeError for what the C code would not take: it knows no bool, no None and no subclasses."""
        if len(arguments) != len(self.parameters):
            raise TypeError(f"KSR.{self.name} takes {len(self.parameters)} arguments, {len(arguments)} given")
        for number, (argument, wanted) in enumerate(zip(arguments, self.parameters, strict=True), 1):
            if type(argument) is not wanted:
                given = type(argument).__name__
                raise TypeError(f"KSR.{self.name}: argument {number} is {given}, not {wanted.__name__}")


def _signatures(functions: Iterable[ast.stmt], prefix: str) -> Iterable[Signature]:
    for function in functions:
        if isinstance(function, ast.FunctionDef):
            annotations = [argument.annotation for argument in function.args.posonlyargs]
            parameters = tuple(_TYPES[ast.unparse(kind)] for kind in annotations if kind is not None)
            returns = ast.unparse(function.returns) if function.returns is not None else ""
            yield Signature(prefix + function.name, parameters, returns)


def api_from_stub(text: str) -> dict[str, Signature]:
    """Return all functions of the stub by their full name."""
    tree = ast.parse(text)
    found = list(_signatures(tree.body, ""))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("_"):
            found += _signatures(node.body, f"{node.name[1:]}.")
    return {signature.name: signature for signature in found}
