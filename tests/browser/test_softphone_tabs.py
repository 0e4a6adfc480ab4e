"""The softphone open in two tabs of one browser: one rings unless the person wants both, and the SIP messages of a page
can be read and copied without their secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import serious_findings
from tests.browser.softphone import SoftphoneBrowser
from tests.browser.softphone_firefox import FirefoxSoftphone
from tests.lab.lab import Lab
from tests.lab.options import PHONE
from tests.lab.proof import wait_released
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab]

STATE: Final = "() => window.softphone.phone?.state ?? ''"
TAKEN: Final = "The softphone is used in another tab now."
CLIPBOARD: Final[dict[str, bool | int | str]] = {"dom.events.testing.asyncClipboard": True}


@pytest.fixture
def alice(lab: Lab) -> UserInfo:
    return lab.info.users["alice"]


@pytest.fixture(params=["Chromium", "Firefox"])
def browser(lab: Lab, alice: UserInfo, request: pytest.FixtureRequest) -> Iterator[SoftphoneBrowser]:
    """Alice's page, registered."""
    origin = lab.info.web.origin
    is_firefox = request.param == "Firefox"
    with (
        FirefoxSoftphone(origin, preferences=CLIPBOARD) if is_firefox else SoftphoneBrowser(origin) as browser
    ):
        if not is_firefox:
            browser.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        browser.sign_in(alice.name, alice.password)
        yield browser
    wait_released(lab)


def sign_in(page: Page, alice: UserInfo) -> None:
    """Fill in the form, and see that another tab has the softphone."""
    page.wait_for_selector("#sign-in[data-ready]")
    if page.is_visible("#way-sip"):
        page.check("#way-sip")
    page.fill("#user", alice.impu)
    page.fill("#password", alice.password)
    page.click("#sign-in button[type=submit]")
    expect(page.locator("#other-tab")).to_be_visible()
    assert page.evaluate("() => document.activeElement.id") == "other-tab-title", (
        "where a screen reader goes on"
    )
    assert page.evaluate(STATE) == ""


def registered(page: Page) -> None:
    """Wait until the page rings."""
    page.wait_for_function(f"() => ({STATE})() === 'registered'")


def signed_off(page: Page) -> None:
    """Wait until another tab has the softphone, and the page says so."""
    page.locator(".banner", has_text=TAKEN).wait_for()
    expect(page.locator("#sign-in-card")).to_be_visible()
    assert page.evaluate(STATE) == ""


def test_a_second_tab_asks_where_the_softphone_is_to_be_used(
    browser: SoftphoneBrowser, alice: UserInfo
) -> None:
    first, second = browser.page, browser.page.context.new_page()
    second.goto(browser.origin)
    sign_in(second, alice)
    assert not serious_findings(second)
    second.click("#use-neither")
    expect(second.locator("#sign-in-card")).to_be_visible()
    assert second.input_value("#password") == ""

    sign_in(second, alice)
    second.click("#use-both")
    registered(second)
    assert first.evaluate(STATE) == "registered"

    second.reload()
    sign_in(second, alice)
    second.click("#use-here")
    registered(second)
    signed_off(first)
    assert alice.password not in second.evaluate("() => JSON.stringify([localStorage, sessionStorage])")

    # The tab that has it is closed: the other one need not ask.
    second.close()
    browser.sign_in(alice.name, alice.password)
    assert first.is_hidden("#other-tab")


def test_a_call_that_runs_keeps_its_tab_until_it_is_over(lab: Lab, alice: UserInfo) -> None:
    lab.phone(PHONE.name).listen()
    phone = lab.info.phones[PHONE.name]
    with SoftphoneBrowser(lab.info.web.origin) as browser:
        browser.sign_in(alice.name, alice.password)
        browser.dial(phone.impu)
        browser.wait_established()
        second = browser.page.context.new_page()
        second.goto(browser.origin)
        sign_in(second, alice)
        second.click("#use-here")
        registered(second)
        browser.page.locator(".banner", has_text="signs off when your call is over").wait_for()
        browser.wait_tone(phone.tone_hz)
        browser.page.click("#hangup")
        signed_off(browser.page)
        assert second.evaluate(STATE) == "registered"
    wait_released(lab)


def test_sip_messages_are_shown_by_keyboard_and_copied_without_secrets(
    browser: SoftphoneBrowser, alice: UserInfo
) -> None:
    page = browser.page
    summary = page.locator("#sip-trace > summary")
    summary.focus()
    page.keyboard.press("Enter")
    titles = page.locator("#sip-trace-list summary")
    assert (titles.first.text_content() or "").endswith("sent REGISTER")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    message = page.locator("#sip-trace-list pre").first
    expect(message).to_be_visible()
    assert message.inner_text().startswith("REGISTER sip:")
    assert not serious_findings(page)

    page.click("#copy-sip-trace")
    page.locator(".banner", has_text="Copied.").wait_for()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert "received\nSIP/2.0 200 OK" in copied
    assert "Authorization: Digest" in copied
    assert "response=***" in copied
    responses = page.evaluate("() => document.getElementById('sip-trace-list').textContent")
    for text in (copied, responses):
        assert alice.password not in text
        assert 'nonce="' not in text

    page.click("#sign-out")
    expect(page.locator("#sip-trace")).to_be_hidden()
