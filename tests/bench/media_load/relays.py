"""The relays that are compared: ours, driven by our sequences, and Janus' SIP plugin, driven as a page does.

Each sets a call up between a web leg and a core's socket and tells its processes. Must not know what is sent.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from kemi.core.sdp.interwork import repertoire
from rtpengine.profiles import MediaProfile, audio_profile
from rtpengine.sessions import MediaSession, WicTransport, connect, release_all, reserve, run
from rtpengine.transport.udp import UdpClient
from tests.bench.media_load.janus import Janus, running_janus
from tests.bench.media_load.streams import CORE_HZ, WEB_HZ, Call, Sender
from tests.bench.media_load.web_leg import WebLeg
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon, media_ports
from tests.contract.rtpengine.sdp import answer_to, section

CORE_HOST: Final = "127.0.0.9"
_PORTS_PER_CALL: Final = 4
_OPUS_TYPE: Final = 111
_OFFERED: Final = (
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:126 telephone-event/8000",
)
_WEB_SSRC: Final = 0x10000
_CORE_SSRC: Final = 0x20000


class Relay(Protocol):
    """A running relay."""

    @property
    def pid(self) -> int:
        """Its process."""

    def set_up(self) -> Call:
        """Set one more call up, media running through."""


@dataclass
class Gateway:
    """Our relay: rtpengine with the gateway's profiles and sequences."""

    daemon: Daemon
    client: UdpClient
    profile: MediaProfile
    core_codec: str
    core_maps: tuple[str, ...]
    calls: int = 0

    @property
    def pid(self) -> int:
        """The daemon."""
        return self.daemon.pid

    def set_up(self) -> Call:
        """Reserve and connect as for a page's call on a shared transport."""
        self.calls += 1
        web, core = WebLeg(WIC_ADDRESS, _WEB_SSRC + self.calls), _core_socket()
        session = MediaSession(
            f"load{self.calls}", "audio", web.offer("111 126", *_OFFERED), WicTransport.SHARED
        )
        assumed = "opus/48000/2" if self.core_codec == "opus" else self.core_maps[0]
        reserved = run(
            reserve(
                session,
                self.profile,
                lambda offer: answer_to(offer, assumed, host=IMS_ADDRESS),
                reverse=False,
            ),
            self.client,
        )
        answer = answer_to(reserved.relay_offer, *self.core_maps, host=CORE_HOST, port=core.getsockname()[1])
        answered = frozenset(one.partition("/")[0] for one in repertoire(answer).encodings)
        run(
            connect(session, self.profile, answer, None, daemon_version=(10, 5), answered=answered),
            self.client,
        )
        web.connect(reserved.relay_answer)
        target = (IMS_ADDRESS, section(reserved.relay_offer).port)
        return _call(self.calls, web, core, target, self.core_codec, int(section(answer).formats[0]))


@dataclass
class JanusRelay:
    """Janus with its SIP plugin; it passes codecs on and makes none out of another."""

    janus: Janus
    calls: int = 0

    @property
    def pid(self) -> int:
        """The server."""
        return self.janus.pid

    def set_up(self) -> Call:
        """Call from a handle of its own, as each page has."""
        self.calls += 1
        web, core = WebLeg(self.janus.host, _WEB_SSRC + self.calls), _core_socket()
        offer = web.offer("111 126", *_OFFERED)
        answer, core_offer = self.janus.call(offer, CORE_HOST, core.getsockname()[1])
        web.connect(answer)
        address = next(ln.split()[2] for ln in core_offer.splitlines() if ln.startswith("c="))
        return _call(self.calls, web, core, (address, section(core_offer).port), "opus", _OPUS_TYPE)


def _call(
    number: int, web: WebLeg, core: socket.socket, target: tuple[str, int], core_codec: str, core_type: int
) -> Call:
    call = Call(
        web,
        core,
        target,
        Sender("opus", WEB_HZ, _OPUS_TYPE, web.ssrc),
        Sender(core_codec, CORE_HZ, core_type, _CORE_SSRC + number),
        "opus",
        core_codec,
    )
    if number == 1:  # one is listened to
        call.kept_at_web, call.kept_at_core = [], []
    return call


def _core_socket() -> socket.socket:
    core = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    core.bind((CORE_HOST, 0))
    return core


@contextlib.contextmanager
def passing_gateway(most: int) -> Iterator[Relay]:
    """Run our relay with ports for so many calls; both ends speak Opus, which passes as it is.

    On a route where pages send their digits as RTP: `inject-DTMF` would decode and encode it.
    """
    with _gateway(most, audio_profile(digits=False), "opus", ("opus/48000/2",)) as one:
        yield one


@contextlib.contextmanager
def transcoding_gateway(most: int) -> Iterator[Relay]:
    """Run our relay; the core speaks AMR-WB."""
    maps = ("AMR-WB/16000", "telephone-event/16000")
    with _gateway(most, audio_profile(), "AMR-WB", maps) as one:
        yield one


@contextlib.contextmanager
def janus_relay(_most: int) -> Iterator[Relay]:
    """Run Janus; both ends speak Opus."""
    with tempfile.TemporaryDirectory(prefix="janus-") as folder, running_janus(Path(folder)) as janus:
        yield JanusRelay(janus)


@contextlib.contextmanager
def _gateway(
    most: int, profile: MediaProfile, core_codec: str, core_maps: tuple[str, ...]
) -> Iterator[Gateway]:
    with (
        tempfile.TemporaryDirectory() as folder,
        media_ports(most * _PORTS_PER_CALL) as ports,
        Daemon(Path(folder), ports) as daemon,
    ):
        client = UdpClient(daemon.address, deadline_s=5.0)
        gateway = Gateway(daemon, client, profile, core_codec, core_maps)
        yield gateway
        sessions = [
            MediaSession(f"load{number + 1}", "audio", "", WicTransport.SHARED)
            for number in range(gateway.calls)
        ]
        for session in sessions:
            run(release_all([session]), client)
        client.close()
