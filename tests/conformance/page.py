"""Rows and tests as one page of Markdown, and what keeps the page from being honest.

Knows the page. Must not know how rows or tests are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.conformance.rows import Priority, Row, Section, rows_of

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

Proofs = Mapping[str, Sequence[str]]

_MEANINGS: Final = {
    Priority.MUST: "must",
    Priority.SHOULD: "should",
    Priority.OPTIONAL: "may, later",
    Priority.NEVER: "deliberately not",
}

_HEAD: Final = """# Conformance

Written by `make docs` from `tests/conformance/rows.toml` and from the tests that carry
`@pytest.mark.conformance`; never edited. The rows are our own checklist, drawn from the clauses named beside them.

**proven**: the tests named beside the row fail when it does not hold. **not met**: not done, with the reason.
**not tested here**: what a loopback laboratory cannot show, with the reason.
"""


class Status(StrEnum):
    """What the tests say of a row."""

    PROVEN = "proven"
    NOT_MET = "not met"
    NOT_TESTED = "not tested here"


def status_of(row: Row, proofs: Proofs) -> Status:
    """Derive a row's status."""
    if proofs.get(row.id):
        return Status.PROVEN
    return Status.NOT_TESTED if row.not_tested else Status.NOT_MET


def complaints(sections: Sequence[Section], proofs: Proofs) -> Iterator[str]:
    """Say what is wrong between rows and tests."""
    rows = rows_of(sections)
    for name in sorted(proofs.keys() - {row.id for row in rows}):
        yield f"{proofs[name][0]}: there is no row {name}"
    for row in rows:
        excuse = row.not_met or row.not_tested
        if proofs.get(row.id) and excuse:
            yield f"{row.id} is proven: take {'not_met' if row.not_met else 'not_tested'} out of rows.toml"
        elif not proofs.get(row.id) and not excuse:
            yield f"{row.id} has no test: say not_met or not_tested in rows.toml"


def page_from_rows(sections: Sequence[Section], proofs: Proofs) -> str:
    """Return the page."""
    parts = [_HEAD, _summary(rows_of(sections), proofs)]
    for section in sections:
        lines = [
            f"## {section.title}",
            "",
            "| row | priority | requirement | clause | status | test |",
            "|---|---|---|---|---|---|",
            *(_line(row, proofs) for row in section.rows),
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _summary(rows: Sequence[Row], proofs: Proofs) -> str:
    counts = Counter((row.priority, status_of(row, proofs)) for row in rows)
    lines = [f"| priority | {' | '.join(Status)} |", "|---|" + "---|" * len(Status)]
    for priority in Priority:
        numbers = [counts[priority, status] for status in Status]
        if any(numbers):
            lines.append(f"| {priority}: {_MEANINGS[priority]} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines) + "\n"


def _line(row: Row, proofs: Proofs) -> str:
    status = status_of(row, proofs)
    remarks = " ".join(text for text in (row.not_met or row.not_tested, row.note) if text)
    told = f"{status}: {remarks}" if remarks else status
    tests = "<br>".join(_link(test) for test in proofs.get(row.id, ()))
    cells = (row.id, row.priority, row.requirement, row.clause, told, tests)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{path.removeprefix('tests/')}{'::' if name else ''}{name}](../{path})"
