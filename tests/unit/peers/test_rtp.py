"""RTP packets as the peers of the tests have them."""

from __future__ import annotations

from tests.peers.rtp import RtpPacket, in_sequence


def test_packets_are_put_in_the_order_they_were_sent() -> None:
    def packet(number: int, ssrc: int = 1) -> RtpPacket:
        return RtpPacket(8, number & 0xFFFF, 0, ssrc, b"")

    arrived = [packet(65_535), packet(65_534), packet(65_537), packet(65_536), packet(9, 2), packet(8, 2)]
    sent = [(one.ssrc, one.sequence_number) for one in in_sequence(arrived)]
    assert sent == [(1, 65_534), (1, 65_535), (1, 0), (1, 1), (2, 8), (2, 9)]
