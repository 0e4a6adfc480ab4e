"""Who sends the torture messages, and what comes back: pages and the core, as bytes.

Knows how a message is filled in for its sender. Must not know what a message tests.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.trust.torture import CLOSED, NONE, ODD_USER, PRIVATE
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import REALM
from tests.peers.websocket import Handshake, PageSocket

WITHIN_S: Final = 3.0
QUIET_S: Final = 0.15
STATUS = re.compile(rb"SIP/2\.0 (\d{3}) ")
CORE_OFFER: Final = (
    "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 40000 RTP/AVP 8\na=rtpmap:8 PCMA/8000\n"
)


@dataclass(frozen=True)
class Filling:
    """What stands for the words between @."""

    protocol: str
    host: str
    """sent-by of our Via."""
    from_uri: str
    to_uri: str
    target: str
    contact: str
    extra: str
    offer: str


def wire(text: str, filling: Filling, call_id: str) -> bytes:
    """Return a torture message as this sender sends it."""
    branch = f"z9hG4bK{secrets.token_hex(8)}"
    words = {
        "@OFFER@": filling.offer, "@EXTRA@": filling.extra, "@FROM@": filling.from_uri, "@TO@": filling.to_uri,
        "@TARGET@": filling.target, "@CONTACT@": filling.contact, "@ID@": call_id, "@TOTAG@": "",
        "@VIA@": f"SIP/2.0/{filling.protocol} {filling.host};branch={branch}",
        "@VIANOBRANCH@": f"SIP/2.0/{filling.protocol} {filling.host}",
        "@VIAPROTO@": f"SIP  / 2.0\n /{filling.protocol}", "@VIAHOST@": filling.host, "@BRANCH@": branch,
        "@ODD@": ODD_USER, "@REALM@": REALM, "@HOST@": REALM,
    }  # fmt: skip
    for word, value in words.items():
        text = text.replace(word, value)
    head, _, body = text.replace("\r\n", "\n").replace("\n", "\r\n").partition("\r\n\r\n")
    raw = _bytes(body)
    return _bytes(head.replace("@LENGTH@", str(len(raw)))) + b"\r\n\r\n" + raw


def _bytes(text: str) -> bytes:
    """Encode: latin-1 where a text has bytes of its own, UTF-8 where it has other characters."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


@dataclass
class Answers:
    """What came back to one message."""

    statuses: list[int] = field(default_factory=list)
    closed: bool = False

    def final(self) -> int:
        """Return the final status, CLOSED, or NONE."""
        found = [status for status in self.statuses if status >= 200]
        return found[0] if found else CLOSED if self.closed else NONE


class RawPage:
    """A page of which nothing is expected but bytes; it refuses calls and takes everything else."""

    def __init__(self, handshake: Handshake, aor: str) -> None:
        self._handshake = handshake
        self.aor = aor
        self.contact = f"sip:{secrets.token_hex(4)}@{secrets.token_hex(6)}.invalid;transport=ws"
        self.heard: list[bytes] = []
        self.path = ""
        self.closed = asyncio.Event()

    @property
    def filling(self) -> Filling:
        extra = f"P-Charging-Vector: icid-value={PRIVATE}\nP-Asserted-Identity: <sip:{PRIVATE}@x>"
        bob = f"sip:bob@{REALM}"
        return Filling("WSS", "raw.invalid", self.aor, bob, bob, self.contact, extra, AUDIO_BOTH_WAYS)

    async def open(self, *, registered: bool) -> None:
        """Connect and, if wanted, register."""
        self._socket = await PageSocket.open(self._handshake)
        self.closed.clear()
        self._reader = asyncio.create_task(self._read(self._socket))
        if registered:
            assert await self.register() == 200

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.close()
        self._reader.cancel()

    async def register(self) -> int:
        """Register and return the status."""
        text = (
            "REGISTER sip:@REALM@ SIP/2.0\nVia: @VIA@\nMax-Forwards: 70\nFrom: <@FROM@>;tag=r\nTo: <@FROM@>\n"
            "Call-ID: @ID@\nCSeq: 1 REGISTER\nContact: <@CONTACT@>;expires=600\nContent-Length: 0\n\n"
        )
        call_id = secrets.token_hex(8)
        already = len(self.heard)
        await self._socket.send(wire(text, self.filling, call_id))
        return await self._status_of(call_id, already)

    async def ask(self, data: bytes, call_id: str) -> Answers:
        """Send one message, binary when it is no UTF-8, and say what came back."""
        already = len(self.heard)
        await self._socket.send(_text_or_bytes(data))
        probe = f"probe-{secrets.token_hex(6)}"
        options = (
            "OPTIONS sip:@REALM@ SIP/2.0\nVia: @VIA@\nMax-Forwards: 70\nFrom: <@FROM@>;tag=p\nTo: <sip:@REALM@>\n"
            "Call-ID: @ID@\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
        )
        await self._socket.send(wire(options, self.filling, probe))
        alive = await self._status_of(probe, already)
        assert alive == 200 or self.closed.is_set(), "no answer to what followed"
        answers = Answers(closed=self.closed.is_set())

        def read() -> None:
            own = [one for one in self.heard[already:] if probe.encode() not in one]
            answers.statuses = [int(m.group(1)) for one in own if (m := STATUS.match(one))]

        read()
        deadline = asyncio.get_running_loop().time() + (
            WITHIN_S if any(100 <= one < 200 for one in answers.statuses) else QUIET_S
        )
        while not answers.final() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
            read()
        return answers

    async def _status_of(self, call_id: str, already: int) -> int:
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while asyncio.get_running_loop().time() < deadline:
            for one in self.heard[already:]:
                match = STATUS.match(one)
                if match and call_id.encode() in one and int(match.group(1)) >= 200:
                    return int(match.group(1))
            if self.closed.is_set():
                break
            await asyncio.sleep(0.005)
        return 0

    async def _read(self, page_socket: PageSocket) -> None:
        while (data := await page_socket.receive()) is not None:
            self.heard.append(data)
            if not data.startswith(b"SIP/2.0 ") and data.strip() and not data.startswith(b"ACK "):
                await page_socket.send(_answer(data))
        self.closed.set()


def _answer(request: bytes) -> bytes:
    status = b"486 Busy Here" if request.startswith(b"INVITE ") else b"200 OK"
    head = re.sub(rb"\r\n[ \t]+", b" ", request.partition(b"\r\n\r\n")[0])
    kept = []
    for line in head.split(b"\r\n")[1:]:
        name = line.partition(b":")[0].strip().lower()
        if name in (b"via", b"v", b"from", b"f", b"call-id", b"i", b"cseq"):
            kept.append(line)
        elif name in (b"to", b"t"):
            kept.append(line + b";tag=page")
    return b"\r\n".join([b"SIP/2.0 " + status, *kept, b"Content-Length: 0", b"", b""])


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class CoreSender:
    """The core, over UDP or TCP, sending along a page's Path."""

    def __init__(self, gateway: tuple[str, int], page: RawPage, path: str) -> None:
        self._gateway = gateway
        self._page = page
        self._path = path

    def _filling(self, protocol: str, host: str) -> Filling:
        extra = f"Route: {self._path}\nP-Charging-Vector: icid-value={PRIVATE}"
        return Filling(
            protocol, f"{host};rport", f"sip:caller@{REALM}", self._page.aor, self._page.contact,
            f"sip:device@{host}", extra, CORE_OFFER,
        )  # fmt: skip

    async def ask(self, text: str, protocol: str, call_id: str) -> Answers:
        """Send one message and say what came back."""
        if protocol == "UDP":
            return await self._ask_udp(text, call_id)
        reader, writer = await asyncio.open_connection(*self._gateway)
        host, port = writer.get_extra_info("sockname")[:2]
        writer.write(wire(text, self._filling("TCP", f"{host}:{port}"), call_id))
        answers = Answers()
        received = b""
        try:
            await writer.drain()
            deadline = asyncio.get_running_loop().time() + 2 * QUIET_S
            while not answers.final() and asyncio.get_running_loop().time() < deadline:
                try:
                    data = await asyncio.wait_for(reader.read(65535), QUIET_S)
                except TimeoutError:
                    continue
                received += data
                found = re.findall(rb"(?m)^SIP/2\.0 (\d{3}) ", received)
                answers.statuses = [int(status) for status in found]
                if any(100 <= one < 200 for one in answers.statuses):
                    deadline = asyncio.get_running_loop().time() + WITHIN_S
                if not data:
                    answers.closed = True
                    break
        except ConnectionError:
            answers.closed = True
        finally:
            writer.close()
        return answers

    async def _ask_udp(self, text: str, call_id: str) -> Answers:
        loop = asyncio.get_running_loop()
        heard: list[bytes] = []

        class Line(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                heard.append(data)

        transport, _ = await loop.create_datagram_endpoint(Line, (LOOPBACK, 0), self._gateway)
        host, port = transport.get_extra_info("sockname")[:2]
        transport.sendto(wire(text, self._filling("UDP", f"{host}:{port}"), call_id))
        answers = Answers()
        deadline = loop.time() + 2 * QUIET_S
        while not answers.final() and loop.time() < deadline:
            await asyncio.sleep(0.01)
            answers.statuses = [int(m.group(1)) for one in heard if (m := STATUS.match(one))]
            if any(100 <= one < 200 for one in answers.statuses):
                deadline = loop.time() + WITHIN_S
        transport.close()
        return answers
