"""A stand-in for the media relay's control port: answers every ng command at once, relays nothing.

For the "signalling" target, which shows the gateway's own cost without a media daemon on the same cores.  Its answers
have the size of a real relay's.  Prints its port when it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from typing import Final, cast

from rtpengine.ng.bencode import encode

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
_ANSWERS: Final = {
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
