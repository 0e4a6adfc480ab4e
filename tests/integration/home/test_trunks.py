"""Numbers that are no user's go by the routing table and its trunks; those of users never do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.routes import load
from tests.integration.calls.stage import CLEAN_WITHIN_S, until, warning_of
from tests.integration.calls.trunk_site import gateway_address
from tests.integration.home.stage import HomeStage, home_lab_of
from tests.lab.lab import Lab
from tests.lab.ports import own_port
from tests.lab.proof import wait_clean
from tests.lab.subscribers import BY_NAME, REALM
from tests.peers.call_plan import CallPlan
from tests.peers.core import ScriptedCore
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.trunk import ScriptedTrunk

pytestmark = pytest.mark.lab

CARRIER_PORT: Final = own_port()
CARRIER_ADDRESS: Final = "127.0.0.5"
BOB = BY_NAME["bob"]
BOBS: Final = "+493055555501"
DAVES: Final = "+493055555502"
DOCUMENT = RoutingDocument(
    routes=[
        Route("world", "+*", Target.TRUNK, name="carrier"),
        Route("germany", "+49*", Target.TRUNK, name="carrier"),
        Route("dave", DAVES, Target.REFUSE, status=403, reason="not him"),
        Route("dids", "+4930555555*", Target.CORE, realm="trunk:carrier"),
        Route("police", "urn:service:sos.police", Target.TRUNK, name="carrier"),
        Route("desk", "600", Target.USER, name=BOB.impu),
    ],
    plans={REALM: DialPlan(country="DE", short_codes={"600": "", "601": BOB.impu})},
    permissions={"guest": Permission(classes=(CostClass.FREE,), calls=1)},
    trunk_groups={"carrier": ["carrier"]},
)


@pytest.fixture(scope="module")
def home_lab() -> Iterator[Lab]:
    """With a carrier and a table."""
    uri = f"sip:{CARRIER_ADDRESS}:{CARRIER_PORT}"
    trunk = {"name": "carrier", "uris": [uri], "domain": "carrier.example", "options_s": 0}
    numbers = {"bob": [f"tel:{BOBS}"], "dave": [f"tel:{DAVES}"]}
    with home_lab_of(numbers, gateway_trunks=[trunk], gateway_emergency="route") as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def carrier(stage: HomeStage) -> AsyncIterator[ScriptedCore]:
    """It answers whatever is called."""
    async with ScriptedCore(CARRIER_ADDRESS, CARRIER_PORT) as peer:
        peer.script = answers(DeviceMedia())
        yield peer
        await stage.check_nothing_left()


async def test_a_number_leaves_by_a_trunk(stage: HomeStage, carrier: ScriptedCore) -> None:
    page = await stage.user("alice")
    call = await page.invite("tel:030-12345678;phone-context=" + REALM, AUDIO_BOTH_WAYS)
    await call.wait_answer()
    far = await carrier.wait_call()
    assert far.invite.request_uri == "sip:+493012345678@carrier.example;user=phone"
    await far.wait_ack()
    assert (await far.bye()).status == 200
    await call.wait_request("BYE")


@pytest.mark.parametrize("target", ["600", "601", BOB.tel, BOB.impu, f"tel:{BOBS}", "03055555501"])
async def test_a_user_is_reached_by_pages_and_never_by_a_trunk(
    stage: HomeStage, carrier: ScriptedCore, target: str
) -> None:
    caller, callee = await stage.user("alice"), await stage.user("bob")
    uri = target if ":" in target else f"tel:{target};phone-context={REALM}"
    call = await caller.invite(uri, AUDIO)
    await (await callee.wait_incoming()).respond(486)
    await call.wait_status(486)
    assert not carrier.calls


async def test_a_guest_calls_and_writes_to_users_within_the_limits(
    stage: HomeStage, carrier: ScriptedCore
) -> None:
    guest, callee = await stage.user("alice", user_class="guest"), await stage.user("bob")
    assert (await guest.request("MESSAGE", f"tel:{BOBS}", body="hello")).status == 200
    first = await guest.invite(f"tel:{BOBS}", AUDIO)
    incoming = await callee.wait_incoming()
    second = await guest.invite(BOB.impu, AUDIO)
    refused = await second.wait_status(range(300, 700))
    assert (refused.status, warning_of(refused)) == (403, "you may have no more than 1 calls at once")
    await incoming.respond(486)
    await first.wait_status(486)
    assert not carrier.calls


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        pytest.param(f"tel:{DAVES}", 403, "not him", id="a row that refuses"),
        pytest.param(f"sip:nobody@{REALM}", 404, "no route to this number", id="unknown name"),
        pytest.param(f"tel:777;phone-context={REALM}", 484, "digits are missing", id="unknown code"),
    ],
)
async def test_what_the_table_refuses(
    stage: HomeStage, carrier: ScriptedCore, target: str, status: int, reason: str
) -> None:
    page = await stage.user("alice")
    call = await page.invite(target, AUDIO)
    refused = await call.wait_status(range(300, 700))
    assert (refused.status, warning_of(refused)) == (status, reason)
    assert not carrier.calls


@pytest.mark.conformance("S-61")
async def test_an_emergency_goes_by_its_row_or_hears_of_another_telephone(
    stage: HomeStage, carrier: ScriptedCore
) -> None:
    page = await stage.user("alice")
    for target in ("tel:112", f"sip:112@{REALM};user=phone", "urn:service:sos.fire"):
        call = await page.invite(target, AUDIO)
        assert (await call.wait_status(range(300, 700))).status == 380
    assert not carrier.calls
    call = await page.invite("urn:service:sos.police", AUDIO_BOTH_WAYS)
    await call.wait_answer()
    far = await carrier.wait_call()
    assert far.invite.request_uri.startswith("sip:112@carrier.example")
    await far.wait_ack()
    assert (await far.bye()).status == 200
    await call.wait_request("BYE")


@pytest.fixture
async def caller(stage: HomeStage) -> AsyncIterator[ScriptedTrunk]:
    """The carrier as it calls."""
    peer = ScriptedTrunk()
    await peer.open(CARRIER_ADDRESS, CARRIER_PORT)
    try:
        yield peer
        await stage.check_nothing_left()
        table = stage.lab.gateway_rpc.htable
        await until(lambda: not table("trunk_call"), lambda: f"left: {table('trunk_call')}", 15)
    finally:
        await peer.close()


async def test_a_telephone_reaches_every_page_of_whom_it_calls(
    stage: HomeStage, caller: ScriptedTrunk
) -> None:
    pages = [await stage.user("bob") for _ in range(2)]
    call = await caller.call(BOBS, gateway_address(stage.lab))
    incoming = [await page.wait_incoming() for page in pages]
    assert "+4989555" in (incoming[0].invite.headers.get("P-Asserted-Identity") or "")
    await incoming[1].ring()
    await call.wait_status(180)  # the scripted carrier follows its first dialog alone
    await incoming[0].ring()
    await call.wait_status(180, count=2)
    await incoming[1].answer()
    await call.wait_status(200)
    await incoming[0].wait_request("CANCEL")
    assert (await incoming[1].info()).status == 200
    assert (await call.bye()).status == 200
    await incoming[1].wait_request("BYE")


async def test_a_telephone_gives_up(stage: HomeStage, caller: ScriptedTrunk) -> None:
    page = await stage.user("bob")
    call = await caller.call(BOBS, gateway_address(stage.lab))
    incoming = await page.wait_incoming()
    await incoming.ring()
    await call.wait_status(180)
    call.cancel()
    await incoming.wait_request("CANCEL")
    await call.wait_status(487)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(DAVES, 480, id="offline"),
        pytest.param("+493055555599", 404, id="nobody"),
    ],
)
async def test_a_telephone_calls_who_is_not_there(
    stage: HomeStage, caller: ScriptedTrunk, number: str, status: int
) -> None:
    call = await caller.call(number, gateway_address(stage.lab))
    refused = await call.wait_status(status)
    assert "Q.850" in (refused.headers.get("Reason") or "")


async def test_the_page_that_a_telephone_called_is_lost_before_it_rang(
    stage: HomeStage, caller: ScriptedTrunk
) -> None:
    """The other page goes on ringing, though nothing was heard of the first."""
    first, second = await stage.user("bob"), await stage.user("bob")
    first.plan = CallPlan(trying=False)
    call = await caller.call(BOBS, gateway_address(stage.lab))
    await first.wait_incoming()
    other = await second.wait_incoming()
    first.lose()
    await other.ring()
    await call.wait_status(180)
    await other.answer()
    await call.wait_status(200)
    assert (await other.bye()).status == 200
    await call.wait_request("BYE")
