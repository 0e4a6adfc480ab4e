"""A media node is killed: its calls are offered to both sides anew, or ended on both; none hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.calls.incoming import answered as answered_by_page
from tests.integration.calls.incoming import ringing as ringing_at_page
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import BOB, FLOW_RECOVERY_S, LONG_FOR_A_PAGE_S, until, warning_of
from tests.integration.calls.two_nodes import Nodes, NodeStage, stage_with_nodes
from tests.lab.lab import Lab
from tests.peers.call_plan import IGNORED, CallPlan, Go, OfferReply, Step, refused
from tests.peers.core_call import SILENT
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers
from tests.peers.device_sdp import DeviceMedia, device_answer, device_offer
from tests.peers.sdp import offer_again, sdp_from_text
from tests.peers.sip import SipRequest
from tests.peers.wic_call import TextMedia, WicCall

pytestmark = pytest.mark.lab

ENDED_WITHIN_S = 5.0
RINGS = CoreScript((Provisional(180), UntilCancelled()))


@pytest.fixture(autouse=True)
async def stage(nodes_lab: tuple[Lab, Nodes]) -> AsyncIterator[NodeStage]:
    """A core, pages, two nodes."""
    async with stage_with_nodes(*nodes_lab) as stage:
        yield stage


def local(wic: WicCall) -> str:
    """Return the page's last description."""
    assert isinstance(wic.media, TextMedia)
    return wic.media.local


async def newest(side: Any, method: str) -> SipRequest:
    """Return the newest request of a method the gateway sent to a side."""
    count = len([label for label in side.ladder() if label == f"<- {method} (SDP)"])
    request: SipRequest = await side.wait_request(method, count=max(count, 1))
    return request


def directions(request: SipRequest) -> list[str]:
    """Return the direction of each line."""
    return [line.direction for line in sdp_from_text(request.body).media]


async def moved(stage: NodeStage, call_id: str, node: str) -> None:
    """Wait until a call is on another node than ``node``, where the relay knows it."""
    key = stage.key_of(call_id)
    await stage.moved(key)
    assert stage.node_of(key) == stage.nodes.other(node)
    assert {key.split(";")[0]} <= {one.split(";")[0].removesuffix("-v") for one in stage.nodes.calls()}


async def ended(call: Any, cause: int, *, timeout_s: float = ENDED_WITHIN_S) -> None:
    """Both sides get a BYE that says why."""
    for side in (call.ims, call.wic):
        bye = await side.wait_request("BYE", timeout_s=timeout_s)
        assert f"cause={cause};" in (bye.headers.get("Reason") or ""), bye.headers


class TestDescriptions:
    """What both sides are offered."""

    async def test_each_line_has_another_transport_and_nothing_else_is_new(self, stage: NodeStage) -> None:
        stage.core.script = answers(DeviceMedia(video="H264"))
        call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
        call.ims.media = DeviceMedia(video="H264", version=2)
        node = stage.node_of(call.call_id)
        before = sdp_from_text((await call.wic.wait_request("UPDATE")).body)
        stage.lose_node(call.call_id)
        await moved(stage, call.call_id, node)
        page = sdp_from_text((await newest(call.wic, "UPDATE")).body)
        assert [line.attribute("mid") for line in page.media] == [
            line.attribute("mid") for line in before.media
        ]
        for new, old in zip(page.media, before.media, strict=True):
            for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
                assert new.attribute(name) != old.attribute(name)
            assert new.port != old.port
            assert new.attribute("setup") == "actpass"
            for name in ("rtpmap", "fmtp", "rtcp-fb", "msid"):
                assert new.attributes(name) == old.attributes(name)
            assert (new.formats, new.direction) == (old.formats, old.direction)
        told = await call.ims.wait_request("INVITE", count=2)
        core, first = sdp_from_text(told.body), sdp_from_text(call.ims.invite.body)
        assert [(m.kind, m.formats, m.direction) for m in core.media] == [
            (m.kind, m.formats, m.direction) for m in first.media
        ]
        assert not {m.port for m in core.media} & {m.port for m in first.media}
        assert call.ims.ladder().count("<- INVITE (SDP)") == 2
        assert (await call.ims.info("text/plain", "still here")).status == 200
        await call.hang_up()

    async def test_a_call_the_page_holds_stays_on_hold(self, stage: NodeStage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        node = stage.node_of(call.call_id)
        held = offer_again(local(call.wic), {"0": "sendonly"})
        assert (await call.wic.reinvite(held)).status == 200
        stage.lose_node(call.call_id)
        await moved(stage, call.call_id, node)
        assert directions(await newest(call.wic, "UPDATE")) == ["recvonly"]
        assert directions(await newest(call.ims, "INVITE")) == ["sendonly"]
        resumed = await call.wic.reinvite(offer_again(local(call.wic), {"0": "sendrecv"}))
        assert sdp_from_text(resumed.body).media[0].direction == "sendrecv"
        assert directions(await newest(call.ims, "INVITE")) == ["sendrecv"]
        await call.hang_up()

    async def test_a_call_the_core_holds_stays_on_hold(self, stage: NodeStage) -> None:
        call = await answered_by_page(stage, await stage.page())
        node = stage.node_of(stage.key_of(call.call_id))
        held = await call.ims.reinvite(device_offer(DeviceMedia(direction="sendonly", version=2)))
        assert held.status == 200
        call.ims.media = DeviceMedia(direction="sendonly", version=3)
        stage.lose_node(call.call_id)
        await moved(stage, call.call_id, node)
        assert directions(await newest(call.ims, "INVITE")) == ["recvonly"]
        assert isinstance(call.wic.media, TextMedia)
        offers = call.wic.media.offers
        assert sdp_from_text(offers[-1]).media[0].direction == "sendonly"
        resumed = await call.ims.reinvite(device_offer(DeviceMedia(version=4)))
        assert sdp_from_text(resumed.body).media[0].direction == "sendrecv"
        assert sdp_from_text(offers[-1]).media[0].direction == "sendrecv"
        await call.works()
        assert (await call.ims.bye()).status == 200

    async def test_another_answer_of_the_core_is_taken_up(self, stage: NodeStage) -> None:
        call = await stage.answered(await stage.page())
        node = stage.node_of(call.call_id)
        call.ims.media = DeviceMedia(audio="PCMU", audio_port=40010, direction="sendonly", version=2)
        stage.lose_node(call.call_id)
        await moved(stage, call.call_id, node)
        await until(
            lambda: "40010" in stage.record(call.call_id), lambda: stage.record(call.call_id), ENDED_WITHIN_S
        )
        told = await call.wic.wait_request("UPDATE", count=3)  # set-up, move, and what the core has changed
        assert directions(told) == ["inactive", "sendonly"]
        await call.hang_up()


class TestTrouble:
    """What passes is tried again, what does not ends the call on both sides."""

    @pytest.mark.parametrize(
        "reply",
        [pytest.param(refused(491), id="491"), pytest.param(refused(500, ("Retry-After", "0")), id="500")],
    )
    async def test_a_page_that_is_busy_is_asked_again(self, stage: NodeStage, reply: OfferReply) -> None:
        plan = CallPlan(offer_replies=(OfferReply(), reply, OfferReply()))
        call = await stage.answered(await stage.page(), plan=plan)
        node = stage.node_of(call.call_id)
        stage.lose_node(call.call_id)
        await moved(stage, call.call_id, node)
        assert call.wic.ladder().count("<- UPDATE (SDP)") == 3
        await call.hang_up()

    async def test_a_core_that_is_busy_is_asked_again(self, stage: NodeStage) -> None:
        call = await answered_by_page(stage, await stage.page())
        node = stage.node_of(stage.key_of(call.call_id))
        call.ims.statuses["INVITE"] = 491
        stage.lose_node(call.call_id)
        await call.ims.wait_request("INVITE")
        call.ims.statuses["INVITE"] = 200
        await call.ims.wait_request("INVITE", count=2)
        await moved(stage, call.call_id, node)
        await call.works()
        assert (await call.ims.bye()).status == 200

    @pytest.mark.parametrize("status", [488, 503])
    async def test_a_page_that_refuses(self, stage: NodeStage, status: int) -> None:
        plan = CallPlan(offer_replies=(OfferReply(), refused(status)))
        call = await stage.answered(await stage.page(), plan=plan)
        stage.lose_node(call.call_id)
        await ended(call, status)

    async def test_a_page_that_does_not_answer(self, stage: NodeStage) -> None:
        plan = CallPlan(offer_replies=(OfferReply(), IGNORED))
        call = await stage.answered(await stage.page(), plan=plan)
        stage.lose_node(call.call_id)
        await ended(call, 408)

    async def test_a_page_that_answers_nonsense(self, stage: NodeStage) -> None:
        plan = CallPlan(offer_replies=(OfferReply(), OfferReply(200, sdp="v=0\r\n")))
        call = await stage.answered(await stage.page(), plan=plan)
        stage.lose_node(call.call_id)
        await ended(call, 488)

    @pytest.mark.parametrize("status", [488, 481])
    async def test_a_core_that_refuses(self, stage: NodeStage, status: int) -> None:
        call = await stage.answered(await stage.page())
        call.ims.statuses["INVITE"] = status
        stage.lose_node(call.call_id)
        await ended(call, status)

    async def test_a_core_that_answers_late(self, stage: NodeStage) -> None:
        call = await stage.answered(await stage.page())
        node = stage.node_of(call.call_id)
        call.ims.statuses["INVITE"] = SILENT
        stage.lose_node(call.call_id)
        asked = await call.ims.wait_request("INVITE", count=2)
        await asyncio.sleep(LONG_FOR_A_PAGE_S)
        call.ims.statuses.clear()
        call.ims.respond_to(asked, 200, sdp=device_answer(asked.body, DeviceMedia()))
        await moved(stage, call.call_id, node)
        await call.hang_up()

    async def test_the_new_node_dies_as_well(self, stage: NodeStage) -> None:
        gate = asyncio.Event()

        async def hold_back(call: WicCall) -> Any:
            if len(call.media.offers) > 0:  # type: ignore[attr-defined]
                await gate.wait()
            return Go.ON

        plan = CallPlan(hooks={Step.UPDATE_RECEIVED: hold_back})
        call = await stage.answered(await stage.page(), plan=plan)
        node = stage.node_of(call.call_id)
        stage.lose_node(call.call_id)
        await call.wic.wait_request("UPDATE", count=2)
        stage.lose_node(call.call_id)
        gate.set()
        await call.wic.wait_request("UPDATE", count=3)
        await stage.moved(call.call_id)
        assert stage.node_of(call.call_id) == node
        await call.hang_up()

    async def test_a_page_that_hangs_up_while_it_is_moved(self, stage: NodeStage) -> None:
        plan = CallPlan(offer_replies=(OfferReply(), OfferReply(delay_s=0.5)))
        call = await stage.answered(await stage.page(), plan=plan)
        stage.lose_node(call.call_id)
        await call.wic.wait_request("UPDATE", count=2)
        await call.hang_up()


class TestEarly:
    """A call that is not answered yet is refused on both sides."""

    async def test_of_a_page(self, stage: NodeStage) -> None:
        stage.core.script = RINGS
        call = await stage.ringing(await stage.page())
        answer = stage.lose_node(call.call_id)
        assert answer["over"] == [call.call_id]
        refusal = await call.wic.wait_status(503)
        assert warning_of(refusal) == "the media node is gone"
        await call.ims.wait_request("CANCEL")

    async def test_towards_a_page(self, stage: NodeStage) -> None:
        call = await ringing_at_page(stage, await stage.page())
        stage.lose_node(call.call_id)
        await call.wic.wait_request("CANCEL")
        await call.ims.wait_status(503)

    async def test_before_the_core_has_heard_of_it(self, stage: NodeStage) -> None:
        wic = await (await stage.page()).invite(BOB, AUDIO, plan=CallPlan(prack=False))
        await wic.wait_status(183)
        stage.lose_node(wic.call_id)
        await wic.wait_status(503)
        assert not stage.core_knows(wic.call_id)


class TestNotNow:
    """Something else is in the way at that moment."""

    async def test_an_offer_of_the_page_is_settled_first(self, stage: NodeStage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        node = stage.node_of(call.call_id)
        call.ims.statuses["INVITE"] = SILENT
        held = asyncio.create_task(call.wic.reinvite(offer_again(local(call.wic), {"0": "sendonly"})))
        asked = await call.ims.wait_request("INVITE", count=2)
        assert stage.lose_node(call.call_id)["moving"] == [call.call_id]
        call.ims.statuses["INVITE"] = 200
        call.ims.respond_to(asked, 488)
        assert (await held).status == 488
        await moved(stage, call.call_id, node)
        assert directions(await newest(call.wic, "UPDATE")) == ["sendrecv"]
        await call.hang_up()

    async def test_a_page_that_is_away_is_told_when_it_is_back(self, stage: NodeStage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        node = stage.node_of(call.call_id)
        page.lose()
        await page.lost.wait()
        await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
        stage.lose_node(call.call_id)
        await page.connect()
        assert (await page.register()).status == 200
        await moved(stage, call.call_id, node)
        await call.hang_up()

    async def test_a_page_that_stays_away_ends_its_call(self, stage: NodeStage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        page.lose()
        await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
        stage.lose_node(call.call_id)
        await call.ims.wait_request("BYE", timeout_s=FLOW_RECOVERY_S + 10)

    async def test_offers_of_both_sides_have_to_wait(self, stage: NodeStage) -> None:
        plan = CallPlan(offer_replies=(OfferReply(), OfferReply(delay_s=0.5)))
        call = await stage.answered(await stage.page(), plan=plan)
        node = stage.node_of(call.call_id)
        stage.lose_node(call.call_id)
        await call.wic.wait_request("UPDATE", count=2)
        assert (await call.ims.reinvite(device_offer(DeviceMedia(version=5)))).status == 491
        assert (await call.wic.reinvite(offer_again(local(call.wic)))).status == 491
        await moved(stage, call.call_id, node)
        await call.hang_up()


class TestNumbers:
    """Requests of our own share Call-ID and CSeq number with those of the sides; Kamailio once ended by that."""

    async def test_what_has_no_branch_is_refused(self, stage: NodeStage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        stage.lose_node(call.call_id)
        told = await call.wic.wait_request("UPDATE")
        asked = await call.ims.wait_request("INVITE", count=2)
        await stage.moved(call.call_id)
        for method, cseq in (("ACK", asked.cseq.number), ("UPDATE", told.cseq.number)):
            request = call.wic.request(method, cseq=cseq)
            via = (request.headers.get("Via") or "").partition(";")[0]
            request.headers.replace("Via", via)
            await call.wic.send(request)
        refusal = await call.wic.trace.wait_response(400, "UPDATE", call_id=call.call_id)
        assert refusal.cseq.number == told.cseq.number
        assert (await call.ims.info("text/plain", "still here")).status == 200
        await call.hang_up()


class TestRoute:
    """The control endpoint's answer."""

    async def test_a_call_is_moved_once(self, stage: NodeStage) -> None:
        call = await stage.answered(await stage.page())
        node = stage.node_of(call.call_id)
        stage.lose_node(call.call_id)
        await moved(stage, call.call_id, node)
        again = stage.lab.control(
            "POST", "/v1/calls/lost", {"node": node, "calls": [call.call_id, "nobody's"]}
        )
        assert again == (200, {"moving": [], "over": [], "elsewhere": [call.call_id, "nobody's"]})
        await call.hang_up()

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param({"calls": ["x"]}, id="no node"),
            pytest.param({"node": "node-a", "calls": ["x"]}, id="no address"),
            pytest.param({"node": "127.0.0.1:22222", "calls": "x"}, id="no list"),
            pytest.param({"node": "127.0.0.1:22222", "calls": [5]}, id="no names"),
            pytest.param({"node": "127.0.0.1:22222", "calls": ["x"] * 11}, id="too many"),
        ],
    )
    async def test_bad_input_is_said_to_be_so(self, stage: NodeStage, body: dict[str, Any]) -> None:
        status, answer = stage.lab.control("POST", "/v1/calls/lost", body)
        assert (status, list(answer)) == (400, ["error"])
