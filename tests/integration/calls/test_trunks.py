"""Calls of pages that leave by trunks: which one, and how many."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from kemi.core.routing.table import Route, Target
from kemi.core.trunk.health import Health, health_key, health_to_text
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.outbound_site import (
    CALLEE,
    DOCUMENT,
    TRUNKS,
    Carriers,
    answered,
    nothing_of_ims,
)
from tests.integration.calls.routes import load
from tests.integration.calls.stage import ALICE, IMS_RESPONSE_TIMEOUT_S, Call, Stage, warning_of
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, Pause, answers, rejects, rings_for_ever, silent
from tests.peers.core_script import Final as Final_
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def gateway_lab(outbound_lab: Lab) -> Lab:
    """The one with trunks."""
    return outbound_lab


async def test_a_call_leaves_by_a_trunk(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    call = await answered(stage, carriers.first, f"tel:030-12345678;phone-context={REALM}")
    invite = call.ims.invite
    assert invite.request_uri == f"sip:{CALLEE}@one.example;user=phone"
    assert invite.to.uri == f"sip:{CALLEE}@one.example;user=phone"
    caller = "sip:+15550100@one.example;user=phone"
    assert (invite.headers.get("From") or "").startswith(f"<{caller}>;tag=")
    assert invite.headers.get("P-Asserted-Identity") == f"<{caller}>"
    nothing_of_ims(invite)
    assert not invite.headers.get("Route")
    assert not stage.core.calls
    assert (await call.ims.reinvite("")).status == 200
    assert (await call.ims.info("application/x-test", "hello")).status == 200
    await call.hang_up()
    bye = await call.ims.wait_request("BYE")
    assert bye.to.uri == f"sip:{CALLEE}@one.example;user=phone"
    nothing_of_ims(bye)


async def test_the_far_end_of_a_trunk_hangs_up(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    call = await answered(stage, carriers.first)
    response = await call.ims.bye()
    assert response.status == 200
    # Each side knows the other, and itself, as it wrote them.
    assert response.to.uri == "sip:+15550100@one.example;user=phone"
    bye = await call.wic.wait_request("BYE")
    assert bye.to.uri == ALICE
    assert (bye.headers.get("From") or "").startswith(f"<tel:{CALLEE}>;tag=")


# ---------------------------------------------------------------- the next one


@pytest.mark.parametrize(
    ("first", "passed"),
    [
        pytest.param(rejects(503, ringing=False), True, id="503"),
        pytest.param(rejects(408, ringing=False), True, id="408"),
        pytest.param(silent(), True, id="silence"),
        pytest.param(rejects(500, ringing=False), False, id="500"),
        pytest.param(rejects(486, ringing=False), False, id="486"),
        pytest.param(rejects(404, ringing=False), False, id="404"),
        pytest.param(rejects(603, ringing=False), False, id="603"),
        pytest.param(rejects(482, ringing=False), False, id="482"),
        pytest.param(rejects(483, ringing=False), False, id="483"),
        pytest.param(rejects(503, ringing=True), False, id="503 after somebody rang"),
    ],
)
async def test_only_what_nobody_has_taken_goes_to_the_next_hop(
    stage: Stage, carriers: Carriers, first: CoreScript, passed: bool
) -> None:
    carriers.do(first, answers(DeviceMedia()))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    at_first = await carriers.first.wait_call()
    if not passed:
        final = first.steps[-1]
        assert isinstance(final, Final_)
        await wic.wait_status(final.status)
        assert not carriers.spare.calls
        return
    await wic.wait_answer()
    call = Call(wic, await carriers.spare.wait_call())
    await call.ims.wait_ack()
    assert call.ims.invite.via_branch != at_first.invite.via_branch
    assert call.ims.invite.request_uri == at_first.invite.request_uri
    await call.hang_up()


async def test_an_answer_of_a_hop_that_was_given_up_is_hung_up(stage: Stage, carriers: Carriers) -> None:
    too_late = CoreScript((Pause(IMS_RESPONSE_TIMEOUT_S + 0.6), Final_(200, DeviceMedia())), trying=False)
    carriers.do(too_late, answers(DeviceMedia(), ring_s=2.0))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    former = await carriers.first.wait_call()
    assert isinstance(former, CalledDevice)
    await former.wait_ack()
    bye = await former.wait_request("BYE")
    assert bye.to.uri == former.invite.to.uri
    await wic.wait_answer()
    call = Call(wic, await carriers.spare.wait_call())
    await call.ims.wait_ack()
    assert call.ims.invite.cseq.number > former.invite.cseq.number
    await call.hang_up()


async def test_a_hop_that_was_given_up_rings_nobody(stage: Stage, carriers: Carriers) -> None:
    too_late = replace(rings_for_ever(), trying=False)
    too_late = replace(too_late, steps=(Pause(IMS_RESPONSE_TIMEOUT_S + 0.3), *too_late.steps))
    carriers.do(
        too_late,
        CoreScript((Pause(1.0), Final_(503))),
        answers(DeviceMedia()),
    )
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    former = await carriers.first.wait_call()
    assert isinstance(former, CalledDevice)
    await asyncio.wait_for(former.cancelled.wait(), 20)
    await wic.wait_answer()  # nobody has rung: the next trunk is asked
    call = Call(wic, await carriers.second.wait_call())
    await call.ims.wait_ack()
    await call.hang_up()


async def test_a_page_without_reliable_responses_reaches_the_next_trunk(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, supported="")
    await wic.wait_answer()
    call = Call(wic, await carriers.second.wait_call())
    await call.ims.wait_ack()
    for name in ("From", "To", "CSeq", "Contact", "P-Asserted-Identity", "Content-Length"):
        assert len(call.ims.invite.headers.all(name)) == 1, name
    await call.hang_up()


async def test_the_next_trunk_gets_the_call_in_its_own_form(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    call = await answered(stage, carriers.second)
    invite = call.ims.invite
    assert invite.request_uri == "sip:03012345678@two.example;user=phone"
    assert invite.headers.get("P-Asserted-Identity") == "<sip:0015550100@two.example;user=phone>"
    assert len(carriers.first.calls) == len(carriers.spare.calls) == 1
    await call.hang_up()
    assert (await call.ims.wait_request("BYE")).to.uri == "sip:03012345678@two.example;user=phone"


async def test_a_trunk_that_is_down_comes_last(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    rpc, hops = stage.lab.gateway_rpc, TRUNKS[0]["uris"]
    down = str(health_to_text(Health(time.time(), "no answer")))
    try:
        rpc("htable.sets", "trunks", health_key("one", hops[0]), down)
        call = await answered(stage, carriers.spare)  # its other next hop
        await call.hang_up()
        rpc("htable.sets", "trunks", health_key("one", hops[1]), down)
        call = await answered(stage, carriers.second)  # the other trunk
        await call.hang_up()
        carriers.do(answers(DeviceMedia()), second=rejects(503, ringing=False))
        call = await answered(stage, carriers.first)  # who is up takes no calls
        await call.hang_up()
        carriers.do(answers(DeviceMedia()))
        rpc("htable.sets", "trunks", health_key("two", TRUNKS[1]["uris"][0]), down)
        call = await answered(stage, carriers.first)  # who knows whether they are
        await call.hang_up()
    finally:
        for name, hop in (("one", hops[0]), ("one", hops[1]), ("two", TRUNKS[1]["uris"][0])):
            rpc("htable.delete", "trunks", health_key(name, hop))


async def test_a_table_that_mixes_media_profiles_is_refused(stage: Stage, gateway_lab: Lab) -> None:
    rows = [Route("a", "+49*", Target.TRUNK, name="x"), Route("b", "+49*", Target.TRUNK, name="y")]
    try:
        for groups, problem in (
            ({"x": ["one", "safe"], "y": ["two"]}, "different media profiles"),
            ({"x": ["one"], "y": ["safe"]}, "another media profile"),
            ({"x": ["one"], "y": ["nobody"]}, "no trunk nobody"),
        ):
            load(gateway_lab, RoutingDocument(routes=rows, trunk_groups=groups))
            assert problem in str(stage.lab.gateway_rpc.htable("routing")["refused"])
    finally:
        load(gateway_lab, DOCUMENT)


async def test_what_a_trunk_refuses_with_is_what_the_page_hears(stage: Stage, carriers: Carriers) -> None:
    """RFC 5079: with another status it would not know that it has to say who it is."""
    carriers.do(rejects(433, ("Reason", "Q.850;cause=24"), ringing=False))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(433)
    assert refused.headers.all("Reason") == ["Q.850;cause=24"]


async def test_when_all_fail_the_page_hears_it(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(503, ringing=False))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(503)
    assert refused.headers.all("Reason") == ["Q.850;cause=41"]
    assert [len(one.calls) for one in (carriers.first, carriers.spare, carriers.second)] == [1, 1, 1]
    carriers.do(silent())
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    assert "no trunk answers" in warning_of(await wic.wait_status(504, timeout_s=30))


async def test_a_caller_that_withholds_its_number_is_anonymous_to_the_callee(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(answers(DeviceMedia()))
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, headers=[("Privacy", "id")])
    await wic.wait_answer()
    call = Call(wic, await carriers.first.wait_call())
    await call.ims.wait_ack()
    headers = call.ims.invite.headers
    anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert (headers.get("From") or "").startswith(f"{anonymous};tag=")
    assert headers.all("Privacy") == ["id"]
    assert headers.get("P-Asserted-Identity") == "<sip:+15550100@one.example;user=phone>"
    await call.hang_up()
    assert ((await call.ims.wait_request("BYE")).headers.get("From") or "").startswith(anonymous)


# ---------------------------------------------------------------- limits

FRANCE, ITALY, SPAIN = "+33140000000", "+390650000000", "+34910000000"


async def test_a_full_trunk_is_passed_over_and_has_room_again_at_once(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(answers(DeviceMedia()))
    one = await answered(stage, carriers.first, f"tel:{FRANCE}")
    two = await answered(stage, carriers.second, f"tel:{FRANCE}")
    refused = await (await stage.page()).invite(f"tel:{FRANCE}", AUDIO_BOTH_WAYS)
    answer = await refused.wait_status(503)
    assert "no trunk has room" in warning_of(answer)
    assert int(answer.headers.get("Retry-After") or 0) > 0
    await one.hang_up()
    three = await answered(stage, carriers.first, f"tel:{FRANCE}")
    assert (await three.ims.bye()).status == 200
    carriers.do(rejects(486))
    for _ in range(3):  # a refused call leaves nothing counted, and a cancelled one neither
        wic = await (await stage.page()).invite(f"tel:{FRANCE}", AUDIO_BOTH_WAYS)
        await wic.wait_status(486)
    carriers.do(rings_for_ever())
    wic = await (await stage.page()).invite(f"tel:{FRANCE}", AUDIO_BOTH_WAYS)
    await wic.wait_status(180)
    await wic.cancel()
    await wic.wait_status(487)
    # One that fails over leaves the trunk it was at.
    await two.hang_up()
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    four = await answered(stage, carriers.second, f"tel:{FRANCE}")
    carriers.do(answers(DeviceMedia()))
    five = await answered(stage, carriers.first, f"tel:{FRANCE}")
    await four.hang_up()
    await five.hang_up()


async def test_the_core_comes_after_the_trunks(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(503, ringing=False))
    stage.core.script = answers(DeviceMedia())
    call = await answered(stage, stage.core, f"tel:{SPAIN}")
    invite = call.ims.invite
    assert invite.request_uri == f"tel:{SPAIN}"
    assert invite.headers.get("P-Charging-Vector")
    assert (invite.headers.get("From") or "").startswith("<sip:alice@")
    await call.hang_up()
    assert (await call.ims.wait_request("BYE")).headers.get("P-Charging-Vector")


@pytest.mark.parametrize("core", [rejects(503, ringing=False), silent()], ids=["503", "silence"])
async def test_trunks_come_after_the_core(stage: Stage, carriers: Carriers, core: CoreScript) -> None:
    stage.core.script = core
    carriers.do(answers(DeviceMedia()))
    call = await answered(stage, carriers.first, "tel:+351210000000")
    invite = call.ims.invite
    nothing_of_ims(invite)
    assert not invite.headers.get("Route")
    assert [len(invite.headers.all(name)) for name in ("From", "To", "Contact", "CSeq")] == [1, 1, 1, 1]
    assert len(stage.core.calls) == 1
    await call.hang_up()


async def test_calls_for_each_second(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(486, ringing=False))
    statuses = []
    for _ in range(4):
        wic = await (await stage.page()).invite(f"tel:{ITALY}", AUDIO_BOTH_WAYS)
        statuses.append((await wic.wait_status(range(400, 600))).status)
    assert statuses[0] == 486
    assert statuses[-1] == 503
