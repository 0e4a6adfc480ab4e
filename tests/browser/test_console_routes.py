"""The console's page of the routing table in a real Chromium, on a web service of its own: no call is routed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.browser.console import Console, console_page, findings
from tests.browser.softphone import CHROMIUM
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.subscribers import REALM

pytestmark = [pytest.mark.browser, pytest.mark.lab]

PARTS: Final = frozenset({Part.REDIS, Part.WEB_API, Part.HAPROXY})
HOSTILE: Final = "<img src=x onerror=alert(1)><b>closed</b>"
TABLE: Final = RoutingDocument(
    routes=[
        Route("all", "*", Target.CORE),
        Route("premium", "+49900*", Target.REFUSE, status=403, reason=HOSTILE),
        Route("berlin", "+4930*", Target.TRUNK, realm=REALM, name="acme"),
    ],
    plans={REALM: DialPlan(country="DE")},
    trunk_groups={"acme": ["one", "two"]},
    permissions={"*": Permission(calls=2), "guest": Permission(classes=())},
)


@pytest.fixture(scope="module")
def site() -> Iterator[Lab]:
    """A web service behind its front, and nothing else."""
    with Lab(LabOptions(parts=PARTS)) as lab:
        yield lab


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, headless=True)


@pytest.fixture
def store(site: Lab) -> RoutesStore:
    """Where the table is; the one above counts."""
    store = RoutesStore(connect(site.info.redis_url))
    store.put(TABLE)
    return store


@pytest.fixture
def console(site: Lab, chromium: Browser, store: RoutesStore) -> Iterator[Console]:
    """The page of the table, with an operator at it; a fault in its scripts fails the test."""
    with console_page(chromium, site.info.web.origin) as console:
        console.log_in()
        console.wait_live()
        console.show("routes")
        yield console
        assert console.faults == []


def test_the_table_is_shown_as_text_and_rows_are_found(store: RoutesStore, console: Console) -> None:
    page = console.page
    assert f"Version {store.version()} counts" in console.text("#table-version")
    rows = page.locator("#rows tbody tr")
    assert [row.split()[1] for row in rows.all_inner_texts()] == ["all", "premium", "berlin"]
    assert HOSTILE in console.text("#rows")
    assert page.locator("main img, main b").count() == 0
    page.fill("#filter-text", "acme")
    page.press("#filter-text", "Enter")
    page.get_by_text("1 row", exact=True).wait_for()
    assert "berlin" in rows.inner_text()
    assert "text=acme" in page.url
    assert "2 calls at once" in console.text("[aria-labelledby=permissions-title]")
    assert findings(console, "routes") == []


def test_it_says_who_may_call_what_and_which_row_wins(console: Console) -> None:
    page = console.page
    page.get_by_label("Number or address, as dialled").fill("030 1234567")
    page.keyboard.press("Enter")
    page.locator("#explain-rows", has_text="wins").wait_for()
    assert "looked up as +49301234567" in console.text("#explain-said")
    assert console.text("#explain-rows tbody tr").startswith("berlin +4930* trunks acme wins")
    page.get_by_label("Class of the caller, or empty").fill("guest")
    page.get_by_role("button", name="Explain").click()
    page.locator("#explain-said", has_text="denied: you may not call national numbers").wait_for()
    assert findings(console, "an explained number") == []
    page.fill("#explain-number", "+4930")
    page.get_by_role("button", name="Explain").click()
    page.locator("#explain-said", has_text="This number gets 484").wait_for()
    assert page.locator("#explain-rows table").count() == 0
