"""What axe-core finds on a page that is open: rules of WCAG 2.2 A and AA, and good practice."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

AXE: Final = Path(__file__).parents[2] / "webapp_api/sdk/node_modules/axe-core/axe.min.js"
SERIOUS: Final = ("serious", "critical")
_RUN: Final = """async (serious) => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(({impact}) => serious.includes(impact))
    .map(({id, impact, nodes}) => `${impact} ${id}: ` + nodes.map(({target, any}) =>
        `${target} (${any.map(({message}) => message)})`).join(', '))"""


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


def serious_findings(page: Page) -> list[str]:
    """Return what is serious or critical, in words; the page's own policy keeps axe out, so it comes by DevTools."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_axe())
    found: list[str] = page.evaluate(_RUN, list(SERIOUS))
    return found
