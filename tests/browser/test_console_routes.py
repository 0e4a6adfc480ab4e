"""The console's pages of the routing table and the pools in a real Chromium, on a web service of its own: no call is
routed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
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
CSRF: Final = {"X-CSRF-Protection": "1"}
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


def test_another_table_takes_the_place_of_the_one_that_was_seen(
    store: RoutesStore, console: Console, tmp_path: Path
) -> None:
    page = console.page
    before = store.version()
    page.get_by_role("button", name="Load another table").click()
    text = page.get_by_label("The table, as JSON")
    assert page.evaluate("() => document.activeElement.id") == "table-text"
    assert [row["id"] for row in json.loads(text.input_value())["routes"]] == ["all", "premium", "berlin"]
    text.fill(
        '{"routes": [\n  {"id": "a", "number": "*", "to": "core"},\n  {"id": "b", "number": "x", "to": "moon"},\n]}'
    )
    load = page.get_by_role("button", name="Load", exact=True)
    load.press("Enter")
    problems = page.get_by_role("alert")
    problems.get_by_text("This is no JSON: expected a value, found ]").wait_for()
    text.fill(text.input_value().replace("},\n]", "}\n]"))
    load.press("Enter")
    console.confirm()
    problems.get_by_text("moon").wait_for()
    problems.get_by_role("button", name="Line 3").press("Enter")
    marked = page.evaluate(
        "() => getSelection().toString() || document.activeElement.value.slice("
        "document.activeElement.selectionStart, document.activeElement.selectionEnd)"
    )
    assert '"moon"' in marked
    assert page.locator("main img, main b").count() == 0
    assert findings(console, "problems of a table") == []
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"routes": [{"id": "mine", "number": "*", "to": "core"}]}))
    page.get_by_label("Or out of a file").set_input_files(file)
    page.wait_for_function("() => document.getElementById('table-text').value.includes('mine')")
    theirs = store.put(RoutingDocument(routes=[Route("theirs", "*", Target.CORE)]))
    load.press("Enter")
    page.wait_for_selector("#confirm[open]")
    page.keyboard.press("Escape")
    load.press("Enter")
    console.confirm()
    problems.get_by_text(f"Nothing was loaded now: version {before} has been replaced").wait_for()
    assert "theirs" in console.text("#rows")
    assert store.version() == theirs
    load.press("Enter")
    assert f"Version {theirs} with 1 row counts now" in console.text("#confirm-text")
    console.confirm()
    page.locator("#banners", has_text="The table is loaded").wait_for()
    assert page.evaluate("() => document.activeElement.textContent") == "Load another table"
    assert "mine" in console.text("#rows")
    assert [row.id for row in store.get()[1].routes] == ["mine"]
    console.show("audit")
    assert "PUT /api/operator/routes" in console.text("tbody tr")


def test_a_file_that_was_corrected_on_disk_is_taken_when_it_is_chosen_again(
    console: Console, tmp_path: Path
) -> None:
    page, file = console.page, tmp_path / "table.json"
    page.get_by_role("button", name="Load another table").click()
    browser = page.context.new_cdp_session(page)
    for text in ('{"routes": [}', '{"routes": []}'):
        file.write_text(text)
        with page.expect_file_chooser():
            page.get_by_label("Or out of a file").click()
        # Not by Playwright, which tells the page of a change whether the browser does or not.
        found = browser.send("Runtime.evaluate", {"expression": "document.getElementById('table-file')"})
        browser.send("DOM.setFileInputFiles", {"files": [str(file)], "objectId": found["result"]["objectId"]})
        page.wait_for_function("(text) => document.getElementById('table-text').value === text", arg=text)


def test_a_lease_is_seen_and_ended(console: Console, site: Lab, chromium: Browser) -> None:
    page = console.page
    console.show("pools")
    assert console.text("[aria-labelledby=pools-title] tbody tr") == "guests Yes 3 0 0 3"
    guest = chromium.new_context(ignore_https_errors=True).request
    guest.post(f"{site.info.web.origin}/api/leases", headers=CSRF | {"Origin": site.info.web.origin})
    session = f"{site.info.web.origin}/api/session"
    impi = guest.get(session).json()["impi"]
    page.select_option("#filter-state", "held")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("button", name=f"End the lease of {impi}").press("Enter")
    page.wait_for_selector("#confirm[open]")
    assert findings(console, "pools") == []
    console.confirm()
    page.locator("#banners", has_text=f"The lease of {impi} has ended").wait_for()
    page.select_option("#filter-state", "")
    page.get_by_role("button", name="Show").click()
    page.locator("#identities tr", has_text=impi).get_by_text("settling").wait_for()
    assert guest.get(session).json()["authenticated"] is False
