"""Which variables of an inventory look like those of the roles, but are none: misspelt, or of another release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

_ALIKE = 0.8


def unknown_names(names: Iterable[str], roles: str, own: Iterable[str] = ()) -> list[str]:
    """Return the names that no role knows, each with the one that is perhaps meant.

    Args:
        names: all variables of a machine.
        roles: folder of the roles, beside that of the playbooks; ``meta/argument_specs.yml`` says what a role knows.
        own: names that the inventory has for itself.
    """
    known = set()
    for path in Path(roles).glob("*/meta/argument_specs.yml"):
        for entry in _read(path)["argument_specs"].values():
            known |= entry.get("options", {}).keys()
    beginnings = tuple({f"{name.partition('_')[0]}_" for name in known})
    suspects = {name for name in names if name.startswith(beginnings)} - known - set(own)
    if suspects:  # in a run of several playbooks those of the first have left some
        suspects -= set(_found_out(Path(roles)))
    told = []
    for name in sorted(suspects):
        meant = get_close_matches(name, known, n=1, cutoff=_ALIKE)
        told.append(f"{name} (perhaps {meant[0]})" if meant else name)
    return told


def _found_out(roles: Path) -> Iterator[str]:
    """Yield what tasks of ours find out about a machine."""
    for path in (*roles.glob("*/*/*.yml"), *roles.parent.glob("playbooks/*.yml")):
        if path.parent.name in ("tasks", "handlers", "playbooks"):
            yield from _set_by(_read(path))


def _set_by(tasks: Any) -> Iterator[str]:
    if isinstance(tasks, list):
        for task in tasks:
            yield from _set_by(task)
    elif isinstance(tasks, dict):
        if isinstance(tasks.get("register"), str):
            yield tasks["register"]
        yield from tasks.get("ansible.builtin.set_fact") or ()
        for value in tasks.values():
            yield from _set_by(value)


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filters by their names in templates."""
        return {"unknown_names": unknown_names}
