"""Answer, then UPDATE: the ladder of docs/flow.md, seen from the page and from the core."""

from __future__ import annotations

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import (
    AUDIO,
    AUDIO_AND_VIDEO,
    AUDIO_AND_VIDEO_BOTH_WAYS,
    AUDIO_BOTH_WAYS,
)
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, until
from tests.peers.call_plan import CallPlan
from tests.peers.core_script import CoreScript, Final, Provisional, UntilCancelled, answers, early_media
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import SipRequest, message_to_text
from tests.peers.trace import Direction

pytestmark = pytest.mark.lab

H264_DEVICE = DeviceMedia(video="H264")


@pytest.mark.parametrize(
    ("offer", "device"),
    [
        pytest.param(AUDIO, DeviceMedia(), id="audio"),
        pytest.param(AUDIO_AND_VIDEO, H264_DEVICE, id="audio and video"),
    ],
)
class TestOneWayOffer:
    """Chromium's sendonly offer: the gateway answers, adds the other direction, then calls."""

    async def call(self, stage: Stage, offer: str, device: DeviceMedia) -> Call:
        stage.core.script = answers(device)
        call = await stage.answered(await stage.page(), offer)
        await call.hang_up()
        return call

    async def test_the_ladder_is_that_of_the_readme(
        self, stage: Stage, offer: str, device: DeviceMedia
    ) -> None:
        call = await self.call(stage, offer, device)
        assert call.wic.ladder() == [
            *ladders.SET_UP,
            "<- 180 INVITE",
            *ladders.ANSWERED,
            *ladders.HUNG_UP,
        ]
        assert call.ims.ladder() == [
            *ladders.CORE_CALLED,
            "-> 180 INVITE",
            *ladders.CORE_ANSWERED,
            *ladders.CORE_HUNG_UP,
        ]

    @pytest.mark.conformance("S-09")
    async def test_the_page_sees_one_tag_and_one_contact_of_ours(
        self, stage: Stage, offer: str, device: DeviceMedia
    ) -> None:
        call = await self.call(stage, offer, device)
        responses = call.wic.trace.responses("INVITE") + call.wic.trace.responses("BYE")
        assert len({response.to_tag for response in responses}) == 1
        (update,) = call.wic.trace.requests("UPDATE")
        assert update.from_tag == responses[0].to_tag
        assert update.to_tag == call.wic.invite.from_tag
        with_contact = [*(r for r in responses if 100 < r.status < 300 and r.cseq.method == "INVITE"), update]
        assert {message.contact_uri for message in with_contact} == {"sip:gateway@ims.test;transport=ws"}
        assert not any(response.record_route for response in responses)

    async def test_the_core_gets_one_two_way_line_for_each_medium(
        self, stage: Stage, offer: str, device: DeviceMedia
    ) -> None:
        call = await self.call(stage, offer, device)
        page_kinds = [media.kind for media in sdp_from_text(offer).media]
        lines = sdp_from_text(call.ims.invite.body).media
        assert [line.kind for line in lines] == page_kinds
        assert {(line.protocol, line.direction) for line in lines} == {("RTP/AVP", "sendrecv")}
        assert not any(
            word in call.ims.invite.body for word in ("ice-ufrag", "fingerprint", "BUNDLE", "candidate")
        )

    async def test_the_update_adds_a_line_for_each_medium_that_only_the_gateway_sends_on(
        self, stage: Stage, offer: str, device: DeviceMedia
    ) -> None:
        call = await self.call(stage, offer, device)
        (update,) = call.wic.trace.requests("UPDATE")
        count = len(sdp_from_text(offer).media)
        own, added = sdp_from_text(update.body).media[:count], sdp_from_text(update.body).media[count:]
        assert [(line.attribute("mid"), line.direction) for line in own] == [
            (str(n), "recvonly") for n in range(count)
        ]
        assert [(line.attribute("mid"), line.direction) for line in added] == [
            (f"r{n}", "sendonly") for n in range(count)
        ]

    @pytest.mark.conformance("S-09", "S-11")
    async def test_the_core_knows_the_page_by_what_the_network_granted(
        self, stage: Stage, offer: str, device: DeviceMedia
    ) -> None:
        call = await self.call(stage, offer, device)
        invite = call.ims.invite
        gateway = stage.lab.info.gateway
        assert invite.to_tag is None
        assert invite.headers.get("Max-Forwards") == "69"
        assert invite.contact_uri is not None
        assert invite.contact_uri.endswith(f"@{gateway.address}:{gateway.sip_port}")
        assert invite.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        assert invite.headers.all("Route") == [stage.core.service_route]
        assert len(invite.headers.all("P-Charging-Vector")) == 1
        assert not invite.record_route


@pytest.mark.conformance("S-51")
async def test_the_core_learns_no_address_of_the_page(stage: Stage) -> None:
    hidden = ["192.0.2.2", "fd00::2", str(stage.handshake.forwarded_for)]
    assert all(f" {address} " in AUDIO for address in hidden[:2])
    call = await stage.answered(await stage.page(), AUDIO)
    await call.hang_up()
    received = [e.message for e in stage.core.trace.entries if e.direction is Direction.RECEIVED]
    assert {m.method for m in received if isinstance(m, SipRequest)} >= {"REGISTER", "INVITE", "ACK", "BYE"}
    told = "".join(message_to_text(message) for message in received)
    assert [word for word in (*hidden, "candidate", "raddr") if word in told] == []


async def test_a_transport_of_its_own_for_each_medium_of_audio_and_video(stage: Stage) -> None:
    stage.core.script = answers(H264_DEVICE)
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
    await call.hang_up()
    (update,) = call.wic.trace.requests("UPDATE")
    parsed = sdp_from_text(update.body)
    assert parsed.bundle == []
    assert len({media.port for media in parsed.media}) == 4


async def test_audio_alone_shares_its_transport_with_the_added_line(stage: Stage) -> None:
    call = await stage.answered(await stage.page(), AUDIO)
    await call.hang_up()
    (update,) = call.wic.trace.requests("UPDATE")
    parsed = sdp_from_text(update.body)
    assert parsed.bundle == ["0", "r0"]
    assert len({media.port for media in parsed.media}) == 1


class TestProvisionalResponses:
    """Whatever the core says before the answer, the page hears it in its own dialog, without a second answer."""

    @pytest.mark.parametrize("status", [pytest.param(code, id=str(code)) for code in (180, 181, 183)])
    @pytest.mark.parametrize(
        "media", [pytest.param(DeviceMedia(), id="SDP"), pytest.param(None, id="no SDP")]
    )
    async def test_an_unreliable_one_is_passed_on(
        self, stage: Stage, status: int, media: DeviceMedia | None
    ) -> None:
        stage.core.script = CoreScript((Provisional(status, media=media), UntilCancelled()))
        wic = await (await stage.page()).invite(BOB, AUDIO)
        await wic.wait_status(status, count=1 + (status == 183))  # the first 183 is the gateway's own
        # The answer comes when the page has heard so: a response that another worker takes may overtake this one.
        call = Call(wic, await stage.core.wait_call())
        call.ims.respond(200, media=DeviceMedia())
        await call.ims.wait_ack()
        await call.hang_up()
        assert call.wic.ladder() == [
            *ladders.SET_UP,
            f"<- {status} INVITE",
            *ladders.ANSWERED,
            *ladders.HUNG_UP,
        ]
        passed = [r for r in call.wic.trace.responses("INVITE") if r.status == status][-1]
        assert passed.rseq is None

    @pytest.mark.conformance("S-31")
    @pytest.mark.parametrize("status", [pytest.param(code, id=str(code)) for code in (180, 183)])
    @pytest.mark.parametrize(
        "media", [pytest.param(DeviceMedia(), id="SDP"), pytest.param(None, id="no SDP")]
    )
    async def test_a_reliable_one_is_acknowledged_by_the_page_itself(
        self, stage: Stage, status: int, media: DeviceMedia | None
    ) -> None:
        answer = DeviceMedia() if media is None else None
        stage.core.script = CoreScript((Provisional(status, True, media), Final(200, answer)))
        call = await stage.answered(await stage.page())
        await call.hang_up()
        assert call.wic.ladder() == [
            *ladders.SET_UP,
            f"<- {status} INVITE",
            *ladders.PRACKED,
            *ladders.ANSWERED,
            *ladders.HUNG_UP,
        ]
        assert "100rel" in call.ims.invite.option_tags("Supported")
        passed = [r for r in call.wic.trace.responses("INVITE") if r.status == status][-1]
        assert passed.rseq == 2
        prack = await call.ims.wait_request("PRACK")
        assert prack.headers.get("RAck") == f"7000 {call.ims.invite.cseq}"
        assert prack.to_tag == call.ims.dialogs["a"].local_tag

    async def test_an_answer_repeated_in_the_200_is_applied_once(self, stage: Stage) -> None:
        stage.core.script = early_media(reliable=False)
        call = await stage.answered(await stage.page())
        await call.hang_up()
        connected = [line for line in stage.log_lines(call.call_id) if "by=MediaConnected" in line]
        assert len(connected) == 1


class TestTwoWayOffer:
    """Chromium's sendrecv offer needs no UPDATE."""

    @pytest.mark.parametrize(
        ("offer", "device"),
        [
            pytest.param(AUDIO_BOTH_WAYS, DeviceMedia(), id="audio"),
            pytest.param(AUDIO_AND_VIDEO_BOTH_WAYS, H264_DEVICE, id="audio and video"),
        ],
    )
    async def test_with_100rel_the_answer_is_acknowledged_and_not_repeated(
        self, stage: Stage, offer: str, device: DeviceMedia
    ) -> None:
        stage.core.script = answers(device)
        call = await stage.answered(await stage.page(), offer)
        await call.hang_up()
        assert call.wic.ladder() == [
            *ladders.ANSWERED_EARLY,
            *ladders.PRACKED,
            "<- 180 INVITE",
            *ladders.ANSWERED,
            *ladders.HUNG_UP,
        ]
        assert {m.direction for m in sdp_from_text(call.ims.invite.body).media} == {"sendrecv"}

    @pytest.mark.conformance("S-31")
    async def test_without_100rel_the_200_carries_the_answer_again(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO_BOTH_WAYS, supported="")
        answer = await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        await call.hang_up()
        assert wic.ladder() == [
            "-> INVITE (SDP)",
            "<- 183 INVITE (SDP)",
            "<- 180 INVITE",
            "<- 200 INVITE (SDP)",
            "-> ACK",
            *ladders.HUNG_UP,
        ]
        early = await wic.wait_status(183)
        assert answer.body == early.body
        assert early.rseq is None


class TestAnswer:
    """The core's 200."""

    async def test_repeated_by_the_core_it_is_repeated_to_the_page_until_its_ack(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=CallPlan(ack=False))
        first = await wic.wait_answer()
        again = await wic.wait_status(200, count=2)
        assert (again.to_tag, again.contact_uri, again.has_sdp) == (first.to_tag, first.contact_uri, False)
        await wic.ack(again)
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        await call.hang_up()

    @pytest.mark.parametrize(
        "forgotten",
        [pytest.param(False, id="at once"), pytest.param(True, id="when the transaction is gone")],
    )
    async def test_repeated_because_the_ack_was_lost_it_is_acknowledged_again(
        self, stage: Stage, forgotten: bool
    ) -> None:
        call = await stage.answered(await stage.page())
        if forgotten:
            await until(
                lambda: not stage.has_transaction(call.call_id),
                lambda: "the transaction stays",
                10,
                every_s=0.2,
            )
        (first,) = [r for r in call.ims.trace.responses("INVITE", Direction.SENT) if r.status == 200]
        stage.core.send(first, call.ims.gateway)
        ack = await call.ims.wait_request("ACK", count=2)
        assert (ack.to_tag, ack.cseq.number) == (first.to_tag, call.ims.invite.cseq.number)
        assert ack.headers.all("Route") == call.ims.dialogs["a"].route_set_of_peer
        assert call.wic.ladder().count("<- 200 INVITE") == 1
        await call.hang_up()

    async def test_a_repeated_ack_is_passed_on(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        await call.wic.ack(await call.wic.wait_answer())
        await call.ims.wait_request("ACK", count=2)
        await call.hang_up()


async def test_a_retransmitted_invite_of_the_page_makes_no_second_call(stage: Stage) -> None:
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO)
    await page.send(wic.invite)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    await call.hang_up()
    assert len(stage.core.calls) == 1
    assert len(page.trace.requests("UPDATE")) == 1


async def test_many_calls_at_once_keep_apart(stage: Stage) -> None:
    page = await stage.page()
    calls = [await page.invite(BOB, AUDIO) for _ in range(8)]
    for wic in calls:
        await wic.wait_answer(timeout_s=10)
    for wic in calls:
        assert (await wic.bye()).status == 200
        messages = [e.message for e in wic.trace.entries if e.message.call_id == wic.call_id]
        received = [m for m in messages if isinstance(m, SipRequest) and m.method == "UPDATE"]
        assert len(received) == 1
        answers = [m for m in wic.trace.responses("INVITE") if m.call_id == wic.call_id and m.status == 200]
        assert len({answer.to_tag for answer in answers}) == 1  # a core that waits for the ACK sends it again
