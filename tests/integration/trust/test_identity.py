"""Who a call is from, whom it goes to and what service it asks for, as the core sees it (TS 24.229 §5.2.6.3)."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, Stage, warning_of
from tests.integration.trust.issuers import register, token_for
from tests.integration.trust.raw import send_register
from tests.lab.subscribers import REALM
from tests.peers.dialog import Pairs
from tests.peers.sip import SipRequest, SipResponse, message_to_text, new_branch
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

WORK = f"sip:alice.work@{REALM}"
TEL = "tel:+15550100"
NUMBER = f"sip:+15550100@{REALM};user=phone"
ICSI = '+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"'


async def called(stage: Stage, page: ScriptedWic, headers: Pairs = (), target: str = BOB) -> SipRequest:
    """Call, hang up, and return the INVITE the core got."""
    wic = await page.invite(target, AUDIO, headers=headers)
    await wic.wait_answer()
    ims = await stage.core.wait_call()
    await ims.wait_ack()
    await wic.bye()
    return ims.invite


async def refused(page: ScriptedWic, headers: Pairs = (), target: str = BOB) -> SipResponse:
    """Call and return the refusal."""
    wic = await page.invite(target, AUDIO, headers=headers)
    return await wic.wait_status(range(300, 700))


async def page_of(stage: Stage, *uris: str) -> ScriptedWic:
    """Return a registered page whose public identities the core lists so."""
    stage.core.registrar = replace(stage.core.registrar, associated_uris=uris)
    return await stage.page()


@pytest.mark.conformance("S-03")
@pytest.mark.parametrize(
    ("preferred", "asserted"),
    [
        pytest.param([], [ALICE], id="none"),
        pytest.param([f"<{WORK}>"], [WORK], id="registered"),
        pytest.param([f"<sip:president@{REALM}>"], [ALICE], id="not registered"),
        pytest.param([f"<{WORK}>, <{TEL}>"], [WORK, TEL], id="sip and tel"),
        pytest.param([f"<{TEL}>", f"<{WORK}>"], [TEL, WORK], id="two fields"),
        pytest.param([f"<{WORK}>, <tel:+1999>"], [WORK], id="one of two"),
    ],
)
async def test_the_asserted_identity(stage: Stage, preferred: list[str], asserted: list[str]) -> None:
    page = await page_of(stage, ALICE, WORK, TEL)
    invite = await called(stage, page, [("P-Preferred-Identity", value) for value in preferred])
    assert invite.headers.all("P-Asserted-Identity") == [f"<{uri}>" for uri in asserted]
    assert not invite.headers.fields("P-Preferred-Identity")


@pytest.mark.conformance("S-03")
async def test_the_number_as_tel_goes_with_it(stage: Stage) -> None:
    invite = await called(stage, await page_of(stage, NUMBER, TEL))
    assert invite.headers.all("P-Asserted-Identity") == [f"<{NUMBER}>", f"<{TEL}>"]


@pytest.mark.conformance("S-03")
async def test_two_of_one_kind_are_refused(stage: Stage) -> None:
    page = await page_of(stage, ALICE, WORK)
    response = await refused(page, [("P-Preferred-Identity", f"<{ALICE}>, <{WORK}>")])
    assert response.status == 403
    assert not stage.core.trace.requests("INVITE")


@pytest.mark.conformance("S-03", "S-01")
async def test_after_the_registration_ended_nobody_calls(stage: Stage) -> None:
    page = await stage.page()
    response = await page.unregister()
    await stage.logged(response.call_id, "event=deregistered")
    assert (await refused(page, [("P-Preferred-Identity", f"<{ALICE}>")])).status == 403


@pytest.mark.conformance("R-42", "R-14")
async def test_an_identity_that_the_token_does_not_name_is_not_asserted(stage: Stage) -> None:
    stage.core.registrar = replace(stage.core.registrar, associated_uris=(WORK, ALICE, TEL))
    page = await stage.page(registered=False)
    await register(page, token_for(impus=[ALICE]))
    invite = await called(stage, page, [("P-Preferred-Identity", f"<{WORK}>")])
    assert invite.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]


@pytest.mark.conformance("X-09", "R-14")
async def test_from_is_no_other_identity(stage: Stage) -> None:
    page = await stage.page()
    page.identity = replace(page.identity, aor=f"sip:president@{REALM}")
    response = await refused(page)
    assert (response.status, warning_of(response)) == (
        403,
        "From is not an identity that this page has registered",
    )
    assert not stage.core.trace.requests("INVITE")


async def test_from_may_be_withheld(stage: Stage) -> None:
    page = await stage.page()
    page.identity = replace(page.identity, aor="sip:anonymous@anonymous.invalid")
    invite = await called(stage, page, [("Privacy", "id")])
    assert invite.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
    assert invite.headers.fields("Privacy") == ["id"]


@pytest.mark.conformance("S-05", "S-06", "S-07")
async def test_it_is_a_multimedia_telephony_call(stage: Stage) -> None:
    invite = await called(stage, await stage.page())
    assert invite.headers.fields("P-Preferred-Service") == ["urn:urn-7:3gpp-service.ims.icsi.mmtel"]
    assert not invite.headers.fields("P-Asserted-Service")
    assert invite.headers.fields("Accept-Contact") == [f"*;{ICSI}"]
    contact = invite.headers.get("Contact") or ""
    assert contact.endswith(f">;{ICSI};audio")
    assert "mid-call" not in contact


@pytest.mark.conformance("S-13")
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("tel:7042", f"tel:7042;phone-context={REALM}", id="local"),
        pytest.param("tel:+15550123", "tel:+15550123", id="international"),
        pytest.param(
            f"sip:7042@{REALM};user=phone",
            f"sip:7042;phone-context={REALM}@{REALM};user=phone",
            id="sip, local",
        ),
        pytest.param(f"sip:+15550123@{REALM};user=phone", f"sip:+15550123@{REALM};user=phone", id="sip"),
    ],
)
async def test_numbers(stage: Stage, target: str, expected: str) -> None:
    assert (await called(stage, await stage.page(), target=target)).request_uri == expected


@pytest.mark.conformance("S-12")
async def test_an_extension_asked_of_us(stage: Stage) -> None:
    response = await refused(await stage.page(), [("Proxy-Require", "foo")])
    assert response.status == 420
    assert response.headers.fields("Unsupported") == ["foo"]


@pytest.mark.conformance("S-13")
async def test_an_address_nobody_calls(stage: Stage) -> None:
    assert (await refused(await stage.page(), target="sips:bob@ims.test")).status == 416


@pytest.mark.conformance("S-11")
async def test_no_hop_is_left(stage: Stage) -> None:
    page = await stage.page(registered=False)
    call_id = secrets.token_hex(8)
    await page.send_raw(
        f"INVITE {BOB} SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch={new_branch()}\r\nMax-Forwards: 0\r\n"
        f"From: <{ALICE}>;tag=1\r\nTo: <{BOB}>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    response = await page.trace.wait_response(range(200, 700), "INVITE", call_id=call_id)
    assert response.status == 483


@pytest.mark.conformance("X-07", "S-04")
@pytest.mark.parametrize(
    "display_name",
    [
        pytest.param('"x\r\nP-Asserted-Identity: <sip:president@x>\r\nX: "', id="line end in quotes"),
        pytest.param('"x\\\r\nP-Asserted-Identity: <sip:president@x>\r\nX: "', id="escaped line end"),
        pytest.param('"<sip:president@x>"', id="an address in quotes"),
        pytest.param('"x" <sip:president@x>,', id="two addresses"),
        pytest.param('"\\"" ', id="escaped quotation mark"),
        pytest.param('"unclosed', id="open quotation mark"),
    ],
)
async def test_a_display_name_is_only_a_name(stage: Stage, display_name: str) -> None:
    page = await stage.page(registered=False)
    lines = [f"X-Name: {display_name} <{ALICE}>", f"P-Preferred-Identity: {display_name} <{ALICE}>"]
    await send_register(page, lines)
    asserted = [r.headers.fields("P-Asserted-Identity") for r in stage.core.trace.requests("REGISTER")]
    assert not any(asserted)
    wic = await page.invite(BOB, AUDIO, headers=[("P-Preferred-Identity", f"{display_name} <{ALICE}>")])
    if (await wic.wait_status(range(200, 700))).status == 200:
        await (await stage.core.wait_call()).wait_ack()
        await wic.bye()
    for request in stage.core.trace.requests("INVITE"):
        assert "president" not in message_to_text(request)
        assert request.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]


@pytest.mark.conformance("S-04")
async def test_network_parameters_leave_from_in_every_request(stage: Stage) -> None:
    page = await stage.page()
    page.identity = replace(page.identity, aor=f"{ALICE};cpc=operator;verstat=TN-Validation-Passed")
    invite = await called(stage, page)
    byes = stage.core.trace.requests("BYE")
    for request in (invite, *byes, *stage.core.trace.requests("ACK")):
        assert not any(word in (request.headers.get("From") or "") for word in ("cpc", "verstat"))


@pytest.mark.conformance("S-04")
async def test_in_a_running_call_a_page_stays_who_it_is(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    for method, claimed in (
        ("INFO", f'"The President" <sip:president@{REALM}>'),
        ("BYE", f'"Bank" <{ALICE}>'),
    ):
        request = call.wic.request(method)
        request.headers.replace("From", f"{claimed};tag={request.from_tag}")
        assert (await call.wic.ask(request)).status == 200
        heard = await call.ims.wait_request(method)
        assert heard.headers.get("From") == f"<{ALICE}>;tag={request.from_tag}"
