"""How a page that is called may answer: reliably or not, with numbers of its own; and what if it may not."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.integration.calls.incoming import PageCall, answered, ringing
from tests.integration.calls.stage import ALICE, Stage, warn_code_of, warning_of
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import Sdp, sdp_from_text, sdp_to_text

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
OWN_NUMBER = "121"
RELIABLE = (("Require", "100rel"), ("RSeq", "17"))


async def until_both_hear(call: PageCall, media: AiortcMedia, phone: RtpEndpoint, answer: str) -> None:
    """Both ends hear the other's tone."""
    phone.send_to_sdp(answer)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="0")
    await call.works()


class TestEarly:
    """The page answers before it takes the call (RFC 3262, RFC 6337 §3.1.1)."""

    async def early(self, stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> tuple[PageCall, str]:
        """Let the page answer in a reliable 183, which the core acknowledges; return what the page answered."""
        ims = stage.core.call(ALICE, media=DeviceMedia(audio_port=phone.port))
        wic = await page.wait_incoming()
        answer = await wic.media.answer_offer(wic.invite.body)
        await wic.respond(183, sdp=answer, headers=RELIABLE)
        prack = await wic.wait_request("PRACK")
        assert prack.headers.get("RAck") == f"17 {wic.invite.cseq}"
        return PageCall(wic, ims), answer

    @pytest.mark.parametrize("repeats", [pytest.param(False, id="once"), pytest.param(True, id="repeated")])
    async def test_a_reliable_answer_is_heard_before_the_200_which_has_none(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint, repeats: bool
    ) -> None:
        call, answer = await self.early(stage, page, phone)
        early = await call.ims.wait_status(183)
        assert early.is_reliable
        phone.send_to_sdp(early.body)
        phone.start_tone(DEVICE_HZ)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await page.media[0].until_heard(DEVICE_HZ, mid="0")
        assert "<- 200 INVITE" not in call.ims.ladder()
        await call.wic.answer(answer if repeats else "")
        final = await call.ims.wait_status(200)
        assert not final.has_sdp
        await call.works()
        await call.ims.bye()

    async def test_the_same_183_again_is_no_second_answer(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        call, answer = await self.early(stage, page, phone)
        await call.wic.respond(183, sdp=answer, headers=RELIABLE)
        await call.wic.respond(180)
        await call.ims.wait_status(180)
        bodies = [r.body for r in call.ims.trace.responses("INVITE") if r.status == 183]
        assert (len(bodies), len(set(bodies))) == (2, 1)
        await call.wic.answer("")
        await call.works()
        await call.ims.bye()

    async def test_a_cancel_after_early_media_ends_everything(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        call, _ = await self.early(stage, page, phone)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        call.ims.cancel()
        await call.ims.wait_status(487)
        await call.wic.wait_request("CANCEL")

    async def test_after_an_unreliable_answer_a_200_without_one_is_completed(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        ims = stage.core.call(ALICE, media=DeviceMedia(audio_port=phone.port), supported="")
        wic = await page.wait_incoming()
        await wic.respond(183, sdp=await wic.media.answer_offer(wic.invite.body))
        early = await ims.wait_status(183)
        await wic.answer("")
        assert (await ims.wait_status(200)).body == early.body
        await until_both_hear(PageCall(wic, ims), page.media[0], phone, early.body)
        await ims.bye()


async def test_an_answer_that_is_sent_again_is_acknowledged_again(stage: Stage) -> None:
    call = await answered(stage, await stage.page())
    answer = next(entry.message for entry in call.wic.trace.entries if entry.label == "-> 200 INVITE (SDP)")
    await call.wic.send(answer)
    await call.wic.wait_request("ACK", count=2)
    first = await call.ims.wait_status(200)
    assert (await call.ims.wait_status(200, count=2)).body == first.body
    await call.works()
    await call.ims.bye()


class Renumbering:
    """Real media of a page that numbers Opus by itself: `PageMedia` (RFC 3264 §6.1 lets it)."""

    def __init__(self, media: AiortcMedia) -> None:
        self._media = media

    async def answer_received(self, sdp: str) -> None:
        """Never happens."""
        raise AssertionError(sdp)

    async def answer_offer(self, sdp: str) -> str:
        """Answer as if Opus had been offered by the page's own number."""
        number = sdp_from_text(sdp).section("audio").payload_type("opus")
        return await self._media.answer_offer(renumbered(sdp, str(number), OWN_NUMBER))


def renumbered(sdp: str, old: str, new: str) -> str:
    """Give a payload type another number."""
    text = re.sub(rf"^(m=audio .*?)\b{old}\b(.*)$", rf"\g<1>{new}\g<2>", sdp, flags=re.MULTILINE)
    return re.sub(rf"^a=(rtpmap|fmtp|rtcp-fb):{old} ", rf"a=\g<1>:{new} ", text, flags=re.MULTILINE)


async def test_a_page_may_number_its_codec_itself(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    media = page.new_media()
    page.incoming_media = lambda invite: Renumbering(media)
    call = await answered(stage, page, media=DeviceMedia(audio_port=phone.port))
    final = await call.ims.wait_status(200)
    assert OWN_NUMBER not in sdp_from_text(final.body).section("audio").formats
    await until_both_hear(call, media, phone, final.body)
    await call.ims.bye()


def one_line_less(answer: Sdp) -> None:
    """Leave video out."""
    del answer.media[1]


def one_line_more(answer: Sdp) -> None:
    """Answer video twice."""
    answer.media.append(answer.media[1])


def other_order(answer: Sdp) -> None:
    """Answer video before audio."""
    answer.media.reverse()


def other_kind(answer: Sdp) -> None:
    """Answer a text line for video."""
    lines = answer.media[1].lines
    lines[0] = lines[0].replace("m=video", "m=text")


def contradiction(answer: Sdp) -> None:
    """Receive where the gateway receives."""
    lines = answer.media[0].lines
    lines[lines.index(f"a={answer.media[0].direction}")] = "a=recvonly"


def other_codec(answer: Sdp) -> None:
    """Answer a codec that was not offered."""
    for number, line in enumerate(answer.media[0].lines):
        answer.media[0].lines[number] = line.replace("opus/48000/2", "G729/8000")


def no_codec(answer: Sdp) -> None:
    """Answer telephone events alone."""
    for number, line in enumerate(answer.media[0].lines):
        answer.media[0].lines[number] = line.replace("opus/48000/2", "telephone-event/8000")


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        pytest.param(one_line_less, 502, "1 media lines, the offer 2", id="fewer lines"),
        pytest.param(one_line_more, 502, "3 media lines, the offer 2", id="more lines"),
        pytest.param(other_order, 502, "is video where audio", id="other order"),
        pytest.param(other_kind, 502, "is text where video", id="other kind"),
        pytest.param(contradiction, 502, "was offered recvonly and answered recvonly", id="direction"),
        pytest.param(other_codec, 488, "none of the codecs", id="another codec"),
        pytest.param(no_codec, 488, "none of the codecs", id="no codec"),
    ],
)
async def test_an_answer_that_does_not_fit(
    stage: Stage, spoil: Callable[[Sdp], None], status: int, words: str
) -> None:
    direction = "recvonly" if spoil is contradiction else "sendrecv"
    call = await ringing(stage, await stage.page(), media=DeviceMedia(video="VP8", direction=direction))
    answer = sdp_from_text(await call.wic.media.answer_offer(call.wic.invite.body))
    spoil(answer)
    await call.wic.respond(200, sdp=sdp_to_text(answer))
    await call.wic.wait_request("ACK")
    bye = await call.wic.wait_request("BYE")
    assert f"cause={status}" in (bye.headers.get("Reason") or "")
    refused = await call.ims.wait_status(status)
    assert words in warning_of(refused)
    assert warn_code_of(refused) == (305 if "codecs" in words else 399)
    assert not [rung for rung in call.ims.ladder() if rung.startswith("<- 200 INVITE")]


async def test_a_reliable_answer_that_does_not_fit_ends_the_call_when_the_page_takes_it(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE)
    wic = await page.wait_incoming()
    await wic.respond(183, sdp="v=0\r\nrubbish\r\n", headers=RELIABLE)
    early = await ims.wait_status(183)
    assert not early.has_sdp
    await wic.wait_request("PRACK")
    await wic.respond(200)
    await ims.wait_status(502)
    await wic.wait_request("BYE")
