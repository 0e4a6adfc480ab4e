"""Which variables of an inventory look like those of the roles, but are none: misspelt, or of another release."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

import yaml

_ALIKE = 0.8


def unknown_names(names: Iterable[str], roles: str, own: Iterable[str] = ()) -> list[str]:
    """Return the names that no role knows, each with the one that is perhaps meant.

    Args:
        names: all variables of a machine.
        roles: folder of the roles, whose ``meta/argument_specs.yml`` say what they know.
        own: names that the inventory has for itself.
    """
    known = set()
    for path in Path(roles).glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            known |= entry.get("options", {}).keys()
    beginnings = tuple({f"{name.partition('_')[0]}_" for name in known})
    told = []
    for name in sorted(set(names) - known - set(own)):
        if name.startswith(beginnings):
            meant = get_close_matches(name, known, n=1, cutoff=_ALIKE)
            told.append(f"{name} (perhaps {meant[0]})" if meant else name)
    return told


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filters by their names in templates."""
        return {"unknown_names": unknown_names}
