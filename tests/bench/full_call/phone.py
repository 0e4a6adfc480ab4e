"""The scripted phone that everybody calls: rings, answers with Opus at once, speaks from the ACK to the BYE.

Refuses an offer without Opus. Knows the callee's side as bytes. Must not know who stands in between. A call is
recognized by whom it is for: `sip:call7@...` is number 7, whatever the Call-ID became on its way.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tests.bench.callee import FastCallee, fields_from_request, first_field
from tests.bench.full_call.media import HOST, PHONE_HOST, Heard, PhoneMedia
from tests.contract.rtpengine.sdp import answer_to, section

_OPUS: Final = "opus/48000/2"
_EVENTS: Final = "telephone-event/48000"


def uri_user(number: int) -> str:
    """Return whom the call of this number is for."""
    return f"call{number}"


class Phone(FastCallee):
    """All its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[str, Heard] = {}
        """URI user → what is heard of its call."""
        self.byes = 0
        self._media: dict[bytes, tuple[PhoneMedia, tuple[str, int], int]] = {}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a request, and speak meanwhile."""
        if data.startswith(b"INVITE "):
            self._invited(data, addr)
            return
        if data.startswith((b"ACK ", b"BYE ", b"CANCEL ")):
            call_id = first_field(fields_from_request(data), b"Call-ID")
            if data.startswith(b"ACK ") and call_id in self._media:
                media, target, payload_type = self._media[call_id]
                media.begin(target, payload_type)
            elif not data.startswith(b"ACK ") and (known := self._media.pop(call_id, None)):
                self.byes += 1
                known[0].close()
        super().datagram_received(data, addr)

    def close(self) -> None:
        """End all calls at this end."""
        for media, _, _ in self._media.values():
            media.close()
        self._media.clear()

    def _invited(self, data: bytes, addr: tuple[str, int]) -> None:
        fields = fields_from_request(data)
        call_id = first_field(fields, b"Call-ID")
        user = data.split(b" ", 2)[1].partition(b":")[2].partition(b"@")[0].decode()
        heard = self.expected.get(user)
        if heard is None or call_id in self._media:
            return
        offer = data.partition(b"\r\n\r\n")[2].decode()
        if _OPUS not in section(offer).codecs.values():
            self.send_response(488, fields, b"", b"", addr)
            return
        media = PhoneMedia(heard)
        answer = answer_to(offer, _OPUS, _EVENTS, host=PHONE_HOST, port=media.port)
        address = next(line.split()[2] for line in offer.splitlines() if line.startswith("c="))
        payload_type = next(int(n) for n, codec in section(answer).codecs.items() if codec == _OPUS)
        self._media[call_id] = media, (address, section(offer).port), payload_type
        contact = b"Contact: <sip:callee@%s:%d>\r\n" % (HOST.encode(), self.port)
        self.send_response(180, fields, contact, b"", addr)
        self.send_response(200, fields, contact, answer.encode(), addr)


async def ringing_phone() -> tuple[asyncio.DatagramTransport, Phone]:
    """Start the phone."""
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(Phone, local_addr=(HOST, 0))
