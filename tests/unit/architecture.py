"""The rules of the layout as tables, and the checker that finds what breaks them.

entry ──► adapters ──► core ──► (standard library)
             │          ▲
             ├──► state ┘        state may use core types, core never uses state
             └──► rtpengine      uses nothing of ours
webapp_api ──► state, core types          never kemi.adapters, never KSR
nothing ──► tests
"""

from __future__ import annotations

import ast
import builtins
import fnmatch
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
OURS: Final = ("kemi", "rtpengine", "webapp_api", "tests")
PRODUCT: Final = ("kemi", "rtpengine", "webapp_api")
MAX_LINES: Final = 450
NOT_OURS: Final = ("node_modules", "__pycache__")


@dataclass(frozen=True, slots=True)
class OnlyIn:
    """A module or name that only some files of the product may use."""

    name: str
    allowed: tuple[str, ...]
    why: str


ONLY_IN: Final = (
    OnlyIn(
        "KSR",
        (
            "kemi/adapters/kamailio/ksr.py",
            "kemi/adapters/kamailio/transactions.py",
            "kemi/adapters/kamailio/htable.py",
            "kemi/adapters/kamailio/connections.py",
            "kemi/adapters/kamailio/contacts.py",
            "kemi/adapters/kamailio/figures.py",
        ),
        "six modules know Kamailio's functions",
    ),
    OnlyIn(
        "socket",
        ("rtpengine/transport/*", "kemi/adapters/monitoring/collector.py", "kemi/adapters/doors/probes.py"),
        "one place talks to relays, one only tells a collector, and one asks our own workers",
    ),
    OnlyIn("redis", ("kemi/state/*",), "one place talks to Redis"),
    OnlyIn("flask", ("webapp_api/*",), "only the web API is a web application"),
    OnlyIn("flask_sock", ("webapp_api/*",), "only the web API is a web application"),
    OnlyIn("os.environ", ("*/settings.py",), "settings are read once, in one place"),
    OnlyIn("os.getenv", ("*/settings.py",), "settings are read once, in one place"),
)

ALLOWED_IMPORTS: Final = {
    # package: what of ours it may import, besides itself
    "kemi/core": (),
    "kemi/state": ("kemi.core",),
    "kemi/adapters": ("kemi.core", "kemi.state", "kemi.settings", "rtpengine"),
    "kemi/entry": ("kemi.adapters", "kemi.settings"),
    "rtpengine": (),
    "webapp_api": ("kemi.core", "kemi.state"),
    # looks at the settings of all programs
    "webapp_api/check": (
        "kemi.core",
        "kemi.settings",
        "kemi.state.connection",
        "rtpengine.agent.settings",
        "webapp_api",
    ),
    # asks everything that runs on a machine how it is: the relay by its own protocol, too
    "webapp_api/gwctl/machine": ("kemi.core", "kemi.settings", "kemi.state", "rtpengine", "webapp_api"),
}

STANDARD_LIBRARY_ONLY: Final = ("kemi/core", "rtpengine/ng", "rtpengine/transport")
PURE_LIBRARIES: Final = {
    "kemi/core/routing/numbers.py": "phonenumbers",
    "kemi/core/routing/costs.py": "phonenumbers",
    "kemi/core/trunk/numbers.py": "phonenumbers",
}
"""Beyond it: a library that computes and no more, in the modules that need it."""

PURE: Final = ("kemi/core", "rtpengine/ng")
IMPURE: Final = (
    # module or name: not where decisions are made (pass `now`, pass tokens)
    "time", "random", "secrets", "uuid", "socket", "threading", "asyncio", "subprocess", "pathlib", "io", "tempfile",
    "datetime.datetime.now", "datetime.datetime.utcnow", "os.urandom", "open", "print", "input",
)  # fmt: skip
_BUILTINS: Final = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Use:
    """A module or dotted name that a file uses, and where."""

    name: str
    line: int


class _Names(ast.NodeVisitor):
    """Collects imports and dotted uses, aliases resolved."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.imports: list[Use] = []
        self.uses: list[Use] = []
        self._aliases: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.append(Use(alias.name, node.lineno))
            self._aliases[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            parents = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
            module = ".".join([*parents, *([module] if module else [])])
        for alias in node.names:
            name = f"{module}.{alias.name}"
            self.imports.append(Use(name, node.lineno))
            self._aliases[alias.asname or alias.name] = name

    def visit_Call(self, node: ast.Call) -> None:
        target = self._dotted(node.func)
        if target in ("__import__", "importlib.import_module"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    self.imports.append(Use(argument.value, node.lineno))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if (name := self._dotted(node)) is not None:
            self.uses.append(Use(name, node.lineno))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and (name := self._dotted(node)) is not None:
            self.uses.append(Use(name, node.lineno))

    def _dotted(self, node: ast.expr) -> str | None:
        """Return the full name of something imported or built in; a variable that looks alike is neither."""
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id, node.id if node.id in _BUILTINS else None)
        if isinstance(node, ast.Attribute) and (left := self._dotted(node.value)) is not None:
            return f"{left}.{node.attr}"
        return None


def _is(name: str, rule: str) -> bool:
    return name == rule or name.startswith(f"{rule}.")


def _inside(path: str, package: str) -> bool:
    return path.startswith(f"{package}/")


def violations(path: str, source: str) -> Iterator[str]:
    """Find what a file breaks; ``path`` is relative to the repository, with slashes."""
    tree = ast.parse(source, path)
    names = _Names(path.rpartition("/")[0].replace("/", "."))
    names.visit(tree)
    if (lines := source.count("\n")) > MAX_LINES:
        yield f"{path}: {lines} lines, at most {MAX_LINES}"
    if not path.startswith(PRODUCT):
        return
    if path.endswith("__init__.py") and not ast.get_docstring(tree):
        yield f"{path}: a package says in its docstring what it is"
    for use in names.imports:
        yield from _wrong_import(path, use)
    for use in (*names.imports, *names.uses):
        for rule in ONLY_IN:
            if _is(use.name, rule.name) and not any(fnmatch.fnmatch(path, place) for place in rule.allowed):
                yield f"{path}:{use.line}: {rule.name} only in {', '.join(rule.allowed)}: {rule.why}"
        if path.startswith(PURE) and any(_is(use.name, name) for name in IMPURE):
            yield f"{path}:{use.line}: {use.name} is no decision, it is I/O, time or chance"


def _wrong_import(path: str, use: Use) -> Iterator[str]:
    top = use.name.partition(".")[0]
    if top == "tests":
        yield f"{path}:{use.line}: the product does not use its tests"
    elif top in OURS:
        packages = [package for package in ALLOWED_IMPORTS if _inside(path, package)]
        if packages and not _may_use(package := max(packages, key=len), use.name):
            yield f"{path}:{use.line}: {package} does not use {use.name}"
    elif (
        top not in sys.stdlib_module_names
        and top != PURE_LIBRARIES.get(path)
        and any(_inside(path, package) for package in STANDARD_LIBRARY_ONLY)
    ):
        yield f"{path}:{use.line}: {use.name} is not in the standard library"


def _may_use(package: str, name: str) -> bool:
    return any(_is(name, rule) for rule in (package.replace("/", "."), *ALLOWED_IMPORTS[package]))


def python_files() -> Iterator[str]:
    """Return all Python files of ours, relative to the repository."""
    for package in OURS:
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            path = file.relative_to(REPOSITORY).as_posix()
            if not any(part in NOT_OURS for part in path.split("/")):
                yield path
