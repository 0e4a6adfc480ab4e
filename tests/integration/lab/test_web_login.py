"""Web login through the TLS front of the whole world: cookies, addresses, the WebSocket, and no secret in any log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from websockets.exceptions import InvalidStatus

from tests.integration.lab.web import COOKIE, Browser
from tests.lab.lab import Lab
from tests.peers.websocket import Handshake, PageSocket
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab


@pytest.fixture
def browser(lab: Lab) -> Iterator[Browser]:
    """A browser without cookies; failed logins of other tests are forgotten."""
    store = redis.Redis.from_url(lab.info.redis_url)
    for key in store.keys("gw:web:attempts:*"):
        store.delete(key)
    store.close()
    browser = Browser(lab)
    yield browser
    browser.http.close()


def test_the_cookie_comes_over_tls_with_every_protection(lab: Lab, browser: Browser) -> None:
    response = browser.log_in("alice", lab.info.web.accounts["alice"])
    assert response.status_code == 201
    cookie = response.headers["Set-Cookie"]
    assert all(part in cookie for part in (f"{COOKIE}=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"))


@pytest.mark.conformance("X-13")
def test_the_sip_password_opens_no_web_account(lab: Lab, browser: Browser) -> None:
    assert browser.log_in("alice", lab.info.users["alice"].password).status_code == 401


@pytest.mark.conformance("X-10")
def test_a_client_cannot_say_where_it_is(lab: Lab, browser: Browser) -> None:
    """Each guess claims another address; the front says the truth."""
    statuses = {
        browser.log_in(f"nobody{i}", "wrong password", **{"X-Forwarded-For": f"198.51.100.{i}"}).status_code
        for i in range(101)
    }
    assert statuses == {401, 429}


@pytest.mark.conformance("X-03")
class TestCookieAtTheWebSocket:
    """The cookie comes along with the handshake, and opens nothing."""

    def handshake(self, lab: Lab, browser: Browser) -> Handshake:
        """A handshake as the browser of somebody who is logged in makes it."""
        browser.log_in("alice", lab.info.web.accounts["alice"])
        cookie = {"Cookie": f"{COOKIE}={browser.cookie}"}
        return Handshake(lab.info.web.wss_url, browser.origin, forwarded_for=None, headers=cookie)

    async def test_it_does_not_register(self, lab: Lab, browser: Browser) -> None:
        alice = WicIdentity(lab.info.users["alice"].impu)
        async with ScriptedWic(self.handshake(lab, browser), alice) as page:
            assert (await page.register()).status == 401

    async def test_its_letters_do_not_matter(self, lab: Lab, browser: Browser) -> None:
        """A random cookie may look like the beginning of a token, or like any other word."""
        cookie = {"Cookie": f"{COOKIE}={'eyJ' * 14}A; bearer=authorization"}
        await (await PageSocket.open(replace(self.handshake(lab, browser), headers=cookie))).close()

    @pytest.mark.conformance("X-02")
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
    async def test_a_page_of_another_origin_gets_no_socket_with_it(
        self, lab: Lab, browser: Browser, origin: str | None
    ) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await PageSocket.open(replace(self.handshake(lab, browser), origin=origin))
        assert caught.value.response.status_code == 403


@pytest.mark.conformance("R-13", "X-19")
def test_no_secret_of_a_login_is_in_any_log(lab: Lab, browser: Browser) -> None:
    password = lab.info.web.accounts["alice"]
    browser.log_in("alice", "a wrong password, typed by mistake")
    browser.log_in("alice", password)
    token, cookie = browser.token(), browser.cookie
    browser.http.get(f"{browser.origin}/api/oidc/callback?code=a-secret-code&state=a-secret-state", timeout=5)
    browser.http.delete(f"{browser.origin}/api/session", timeout=5)
    secrets = [
        password,
        "typed by mistake",
        token,
        token.rpartition(".")[2],
        cookie,
        "a-secret-code",
        "a-secret-state",
    ]
    for log in Path(lab.info.log_dir).iterdir():
        text = log.read_text(errors="replace")
        assert [secret for secret in secrets if secret in text] == [], log.name
