"""Draws the state tables of kemi/core as Mermaid diagrams into docs/flow.md.

    make docs

A diagram stands between ``<!-- diagram:NAME -->`` and ``<!-- /diagram -->``; a test fails when it is stale.
"""

from __future__ import annotations

import enum
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kemi.core.call.states import DIALOG, MEDIA, MOVING, OFFER_ANSWER, PRECONDITION, TELLING
from kemi.core.registration.states import BINDING

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "flow.md"
TABLES: Final[Mapping[str, Mapping[Any, Mapping[Any, Any]]]] = {
    "dialog": DIALOG,
    "offer-answer": OFFER_ANSWER,
    "media": MEDIA,
    "precondition": PRECONDITION,
    "moving": MOVING,
    "telling": TELLING,
    "binding": BINDING,
}
_MARKED = re.compile(r"(<!-- diagram:(?P<name>[\w-]+) -->\n).*?(<!-- /diagram -->)", re.DOTALL)


class DiagramError(ValueError):
    """The page's markers are not those of the tables."""


def _identifier(state: enum.StrEnum) -> str:
    return state.value.replace(" ", "_")


def diagram_from_table(table: Mapping[Any, Mapping[Any, Any]]) -> str:
    """Return a Mermaid state diagram; transitions between the same two states share an arrow."""
    states = list(table)
    lines = ["stateDiagram-v2", f"    [*] --> {_identifier(states[0])}"]
    lines += [f'    state "{state.value}" as {_identifier(state)}' for state in states if " " in state.value]
    for state, row in table.items():
        arrows: dict[Any, list[str]] = defaultdict(list)
        for event, following in row.items():
            arrows[following].append(event.value)
        for following, events in arrows.items():
            lines.append(f"    {_identifier(state)} --> {_identifier(following)}: {', '.join(events)}")
        if not set(row.values()) - {state}:
            lines.append(f"    {_identifier(state)} --> [*]")
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def text_with_diagrams(text: str) -> str:
    """Return the page's text with all diagrams drawn anew; raise DiagramError when a marker is missing or unknown."""
    found = [match["name"] for match in _MARKED.finditer(text)]
    if sorted(found) != sorted(TABLES):
        raise DiagramError(
            f"{PAGE.name} has the markers {found}; each of {sorted(TABLES)} is needed once,"
            " as '<!-- diagram:NAME -->' on a line of its own and '<!-- /diagram -->' on a later one"
        )
    return _MARKED.sub(lambda match: match[1] + diagram_from_table(TABLES[match["name"]]) + match[3], text)


def main() -> None:
    """Draw into docs/flow.md, or into the file named on the command line."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    path.write_text(text_with_diagrams(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
