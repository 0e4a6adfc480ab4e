"""Callers with preconditions (RFC 3312): answered for the page, which rings when the caller has what it needs."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.stage import ALICE, PRACK_TIMEOUT_S, Stage, warning_of
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.calling_device import CallingDevice
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.one_way import ONE_WAY_STREAMS, OneWayMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = [pytest.mark.lab, pytest.mark.conformance("S-33")]

DEVICE_HZ = 440.0
NOTHING = ("curr:qos local none", "curr:qos remote none")
RESOURCES = ("curr:qos local sendrecv", "curr:qos remote none")
DESIRED = ("des:qos mandatory local sendrecv", "des:qos none remote sendrecv")
REQUIRED = (("Require", "precondition"),)
QUIET_S = 0.3
FRAMES = 15
NO_VIDEO = "m=video 0 RTP/AVP 99\r\n"


def offer(*attributes: str, **media: object) -> str:
    """Return a device's offer with preconditions on each line."""
    text = device_offer(DeviceMedia(**media))  # type: ignore[arg-type]
    lines = "".join(f"a={attribute}\r\n" for attribute in attributes)
    audio, video, rest = text.partition("m=video")
    return audio + lines + (video + rest + lines if video else "")


def states(sdp: str) -> set[str]:
    """Return the precondition attributes of the audio line."""
    audio = sdp_from_text(sdp).section("audio")
    return {line[2:] for line in audio.lines if line.startswith(("a=curr:", "a=des:", "a=conf:"))}


BOTH_READY = {
    "curr:qos local sendrecv",
    "curr:qos remote sendrecv",
    "des:qos mandatory remote sendrecv",
    "des:qos none local sendrecv",
}
CALLER_NOT_READY = {
    "curr:qos local sendrecv",
    "curr:qos remote none",
    "des:qos mandatory remote sendrecv",
    "des:qos none local sendrecv",
    "conf:qos remote sendrecv",
}


def calls_of(page: ScriptedWic) -> list[str]:
    """Return the INVITEs a page has got."""
    return [rung for rung in page.trace.ladder() if rung.startswith("<- INVITE")]


async def waiting(stage: Stage, page: ScriptedWic, **media: object) -> CallingDevice:
    """Call as a caller without resources; the gateway has answered and the caller acknowledged."""
    ims = stage.core.call(ALICE, sdp=offer(*NOTHING, *DESIRED, **media), headers=REQUIRED)
    early = await ims.wait_status(183)
    assert {"100rel", "precondition"} <= set(early.option_tags("Require"))
    assert states(early.body) == CALLER_NOT_READY
    await ims.trace.wait_response(200, "PRACK", call_id=ims.call_id)
    assert not calls_of(page)
    return ims


async def rings(ims: CallingDevice, page: ScriptedWic, **media: object) -> PageCall:
    """The caller has its resources now; the page is called."""
    answered = await ims.update(offer(*RESOURCES, *DESIRED, version=2, **media))
    assert answered.status == 200
    assert states(answered.body) == BOTH_READY
    wic = await page.wait_incoming()
    assert "a=curr" not in wic.invite.body
    assert "precondition" not in wic.invite.option_tags("Require")
    return PageCall(wic, ims)


class TestNotRequired:
    """What is only supported is left out."""

    async def test_the_page_never_sees_them_and_the_answer_has_none(self, stage: Stage) -> None:
        page = await stage.page()
        supported = [("Supported", "precondition")]
        ims = stage.core.call(ALICE, sdp=offer(*NOTHING, *DESIRED), headers=supported)
        wic = await page.wait_incoming()
        assert "a=curr" not in wic.invite.body
        assert "precondition" not in wic.invite.option_tags("Supported")
        await wic.answer()
        assert not states((await ims.wait_status(200)).body)
        await PageCall(wic, ims).works()
        await ims.bye()


class TestMet:
    """The caller has what it needs: the page is called at once."""

    @pytest.mark.parametrize("early", [pytest.param(False, id="200"), pytest.param(True, id="reliable 183")])
    async def test_our_answer_says_that_we_have_ours(self, stage: Stage, early: bool) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, sdp=offer(*RESOURCES, *DESIRED), headers=REQUIRED)
        wic = await page.wait_incoming()
        assert "a=curr" not in wic.invite.body
        answer = await wic.media.answer_offer(wic.invite.body)
        if early:
            await wic.respond(183, sdp=answer, headers=[("Require", "100rel"), ("RSeq", "1")])
            assert states((await ims.wait_status(183)).body) == BOTH_READY
            await wic.wait_request("PRACK")
        await wic.answer(answer)
        if not early:
            assert states((await ims.wait_status(200)).body) == BOTH_READY
        await PageCall(wic, ims).works()
        await ims.bye()

    async def test_optional_ones_make_nobody_wait(self, stage: Stage) -> None:
        page = await stage.page()
        optional = ("curr:qos local none", "des:qos optional local sendrecv")
        ims = stage.core.call(ALICE, sdp=offer(*optional), headers=REQUIRED)
        wic = await page.wait_incoming()
        await wic.respond(486)
        await ims.wait_status(486)


class TestMissing:
    """The caller waits for resources, and the page does not ring before (TS 24.229 §5.1.4)."""

    async def test_the_page_rings_after_the_update_and_both_hear_each_other(
        self, stage: Stage, phone: RtpEndpoint
    ) -> None:
        page = AiortcWic(stage.handshake, WicIdentity(ALICE))
        await stage.join(page)
        ims = await waiting(stage, page, audio_port=phone.port)
        call = await rings(ims, page, audio_port=phone.port)
        await call.wic.ring()
        await ims.wait_status(180)
        await call.wic.answer()
        final = await ims.wait_status(200)
        assert not final.has_sdp
        media = call.wic.media
        assert isinstance(media, AiortcMedia)
        phone.send_to_sdp(ims.trace.responses("UPDATE")[-1].body)
        phone.start_tone(DEVICE_HZ)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await media.until_heard(DEVICE_HZ, mid="0")
        await call.works()
        assert (await ims.bye()).status == 200

    async def test_a_page_with_one_way_streams_sees_and_hears_after_it(
        self, stage: Stage, phone: RtpEndpoint, camera: RtpEndpoint
    ) -> None:
        page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=(ONE_WAY_STREAMS,)))
        page.incoming_media = lambda invite: OneWayMedia(page.new_media)
        await stage.join(page)
        both = {"audio_port": phone.port, "video": "VP8", "video_port": camera.port}
        ims = await waiting(stage, page, **both)
        call = await rings(ims, page, **both)
        assert [m.attribute("mid") for m in sdp_from_text(call.wic.invite.body).media] == [
            "0",
            "r0",
            "1",
            "r1",
        ]
        await call.wic.answer()
        answer = ims.trace.responses("UPDATE")[-1].body
        number = sdp_from_text(answer).section("video").payload_type("VP8")
        assert number is not None
        media = call.wic.media
        assert isinstance(media, OneWayMedia)
        phone.send_to_sdp(answer)
        phone.start_tone(DEVICE_HZ)
        camera.send_to_sdp(answer, "video")
        camera.start_video("VP8", number)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await media.audio.until_heard(DEVICE_HZ, mid="r0")
        camera.request_key_frame()
        await camera.until(
            lambda c: c.decoded("VP8", number).frames >= FRAMES, what=f"{FRAMES} pictures", timeout_s=15
        )
        await media.video.until_seen(FRAMES, mid="r1")
        await ims.bye()

    @pytest.mark.parametrize("one_way", [pytest.param(False, id="two-way"), pytest.param(True, id="one-way")])
    async def test_video_that_the_caller_gives_up_meanwhile_is_left_out(
        self, stage: Stage, phone: RtpEndpoint, one_way: bool
    ) -> None:
        """Its network grants the bearer of the voice alone (RFC 3264 §8.2)."""
        tags = (ONE_WAY_STREAMS,) if one_way else ()
        page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=tags))
        if one_way:
            page.incoming_media = lambda invite: OneWayMedia(page.new_media)
        await stage.join(page)
        ims = await waiting(stage, page, audio_port=phone.port, video="VP8")
        audio = offer(*RESOURCES, *DESIRED, version=2, audio_port=phone.port)
        updated = await ims.update(audio + NO_VIDEO)
        assert updated.status == 200
        assert [(line.kind, bool(line.port)) for line in sdp_from_text(updated.body).media] == [
            ("audio", True),
            ("video", False),
        ]
        assert states(updated.body) == BOTH_READY
        call = PageCall(await page.wait_incoming(), ims)
        offered = sdp_from_text(call.wic.invite.body).media
        assert [line.attribute("mid") for line in offered] == (["0", "r0"] if one_way else ["0"])
        await call.wic.ring()
        await ims.wait_status(180)
        await call.wic.answer()
        await ims.wait_status(200)
        media = call.wic.media
        heard = media.audio if isinstance(media, OneWayMedia) else media
        assert isinstance(heard, AiortcMedia)
        phone.send_to_sdp(updated.body)
        phone.start_tone(DEVICE_HZ)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await heard.until_heard(DEVICE_HZ, mid="r0" if one_way else "0")
        await call.works()
        assert (await ims.bye()).status == 200

    async def test_a_caller_is_told_that_the_page_refused_the_video_it_was_promised(
        self, stage: Stage, phone: RtpEndpoint
    ) -> None:
        page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=(ONE_WAY_STREAMS,)))
        page.incoming_media = lambda invite: OneWayMedia(page.new_media, refused=("1", "r1"))
        await stage.join(page)
        both = {"audio_port": phone.port, "video": "VP8"}
        ims = await waiting(stage, page, **both)
        call = await rings(ims, page, **both)
        ims.media = DeviceMedia(audio_port=phone.port)  # it answers from where it is
        promised = ims.trace.responses("UPDATE")[-1].body
        assert [bool(line.port) for line in sdp_from_text(promised).media] == [True, True]
        await call.wic.answer()
        asked = await ims.wait_request("UPDATE")
        assert [(line.kind, bool(line.port)) for line in sdp_from_text(asked.body).media] == [
            ("audio", True),
            ("video", False),
        ]
        assert not ims.violations
        phone.send_to_sdp(asked.body)
        phone.start_tone(DEVICE_HZ)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        media = call.wic.media
        assert isinstance(media, OneWayMedia)
        await media.audio.until_heard(DEVICE_HZ, mid="r0")
        await call.works()
        assert (await ims.bye()).status == 200

    async def test_ports_and_hops_are_those_of_one_dialog(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        early = await ims.wait_status(183)
        call = await rings(ims, page)
        assert not [value for value in call.wic.invite.headers.all("Via") if "core-internal" in value]
        await call.wic.ring()
        ringing = await ims.wait_status(180)
        assert ringing.to_tag == early.to_tag
        updated = ims.trace.responses("UPDATE")[-1]
        ports = [sdp_from_text(body).section("audio").port for body in (early.body, updated.body)]
        assert ports[0] == ports[1]
        await call.wic.answer()
        await call.works()
        assert (await call.wic.bye()).status == 200
        await ims.wait_request("BYE")

    async def test_a_hop_that_is_known_by_its_address_only_stays_hidden_too(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = await stage.page()
        numbered = stage.core.new_via

        def named() -> str:
            return numbered().replace(stage.core.host_port, "scscf.core-internal:5999")

        monkeypatch.setattr(stage.core, "new_via", named)
        ims = await waiting(stage, page)
        call = await rings(ims, page)
        assert len(call.wic.invite.headers.all("Via")) == 1
        assert "core-internal" not in str(list(call.wic.invite.headers))
        await call.wic.ring()
        await ims.wait_status(180)
        await call.wic.answer()
        await call.works()
        await ims.bye()

    async def test_reliable_responses_of_the_page_count_on(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        call = await rings(ims, page)
        await call.wic.respond(180, headers=[("Require", "100rel"), ("RSeq", "17")])
        ringing = await ims.wait_status(180)
        assert ringing.rseq == 2
        prack = await call.wic.wait_request("PRACK")
        assert (prack.headers.get("RAck") or "").split()[0] == "17"
        await call.wic.answer()
        await call.works()
        await ims.bye()

    async def test_an_update_before_the_resources_are_there_changes_nothing(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        answered = await ims.update(offer(*NOTHING, *DESIRED, version=2))
        assert answered.status == 200
        assert states(answered.body) == CALLER_NOT_READY
        await asyncio.sleep(QUIET_S)
        assert not calls_of(page)
        call = await rings(ims, page)
        await call.wic.answer()
        await call.works()
        await ims.bye()

    async def test_a_page_that_declines(self, stage: Stage) -> None:
        page = await stage.page()
        call = await rings(await waiting(stage, page), page)
        await call.wic.respond(486)
        await call.ims.wait_status(486)

    @pytest.mark.parametrize("rung", [pytest.param(False, id="waiting"), pytest.param(True, id="ringing")])
    async def test_a_caller_that_gives_up(self, stage: Stage, rung: bool) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        if rung:
            call = await rings(ims, page)
            await call.wic.ring()
            await ims.wait_status(180)
        ims.cancel()
        await ims.wait_status(487)
        if rung:
            await call.wic.wait_request("CANCEL")
        else:
            assert not calls_of(page)

    async def test_a_caller_that_hangs_up(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        assert (await ims.bye()).status == 200
        await ims.wait_status(487)
        assert not calls_of(page)

    async def test_resources_that_never_come(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        failed = await ims.wait_status(580, timeout_s=PRACK_TIMEOUT_S + 10)
        assert failed.reason_phrase == "Precondition Failure"
        assert not calls_of(page)

    async def test_a_183_that_nobody_acknowledges_is_repeated_and_given_up(self, stage: Stage) -> None:
        page = await stage.page()
        stage.core.acknowledges_reliable = False
        ims = stage.core.call(ALICE, sdp=offer(*NOTHING, *DESIRED), headers=REQUIRED)
        await ims.wait_status(183, count=3, timeout_s=PRACK_TIMEOUT_S + 10)
        await ims.wait_status(504, timeout_s=PRACK_TIMEOUT_S + 10)
        assert len({r.body for r in ims.trace.responses("INVITE") if r.status == 183}) == 1
        assert not calls_of(page)

    async def test_an_update_that_cannot_be_taken_ends_the_call(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        refused = await ims.update(
            offer(*RESOURCES, *DESIRED, version=2).replace("PCMA", "iLBC").replace(" 8 ", " 77 ")
        )
        assert refused.status == 488
        assert warning_of(await ims.wait_status(580))
        assert not calls_of(page)

    async def test_a_page_that_is_lost_meanwhile(self, stage: Stage) -> None:
        page = await stage.page()
        ims = await waiting(stage, page)
        page.lose(Loss.RESET)
        await ims.wait_status(430)

    async def test_without_100rel_nobody_can_be_told(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, sdp=offer(*NOTHING, *DESIRED), headers=REQUIRED, supported="")
        refused = await ims.wait_status(421)
        assert refused.headers.get("Require") == "100rel"
        assert not calls_of(page)
