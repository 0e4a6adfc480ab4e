"""Numbers that are no user's go by the routing table and its trunks; those of users never do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import CLEAN_WITHIN_S, warning_of
from tests.integration.calls.test_routing import load
from tests.integration.home.stage import KNOWN_S, HomeStage, add_account, home_lab_of
from tests.lab.lab import Lab
from tests.lab.ports import own_port
from tests.lab.proof import wait_clean
from tests.lab.subscribers import BY_NAME, REALM
from tests.lab.waiting import wait_until
from tests.peers.core import ScriptedCore
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia

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
        Route("desk", "600", Target.USER, name=BOB.impu),
    ],
    plans={REALM: DialPlan(country="DE", short_codes={"600": "", "601": BOB.impu})},
    trunk_groups={"carrier": ["carrier"]},
)


@pytest.fixture(scope="module")
def home_lab() -> Iterator[Lab]:
    """With a carrier and a table."""
    uri = f"sip:{CARRIER_ADDRESS}:{CARRIER_PORT}"
    trunk = {"name": "carrier", "uris": [uri], "domain": "carrier.example", "options_s": 0}
    with home_lab_of(gateway_trunks=[trunk]) as lab:
        load(lab, DOCUMENT)
        add_account(lab, "bob", f"tel:{BOBS}")
        add_account(lab, "dave", f"tel:{DAVES}")
        wait_until(lambda: f"tel:{DAVES}" in lab.gateway_rpc.htable("person"), "its number", KNOWN_S)
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
