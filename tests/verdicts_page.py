"""Writes docs/explain.md, the table of all verdicts on a call, out of their rules.

    make docs

A test fails when the page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from kemi.core.explain.judge import RULES
from kemi.core.explain.verdict import Gravity

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "explain.md"
_HEAD: Final = """\
# What explain-call can say of a call

Written by `make docs` from `kemi/core/explain/`. `gwctl call explain CALL-ID`, the console's page of a call and
`GET /api/operator/trace?key=KEY` say these verdicts, the gravest first, each with the lines of the trace that show it.
Words in braces are filled in.

A page is the browser's side, the far end whoever is behind the IMS core or a trunk. The media's figures are what the
relay counted and what both sides report (RTCP); a call must last two seconds before sound is missed. A trace holds no
digits, tokens or keys, so no verdict names any.
"""
_TITLES: Final = {
    Gravity.CAUSE: ("Causes", "Why a call failed, or has no sound."),
    Gravity.TROUBLE: ("Troubles", "The call works worse for them."),
    Gravity.NOTE: ("Notes", "Worth knowing, harmless."),
}


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for gravity, (title, meaning) in _TITLES.items():
        rows = [rule for rule in RULES if rule.gravity is gravity]
        table = "".join(f"| `{rule.code}` | {_cell(rule.says)} | {_cell(rule.do)} |\n" for rule in rows)
        parts.append(
            f"## {title}\n\n{meaning}\n\n| verdict | what it says | what to do, and who |\n|---|---|---|\n{table}"
        )
    return "\n".join(parts)


def _cell(sentence: str) -> str:
    text = sentence.replace("|", "\\|")
    return text[:1].upper() + text[1:]


def main() -> None:
    """Write the page, or the file named on the command line."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
