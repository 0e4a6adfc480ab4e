"""Both ends' media on one event loop: tone packets out, tone packets noticed.

Knows ICE and DTLS of `WebLeg` and RTP. Must not know SIP.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import pylibsrtp

from tests.bench.media_load.streams import PTIME_S, Sender, payload_of, tone_of
from tests.bench.media_load.web_leg import RETRY_S, WebLeg

CODEC: Final = "opus"
OPUS_TYPE: Final = 111
HOST: Final = "127.0.0.1"
PHONE_HOST: Final = "127.0.0.9"
_PAGE_HZ: Final = (500, 700, 900, 1100)
_PHONE_HZ: Final = (400, 600, 800, 1000)
"""Calls that follow each other have other tones, or one could hear another's."""
_LARGEST: Final = 2048
_ssrcs: Final[Iterator[int]] = itertools.count(0x10000)


class Heard:
    """One call's sound at both ends; `both` is called when each has heard the other."""

    def __init__(self, number: int, both: Callable[[], None]) -> None:
        self.page_hz = _PAGE_HZ[number % len(_PAGE_HZ)]
        self.phone_hz = _PHONE_HZ[number % len(_PHONE_HZ)]
        self.at_page_s = self.at_phone_s = 0.0
        """Monotonic seconds of the first packet with the other's tone; 0 before that."""
        self.packets_at_page = self.packets_at_phone = 0
        self.strange = 0
        """Packets that were not authentic or had another payload."""
        self._both = both

    @property
    def is_silent(self) -> bool:
        """Whether an end has not heard the other."""
        return not (self.at_page_s and self.at_phone_s)

    def at_page(self, payload: bytes) -> None:
        """Take a payload that came to the page."""
        if payload not in _tones(self.phone_hz):
            self.strange += 1
            return
        self.packets_at_page += 1
        if not self.at_page_s:
            self.at_page_s = time.monotonic()
            self._judge()

    def at_phone(self, payload: bytes) -> None:
        """Take a payload that came to the phone."""
        if payload not in _tones(self.page_hz):
            self.strange += 1
            return
        self.packets_at_phone += 1
        if not self.at_phone_s:
            self.at_phone_s = time.monotonic()
            self._judge()

    def _judge(self) -> None:
        if not self.is_silent:
            self._both()


class PageMedia:
    """The page's end of one call."""

    def __init__(self, heard: Heard, host: str = HOST) -> None:
        self.leg = WebLeg(host, next(_ssrcs))
        self.connected_s = 0.0
        """Monotonic seconds at which ICE and DTLS were up; 0 before that."""
        self._heard = heard
        self._sender = Sender(CODEC, heard.page_hz, OPUS_TYPE, self.leg.ssrc)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, answer: str) -> None:
        """Bring ICE and DTLS up, then send."""
        self.leg.begin(answer)
        self._loop.add_reader(self.leg.fileno(), self._readable)
        self._timer = self._loop.call_later(RETRY_S, self._retry)

    def close(self) -> None:
        """Be gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self.leg.fileno())
        self.leg.close()

    def _retry(self) -> None:
        self.leg.retry()
        self._timer = self._loop.call_later(RETRY_S, self._retry)

    def _readable(self) -> None:
        packet = self.leg.receive()
        if packet and self.leg.is_connected:
            try:
                self._heard.at_page(payload_of(self.leg.opened(packet)))
            except pylibsrtp.Error:
                self._heard.strange += 1
        elif not self.connected_s and self.leg.is_connected:
            self.connected_s = time.monotonic()
            if self._timer is not None:
                self._timer.cancel()
            self._send()

    def _send(self) -> None:
        self.leg.send(self._sender.next())
        self._timer = self._loop.call_later(PTIME_S, self._send)


class PhoneMedia:
    """The phone's end of one call."""

    def __init__(self, heard: Heard) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((PHONE_HOST, 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, target: tuple[str, int], payload_type: int) -> None:
        """Speak."""
        sender = Sender(CODEC, self._heard.phone_hz, payload_type, next(_ssrcs))
        self._send(sender, target)

    def close(self) -> None:
        """Be gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _send(self, sender: Sender, target: tuple[str, int]) -> None:
        with suppress(OSError):
            self._socket.sendto(sender.next(), target)
        self._timer = self._loop.call_later(PTIME_S, self._send, sender, target)

    def _readable(self) -> None:
        with suppress(OSError):
            packet = self._socket.recv(_LARGEST)
            if not 192 <= packet[1] < 224:
                self._heard.at_phone(payload_of(packet))


_sets: Final[dict[int, frozenset[bytes]]] = {}


def _tones(hz: int) -> frozenset[bytes]:
    """Return the payloads of a tone; Opus passes as it is, so the ends need no decoder."""
    if hz not in _sets:
        _sets[hz] = frozenset(tone_of(CODEC, hz))
    return _sets[hz]


def prepare() -> None:
    """Encode all tones, which takes longer than a call."""
    for hz in (*_PAGE_HZ, *_PHONE_HZ):
        _tones(hz)
