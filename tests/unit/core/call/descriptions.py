"""Session descriptions for ladders: what Chromium offers and answers, what the relay and the far end say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "sdp"

_MIRRORED = {
    "a=sendonly": "a=recvonly",
    "a=recvonly": "a=sendonly",
    "a=sendrecv": "a=sendrecv",
    "a=inactive": "a=inactive",
}
_FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
_WEB_TRANSPORT = (
    "a=rtcp-mux",
    f"a=fingerprint:{_FINGERPRINT}",
    "a=ice-ufrag:relay1",
    "a=ice-pwd:abcdefghijklmnopqrstuv01",
    "a=candidate:1 1 UDP 2130706431 192.0.2.9 {port} typ host",
    "a=end-of-candidates",
)
WEB_CODECS = {
    "audio": ("111 110", "a=rtpmap:111 opus/48000/2", "a=rtpmap:110 telephone-event/48000"),
    "video": ("96", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack pli"),
}
CORE_CODECS = {
    "audio": (
        "111 8 0 101 110",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:110 telephone-event/48000",
    ),
    "video": ("96", "a=rtpmap:96 VP8/90000"),
}


@cache
def chromium(case: str) -> str:
    """Return a recorded Chromium offer, with CRLF."""
    text = (_GOLDEN / f"chromium-156-{case}.txt").read_text(encoding="ascii")
    return "\r\n".join(text.splitlines()) + "\r\n"


def _text(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def _session(address: str) -> tuple[str, ...]:
    return ("v=0", f"o=- 4711 1 IN IP4 {address}", "s=-", "t=0 0")


def relay_offer(kind: str, port: int = 30000) -> str:
    """Return the relay's offer for the core."""
    formats, *codecs = CORE_CODECS[kind]
    proto = "RTP/AVP" if kind == "audio" else "RTP/AVPF"
    head = (*_session("192.0.2.9"), f"m={kind} {port} {proto} {formats}", "c=IN IP4 192.0.2.9")
    return _text(*head, *codecs, "a=sendrecv", f"a=rtcp:{port + 1}")


def _web_line(kind: str, port: int, direction: str, setup: str) -> str:
    formats, *codecs = WEB_CODECS[kind]
    transport = [line.format(port=port) for line in _WEB_TRANSPORT]
    head = (*_session("192.0.2.9"), "a=ice-lite", f"m={kind} {port} UDP/TLS/RTP/SAVPF {formats}")
    return _text(*head, "c=IN IP4 192.0.2.9", *codecs, f"a={direction}", f"a=setup:{setup}", *transport)


def relay_answer(kind: str, port: int = 30100) -> str:
    """Return the relay's answer for the page."""
    return _web_line(kind, port, "sendrecv", "passive")


def relay_reverse_offer(kind: str, port: int = 30200) -> str:
    """Return the relay's offer of a stream towards the page on a transport of its own."""
    return _web_line(kind, port, "sendonly", "actpass")


def page_answer(offer: str, *, refuse: tuple[str, ...] = ()) -> str:
    """Answer our second offer as a browser does: mirrored, its own transport; ``refuse`` lists mids."""
    session = [line for line in offer.splitlines() if line.startswith("a=group:")]
    lines = [*_session("127.0.0.1"), *session]
    for section in offer.split("\r\nm=")[1:]:
        first, *body = section.splitlines()
        kind, port, proto, *formats = first.split()
        mid = next(line for line in body if line.startswith("a=mid:"))
        refused = mid.removeprefix("a=mid:") in refuse or port == "0"
        theirs = next(line for line in body if line in _MIRRORED)
        mirrored = _MIRRORED[theirs]
        lines += [f"m={kind} {0 if refused else 9} {proto} {' '.join(formats)}", "c=IN IP4 0.0.0.0", mid]
        lines += [line for line in body if line.startswith("a=rtpmap:")]
        lines += ["a=ice-ufrag:page", "a=ice-pwd:0123456789abcdefghijkl", f"a=fingerprint:{_FINGERPRINT}"]
        lines += ["a=setup:active", "a=rtcp-mux", "a=inactive" if refused else mirrored]
    return _text(*lines)


def core_answer(*kinds: str, port: int = 40000, refuse: tuple[str, ...] = ()) -> str:
    """Return a far end's answer to our offer, one m-line per kind."""
    lines = [*_session("198.51.100.7"), "c=IN IP4 198.51.100.7"]
    for number, kind in enumerate(kinds or ("audio",)):
        codec = ("8", "a=rtpmap:8 PCMA/8000") if kind == "audio" else ("96", "a=rtpmap:96 VP8/90000")
        proto = "RTP/AVP" if kind == "audio" else "RTP/AVPF"
        lines += [f"m={kind} {0 if kind in refuse else port + 2 * number} {proto} {codec[0]}", codec[1]]
        lines.append("a=sendrecv")
    return _text(*lines)
