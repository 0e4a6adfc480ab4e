"""The far end under load: accepts every registration and call, and notes when each INVITE came.

Knows the callee's side as bytes. Must not know the gateway. Prints its port when it is ready;
each line "report" on standard input prints and clears {"arrivals": {Call-ID: monotonic seconds}, "cpu_s": seconds}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, cast

_RECEIVE_BUFFER_BYTES: Final = 8 << 20
_COPIED: Final = (b"Via", b"Record-Route", b"From", b"Call-ID", b"CSeq")
_PHRASES: Final = {180: b"Ringing", 200: b"OK", 401: b"Unauthorized", 488: b"Not Acceptable Here"}
_SDP: Final = b"v=0\r\no=callee 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
PCMA: Final = _SDP + b"m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
_OPUS: Final = (
    b"m=audio 40000 RTP/AVP %b %b\r\na=rtpmap:%b opus/48000/2\r\na=fmtp:%b useinbandfec=1\r\n"
    b"a=rtpmap:%b telephone-event/48000\r\na=fmtp:%b 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
)
_CODEC_LINES: Final = re.compile(rb"a=rtpmap:([0-9]+) (opus|telephone-event)/48000")
PCMA_USER: Final = b"pcma"
"""Whoever is called by this name speaks PCMA alone; everybody else Opus, as the page does, where it is offered."""


class FastCallee(asyncio.DatagramProtocol):
    """180 and 200 at once; 200 to everything else."""

    def __init__(self) -> None:
        self.arrivals: dict[str, float] = {}
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make room for bursts."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own class is no subclass
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self.port = raw.getsockname()[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a request."""
        came_at_s = time.monotonic()
        if data.startswith((b"SIP/2.0 ", b"ACK ")) or not data.strip():
            return
        fields = fields_from_request(data)
        if data.startswith(b"REGISTER "):
            self.send_response(200, fields, self.binding(fields), b"", addr)
        elif data.startswith(b"INVITE "):
            self.arrivals.setdefault(first_field(fields, b"Call-ID").decode(), came_at_s)
            contact = b"Contact: <sip:callee@127.0.0.1:%d>\r\n" % self.port
            self.send_response(180, fields, contact, b"", addr)
            self.send_response(200, fields, contact, answer_to(data), addr)
        else:
            self.send_response(200, fields, b"", b"", addr)

    def binding(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        """Return what a 200 to REGISTER grants."""
        paths = b"".join(b"Path: %s\r\n" % value for name, value in fields if name == b"Path")
        contact = first_field(fields, b"Contact")
        return b"Contact: %s;expires=600\r\n%sService-Route: <sip:orig@127.0.0.1:%d;lr>\r\n" % (
            contact,
            paths,
            self.port,
        )

    def send_response(
        self, status: int, fields: list[tuple[bytes, bytes]], extra: bytes, sdp: bytes, addr: tuple[str, int]
    ) -> None:
        """Send a response with the copied header fields."""
        assert self._transport is not None
        to = first_field(fields, b"To")
        if b";tag=" not in to:
            to += b";tag=c" + first_field(fields, b"Call-ID")[:12]
        copied = b"".join(b"%s: %s\r\n" % pair for pair in fields if pair[0] in _COPIED)
        kind = b"Content-Type: application/sdp\r\n" if sdp else b""
        head = b"SIP/2.0 %d %s\r\n" % (status, _PHRASES[status])
        rest = b"To: %s\r\n%s%sContent-Length: %d\r\n\r\n" % (to, extra, kind, len(sdp))
        self._transport.sendto(head + copied + rest + sdp, addr)


def answer_to(invite: bytes) -> bytes:
    """Return the description that an INVITE is answered with."""
    offered = {name: number for number, name in _CODEC_LINES.findall(invite)}
    if len(offered) < 2 or invite.startswith(b"INVITE sip:%b@" % PCMA_USER):
        return PCMA
    opus, events = offered[b"opus"], offered[b"telephone-event"]
    return _SDP + _OPUS % (opus, events, opus, opus, events, events)


def fields_from_request(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the header fields of a message in order."""
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def first_field(fields: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the first value of a field, b"" without one."""
    return next((value for key, value in fields if key == name), b"")


async def serve(port: int, make: Callable[[], FastCallee] = FastCallee) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    _, callee = await loop.create_datagram_endpoint(make, local_addr=("127.0.0.1", port))
    print(callee.port, flush=True)
    cpu_s = time.process_time()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip() == b"report":
            spent_s = time.process_time() - cpu_s
            print(json.dumps({"arrivals": callee.arrivals, "cpu_s": spent_s}), flush=True)
            callee.arrivals.clear()
            cpu_s = time.process_time()


def main() -> None:
    """Run the callee process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
