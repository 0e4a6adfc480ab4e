"""The mapped calls as one page of Markdown.

Knows calls, their steps and the page. Must not know how a call is carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.browser.matrix.cells import BROWSERS, Engine
from tests.browser.matrix.mapping import Mapped, Step

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "mapping.md"

_HEAD: Final = """# Stream mapping

Written by `make docs` from `tests/browser/matrix/mapping.py`; never edited.

Every row is one call of the SDK in a real browser, in `tests/browser/matrix/test_mapping.py`, that goes through all
columns. **✓**: after the step each side hears the other's tone, decodes the other's pictures where there is video, and
gets nothing where it should get nothing; the relay has one call for each medium.

- Both cameras of a call with Chromium are held upright and leave the turning to the other end (CVO, TS 26.114 §7.4.5):
  the device gets pictures that lie on their side, told so, and the page shows the device's upright. Firefox knows
  nothing of that, so neither does the device then.
- hold, resume: of the page. The far end hears silence and the page nothing.
- re-offer: the page loses its socket, registers on a new one and restarts ICE; it has as many transports as before.
- video added, video removed: by the page, to a call that began with audio, or away and back again.

How the lines of a medium lie at the page is chosen from what it offers, or registered for. The log event
`call_offered` (`call_towards_page` where the page is called) has the choice in `transport` and the reason in `why`.

- shared: the line of each direction in one BUNDLE group, on one transport. A page that calls offers a group for each
  kind, which audio alone is anyhow; a page that is called has `+g.one-way-streams` in its Contact, as the SDK's.
- split: no BUNDLE group, each line has its own transport. A page that calls offers no group, or audio and video in one,
  as browsers do by themselves; a page that is called has one two-way line for each medium.

A page with one transport for everything (bundle policy max-bundle) gets audio; its video is refused with port 0: the
relay has a transport for each medium. [Client by client](clients.md) names those calls.
"""


def page_from_mapped(calls: Iterable[Mapped]) -> str:
    """Return the page."""
    found = list(calls)
    parts = [_HEAD]
    for engine in BROWSERS:
        parts.append(f"## {engine}\n")
        parts.append("\n".join(_table(engine, found)) + "\n")
    return "\n".join(parts)


def _table(engine: Engine, calls: Iterable[Mapped]) -> Iterator[str]:
    yield "| the call begins as | " + " | ".join(Step) + " |"
    yield "|---|" + "---|" * len(Step)
    for call in calls:
        if call.engine is engine:
            marks = ["✓" if step in call.steps else "" for step in Step]
            yield f"| {call.way}, {call.media}, {call.transport} | " + " | ".join(marks) + " |"
