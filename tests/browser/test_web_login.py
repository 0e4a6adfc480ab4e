"""Web login in a real browser: a session, a token, and (with the gateway's check of tokens) an IMS registration."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis
from playwright.sync_api import Page

from kemi.state import keys
from tests.browser.web_user import WebUser, checked
from tests.lab.lab import Lab
from tests.lab.proof import wait_released, wait_until_heard
from tests.lab.subscribers import GUEST_NAMES
from tests.lab.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.lab]

README: Final = Path(__file__).parents[2] / "webapp_api" / "README.md"
LOGOUT_S = 5.0
KEYS_S = 30.0
LOG_OUT = """async () => {
    const headers = {"X-CSRF-Protection": "1"};
    return (await fetch("/api/session", {method: "DELETE", headers})).status;
}"""


CLICK = """async (wish) => {
    const headers = {"X-CSRF-Protection": "1", "Content-Type": "application/json"};
    const response = await fetch("/api/calls", {method: "POST", headers, body: JSON.stringify(wish)});
    return (await response.json()).dial;
}"""
REGISTERED = "() => window.softphone.phone?.state === 'registered'"
CALL_STATE = "() => window.softphone.call?.state ?? null"


@pytest.fixture
def store(lab: Lab) -> Iterator[redis.Redis]:
    """The lab's Redis; counters of other tests are forgotten."""
    client = redis.Redis.from_url(lab.info.redis_url, decode_responses=True)
    for key in client.keys("gw:web:attempts:*"):
        client.delete(key)
    yield client
    client.close()


@pytest.fixture
def gateway_has_keys(lab: Lab) -> None:
    """The gateway has read the web service's keys, which may have been made a moment ago."""
    wait_until(lambda: lab.info.web.origin in lab.gateway_rpc.htable("jwks"), "keys at the gateway", KEYS_S)


@pytest.mark.conformance("R-08", "X-13")
def test_a_page_that_logs_in_registers_with_a_token_and_no_password(lab: Lab, store: redis.Redis) -> None:
    alice = lab.info.users["alice"]
    with WebUser(lab.info.web.origin) as browser:
        browser.log_in("alice", lab.info.web.accounts["alice"])
        claims = checked(browser.sent_token(), lab, store)
        assert (claims["impi"], claims["impus"][0]) == (alice.impi, alice.impu)
        assert claims["origin"] == lab.info.web.origin
        assert claims["exp"] > time.time()
        cookies = browser.page.context.cookies()
        (cookie,) = [cookie for cookie in cookies if cookie["name"] == "__Host-session"]
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        assert browser.page.evaluate("() => document.cookie") == ""


@pytest.mark.conformance("X-20")
def test_wrong_credentials_are_told(lab: Lab, store: redis.Redis) -> None:
    with WebUser(lab.info.web.origin) as browser:
        browser.log_in("alice", "wrong password")
        assert "Name or password is not right" in browser.banner()
        assert browser.session() == {"authenticated": False}
        assert browser.page.is_visible("#sign-in-card")


@pytest.mark.conformance("R-15")
def test_a_guest_gets_an_identity_of_the_pool(lab: Lab, store: redis.Redis) -> None:
    with WebUser(lab.info.web.origin) as browser:
        browser.page.click("#guest")
        claims = checked(browser.sent_token(), lab, store)
        assert claims["impi"] in {lab.info.users[name].impi for name in GUEST_NAMES}


@pytest.mark.usefixtures("gateway_has_keys")
class TestRegistered:
    """What needs the gateway's own check of tokens."""

    @pytest.mark.conformance("R-08")
    def test_a_page_calls_a_phone_after_web_login(self, lab: Lab, store: redis.Redis) -> None:
        lab.phone("phone").listen()
        phone = lab.info.phones["phone"]
        with WebUser(lab.info.web.origin) as browser:
            browser.log_in("alice", lab.info.web.accounts["alice"])
            browser.wait_registered()
            browser.dial(phone.impu, tone_hz=1000.0)
            browser.wait_established()
            browser.wait_tone(phone.tone_hz)
            wait_until_heard(lab, "phone", 1000.0)
            browser.hang_up()
        wait_released(lab)

    def test_one_of_two_open_pages_places_a_call_that_was_clicked_elsewhere(
        self, lab: Lab, store: redis.Redis
    ) -> None:
        lab.phone("phone").listen()
        phone = lab.info.phones["phone"]
        with WebUser(lab.info.web.origin, camera=True) as browser:
            browser.log_in("alice", lab.info.web.accounts["alice"])
            browser.wait_registered()
            pages = browser.page, browser.page.context.new_page()
            pages[1].goto(lab.info.web.origin)
            # Whoever is logged in and takes the softphone to another tab, and back, stays logged in.
            pages[1].click("#use-here")
            pages[1].wait_for_function(REGISTERED)
            pages[0].click(".banner button:has-text('Use here')")
            pages[0].wait_for_function(REGISTERED)
            pages[1].locator(".banner", has_text="used in another tab now").wait_for()
            pages[1].reload()
            pages[1].click("#use-both")
            pages[1].wait_for_function(REGISTERED)
            assert browser.session()["authenticated"] is True
            dial = browser.page.evaluate(CLICK, {"to": phone.impu})
            taken: list[Page] = []

            def is_established() -> bool:
                taken[:] = [page for page in pages if page.evaluate(CALL_STATE) is not None]
                return [page.evaluate(CALL_STATE) for page in taken] == ["established"]

            browser.wait(is_established, "one call", 15)
            told = browser.page.evaluate("async (dial) => (await fetch(`/api/dials/${dial}`)).json()", dial)
            call_id = taken[0].evaluate("() => window.softphone.call.diagnostics().callId")
            assert (told["state"], told["to"], told["call_id"]) == ("placed", phone.impu, call_id)
            taken[0].click("#hangup")
            browser.wait(lambda: taken[0].evaluate(CALL_STATE) == "ended", "its end", LOGOUT_S)
            assert [page for page in pages if page.evaluate(CALL_STATE) is not None] == taken
        wait_released(lab)

    def test_a_reload_needs_no_password(self, lab: Lab, store: redis.Redis) -> None:
        with WebUser(lab.info.web.origin) as browser:
            browser.log_in("alice", lab.info.web.accounts["alice"])
            browser.wait_registered()
            browser.page.reload()
            browser.wait_registered()

    @pytest.mark.conformance("R-67")
    def test_signing_out_ends_session_and_registration(self, lab: Lab, store: redis.Redis) -> None:
        with WebUser(lab.info.web.origin) as browser:
            browser.log_in("alice", lab.info.web.accounts["alice"])
            browser.wait_registered()
            browser.page.click("#sign-out")
            browser.page.wait_for_selector("#sign-in-card", state="visible")
            assert browser.session() == {"authenticated": False}

    @pytest.mark.conformance("R-67")
    def test_a_logout_elsewhere_ends_the_registration_within_five_seconds(
        self, lab: Lab, store: redis.Redis
    ) -> None:
        with WebUser(lab.info.web.origin) as browser:
            browser.log_in("web1", lab.info.web.accounts["web1"])
            browser.wait_registered()
            assert browser.page.evaluate(LOG_OUT) == 204
            browser.wait(
                lambda: browser.evaluate("() => window.softphone.phone?.state ?? 'gone'") != "registered",
                "end of the registration",
                LOGOUT_S,
            )

    @pytest.mark.conformance("R-15")
    def test_two_guests_have_two_identities(self, lab: Lab, store: redis.Redis) -> None:
        for key in store.keys("gw:web:lease:*"):
            store.delete(key)
        with WebUser(lab.info.web.origin) as browser:
            browser.page.click("#guest")
            browser.wait_registered()
            first = browser.session()["impi"]
            other = browser.page.context.browser.new_context(ignore_https_errors=True).new_page()  # type: ignore[union-attr]
            other.goto(lab.info.web.origin)
            other.wait_for_selector("#sign-in[data-ready]", state="attached")
            other.click("#guest")
            other.wait_for_function("() => window.softphone.phone?.state === 'registered'")
            second = other.evaluate("async () => (await fetch('/api/session')).json()")["impi"]
            assert first != second


@pytest.mark.usefixtures("gateway_has_keys")
def test_the_readmes_script_hears_of_the_page_until_the_logout(lab: Lab, store: redis.Redis) -> None:
    """From the beginning of the stream on, because the page has registered before the script runs."""
    _, began, rest = README.read_text().partition('    let seq = "", silence;\n')
    assert began, "the README's script begins otherwise"
    script = textwrap.dedent('    let seq = "0-0", silence;\n' + rest.partition("\n\n|")[0])
    with WebUser(lab.info.web.origin) as browser:
        lines: list[str] = []
        browser.page.on("console", lambda message: lines.append(message.text))
        browser.log_in("alice", lab.info.web.accounts["alice"])
        browser.wait(lambda: store.exists(keys.EVENTS) == 1, "an event", KEYS_S)
        browser.page.evaluate(f"() => {{ {script} }}")
        browser.wait(
            lambda: any("registered" in line for line in lines), "word of the registration", LOGOUT_S
        )
        assert any(line.startswith("position") for line in lines), lines
        with browser.page.expect_websocket() as opened:
            browser.page.evaluate("() => new WebSocket(`wss://${location.host}/api/events`)")
        assert browser.page.evaluate(LOG_OUT) == 204
        browser.wait(opened.value.is_closed, "the end of listening", LOGOUT_S)
