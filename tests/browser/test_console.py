"""The operators' console on the whole lab: a real call is seen, looked into and ended; nobody else gets in.

`make images` takes the README's pictures anew; here they only have to be there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.browser.console import HOSTILE, NARROW, Console, console_page, findings, plant_trace
from tests.browser.firefox import Firefox
from tests.browser.softphone import SoftphoneBrowser
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.parts.web_api import OPERATOR, web_password
from tests.lab.proof import wait_released
from tests.lab.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.lab]

IMAGES: Final = Path(__file__).parents[2] / "docs/images"
TAKES_IMAGES: Final = "PAGE_IMAGES" in os.environ
WIDE: Final = (1200, 900)
TALL: Final = (1100, 1750)
HEARD_MS: Final = 30_000
"""A page reports by RTCP every few seconds, and the list is asked for every 15 s; until then figures are estimates."""
BUSY: Final = "+15550486"
PAGES: Final = ("overview", "past", "registrations", "nodes", "routes", "users", "pools", "audit", "calls")


@pytest.fixture(scope="module")
def browser(lab: Lab) -> Iterator[SoftphoneBrowser]:
    """One browser for all tests, with a page that alice has signed in on."""
    lab.phone("phone").listen()
    alice = lab.info.users["alice"]
    with SoftphoneBrowser(lab.info.web.origin) as browser:
        browser.sign_in(alice.name, alice.password)
        yield browser


@pytest.fixture
def softphone(lab: Lab, browser: SoftphoneBrowser) -> Iterator[SoftphoneBrowser]:
    """The page for one test's call."""
    yield browser
    lab.phone("phone").hangup_all()
    wait_released(lab)


@pytest.fixture
def console(browser: SoftphoneBrowser) -> Iterator[Console]:
    """A console that nobody has logged in at, beside the softphone; a fault in its scripts fails the test."""
    chromium = browser.page.context.browser
    assert chromium is not None
    with console_page(chromium, browser.origin) as console:
        yield console
        assert console.faults == []


def picture(console: Console, name: str, size: tuple[int, int], scheme: Literal["light", "dark"]) -> None:
    """Take a picture for the README when asked to; it has to be there in any case."""
    path = IMAGES / f"console-{name}.png"
    if TAKES_IMAGES:
        console.page.set_viewport_size({"width": size[0], "height": size[1]})
        console.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        console.page.evaluate("() => scrollTo(0, 0)")
        console.page.screenshot(path=path, scale="css")
    assert path.is_file(), "make images"


def test_a_call_is_seen_as_it_comes_looked_into_and_ended(
    lab: Lab, softphone: SoftphoneBrowser, console: Console
) -> None:
    page = console.page
    console.log_in()
    console.wait_live()
    console.show("calls")
    softphone.dial(lab.info.phones["phone"].impu)
    softphone.wait_established()
    row = page.locator("tbody tr", has_text="alice")
    row.get_by_text("Talking").wait_for()
    assert "phone" in row.inner_text()
    show = page.get_by_role("button", name="Show")
    page.fill("#filter-party", "nobody")
    show.click()
    row.wait_for(state="detached")
    page.fill("#filter-party", "ALICE")
    page.select_option("#filter-dialog", "confirmed")
    show.click()
    row.get_by_text("Talking").wait_for()
    assert "party=ALICE&dialog=confirmed" in page.url
    end = row.get_by_role("button", name="End")
    box = end.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    since = row.locator("td").nth(2)
    shown = since.inner_text()
    wait_until(lambda: since.inner_text() != shown, "the list is shown anew", 10)
    page.mouse.up()
    page.wait_for_selector("#confirm[open]")
    page.keyboard.press("Escape")
    row.get_by_role("link").press("Enter")
    page.wait_for_selector('#view[data-page="call"][data-shown]')
    assert page.evaluate("() => document.activeElement.id") == "page-title", "where a screen reader goes on"
    titles = page.locator(".ladder [data-kind=sip] .title").all_inner_texts()
    assert titles[0] == "INVITE (SDP)"
    lanes = [
        (one.get_attribute("data-lane"), one.get_attribute("data-arrow"))
        for one in page.locator(".ladder [data-kind=sip]").all()
    ]
    assert lanes[0] == ("page", "right")
    assert ("far", "right") in lanes
    assert page.locator(".ladder [data-kind=decision]").count() > 0
    page.locator(".ladder summary").first.press("Enter")
    assert page.inner_text(".ladder pre").startswith("INVITE ")
    assert page.locator(".diff tr[data-kind=changed]").count() > 0
    page.click("#end-call")
    console.confirm()
    softphone.wait(lambda: softphone.state == "ended", "call ended by the operator", 15)
    page.get_by_text("Ended by the gateway: ended by the operator.").wait_for()
    console.show("audit")
    assert "POST /api/operator/calls/end" in console.text("tbody tr")


def test_a_call_that_failed_while_the_service_was_away_is_counted_and_has_a_verdict(
    lab: Lab, softphone: SoftphoneBrowser, console: Console
) -> None:
    console.log_in()
    console.wait_live()
    lab.kill("web_api")
    console.page.wait_for_selector('#feed-light[data-state="waiting"]')
    softphone.dial(BUSY)
    softphone.wait(lambda: softphone.state == "ended", "busy", 15)
    lab.start_again("web_api", Part.WEB_API)
    console.wait_live()
    link = console.page.locator("tr", has_text="486 Busy").get_by_role("link")
    link.wait_for()
    link.click()
    console.page.wait_for_selector("#view[data-page=call][data-shown]")
    console.page.locator(".verdicts strong").first.wait_for()
    assert "busy" in console.text(".verdicts").lower()
    picture(console, "verdict", WIDE, "dark")


def test_what_strangers_write_is_shown_as_text(lab: Lab, console: Console) -> None:
    key = plant_trace(lab, time.time())
    console.log_in()
    console.show("past?failed=true")
    console.page.locator("tbody tr", has_text="Mallory").get_by_role("link").first.click()
    console.page.wait_for_selector("#view[data-page=call][data-shown]")
    assert key in console.page.evaluate("() => decodeURIComponent(location.hash)")
    assert HOSTILE in console.page.inner_text("#call-title")
    for summary in console.page.locator(".ladder summary").all():
        summary.click()
    assert HOSTILE in console.page.inner_text(".ladder")
    assert HOSTILE in console.page.inner_text(".diff")
    assert console.page.locator("main img, main b b, main i").count() == 0
    assert console.page.title() == "Call · Console"
    assert console.page.locator(".plot").count() == 3
    console.page.get_by_text("Figures of audio as a table").click()
    assert console.page.locator("#figures-audio tbody tr").count() == 16
    assert findings(console, "a hostile call") == []


def test_only_operators_get_in(lab: Lab, console: Console) -> None:
    accounts = lab.info.web.accounts
    console.log_in("web1", accounts["web1"])
    console.page.get_by_text("web1 is no operator").wait_for()
    assert (
        console.page.evaluate("async () => (await (await fetch('/api/session')).json()).authenticated")
        is False
    )
    console.log_in(OPERATOR, "wrong password")
    console.page.get_by_text("Name or password is not right").wait_for()
    assert not console.page.is_visible("#nav")
    console.log_in()
    console.wait_live()
    console.page.reload()
    console.wait_live()
    console.page.click("#sign-out")
    console.page.wait_for_selector("#sign-in-card", state="visible")
    assert not console.page.is_visible("#view")


def test_who_is_not_logged_out_is_told_so(lab: Lab, console: Console) -> None:
    console.log_in()
    console.wait_live()
    lab.kill("web_api")
    console.page.click("#sign-out")
    console.page.locator("#banners", has_text="You are NOT logged out").wait_for()
    assert not console.page.is_visible("#sign-in-card")
    lab.start_again("web_api", Part.WEB_API)
    console.page.click("#sign-out")
    console.page.wait_for_selector("#sign-in-card", state="visible")


def test_an_error_is_taken_back_by_the_next_answer(lab: Lab, console: Console) -> None:
    console.log_in()
    console.wait_live()
    lab.kill("web_api")
    console.page.evaluate("() => { location.hash = '#/nodes'; }")
    console.page.locator("#banners", has_text="cannot be reached").or_(
        console.page.locator("#banners", has_text="HTTP 503")
    ).wait_for()
    assert "No gateway" not in console.text("#view")
    lab.start_again("web_api", Part.WEB_API)
    console.page.locator("#view td", has_text="up").first.wait_for()
    console.page.wait_for_selector("#view[data-shown]")
    assert console.page.locator("#banners .banner").count() == 0


def test_a_relay_node_is_drained_and_taken_back(console: Console) -> None:
    console.log_in()
    console.show("nodes")
    for name, then in (("Drain", "No, drained"), ("Take back", "Yes")):
        console.page.get_by_role("button", name=name).click()
        if name == "Drain":
            console.confirm()
        console.page.locator("section[aria-labelledby=nodes-title] td", has_text=then).wait_for()


def test_an_account_is_made_changed_and_removed(console: Console) -> None:
    page = console.page
    console.log_in()
    console.show("users")
    page.get_by_role("button", name="Add an account").click()
    page.fill("#user-name", "carol")
    page.fill("#user-password", "correct horse battery")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Change carol").click()
    page.get_by_role("checkbox", name="Disabled").check()
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr", has_text="carol")
    row.get_by_text("disabled").wait_for()
    page.get_by_role("button", name="Change carol").click()
    page.get_by_role("button", name="Remove").click()
    console.confirm()
    row.wait_for(state="detached")


def test_every_page_can_be_used_by_everybody(lab: Lab, softphone: SoftphoneBrowser, console: Console) -> None:
    page = console.page
    found = findings(console, "logged out")
    console.log_in()
    console.wait_live()
    softphone.dial(lab.info.phones["phone"].impu)
    softphone.wait_established()
    for name in PAGES:
        console.show(name)
        if name == "calls":
            heard = re.compile(r"Page: MOS 4\.\d, loss .* ms.*Core: MOS 4\.", re.DOTALL)
            page.locator("tbody tr", has_text=heard).wait_for(timeout=HEARD_MS)
        found += findings(console, name)
        if name == "overview":
            picture(console, "overview", WIDE, "light")
        if name == "calls":
            picture(console, "calls", NARROW, "dark")
    console.show("calls")
    page.locator("tbody tr", has_text="alice").get_by_role("link").click()
    page.wait_for_selector("#view[data-page=call][data-shown]")
    found += findings(console, "a call")
    picture(console, "call", TALL, "light")
    page.click("#end-call")
    page.wait_for_selector("#confirm[open]")
    found += findings(console, "a question")
    page.keyboard.press("Escape")
    assert not found, "\n".join(found)


def test_firefox_shows_it_too(lab: Lab) -> None:
    key = plant_trace(lab, time.time())
    origin = lab.info.web.origin
    with Firefox() as firefox:
        tab = firefox.new_tab()
        tab.goto(f"{origin}/console")
        tab.evaluate(
            """([name, password]) => {
                document.getElementById("user").value = name;
                document.getElementById("password").value = password;
                document.getElementById("sign-in").requestSubmit();
            }""",
            [OPERATOR, web_password(OPERATOR)],
        )
        live = "() => document.getElementById('feed-light').dataset.state === 'live'"
        wait_until(lambda: bool(tab.evaluate(live)), "events", 10)
        tab.evaluate("(key) => { location.hash = `#/call/${encodeURIComponent(key)}`; }", key)
        count = "() => document.querySelectorAll('.ladder li').length"
        wait_until(lambda: int(tab.evaluate(count)) >= 5, "the ladder", 10)
        assert [line for line in tab.console if line.startswith("error")] == []
