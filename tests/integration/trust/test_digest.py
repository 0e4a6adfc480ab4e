"""Passwords stay between page and core: what we add, what we take away (TS 24.229 §5.2.2.2; RFC 7616; RFC 3310)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.calls.stage import ALICE, CAROL, Stage, warning_of
from tests.integration.trust.issuers import register, token_for
from tests.integration.trust.raw import send_register
from tests.lab.subscribers import REALM
from tests.peers.digest import Credentials
from tests.peers.sip import SipRequest
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

SECRET = Credentials(f"alice@{REALM}", "secret-alice")


def at_core(stage: Stage) -> list[SipRequest]:
    """Return all REGISTERs the core got."""
    return list(stage.core.trace.requests("REGISTER"))


async def page_with_password(stage: Stage, *, rounds: int = 1) -> ScriptedWic:
    """Open a page whose user the core challenges."""
    stage.core.registrar = replace(stage.core.registrar, credentials=SECRET, rounds=rounds)
    return await stage.join(
        ScriptedWic(stage.handshake, WicIdentity(ALICE, credentials=SECRET)), registered=False
    )


@pytest.mark.conformance("R-02", "R-04", "R-01")
async def test_what_is_vouched_for_follows_the_connection(stage: Stage) -> None:
    page = await page_with_password(stage)
    assert (await page.register()).status == 200
    assert (await page.register()).status == 200
    first, answer, *again = [request.headers.fields("Authorization")[0] for request in at_core(stage)]
    assert (
        first == f'Digest username="alice@{REALM}", realm="{REALM}", nonce="", uri="sip:{REALM}", response=""'
    )
    assert answer.endswith('integrity-protected="tls-pending"')
    assert again[-1].endswith('integrity-protected="tls-yes"')


@pytest.mark.conformance("R-06", "R-31")
async def test_a_second_challenge_is_the_pages_to_answer(stage: Stage) -> None:
    page = await page_with_password(stage, rounds=2)
    assert (await page.register()).status == 200
    assert [response.status for response in page.trace.responses("REGISTER")] == [401, 401, 200]
    assert len({request.call_id for request in at_core(stage)}) == 1


@pytest.mark.conformance("R-05")
async def test_sha_256_passes_untouched(stage: Stage) -> None:
    page = await stage.page(registered=False)
    digest = (
        f'Digest username="alice@{REALM}", realm="{REALM}", nonce="n==", uri="sip:{REALM}", response="{"0a" * 32}", '
        'algorithm=SHA-256, cnonce="c", nc=00000001, qop=auth, opaque="o"'
    )
    await send_register(page, [f"Authorization: {digest}"])
    (request,) = at_core(stage)
    assert request.headers.fields("Authorization") == [f'{digest}, integrity-protected="tls-pending"']


@pytest.mark.conformance("R-06", "R-11")
async def test_keys_of_an_aka_challenge_are_the_gateways_alone(stage: Stage) -> None:
    challenge = f'Digest realm="{REALM}", nonce="bm9uY2U=", algorithm=AKAv1-MD5, qop="auth"'
    keys = f', ck="{"0" * 32}", ik="{"1" * 32}"'
    stage.core.registrar = replace(
        stage.core.registrar,
        status=401,
        headers=(
            ("WWW-Authenticate", challenge + keys),
            ("WWW-Authenticate", f'Digest realm="{REALM}", nonce="x"'),
        ),
    )
    page = await stage.page(registered=False)
    response = await page.register()
    _, *digests = response.headers.fields("WWW-Authenticate")
    assert digests == [challenge, f'Digest realm="{REALM}", nonce="x"']


@pytest.mark.conformance("R-26")
async def test_ipsec_is_not_for_pages(stage: Stage) -> None:
    page = await stage.page(registered=False)
    client = "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=3;port-s=4"
    required = await send_register(page, [client, "Require: sec-agree", "Proxy-Require: sec-agree"])
    assert required.status == 420
    assert required.headers.fields("Unsupported") == ["sec-agree"]
    assert not stage.core_knows(required.call_id)
    passed = await send_register(page, [client])
    assert passed.status == 200
    (request,) = [request for request in at_core(stage) if request.call_id == passed.call_id]
    assert not request.headers.fields("Security-Client")


@pytest.mark.conformance("R-20")
async def test_the_request_uri_is_the_home_domain(stage: Stage) -> None:
    page = await stage.page(registered=False)
    response = await page.request("REGISTER", "sip:elsewhere.test", headers=[("Expires", "60")])
    assert response.status == 403
    assert not stage.core_knows(response.call_id)


@pytest.mark.conformance("R-14", "X-09")
async def test_one_connection_one_identity(stage: Stage) -> None:
    page = await stage.page(registered=False)
    assert (await register(page, token_for(impus=[ALICE, CAROL]))).status == 200
    page.identity = replace(page.identity, aor=CAROL)
    response = await register(page, token_for(impus=[ALICE, CAROL]))
    assert response.status == 403
    assert warning_of(response) == "another identity is registered over this connection"


@pytest.mark.conformance("R-22", "R-23", "R-24", "R-29")
async def test_what_the_core_is_told_of_us(stage: Stage) -> None:
    page = await stage.page(registered=False)
    await send_register(page, ["Require: outbound", "Supported: gruu, timer"])
    await send_register(page, [])
    first, second = at_core(stage)
    assert {"outbound", "path"} <= first.option_tags("Require")
    assert {"gruu", "timer", "path"} <= first.option_tags("Supported")
    assert first.headers.fields("P-Visited-Network-ID") == [f'"{REALM}"']
    (vector,), other = first.headers.fields("P-Charging-Vector"), second.headers.fields("P-Charging-Vector")
    assert vector != other[0]
    assert f'orig-ioi="Type 1{REALM}"' in vector
    contact = first.headers.get("Contact") or ""
    assert contact.endswith(
        ';expires=600;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel";audio;video'
    )
