"""Finds the tests that say which rows they prove, by reading the sources: no daemon, no import.

Knows pytest's marks. Must not know the rows.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TESTS: Final = REPOSITORY / "tests"
_MARK: Final = "pytest.mark.conformance"
_NEVER_PASSED: Final = frozenset({"pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"})

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class MarkError(ValueError):
    """A mark proves nothing as it stands; the text says where and why."""


def proofs_in_repository() -> dict[str, list[str]]:
    """Return the tests by row, as `path::Class::test` relative to the repository, or `path` for a whole file."""
    paths = (path for path in TESTS.rglob("test_*.py") if "node_modules" not in path.parts)
    return proofs_in((path.relative_to(REPOSITORY).as_posix(), path.read_text("utf-8")) for path in paths)


def proofs_in(sources: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the tests by row of (path, source) pairs; raise MarkError for a mark that proves nothing."""
    found: Mapping[str, list[str]] = defaultdict(list)
    for path, source in sorted(sources):
        if "conformance" not in source:
            continue
        for row, test in _marks(path, ast.parse(source, path)):
            if test not in found[row]:
                found[row].append(test)
    return dict(found)


def _marks(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    seen: set[ast.Call] = set()
    for call in (
        call for statement in tree.body if _is_pytestmark(statement) for call in _mark_calls(statement)
    ):
        seen.add(call)
        for row in _rows(call, path):
            yield row, path
    for names, definition in _definitions(tree, ()):
        where = "::".join((path, *names))
        decorators = list(definition.decorator_list)
        calls = [call for decorator in decorators for call in _mark_calls(decorator)]
        seen.update(calls)
        if calls and not names[-1].startswith(("test_", "Test")):
            raise MarkError(f"{where}: only tests carry {_MARK}")
        if calls and (never := _NEVER_PASSED & {_dotted(node) for d in decorators for node in ast.walk(d)}):
            raise MarkError(f"{where}: a test with {', '.join(sorted(never))} proves nothing")
        for call in calls:
            for row in _rows(call, where):
                yield row, where
    for call in _mark_calls(tree):
        if call not in seen:
            raise MarkError(
                f"{path}:{call.lineno}: {_MARK} stands above a test, in its parameters or in pytestmark"
            )


def _definitions(
    node: ast.Module | ast.ClassDef, names: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Definition]]:
    for child in node.body:
        if isinstance(child, Definition):
            yield (*names, child.name), child
        if isinstance(child, ast.ClassDef):
            yield from _definitions(child, (*names, child.name))


def _is_pytestmark(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and [_dotted(target) for target in statement.targets] == [
        "pytestmark"
    ]


def _mark_calls(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.walk(node):
        if isinstance(child, ast.Call) and _dotted(child.func) == _MARK:
            yield child


def _rows(call: ast.Call, where: str) -> Iterator[str]:
    if not call.args or call.keywords:
        raise MarkError(f"{where}: {_MARK} names rows")
    for argument in call.args:
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            raise MarkError(f"{where}: rows are named in plain text")
        yield argument.value


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := _dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""
