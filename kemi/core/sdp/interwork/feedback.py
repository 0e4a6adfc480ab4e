"""A participant of ours in a medium that has nothing to say but RTCP (rtpengine/key_frames.py)."""

from __future__ import annotations

from kemi.core.decimals import number_or
from kemi.core.sdp.build import address_to_text, media_description
from kemi.core.sdp.interwork.relay import one_line_text, only_line
from kemi.core.sdp.text import sdp_from_text

_NO_PORT = 1
"""Not 9: rtpengine 10.5 takes zeros with that port for trickle ICE, and sends there."""


def media_port(relay_text: str) -> tuple[str, int]:
    """Read where the relay takes RTP.

    Raises:
        MediaUnavailable: the relay has no port.
    """
    line = only_line(sdp_from_text(relay_text))
    return line.connection_address or "", line.port


def feedback_port(relay_offer: str) -> tuple[str, int]:
    """Read where the relay takes RTCP: address and port (RFC 3605; without a=rtcp one above RTP's).

    Raises:
        MediaUnavailable: the relay has no port.
    """
    line = only_line(sdp_from_text(relay_offer))
    words = (line.attribute("rtcp") or "").split()
    port = number_or(line.port + 1, words[0]) if words else line.port + 1
    return line.connection_address or "", port


def feedback_answer(relay_offer: str, host: str, port: int) -> str:
    """Answer that no media is taken, and that RTCP comes from ``host`` and ``port``.

    The media's address is zeros (RFC 2543 §B.5): the relay heeds that, which it does not ``a=inactive``.
    """
    offer = sdp_from_text(relay_offer)
    line = only_line(offer)
    zeros = address_to_text("::" if ":" in host else "0.0.0.0")  # noqa: S104  in SDP, nothing binds to it
    body = [f"c={zeros}", f"a=rtcp:{port} {address_to_text(host)}"]
    body += [f"a=rtpmap:{codec.payload_type} {codec.encoding}" for codec in line.codecs]
    answer = media_description(line.kind, _NO_PORT, line.proto, line.formats, [*body, "a=recvonly"])
    return one_line_text(offer.session, answer)
