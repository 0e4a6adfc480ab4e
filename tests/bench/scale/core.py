"""The core of the scale bench: the registrar of `tests.bench.registration`, which also calls pages.

Knows REGISTER and the calling side of a call that is refused. Must not know the gateway. A line
"call NUMBER AT_ONCE LAST" on standard input makes it call so often the last pages that registered, in turn, and prints
{"statuses": {status: calls}, "seconds": ...} when the last call was refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections import Counter, deque
from typing import Final

from tests.bench.callee import fields_from_request, first_field
from tests.bench.registration.registrar import Registrar

_PATIENCE_S: Final = 15.0
_OFFER: Final = (
    b"v=0\r\no=core 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
)


class CallingRegistrar(Registrar):
    """Remembers how each page is reached."""

    def __init__(self, realm: str) -> None:
        super().__init__(realm)
        self._pages: dict[bytes, tuple[bytes, bytes]] = {}
        """Identity -> Contact and Path."""
        self._gateway = ("", 0)
        self._to_call: deque[bytes] = deque()
        self._calls: dict[bytes, bytes] = {}
        """Call-ID -> the INVITE's Request-URI."""
        self.statuses: Counter[str] = Counter()
        self.done = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a request as the registrar does, and a response to an INVITE of ours."""
        if data.startswith(b"SIP/2.0 "):
            self._answered(data)
            return
        if data.startswith(b"REGISTER "):
            fields = fields_from_request(data)
            contact = first_field(fields, b"Contact").partition(b">")[0].strip(b"<")
            self._pages[first_field(fields, b"To").strip(b"<>")] = contact, first_field(fields, b"Path")
            self._gateway = addr
        elif data.startswith(b"SUBSCRIBE "):
            fields = fields_from_request(data)
            lines = b"Expires: %s\r\nContact: <sip:core@127.0.0.1:%d>\r\n" % (
                first_field(fields, b"Expires"),
                self.port,
            )
            self.send_response(200, fields, lines, b"", addr)
            return
        super().datagram_received(data, addr)

    def call(self, number: int, at_once: int, last: int) -> None:
        """Begin to call."""
        self.statuses.clear()
        self.done.clear()
        names = list(self._pages)[-last:]
        self._to_call = deque(names[index % len(names)] for index in range(number))
        for _ in range(at_once):
            self._next()

    def _next(self) -> None:
        if not self._to_call:
            if not self._calls:
                self.done.set()
            return
        name = self._to_call.popleft()
        contact, path = self._pages[name]
        call_id = secrets.token_hex(12).encode()
        self._calls[call_id] = contact
        self._send(b"INVITE", contact, call_id, b"<%s>" % name, b"Route: %s\r\n" % path, _OFFER)

    def _send(self, method: bytes, uri: bytes, call_id: bytes, to: bytes, extra: bytes, sdp: bytes) -> None:
        assert self._transport is not None
        kind = b"Content-Type: application/sdp\r\n" if sdp else b""
        self._transport.sendto(
            b"%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s\r\nMax-Forwards: 60\r\n%s"
            b"From: <sip:caller@ims.test>;tag=c%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 1 %s\r\n"
            b"Contact: <sip:caller@127.0.0.1:%d>\r\nP-Asserted-Identity: <sip:caller@ims.test>\r\n"
            b"Allow: INVITE,ACK,CANCEL,BYE,UPDATE,PRACK\r\nSupported: 100rel\r\n%sContent-Length: %d\r\n\r\n%s"
            % (
                method,
                uri,
                self.port,
                call_id,
                extra,
                call_id[:8],
                to,
                call_id,
                method,
                self.port,
                kind,
                len(sdp),
                sdp,
            ),
            self._gateway,
        )

    def _answered(self, data: bytes) -> None:
        fields = fields_from_request(data)
        status = int(data[8:11])
        if status < 200 or not first_field(fields, b"CSeq").endswith(b"INVITE"):
            return
        call_id = first_field(fields, b"Call-ID")
        uri = self._calls.pop(call_id, None)
        if uri is None:
            return
        self._send(b"ACK", uri, call_id, first_field(fields, b"To"), b"", b"")
        self.statuses[str(status)] += 1
        self._next()


async def _serve(realm: str) -> None:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(
        lambda: CallingRegistrar(realm), local_addr=("127.0.0.1", 0)
    )
    core = protocol
    print(core.port, flush=True)
    cpu_s = time.process_time()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = line.decode().split()
        if words[:1] == ["report"]:
            print(json.dumps({"cpu_s": time.process_time() - cpu_s}), flush=True)
            cpu_s = time.process_time()
        elif words[:1] == ["call"]:
            began_s = time.monotonic()
            core.call(*map(int, words[1:]))
            try:
                await asyncio.wait_for(core.done.wait(), _PATIENCE_S)
            except TimeoutError:
                core.statuses["none"] += 1
            print(json.dumps({"statuses": core.statuses, "seconds": time.monotonic() - began_s}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--realm", required=True)
    asyncio.run(_serve(parser.parse_args().realm))
