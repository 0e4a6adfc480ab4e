"""The routing table in real calls: who is refused, who goes where, and a table that changes while calls run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.routes import load
from tests.integration.calls.stage import BOB, CLEAN_WITHIN_S, Call, Stage, gateway_options, warning_of
from tests.integration.calls.test_media_profiles import audio_of
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.proof import wait_clean
from tests.lab.subscribers import REALM
from tests.peers.core_script import answers
from tests.peers.device_sdp import SOME_KEY, DeviceMedia

pytestmark = pytest.mark.lab

ROOM = f"sip:weekly@conference.{REALM}"
DOCUMENT = RoutingDocument(
    routes=[
        Route("all", "*", Target.CORE),
        Route("users", f"sip:*@{REALM}", Target.CORE),
        Route("germany", "+49*", Target.CORE, profile="pstn"),
        Route("service", "+49900*", Target.REFUSE, status=403, reason="no service numbers"),
        Route("closed", "+4930*", Target.REFUSE, status=480, reason="closed"),
        Route("room", "600", Target.CONFERENCE, name="weekly"),
        Route("deputy", "601", Target.USER, name=BOB),
        Route("police", "urn:service:sos.police", Target.USER, name=BOB),
        Route("divert", "*21*", Target.CORE),
        Route("staff", "+4915*", Target.REFUSE, status=403, reason="for staff", user_class="guest"),
    ],
    plans={REALM: DialPlan(country="DE", short_codes={"600": "", "601": "", "115": "+4930115"})},
    conferences={"weekly": ROOM},
    profiles=["pstn"],
)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With Redis, a media profile and a table."""
    options = gateway_options(
        gateway_emergency="route",
        gateway_denied_numbers=["+49137"],
        gateway_media_profiles=[
            {"name": "pstn", "domains": [], "audio_codecs": ["PCMA"], "core_leg": "trunk-srtp"}
        ],
    )
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


async def called(stage: Stage, target: str) -> Call:
    """Let a page call and be answered."""
    stage.core.script = answers(DeviceMedia(crypto=SOME_KEY))
    wic = await (await stage.page()).invite(target, AUDIO_BOTH_WAYS)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    return call


@pytest.mark.parametrize(
    ("target", "status", "why"),
    [
        ("tel:0900123456;phone-context=" + REALM, 403, "no service numbers"),
        (f"sip:+493012345678@{REALM};user=phone", 480, "closed"),
        ("tel:115;phone-context=" + REALM, 480, "closed"),
        ("tel:01371234567;phone-context=" + REALM, 403, "numbers that begin with +49137"),
        ("tel:+4989", 484, "digits are missing"),
        (f"sip:*21*01371234567%23@{REALM};user=phone", 403, "numbers that begin with +49137"),
        (f"sip:*31%23089123456@{REALM};user=phone", 404, "no such service code"),
        ("tel:+999123456789", 404, "no such country code"),
        ("tel:+49891234567890123", 404, "longer than 15 digits"),
    ],
)
async def test_a_number_is_refused_as_the_table_says(
    stage: Stage, target: str, status: int, why: str
) -> None:
    refused = await (await stage.page()).invite(target, AUDIO_BOTH_WAYS)
    answer = await refused.wait_status(status)
    assert why in warning_of(answer)
    assert not stage.core.calls


async def test_no_message_goes_to_a_denied_number_however_it_is_dialled(stage: Stage) -> None:
    page = await stage.page()
    for target in (f"tel:01371234567;phone-context={REALM}", "tel:+491371234567"):
        answer = await page.request("MESSAGE", target)
        assert (answer.status, "numbers that begin with +49137" in warning_of(answer)) == (403, True)
    assert not stage.core.trace.requests("MESSAGE")


async def test_numbers_that_pass_go_to_the_core_as_they_were_dialled(stage: Stage) -> None:
    call = await called(stage, f"tel:089-1234567;phone-context={REALM}")
    assert call.ims.invite.request_uri == f"tel:089-1234567;phone-context={REALM}"
    assert audio_of(call.ims.invite.body).protocol == "RTP/SAVP"  # the row's media profile
    await call.hang_up()
    call = await called(stage, BOB)
    assert call.ims.invite.request_uri == BOB
    assert audio_of(call.ims.invite.body).protocol == "RTP/AVP"
    await call.hang_up()
    call = await called(stage, f"sip:*21*089123456%23@{REALM}")
    assert call.ims.invite.request_uri == f"sip:*21*089123456%23@{REALM}"
    await call.hang_up()


@pytest.mark.parametrize(("dialled", "target"), [("600", ROOM), ("601", BOB)])
async def test_a_short_code_is_a_conference_or_a_person(stage: Stage, dialled: str, target: str) -> None:
    call = await called(stage, f"sip:{dialled}@{REALM};user=phone")
    assert call.ims.invite.request_uri == target
    await call.hang_up()


async def test_a_page_transfers_nobody_to_whom_it_may_not_call(stage: Stage) -> None:
    call = await called(stage, BOB)
    for target, status in (("tel:+4930123456", 480), ("tel:+4989123456", 200)):
        request = call.wic.request("REFER")
        request.headers.add("Refer-To", f"<{target}>")
        assert (await call.wic.ask(request)).status == status
    await call.hang_up()


@pytest.mark.parametrize("target", ["urn:service:sos", f"tel:110;phone-context={REALM}"])
async def test_nothing_keeps_an_emergency_call_from_the_core(stage: Stage, target: str) -> None:
    call = await called(stage, target)
    assert call.ims.invite.request_uri == target
    assert "Resource-Priority" not in call.ims.invite.headers  # no row is for it: as dialled
    await call.hang_up()


@pytest.mark.parametrize(
    "target",
    ["sip:110@evil.example", f"sip:110@{REALM};maddr=evil.example", "tel:110;phone-context=+8816"],
)
async def test_an_emergency_call_is_made_here_however_it_is_written(stage: Stage, target: str) -> None:
    call = await called(stage, target)
    assert call.ims.invite.request_uri == f"sip:110;phone-context={REALM}@{REALM};user=phone"
    await call.hang_up()


async def test_a_row_may_take_an_emergency_call_and_it_has_priority(stage: Stage) -> None:
    call = await called(stage, "urn:service:sos.police")
    invite = call.ims.invite
    assert invite.request_uri == BOB
    assert (invite.headers.get("Priority"), invite.headers.get("Resource-Priority")) == (
        "emergency",
        "esnet.0",
    )
    await call.hang_up()


async def test_a_row_for_another_class_is_none(stage: Stage) -> None:
    call = await called(stage, "tel:+4915112345678")
    await call.hang_up()


async def test_a_table_changes_while_a_call_runs(stage: Stage, gateway_lab: Lab) -> None:
    call = await called(stage, "tel:+4989123456")
    try:
        load(
            gateway_lab,
            RoutingDocument(routes=[Route("none", "*", Target.REFUSE, status=403, reason="closed down")]),
        )
        refused = await (await stage.page()).invite("tel:+4989123456", AUDIO_BOTH_WAYS)
        assert "closed down" in warning_of(await refused.wait_status(403))
        assert (await call.ims.reinvite("")).status == 200
        await call.hang_up()
        # One that this site cannot use changes nothing.
        load(gateway_lab, RoutingDocument(trunk_groups={"carrier": ["nobody"]}))
        refused = await (await stage.page()).invite("tel:+4989123456", AUDIO_BOTH_WAYS)
        await refused.wait_status(403)
        # What `gwctl routes show` prints where there is none.
        load(gateway_lab, RoutingDocument())
        call = await called(stage, "tel:+4989123456")
        await call.hang_up()
    finally:
        load(gateway_lab, DOCUMENT)
