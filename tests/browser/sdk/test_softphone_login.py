"""What a failure does to the session at the web service, which is all tabs' of the browser."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.browser.sdk.gateway import ScriptedGateway
from webapp_api.settings import SIP_PATH

pytestmark = pytest.mark.browser

TOKEN = "header.payload.signature"
SESSION = {
    "authenticated": True,
    "method": "password",
    "name": "alice",
    "impi": "alice@ims.example.com",
    "impus": ["sip:alice@ims.example.com"],
}
GIVE_UP_S = 600


@dataclass
class WebService:
    """Alice is logged in with this browser; what the page asks for is kept."""

    asked: list[str] = field(default_factory=list)

    async def answer(self, route: Route) -> None:
        """Answer a request for /api/."""
        method, path = route.request.method, route.request.url.partition("/api/")[2]
        self.asked.append(f"{method} {path}")
        if path == "session" and method == "GET":
            await route.fulfill(json=SESSION)
        elif path == "session":
            await route.fulfill(status=204)
        elif path == "tokens":
            await route.fulfill(json={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 600})
        else:
            await route.fulfill(json={"calls": []})


@pytest_asyncio.fixture
async def web(page: Page, gateway: ScriptedGateway) -> WebService:
    """A gateway with web login, which the scripted one has not."""
    config = {
        "wssUrl": f"ws{gateway.origin.removeprefix('http')}{SIP_PATH}",
        "domain": "ims.example.com",
        "login": {"password": True, "guest": False, "oidc": False},
    }
    web = WebService()
    await page.route("**/config.json", lambda route: route.fulfill(body=json.dumps(config)))
    await page.route("**/api/**", web.answer)
    # Events are no part of this.
    await page.route_web_socket("**/api/events*", lambda _: None)
    return web


async def test_a_gateway_that_is_away_logs_nobody_out(
    page: Page, gateway: ScriptedGateway, web: WebService
) -> None:
    gateway.accepts = False
    again = page.get_by_role("button", name="Try again")
    await page.reload()
    for _ in range(2):
        await expect(page.get_by_role("alert")).to_contain_text("no connection to", ignore_case=True)
        await expect(page.locator("#phone-state")).to_have_text("Signed out")
        await again.press("Enter")
    await expect(again).to_be_visible()
    gateway.accepts = True
    await again.click()
    await gateway.register_with_token(TOKEN)
    await expect(page.locator("#phone-state")).to_have_text("Registered")
    await expect(page.locator(".banner")).to_have_count(0)
    assert "DELETE session" not in web.asked


async def test_a_registration_that_may_be_granted_later_logs_nobody_out(
    page: Page, gateway: ScriptedGateway, web: WebService
) -> None:
    await page.reload()
    await gateway.refuse(await gateway.receive_request("REGISTER"), 503)
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert "DELETE session" not in web.asked


async def test_who_does_not_want_to_try_again_signs_out(
    page: Page, gateway: ScriptedGateway, web: WebService
) -> None:
    await page.reload()
    await gateway.refuse(await gateway.receive_request("REGISTER"), 503)
    async with page.expect_request(lambda request: request.method == "DELETE"):
        await page.locator(".banner").get_by_role("button", name="Sign out").click()
    await expect(page.locator(".banner")).to_have_count(0)
    await expect(page.locator("#user")).to_be_visible()


@pytest.mark.parametrize("path", ["**/config.json", "**/api/session"])
async def test_a_web_service_that_does_not_answer_is_said_so_when_the_page_opens(
    page: Page, gateway: ScriptedGateway, web: WebService, path: str
) -> None:
    async def busy(route: Route) -> None:
        await route.fulfill(status=503, json={})

    await page.route(path, busy)
    await page.reload()
    again = page.get_by_role("button", name="Try again")
    await expect(page.get_by_role("alert")).to_contain_text("503")
    await again.click()
    await expect(page.get_by_role("alert")).to_contain_text("503")
    await page.unroute(path, busy)
    await again.click()
    await gateway.register_with_token(TOKEN)
    await expect(page.locator("#phone-state")).to_have_text("Registered")
    await expect(page.locator(".banner")).to_have_count(0)


async def test_a_registration_that_is_refused_ends_the_session(
    page: Page, gateway: ScriptedGateway, web: WebService
) -> None:
    await page.reload()
    async with page.expect_request(lambda request: request.method == "DELETE"):
        await gateway.refuse(await gateway.receive_request("REGISTER"), 403)
    await expect(page.get_by_role("alert")).to_contain_text("403 Forbidden")
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)


async def test_a_connection_that_does_not_come_back_logs_nobody_out(
    page: Page, gateway: ScriptedGateway, web: WebService
) -> None:
    await page.clock.install()
    await page.reload()
    await gateway.register_with_token(TOKEN)
    await expect(page.locator("#phone-state")).to_have_text("Registered")
    gateway.accepts = False
    await gateway.drop_socket()
    await expect(page.locator("#phone-state")).to_have_text("Reconnecting…")
    await page.clock.fast_forward(GIVE_UP_S * 1000)
    await expect(page.locator("#sign-in-card")).to_be_visible()
    gateway.accepts = True
    await page.get_by_role("button", name="Try again").click()
    await gateway.register_with_token(TOKEN)
    await expect(page.locator("#phone-state")).to_have_text("Registered")
    assert "DELETE session" not in web.asked
