"""DTMF both ways: INFO of the page is heard at the core, the core's telephone-events reach the page as INFO.

The page's media is aiortc's, the device hears RTP; the relay's reports go through the media agent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from rtpengine.capabilities import capabilities
from tests.integration.calls import incoming
from tests.integration.calls.audio import opus_peak
from tests.integration.calls.stage import (
    BOB,
    CLEAN_WITHIN_S,
    Call,
    Stage,
    gateway_options,
    until,
    warning_of,
)
from tests.integration.calls.test_media import connected
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.proof import wait_clean
from tests.lab.relay_program import daemon_version
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.core_script import CoreScript, Provisional, answers
from tests.peers.core_script import Final as Answer
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.dialog import Pairs
from tests.peers.dual_tone import keys_heard
from tests.peers.media import RtpEndpoint
from tests.peers.rtp import KeyPress, in_sequence, key_presses
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import SipResponse
from tests.peers.tone import g711_to_samples

pytestmark = pytest.mark.lab

RELAY: Final = "application/dtmf-relay"
PACKAGE: Final = (("Info-Package", "infoDtmf"), ("Content-Disposition", "Info-Package"))
RECV_INFO: Final = (("Recv-Info", "infoDtmf"),)
SIXTEEN: Final = "0123456789*#ABCD"
TOLERANCE_MS: Final = 20


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """Gateway, relay and the media agent, which the relay logs DTMF to."""
    options = gateway_options()
    with Lab(replace(options, parts=options.parts | {Part.MEDIA_AGENT})) as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


BOTH_EVENTS: Final = "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"
FIREFOX_EVENTS: Final = "a=rtpmap:101 telephone-event/8000\r\n"


def with_events(sdp: str, offer: str = "a=rtpmap:126 telephone-event/8000\r\n") -> str:
    """Write telephone-events into a description of aiortc, which knows none; browsers do. An answer takes those of
    the offer."""
    events = dict(re.findall(r"a=rtpmap:(\d+) (telephone-event/\d+)", offer))
    maps = "".join(f"a=rtpmap:{number} {encoding}\r\n" for number, encoding in events.items())
    sdp = re.sub(r"(m=audio \d+ \S+ [\d ]+)\r\n", rf"\1 {' '.join(events)}\r\n", sdp)
    return re.sub(r"(a=rtpmap:\d+ opus/48000/2\r\n)", rf"\1{maps}", sdp)


def event_type(sdp: str, clock_hz: int = 8000) -> int:
    """Return the payload type of telephone-events."""
    match = re.search(rf"a=rtpmap:(\d+) telephone-event/{clock_hz}", sdp)
    assert match is not None
    return int(match.group(1))


async def talking(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, media: DeviceMedia, headers: Pairs = ()
) -> tuple[Call, int]:
    """Call, and wait until the device hears the page; return the call and the type of its events."""
    real = page.new_media()
    offer = with_events(await real.offer())
    call = await connected(stage, await page.invite(BOB, offer, media=real, headers=headers), real)
    phone.send_to_sdp(call.ims.invite.body)
    await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
    number = event_type(call.ims.invite.body) if media.telephone_event else -1
    phone.expect_events(number)
    return call, number


async def press(call: Call, digit: str, ms: int = 160) -> SipResponse:
    """Send one digit as most clients do."""
    return await call.wic.info(f"Signal={digit}\r\nDuration={ms}\r\n", RELAY)


def page_has_sent_events(stage: Stage, call: Call) -> int:
    """Say so as the media agent does, which has it of the relay's log; return the status."""
    body = {"call_id": call.call_id, "source_tag": "wic", "event": 5, "duration": 220, "volume": 10}
    return int(stage.lab.control("POST", "/v1/dtmf", body)[0])


async def pressed_after_own_events(call: Call, phone: RtpEndpoint) -> None:
    """Some relays cannot play anything then, where both ends speak one codec; that is said."""
    response = await press(call, "7")
    if capabilities(daemon_version()).digits_after_events:
        assert response.status == 200
        await phone.until(lambda p: p.digits.endswith("7"), what="the digit", timeout_s=15)
    else:
        assert (response.status, warning_of(response)) == (480, "the page has sent telephone-events itself")


def tones_heard(phone: RtpEndpoint) -> str:
    """Return the keys a device heard as tones; each has to be 160 ms long."""
    packets = in_sequence(phone.packets(8))
    heard = keys_heard(g711_to_samples(b"".join(packet.payload for packet in packets), "PCMA"), 8000)
    assert all(abs(ms - 160) <= TOLERANCE_MS for _, ms in heard), heard
    return "".join(key for key, _ in heard)


def core_heard_info(call: Call) -> bool:
    return any(one.call_id == call.call_id for one in call.ims.trace.requests("INFO"))


class TestFromThePage:
    """INFO to RFC 4733, or to a tone."""

    async def test_digits_become_events_in_their_order(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, number = await talking(stage, page, phone, media)
        lengths = [100 + 20 * index for index in range(1, 17)]
        sent = await asyncio.gather(
            *(press(call, digit, ms) for digit, ms in zip(SIXTEEN, lengths, strict=True))
        )
        assert {answer.status for answer in sent} == {200}
        await phone.until(lambda p: p.digits == SIXTEEN, what="sixteen digits", timeout_s=12)
        other = [
            await call.wic.info("7", "application/dtmf"),
            await call.wic.info("signal = 10\nduration=160\n", RELAY, headers=PACKAGE),
            await call.wic.info("SubsequentDigit: 9D\r\n", "application/session-info", headers=PACKAGE),
        ]
        assert {answer.status for answer in other} == {200}
        await phone.until(lambda p: p.digits == SIXTEEN + "7*9D", what="further digits", timeout_s=15)

        def pressed_by_now(endpoint: RtpEndpoint) -> list[KeyPress]:
            return key_presses(endpoint.packets(number), 8000)

        await phone.until(lambda p: all(one.ended for one in pressed_by_now(p)), what="the last one's end")
        await phone.until_tone(TONE_HZ, timeout_s=15)
        pressed = pressed_by_now(phone)
        wanted = [*lengths, 160, 160, 160, 160]
        off = [abs(one.duration_ms - ms) for one, ms in zip(pressed, wanted, strict=True)]
        assert max(off) <= TOLERANCE_MS, off
        assert not core_heard_info(call)
        await call.hang_up()
        assert "Signal" not in stage.gateway_log.read_text(errors="replace")

    @pytest.mark.parametrize("page_events", [BOTH_EVENTS, FIREFOX_EVENTS], ids=["Chromium", "Firefox"])
    @pytest.mark.parametrize(
        ("codec", "clock_hz", "number"),
        [("PCMA", 8000, 98), ("AMR-WB", 16000, 127), ("opus", 48000, 102)],
    )
    async def test_a_device_may_have_its_own_number_for_events(
        self,
        stage: Stage,
        page: AiortcWic,
        phone: RtpEndpoint,
        codec: str,
        clock_hz: int,
        number: int,
        page_events: str,
    ) -> None:
        stage.core.script = answers(DeviceMedia(audio=codec, audio_port=phone.port, event_number=number))
        real = page.new_media()
        offer = with_events(await real.offer(), page_events)
        call = await connected(stage, await page.invite(BOB, offer, media=real), real)
        phone.send_to_sdp(call.ims.invite.body)
        await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
        phone.expect_events(number)
        for digit in "1D*":
            assert (await press(call, digit, 160)).status == 200
        await phone.until(lambda p: p.digits == "1D*", what="digits", timeout_s=15)
        await phone.until(
            lambda p: all(one.ended for one in key_presses(p.packets(number), clock_hz)), what="the end"
        )
        pressed = key_presses(phone.packets(number), clock_hz)
        assert all(abs(one.duration_ms - 160) <= TOLERANCE_MS for one in pressed), pressed
        await call.hang_up()

    async def test_opus_is_left_alone_until_a_digit_is_to_be_played(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio="opus", audio_port=phone.port)
        stage.core.script = answers(media)
        real = page.new_media()
        events = "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"
        offer = with_events(await real.offer(), events)
        call = await connected(stage, await page.invite(BOB, offer, media=real), real)
        number = event_type(call.ims.invite.body, 48000)
        opus = sdp_from_text(call.ims.invite.body).section("audio").payload_type("opus")
        assert opus is not None
        phone.expect_events(number)
        await phone.until(lambda p: len(p.packets(opus)) > 20, what="the page", timeout_s=10)
        (sent_by_page,) = (one.sender for one in real.connection.getTransceivers() if one.sender.track)
        assert set(phone.packets_by_ssrc) == {sent_by_page._ssrc}  # a relay that encodes has one of its own
        for digit in "1D*":
            assert (await press(call, digit, 200)).status == 200
        await phone.until(lambda p: p.digits == "1D*", what="digits", timeout_s=15)
        await phone.until(
            lambda p: all(one.ended for one in key_presses(p.packets(number), 48000)), what="the end"
        )
        pressed = key_presses(phone.packets(number), 48000)
        assert all(abs(one.duration_ms - 200) <= TOLERANCE_MS for one in pressed), pressed
        heard = len(phone.packets(opus))
        await phone.until(lambda p: len(p.packets(opus)) > heard + 50, what="speech", timeout_s=15)
        assert opus_peak(in_sequence(phone.packets(opus))[-50:]).is_near(TONE_HZ)
        assert page_has_sent_events(stage, call) == 200
        await pressed_after_own_events(call, phone)
        await call.hang_up()

    async def test_digits_are_heard_after_events_of_the_page(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, number = await talking(stage, page, phone, media)
        for digit in "12":
            assert page_has_sent_events(stage, call) == 200
            assert (await press(call, digit)).status == 200
            await phone.until(lambda p: p.digits[-1:] == digit, what="a digit", timeout_s=15)  # noqa: B023
        assert phone.digits == "12"
        await phone.until_tone(TONE_HZ, timeout_s=15)
        assert len(phone.packets_by_ssrc) == 1
        pressed = key_presses(phone.packets(number), 8000)
        assert all(abs(one.duration_ms - 160) <= TOLERANCE_MS for one in pressed if one.ended), pressed
        await call.hang_up()

    async def test_a_device_without_events_hears_tones(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port, telephone_event=False)
        stage.core.script = answers(media)
        call, _ = await talking(stage, page, phone, media)
        for digit in "159D":
            assert (await press(call, digit)).status == 200
        await phone.until(lambda p: tones_heard(p) == "159D", what="four tones", timeout_s=15)
        await asyncio.sleep(0.5)
        assert tones_heard(phone) == "159D"  # and no more
        await call.hang_up()

    async def test_what_is_no_digit_is_refused_and_all_else_passes(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, _ = await talking(stage, page, phone, media)
        flash = await press(call, "16")
        assert (flash.status, warning_of(flash)) == (400, "the signal is no DTMF digit")
        assert (await call.wic.info("\r\n", RELAY)).status == 400
        strange = await call.wic.info("<x/>", "application/xml", headers=PACKAGE)
        assert (strange.status, RELAY in (strange.headers.get("Accept") or "")) == (415, True)
        assert not core_heard_info(call)
        other = (("Info-Package", "g.3gpp.ussd"),)
        assert (await call.wic.info("Signal=1", RELAY, headers=other)).status == 200
        assert core_heard_info(call)
        assert phone.digits == ""
        await call.hang_up()

    async def test_before_anybody_hears_the_page_it_is_told_so(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media, ring_s=1.0)
        wic, real = await page.dial(BOB)
        await wic.wait_status(180, timeout_s=10)
        early = await wic.info("Signal=1", RELAY)
        assert (early.status, warning_of(early)) == (480, "nobody there hears the page yet")
        call = await connected(stage, wic, real)
        assert not core_heard_info(call)
        await call.hang_up()

    async def test_while_the_far_end_holds_the_call_it_is_told_so_and_nothing_comes_later(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, number = await talking(stage, page, phone, media)
        media = replace(media, event_number=number)
        assert (await press(call, "1")).status == 200
        await phone.until(lambda p: p.digits == "1", what="a digit", timeout_s=15)
        held = await call.ims.reinvite(device_offer(replace(media, version=2, direction="sendonly")))
        assert held.status == 200
        refused = await press(call, "2")
        assert (refused.status, "on hold" in (warning_of(refused) or "")) == (480, True)
        assert (await call.ims.reinvite(device_offer(replace(media, version=3)))).status == 200
        await asyncio.sleep(1.0)
        assert phone.digits == "1"
        await call.hang_up()

    async def test_a_page_that_sends_nothing_is_told_that_nothing_was_played(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        assert (await press(call, "1")).status == 480
        await call.hang_up()

    async def test_a_far_end_that_wants_info_gets_it_and_no_events(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = CoreScript((Provisional(180), Answer(200, media, headers=RECV_INFO)))
        call, _ = await talking(stage, page, phone, media)
        assert (await press(call, "7")).status == 200
        info = await call.ims.wait_request("INFO")
        assert (info.body, info.headers.get("Content-Type")) == ("Signal=7\r\nDuration=160\r\n", RELAY)
        call.ims.statuses["INFO"] = 415
        assert (await press(call, "8")).status == 415
        assert phone.digits == ""
        await call.hang_up()


class TestFromTheCore:
    """RFC 4733 to INFO."""

    async def test_a_page_that_asks_hears_of_each_key(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, number = await talking(stage, page, phone, media, headers=RECV_INFO)
        ringing = await call.wic.wait_status(200)
        assert ringing.headers.get("Recv-Info") == "infoDtmf"
        phone.start_tone(440)
        for digit in SIXTEEN:
            phone.send_digit(digit, number, 5)
        phone.send_digit("1", number, 50)
        await told(call, SIXTEEN + "1", [100] * 16 + [1000])
        await call.hang_up()

    async def test_a_caller_without_events_hears_tones(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port, telephone_event=False)
        call = await incoming.answered(stage, page, media=media)
        phone.send_to_sdp((await call.ims.wait_status(200)).body)
        phone.start_tone(440)
        await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
        for digit in "159D":
            assert (await call.wic.info(f"Signal={digit}", RELAY)).status == 200
        await phone.until(lambda p: tones_heard(p) == "159D", what="four tones", timeout_s=15)
        await asyncio.sleep(0.5)
        assert tones_heard(phone) == "159D"  # and no more
        await call.ims.bye()

    async def test_a_page_that_does_not_ask_hears_of_none(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media = DeviceMedia(audio_port=phone.port)
        stage.core.script = answers(media)
        call, number = await talking(stage, page, phone, media)
        phone.start_tone(440)
        phone.send_digit("1", number)
        await asyncio.sleep(0.6)
        assert not [one for one in call.wic.trace.requests("INFO") if one.call_id == call.call_id]
        await call.hang_up()

    async def test_a_page_that_is_called_asks_in_its_answer(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        call = await incoming.ringing(stage, page, media=DeviceMedia(audio_port=phone.port))
        assert call.wic.invite.headers.get("Recv-Info") == "infoDtmf"
        offer = call.wic.invite.sdp
        body = with_events(await call.wic.media.answer_offer(offer), offer)
        accept = [*RECV_INFO, ("Accept", "application/session-info")]
        await call.wic.respond(200, sdp=body, headers=accept)
        await call.wic.wait_request("ACK")
        answer = (await call.ims.wait_status(200)).body
        phone.send_to_sdp(answer)
        phone.start_tone(440)
        await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
        phone.send_digit("D", event_type(answer))
        info = await call.wic.wait_request("INFO")
        assert (info.body, info.headers.get("Content-Type")) == (
            "SubsequentDigit: D\r\n",
            "application/session-info",
        )
        phone.expect_events(event_type(answer))
        assert (await call.wic.info("Signal=#", RELAY)).status == 200
        await phone.until(lambda p: p.digits == "#", what="a digit", timeout_s=15)
        await call.ims.bye()

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            pytest.param({}, 400, id="nothing said"),
            pytest.param(
                {"call_id": "x", "source_tag": "ims", "event": 400, "duration": 1}, 400, id="no event"
            ),
            pytest.param(
                {"call_id": "x", "source_tag": "ims", "event": 1, "duration": -1}, 400, id="no time"
            ),
            pytest.param({"call_id": "x", "source_tag": "ims", "event": 1, "duration": 9}, 404, id="no call"),
            pytest.param({"call_id": "x", "source_tag": "wic", "event": 1, "duration": 9}, 200, id="our own"),
            pytest.param({"call_id": "x", "source_tag": "ims", "event": 32, "duration": 9}, 200, id="a tone"),
        ],
    )
    async def test_the_route_says_what_is_wrong(
        self, stage: Stage, body: dict[str, object], status: int
    ) -> None:
        assert stage.lab.control("POST", "/v1/dtmf", body)[0] == status


async def told(call: Call, digits: str, lengths: list[int]) -> None:
    """Wait until the page has heard of these keys, by INFO, in order, with these lengths."""

    def infos() -> list[tuple[str, int]]:
        requests = [one for one in call.wic.trace.requests("INFO") if one.call_id == call.call_id]
        assert all(one.headers.get("Info-Package") == "infoDtmf" for one in requests)
        found = [re.fullmatch(r"Signal=(.)\r\nDuration=(\d+)\r\n", one.body) for one in requests]
        return [(match.group(1), int(match.group(2))) for match in found if match is not None]

    await until(lambda: len(infos()) >= len(digits), lambda: f"heard of {infos()}", 15)
    assert "".join(digit for digit, _ in infos()) == digits
    off = [abs(ms - wanted) for (_, ms), wanted in zip(infos(), lengths, strict=True)]
    assert max(off) <= TOLERANCE_MS, off
