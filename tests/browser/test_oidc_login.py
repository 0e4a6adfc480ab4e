"""Login at a real OpenID Connect provider in a real browser: the cookies survive the way there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from tests.browser.web_user import WebUser, checked
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.subscribers import BY_NAME
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, ProviderOptions, free_port

pytestmark = [pytest.mark.browser, pytest.mark.lab, pytest.mark.conformance("X-13")]

# A page, its web service and its gateway; what the core says to the REGISTER does not matter here.
PARTS = frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY, Part.WEB_API, Part.HAPROXY})
BOB = BY_NAME["bob"]


@dataclass
class Site:
    """A lab whose people log in at a provider."""

    lab: Lab
    provider: OidcProvider


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The lab knows the provider's address, the provider the lab's: first the port, then the lab, then the provider."""
    port = free_port()
    oidc = {
        "issuer": f"http://127.0.0.1:{port}",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": ["openid", "ims"],
    }
    with Lab(LabOptions(parts=PARTS, role_variables={"webapp_api": {"webapp_api_oidc": oidc}})) as lab:
        accounts: dict[str, dict[str, object]] = {"bob": {"impi": BOB.impi, "impus": list(BOB.impus)}}
        options = ProviderOptions(f"{lab.info.web.origin}/api/oidc/callback", accounts)
        with OidcProvider(options, port) as provider:
            yield Site(lab, provider)


def test_a_person_goes_to_the_provider_and_comes_back_with_a_token(site: Site) -> None:
    with WebUser(site.lab.info.web.origin) as browser:
        page = browser.page
        page.click("#provider")
        page.wait_for_url(f"{site.provider.issuer}/**")
        page.fill("input[name=login]", "bob")
        page.fill("input[name=password]", "any")
        page.click("button[type=submit]")
        page.click("button[type=submit]")  # consent
        page.wait_for_url(f"{site.lab.info.web.origin}/")
        token = browser.sent_token()
        with redis.Redis.from_url(site.lab.info.redis_url, decode_responses=True) as store:
            claims = checked(token, site.lab, store)
        assert (claims["sub"], claims["impi"], claims["impus"]) == ("bob", BOB.impi, list(BOB.impus))
        names = {cookie["name"] for cookie in page.context.cookies(site.lab.info.web.origin)}
        assert "__Host-oidc-login" not in names, "it is used up"


def test_an_account_without_identity_is_told_so(site: Site) -> None:
    with WebUser(site.lab.info.web.origin) as browser:
        page = browser.page
        page.click("#provider")
        page.wait_for_url(f"{site.provider.issuer}/**")
        page.fill("input[name=login]", "nobody")
        page.fill("input[name=password]", "any")
        page.click("button[type=submit]")
        page.click("button[type=submit]")
        assert "Your account has no telephone identity here" in browser.banner()
        page.wait_for_url(f"{site.lab.info.web.origin}/")
        assert browser.session() == {"authenticated": False}
