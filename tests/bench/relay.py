"""A stand-in for the media relay's control port: answers every ng command at once, relays nothing.

For the "signalling" target, which shows the gateway's own cost without a media daemon on the same cores.  Its answers
have the size of a real relay's.  Prints its port when it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from typing import Final, cast

from rtpengine.ng.bencode import Encodable, encode

_RECEIVE_BUFFER_BYTES: Final = 8 << 20
_HEAD: Final = "v=0\r\no=- 8244839192881307069 2 IN IP4 127.0.0.2\r\ns=-\r\nt=0 0\r\n"
_TO_IMS: Final = (
    _HEAD + "m=audio 30032 RTP/AVP 111 96 97 8 0 98 110 126\r\nc=IN IP4 127.0.0.2\r\na=mid:0\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
    "a=rtpmap:96 AMR-WB/16000\r\na=fmtp:96 octet-align=0;mode-change-capability=2;max-red=0\r\n"
    "a=rtpmap:97 AMR-WB/16000\r\na=fmtp:97 octet-align=1;mode-change-capability=2;max-red=0\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:98 telephone-event/16000\r\n"
    "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=sendrecv\r\na=rtcp:30033\r\n"
)
_TO_WIC: Final = (
    _HEAD + "a=ice-lite\r\nm=audio 30037 UDP/TLS/RTP/SAVPF 111 110\r\nc=IN IP4 127.0.0.1\r\na=mid:0\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
    "a=rtpmap:110 telephone-event/48000\r\na=sendrecv\r\na=rtcp:30037\r\na=rtcp-mux\r\na=setup:passive\r\n"
    "a=fingerprint:sha-256 14:59:A9:6F:84:37:EF:F4:44:4A:3D:25:CC:A8:53:F6:5C:91:29:7F:D6:A3:EE:A5:00:76:69:17:"
    "44:0B:57:84\r\na=ice-ufrag:v007zSgU\r\na=ice-pwd:L7kjSkHptPemVbLMT1cBvYnRPB\r\na=ice-options:trickle\r\n"
    "a=candidate:2w2MNmhyo1K9gy9R 1 UDP 2130706431 127.0.0.1 30037 typ host\r\na=end-of-candidates\r\n"
)
_FAR_SSRC: Final = 1303202792
_PAGE_SSRC: Final = 4021324182


def _party(tag: str, codec: str, ssrc: int, port: int) -> dict[str, Encodable]:
    """Write a party of a call as rtpengine 10.5 tells of it."""
    counters: dict[str, Encodable] = {"packets": 50, "bytes": 8600, "errors": 0}
    streams: list[Encodable] = [
        {
            "local port": port + place,
            "endpoint": {"family": "IPv4", "address": "127.0.0.1", "port": port + 1000 + place},
            "advertised endpoint": {"family": "IPv4", "address": "127.0.0.1", "port": port + 1000 + place},
            "crypto suite": "AES_CM_128_HMAC_SHA1_80",
            "last packet": 1795000000,
            "flags": [flag, "filled", "confirmed", "kernelized"],
            "SSRC": ssrc,
            "stats": counters,
        }
        for place, flag in enumerate(("RTP", "RTCP"))
    ]
    medium: dict[str, Encodable] = {
        "index": 1,
        "type": "audio",
        "protocol": "RTP/AVP",
        "codec": codec,
        "streams": streams,
        "flags": ["initialized", "send", "recv"],
    }
    return {"tag": tag, "created": 1795000000, "in dialogue with": "", "medias": [medium]}


def statistics() -> bytes:
    """Write what `query` tells of a short call, in the daemon's order of keys."""
    average: dict[str, Encodable] = {
        "MOS": 43, "round-trip time": 4986, "round-trip time leg": 626, "jitter": 1, "packet loss": 0
    }  # fmt: skip
    report: dict[str, Encodable] = {
        "cumulative loss": 0,
        "average MOS": {**average, "samples": 2},
        "lowest MOS": {**average, "reported at": 1795000000},
        "highest MOS": {**average, "reported at": 1795000000},
    }
    totals: dict[str, Encodable] = {"packets": 100, "bytes": 17200, "errors": 0}
    found: dict[str, Encodable] = {
        "created": 1795000000,
        "created_us": 123456,
        "last signal": 1795000000,
        "SSRC": {str(ssrc): report for ssrc in (_PAGE_SSRC, _FAR_SSRC)},
        "tags": {
            "wic": _party("wic", "opus/48000/2", _PAGE_SSRC, 30036),
            "ims": _party("ims", "PCMA/8000", _FAR_SSRC, 30032),
        },
        "totals": {"RTP": totals, "RTCP": totals},
        "result": "ok",
    }
    return json.dumps(found, separators=(",", ":")).encode()


_ANSWERS: Final = {
    b'"command": "query"': statistics(),
    b"7:command5:offer": encode({"result": "ok", "sdp": _TO_IMS}),
    b"7:command6:answer": encode({"result": "ok", "sdp": _TO_WIC}),
}
_OK: Final = encode({"result": "ok"})


class FastRelay(asyncio.DatagramProtocol):
    """Answers at once, or later."""

    def __init__(self, delay_s: float) -> None:
        self.port = 0
        self._delay_s = delay_s
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make room for bursts."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own class is no subclass
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self.port = raw.getsockname()[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a command."""
        assert self._transport is not None
        cookie, _, body = data.partition(b" ")
        answer = next((answer for command, answer in _ANSWERS.items() if command in body), _OK)
        reply = b"%b %b" % (cookie, answer)
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.sendto, reply, addr)
        else:
            self._transport.sendto(reply, addr)


async def serve(delay_s: float) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    _, relay = await loop.create_datagram_endpoint(lambda: FastRelay(delay_s), local_addr=("127.0.0.1", 0))
    print(relay.port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-s", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().delay_s))
