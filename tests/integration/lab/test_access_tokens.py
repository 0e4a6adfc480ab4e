"""Access tokens at the real IMS core: it believes the gateway, and only the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.lab.endpoint import MAX_ROUNDS, Endpoint
from tests.integration.trust.issuers import BEARER_VARIABLES, ISSUER, OPERATOR, publish, register, token_for
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import BY_NAME, REALM
from tests.peers.digest import Credentials, challenge_from_text
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Gateway and real core; both issuers have published their keys."""
    parts = frozenset({Part.IMS, Part.GATEWAY, Part.RTPENGINE})
    with Lab(LabOptions(parts=parts, phones=(), role_variables={"kamailio": BEARER_VARIABLES})) as lab:
        for issuer in (ISSUER, OPERATOR):
            publish(lab, issuer.url, issuer.key)
        yield lab


@pytest.fixture
async def page(world: Lab) -> AsyncIterator[ScriptedWic]:
    """A connected page of bob, who has a password at the core but does not use it."""
    url = f"ws://{LOOPBACK}:{world.info.gateway.ws_port}/sip"
    handshake = Handshake(url, origin=world.info.web.origin)
    async with ScriptedWic(handshake, WicIdentity(BY_NAME["bob"].impu)) as page:
        yield page


@pytest.mark.conformance("R-01", "R-08", "R-17")
@pytest.mark.parametrize("issuer", [ISSUER, OPERATOR], ids=["ours", "the operator's"])
async def test_a_login_becomes_a_registration_without_a_password(
    world: Lab, page: ScriptedWic, issuer: object
) -> None:
    bob = BY_NAME["bob"]
    assert isinstance(issuer, type(ISSUER))
    response = await register(page, issuer.token("bob", REALM))
    assert response.status == 200
    assert [response.status for response in page.trace.responses("REGISTER")] == [200]
    assert bob.tel in ",".join(response.headers.fields("P-Associated-URI"))
    assert world.hss.ask("subscriptions")[bob.impi]["registered"] == dict.fromkeys(bob.impus, "registered")
    assert (await page.unregister()).status == 200
    assert world.hss.ask("subscriptions")[bob.impi]["registered"] == {}


@pytest.mark.conformance("X-20")
async def test_a_user_the_core_does_not_know_is_told_what_a_bad_token_is_told(
    world: Lab, page: ScriptedWic
) -> None:
    del world
    answers = []
    for user, token in (("nobody", token_for("nobody")), ("bob", token_for("bob", aud="elsewhere"))):
        page.identity = WicIdentity(f"sip:{user}@{REALM}")
        response = await register(page, token)
        volatile = ("Via", "From", "To", "Call-ID", "CSeq")
        answers.append((response.status, [(n, v) for n, v in response.headers if n not in volatile]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.conformance("R-11", "R-06", "R-04")
async def test_a_password_works_beside_it(world: Lab) -> None:
    bob = BY_NAME["bob"]
    url = f"ws://{LOOPBACK}:{world.info.gateway.ws_port}/sip"
    identity = WicIdentity(bob.impu, credentials=Credentials(bob.impi, bob.password))
    async with ScriptedWic(Handshake(url, origin=world.info.web.origin), identity) as page:
        assert (await page.register()).status == 200
        first = page.trace.responses("REGISTER")[0]
        schemes = [value.partition(" ")[0] for value in first.headers.fields("WWW-Authenticate")]
        assert schemes == ["Bearer", "Digest"]
        assert (await page.unregister()).status == 200


@pytest.mark.conformance("R-06", "R-01")
async def test_aka_works_through_the_gateway_and_its_keys_stay_here(world: Lab) -> None:
    carol = BY_NAME["carol"]
    isim = Endpoint(carol)
    url = f"ws://{LOOPBACK}:{world.info.gateway.ws_port}/sip"
    async with ScriptedWic(Handshake(url, origin=world.info.web.origin), WicIdentity(carol.impu)) as page:
        response = await page.register()
        for _ in range(MAX_ROUNDS):  # a fast client may be challenged again
            if response.status != 401:
                break
            _, text = response.headers.fields("WWW-Authenticate")
            assert not any(key in text for key in ("ck=", "ik="))
            challenge = challenge_from_text(text)
            assert challenge.algorithm == "AKAv1-MD5"
            credentials = isim.credentials(challenge, isim.secret(challenge))
            response = await page.register(headers=[("Authorization", credentials)])
        assert response.status == 200
