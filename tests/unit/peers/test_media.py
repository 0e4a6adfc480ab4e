"""The media endpoints, against each other on loopback."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc import RTCSessionDescription

from tests.peers.aiortc_wic import AiortcMedia
from tests.peers.media import MediaTimeoutError, RtpEndpoint
from tests.peers.rtp import (
    Report,
    RtpPacket,
    is_rtcp,
    key_frame_request_to_bytes,
    key_frame_requests,
    middle_ntp,
    report_to_bytes,
    rtp_from_bytes,
    rtp_to_bytes,
)
from tests.peers.sdp import answer_to
from tests.peers.tone import g711_to_samples, peak_of, samples_to_g711, sine
from tests.peers.video import VideoEncoder, decode_video


def hurried() -> RtpEndpoint:
    """Return an endpoint whose second takes a tenth: nothing stands between the two of a test."""
    return RtpEndpoint(speed=10)


def connected(first: RtpEndpoint, second: RtpEndpoint) -> None:
    first.send_to(second.host, second.port)
    second.send_to(first.host, first.port)


class TestPackets:
    def test_rtp_reads_back_as_written(self) -> None:
        packet = RtpPacket(8, 65535, 2**32 - 1, 7, b"abc", marker=True)
        assert rtp_from_bytes(rtp_to_bytes(packet)) == packet

    def test_extension_csrc_and_padding_are_dropped(self) -> None:
        head = b"\xb1\x08\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03" + b"\x00\x00\x00\x09"
        data = head + b"\xbe\xde\x00\x01\x10\xaa\x00\x00" + b"body" + b"\x00\x00\x03"
        assert rtp_from_bytes(data).payload == b"body"

    @pytest.mark.parametrize("data", [b"", b"\x80\x08", b"\x00" * 20])
    def test_other_datagrams_are_refused(self, data: bytes) -> None:
        with pytest.raises(ValueError, match="not an RTP packet"):
            rtp_from_bytes(data)

    def test_a_report_is_rtcp_and_tells_the_time_for_lsr(self) -> None:
        data = report_to_bytes(Report(1, 1000.5, 160, 2, 320, about_ssrc=9))
        assert is_rtcp(data)
        assert middle_ntp(data) == ((1000 + 2208988800) & 0xFFFF) << 16 | 0x8000
        assert key_frame_requests(data) == []

    def test_a_key_frame_request_is_recognised(self) -> None:
        assert key_frame_requests(key_frame_request_to_bytes(1, 2)) == ["PLI"]


class TestTones:
    @pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
    def test_g711_keeps_a_tone(self, codec: str) -> None:
        tone = sine(440, rate_hz=8000, start=0, count=8000)
        back = g711_to_samples(samples_to_g711(tone, codec), codec)
        assert np.max(np.abs(back.astype(int) - tone)) < 600
        peak = peak_of(back, 8000)
        assert peak is not None
        assert peak.is_near(440)
        assert not peak.is_near(480)

    @pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
    def test_every_level_survives_encoding(self, codec: str) -> None:
        codes = bytes(range(256))
        levels = g711_to_samples(codes, codec)
        assert np.array_equal(g711_to_samples(samples_to_g711(levels, codec), codec), levels)

    def test_silence_is_no_tone_and_a_blink_is_no_measurement(self) -> None:
        silence = peak_of(np.zeros(8000, np.int16), 8000)
        assert silence is not None
        assert not silence.is_near(silence.hz)
        assert peak_of(sine(440, rate_hz=8000, start=0, count=800), 8000) is None


class TestRtpEndpoint:
    @pytest.mark.parametrize("payload_type", [pytest.param(8, id="PCMA"), pytest.param(0, id="PCMU")])
    async def test_a_tone_is_heard_at_the_other_end_and_only_there(self, payload_type: int) -> None:
        with hurried() as caller, hurried() as callee:
            connected(caller, callee)
            caller.start_tone(440, payload_type)
            peak = await callee.until_tone(440, payload_type=payload_type)
            assert peak.is_near(440)
            assert set(callee.packets_by_payload_type) == {payload_type}
            assert callee.packets_by_ssrc.keys() == {caller.ssrc}
            assert caller.packets_received == 0
            await callee.until(lambda e: e.rtcp_packets > 0, what="a report")

    @pytest.mark.parametrize(
        ("lines", "target"),
        [
            pytest.param("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 8", ("10.0.0.1", 4000, 4001), id="session"),
            pytest.param(
                "c=IN IP4 0.0.0.0|m=audio 4000 RTP/AVP 8|c=IN IP4 10.0.0.2|a=rtcp:5000",
                ("10.0.0.2", 4000, 5000),
                id="media line and rtcp",
            ),
            pytest.param(
                "c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 8|a=rtcp-mux", ("10.0.0.1", 4000, 4000), id="mux"
            ),
            pytest.param("c=IN IP4 0.0.0.0|m=audio 4000 RTP/AVP 8", None, id="hold"),
        ],
    )
    def test_where_to_send_is_read_from_sdp(self, lines: str, target: tuple[str, int, int] | None) -> None:
        sdp = "v=0\r\n" + lines.replace("|", "\r\n") + "\r\n"
        with RtpEndpoint() as endpoint:
            if target is None:
                with pytest.raises(ValueError, match=r"0\.0\.0\.0"):
                    endpoint.send_to_sdp(sdp)
            else:
                endpoint.send_to_sdp(sdp)
                assert endpoint.target == target

    async def test_the_wrong_tone_is_not_accepted(self) -> None:
        with hurried() as caller, hurried() as callee:
            connected(caller, callee)
            caller.start_tone(1000)
            await callee.until_tone(1000)
            with pytest.raises(MediaTimeoutError):
                await callee.until_tone(440, timeout_s=0.1)

    async def test_digits_arrive_once_each_and_in_order(self) -> None:
        with hurried() as caller, hurried() as callee:
            connected(caller, callee)
            callee.expect_events(101)
            caller.start_tone()
            for digit in "7#7":
                caller.send_digit(digit, 101)
            await callee.until(lambda e: len(e.digits) == 3, what="three digits")
            assert callee.digits == "7#7"

    @pytest.mark.parametrize("codec", ["VP8", "H264"])
    async def test_video_decodes_at_the_other_end_and_key_frames_come_on_request(self, codec: str) -> None:
        with hurried() as caller, hurried() as callee:
            connected(caller, callee)
            caller.start_video(codec, 99)
            await callee.until(lambda e: e.decoded(codec, 99).frames >= 10, what="ten frames", timeout_s=10)
            assert callee.decoded(codec, 99).size == (320, 240)
            callee.request_key_frame()
            await caller.until(lambda e: e.key_frame_requests == ["PLI"], what="the request")

    def test_video_without_a_key_frame_does_not_decode(self) -> None:
        encoder = VideoEncoder("VP8")
        frames = [encoder.payloads(n, key_frame=n == 0) for n in range(6)]
        packets = [RtpPacket(99, n, 6000 * n, 1, p) for n, f in enumerate(frames) for p in f]
        assert decode_video(packets, "VP8").frames == 6
        late = decode_video([p for p in packets if p.timestamp], "VP8")
        assert (late.frames, late.errors) == (0, 5)


class TestAiortcMedia:
    async def test_two_pages_hear_and_see_each_other_on_added_lines(self) -> None:
        """Answer, then a second offer with the reverse lines, as the gateway does it."""
        page, far = AiortcMedia(), AiortcMedia()
        try:
            offer = await page.offer(video="sendonly")
            await page.answer_received(await receive_only_answer(far, offer))
            second = await far.offer(video="sendonly", tone_hz=440)
            answer = await page.answer_offer(second)
            await far.answer_received(answer)
            mids = page.mids
            await asyncio.gather(page.until_connected(), far.until_connected())
            await page.until_heard(440, mid=mids[2])
            await far.until_heard(1000, mid=mids[0])
            assert (await page.until_seen(5, mid=mids[3])).size == (320, 240)
            assert set(page.audio) == {mids[2]}
            with pytest.raises(MediaTimeoutError):
                await page.until_heard(1000, mid=mids[2], timeout_s=0.2)
        finally:
            await asyncio.gather(page.close(), far.close())

    async def test_the_text_answer_of_a_page_is_one_aiortc_accepts(self) -> None:
        page, far = AiortcMedia(), AiortcMedia()
        try:
            offer = await page.offer()
            first = await receive_only_answer(far, offer)
            second = await far.offer(tone_hz=440)
            await far.answer_received(answer_to(second, offer, first_answer=first))
            directions = [t.currentDirection for t in far.connection.getTransceivers()]
            assert directions == ["recvonly", "sendonly"]
        finally:
            await asyncio.gather(page.close(), far.close())


async def receive_only_answer(media: AiortcMedia, offer: str) -> str:
    """Answer an offer of one-way lines without sending anything back."""
    connection = media.connection
    await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    return connection.localDescription.sdp
