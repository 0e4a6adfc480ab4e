"""Every codec of a page with every codec of IMS, through the real daemon: a tone each way, and who may call.

The page speaks plain RTP here (see test_media.py). All cells of a direction run at the same time.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import cache
from itertools import product
from typing import Final, NamedTuple

import pytest

from kemi.adapters.relay.repertoires import far_speech
from kemi.core.sdp.interwork import placeholder_answer
from rtpengine.ng.commands import MediaOptions
from rtpengine.packet_times import PLACEHOLDER
from rtpengine.profiles import WIC_AUDIO_CODECS, MediaProfile, MediaProfiles
from rtpengine.running import renew
from rtpengine.sessions import (
    MediaSession,
    WicTransport,
    connect,
    connect_terminating,
    reserve,
    reserve_terminating,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon
from tests.contract.rtpengine.rtp_peer import (
    NO_DATA,
    RtpPeer,
    amr_frame_type,
    amr_payload,
    loudest_frequency_hz,
    tone_payloads,
)
from tests.contract.rtpengine.sdp import answer_to, section
from tests.lab.relay_program import daemon_version

FAR_END = "127.0.0.9"
PACKETS = 30
WIC_TONE_HZ, IMS_TONE_HZ = 1000, 440
WIC_SSRC, IMS_SSRC = 0x1111, 0x2222
ALL_IMS = ("opus", "AMR-WB", "AMR-WB-OA", "AMR", "AMR-OA", "G722", "PCMA", "PCMU")
tones = cache(tone_payloads)


class Spoken(NamedTuple):
    """A codec as both sides write it."""

    name: str
    encoding: str
    payload_type: int
    fmtp: str = ""


WIC: Final = (
    Spoken("opus", "opus/48000/2", 111, "useinbandfec=1"),
    Spoken("G722", "G722/8000", 9),
    Spoken("PCMA", "PCMA/8000", 8),
    Spoken("PCMU", "PCMU/8000", 0),
)
IMS: Final = (
    Spoken("opus", "opus/48000/2", 107),
    Spoken("AMR-WB", "AMR-WB/16000", 104, "mode-change-capability=2;max-red=0"),
    Spoken("AMR-WB-OA", "AMR-WB/16000", 105, "octet-align=1"),
    Spoken("AMR", "AMR/8000", 102, "mode-change-capability=2;max-red=0"),
    Spoken("AMR-OA", "AMR/8000", 103, "octet-align=1"),
    Spoken("G722", "G722/8000", 9),
    Spoken("PCMA", "PCMA/8000", 8),
    Spoken("PCMU", "PCMU/8000", 0),
)
CELLS: Final = [pytest.param(wic, ims, id=f"{wic.name}, {ims.name}") for wic, ims in product(WIC, IMS)]


class PlainProfile(MediaProfile):
    """A profile for a page without DTLS and ICE."""

    def _ims_flags(self) -> tuple[str, ...]:
        """Keep the page's port when the far end's changes: without ICE, rtpengine 26 takes another one then."""
        return (*MediaProfile._ims_flags(self), "port-latching")

    def terminating_offer(self) -> MediaOptions:
        """Ask for plain RTP instead."""
        options = MediaProfile.terminating_offer(self)
        return replace(
            options, transport_protocol="RTP/AVP", ice="remove", ice_lite=None, rtcp_mux=("demux",)
        )


def plain(profile: MediaProfile) -> PlainProfile:
    """Give a profile to a page without DTLS and ICE."""
    return PlainProfile(**{item.name: getattr(profile, item.name) for item in fields(profile)})


def line(host: str, port: int, *codecs: Spoken, extra: tuple[str, ...] = ()) -> str:
    """One m-line over plain RTP."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP {' '.join(str(codec.payload_type) for codec in codecs)}"]
    lines += [f"c=IN IP4 {host}"]
    for codec in codecs:
        lines.append(f"a=rtpmap:{codec.payload_type} {codec.encoding}")
        lines += [f"a=fmtp:{codec.payload_type} {codec.fmtp}"] if codec.fmtp else []
    return "\r\n".join([*lines, *(f"a={one}" for one in extra), "a=sendrecv", ""])


class Sides:
    """Both peers of a call, the ports of the relay for them, and what each speaks."""

    def __init__(self, stack: ExitStack, wic: Spoken, ims: Spoken) -> None:
        self.wic, self.ims = (stack.enter_context(RtpPeer(host)) for host in (WIC_ADDRESS, FAR_END))
        self.wic_codec, self.ims_codec = wic, ims
        self.wic_port = self.ims_port = 0
        self.ims_answer = ""
        self.session: MediaSession | None = None

    def talk(self) -> None:
        """Let both send their tone."""
        with ThreadPoolExecutor(2) as pool:
            for peer, codec, to, ssrc, hz in (
                (self.wic, self.wic_codec, (WIC_ADDRESS, self.wic_port), WIC_SSRC, WIC_TONE_HZ),
                (self.ims, self.ims_codec, (IMS_ADDRESS, self.ims_port), IMS_SSRC, IMS_TONE_HZ),
            ):
                payloads = tones(codec.name, hz, PACKETS)
                pool.submit(
                    peer.send, payloads, codec=codec.name, payload_type=codec.payload_type, to=to, ssrc=ssrc
                )

    def heard(self, *, passing: bool) -> None:
        """Assert that each heard the other in its own codec, and as it was sent where nothing is transcoded."""
        for peer, codec, hz in (
            (self.ims, self.ims_codec, WIC_TONE_HZ),
            (self.wic, self.wic_codec, IMS_TONE_HZ),
        ):
            assert peer.wait_for(codec.payload_type, PACKETS - 4), (
                f"{codec.name}: {len(peer.packets)} packets"
            )
            assert peer.payload_types() == {codec.payload_type}
            payloads = peer.payloads(codec.payload_type)
            assert loudest_frequency_hz(codec.name, payloads) == pytest.approx(hz, abs=12)
            if passing:
                assert set(payloads) <= set(tones(codec.name, hz, PACKETS)), "decoded and encoded on the way"


def page_calls(
    client: UdpClient, stack: ExitStack, wic: Spoken, ims: Spoken, *, digits: bool = False
) -> Sides:
    """Let the page call, and IMS answer with one codec under the relay's payload type."""
    profiles = MediaProfiles(ALL_IMS, daemon_version=daemon_version())
    profile = plain(profiles.of("audio", wic.name.lower(), far=PLACEHOLDER, digits=digits))
    sides = Sides(stack, wic, ims)
    session = MediaSession(
        f"out {wic.name} {ims.name}", "audio", line(WIC_ADDRESS, sides.wic.port, wic), WicTransport.SHARED
    )
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    assert section(given.relay_answer).formats[0] == str(wic.payload_type)
    found = [
        number
        for number, encoding in section(given.relay_offer).codecs.items()
        if encoding == ims.encoding
        and ("octet-align=1" in ims.fmtp) == _is_aligned(given.relay_offer, number)
    ]
    sides.ims_codec = ims._replace(payload_type=int(found[0]))
    answer = answer_to(given.relay_offer, found[0], host=FAR_END, port=sides.ims.port)
    profile = plain(profiles.of("audio", wic.name.lower(), far=far_speech(answer), digits=digits))
    run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
    sides.session, sides.ims_answer = session, answer
    sides.wic_port, sides.ims_port = section(given.relay_answer).port, section(given.relay_offer).port
    return sides


def _is_aligned(sdp: str, number: str) -> bool:
    return any(
        value.startswith(f"{number} ") and "octet-align=1" in value for value in section(sdp).values("fmtp")
    )


def core_calls(
    client: UdpClient,
    stack: ExitStack,
    wic: Spoken,
    ims: Spoken,
    *,
    extra: tuple[str, ...] = (),
    events: tuple[Spoken, ...] = (),
) -> Sides:
    """Let IMS call with one codec, and the page answer with one of what it is offered; both with these events."""
    own = ims.name.lower() if ims.name.lower() in WIC_AUDIO_CODECS else "opus"
    sides = Sides(stack, wic, ims)
    session = MediaSession(f"in {wic.name} {ims.name}", "audio", "", WicTransport.SHARED)
    offer = line(FAR_END, sides.ims.port, ims, *events, extra=extra)
    profiles = MediaProfiles(ALL_IMS, daemon_version=daemon_version())
    profile = plain(profiles.of("audio", own, far=far_speech(offer), asking=True))
    offered = section(run(reserve_terminating(session, profile, offer), client))
    (number,) = (number for number, encoding in offered.codecs.items() if encoding == wic.encoding)
    sides.wic_codec = wic._replace(payload_type=int(number))
    answer = line(WIC_ADDRESS, sides.wic.port, sides.wic_codec, *events)
    sides.ims_answer = run(connect_terminating(session, profile, answer), client)
    answered = section(sides.ims_answer)
    assert answered.formats[0] == str(ims.payload_type)
    sides.wic_port, sides.ims_port = offered.port, answered.port
    return sides


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as peers:
        yield peers


@pytest.fixture(scope="module")
def matrix(daemon: Daemon) -> Iterator[dict[tuple[str, str], Sides]]:
    """All calls of pages, after everybody has talked."""
    client = UdpClient(daemon.address, deadline_s=3.0)
    with ExitStack() as stack:
        cells: dict[tuple[str, str], Sides] = {}
        for wics in (WIC[:2], WIC[2:]):
            group = {(w.name, i.name): page_calls(client, stack, w, i) for w, i in product(wics, IMS)}
            _all_talk(group.values())
            cells |= group
        yield cells
    client.close()


def _all_talk(sides: Iterable[Sides]) -> None:
    sides = tuple(sides)
    for side in sides:
        tones(side.wic_codec.name, WIC_TONE_HZ, PACKETS), tones(side.ims_codec.name, IMS_TONE_HZ, PACKETS)
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(Sides.talk, sides))


@pytest.mark.parametrize(("wic", "ims"), CELLS)
def test_a_page_that_calls(matrix: dict[tuple[str, str], Sides], wic: Spoken, ims: Spoken) -> None:
    matrix[wic.name, ims.name].heard(passing=wic.name == ims.name)


def test_a_page_that_is_called(client: UdpClient, stack: ExitStack) -> None:
    """It is offered the codec of IMS where it can have that, and Opus for any other."""
    cells = []
    for ims in IMS:
        own = next((wic for wic in WIC if wic.name == ims.name), WIC[0])
        cells.append((core_calls(client, stack, own, ims), own.name == ims.name))
    _all_talk([sides for sides, _ in cells])
    for sides, passing in cells:
        sides.heard(passing=passing)


@pytest.mark.parametrize(
    "events", [(), (Spoken("events", "telephone-event/8000", 101, "0-15"),)], ids=["alone", "with events"]
)
def test_g711_of_both_ends_passes_untouched_to_a_page_that_is_called(
    client: UdpClient, stack: ExitStack, events: tuple[Spoken, ...]
) -> None:
    """G.711 has two zeros, 0x7f and 0xff in PCMU, of which an encoder knows one."""
    both_zeros = [bytes([0x7F, 0xFF] * 80)] * 10
    pcmu = IMS[7]
    sides = core_calls(client, stack, WIC[3], pcmu, events=events)
    for sender, to in (
        (sides.ims, (IMS_ADDRESS, sides.ims_port)),
        (sides.wic, (WIC_ADDRESS, sides.wic_port)),
    ):
        sender.send(both_zeros, codec="PCMU", payload_type=0, to=to, ssrc=IMS_SSRC)
    for peer in (sides.wic, sides.ims):
        assert peer.wait_for(0, 9)
        assert set(peer.payloads(0)) == {both_zeros[0]}


def test_a_page_without_g722_has_opus(client: UdpClient, stack: ExitStack) -> None:
    sides = core_calls(client, stack, WIC[0], IMS[5])
    sides.talk()
    sides.heard(passing=False)


def test_digits_cost_a_transcoding_even_of_opus(client: UdpClient, stack: ExitStack) -> None:
    """Why the relay is armed for them with the first one only."""
    sides = page_calls(client, stack, WIC[0], IMS[0], digits=True)
    sides.talk()
    sides.heard(passing=False)
    sent = set(tones("opus", WIC_TONE_HZ, PACKETS))
    assert not sent & set(sides.ims.payloads(sides.ims_codec.payload_type))


@pytest.mark.parametrize("wic", WIC, ids=lambda codec: codec.name)
def test_each_hears_the_other_after_the_first_digit(client: UdpClient, stack: ExitStack, wic: Spoken) -> None:
    """Where both ends have one codec, which passed until then."""
    sides = page_calls(client, stack, wic, next(ims for ims in IMS if ims.name == wic.name))
    assert sides.session is not None
    profiles = MediaProfiles(ALL_IMS, daemon_version=daemon_version())
    armed = plain(profiles.of("audio", wic.name.lower(), far=far_speech(sides.ims_answer), digits=True))
    run(renew(sides.session, armed, sides.ims_answer, None, daemon_version=daemon_version()), client)
    sides.talk()
    sides.heard(passing=False)


@pytest.mark.parametrize(
    ("ims", "modes", "highest"),
    [
        pytest.param(IMS[1], "0,1,2", 2, id="AMR-WB 12.65"),
        pytest.param(IMS[2], "0,1,2", 2, id="AMR-WB 12.65, octet-aligned"),
        pytest.param(IMS[3], "0,2,4", 4, id="AMR 7.4"),
        pytest.param(IMS[3], "7", 7, id="AMR 12.2 alone"),
    ],
)
def test_modes_that_the_far_end_names_are_kept(
    client: UdpClient, stack: ExitStack, ims: Spoken, modes: str, highest: int
) -> None:
    """In the answer as on the wire (RFC 4867 §8.3.1)."""
    named = ims._replace(fmtp=f"{ims.fmtp};mode-set={modes}")
    sides = core_calls(client, stack, WIC[0], named)
    sides.talk()
    payloads = sides.ims.payloads(ims.payload_type)
    assert {amr_frame_type(ims.name, payload) for payload in payloads} <= {
        int(mode) for mode in modes.split(",")
    }
    assert max(amr_frame_type(ims.name, payload) for payload in payloads) == highest
    sides.heard(passing=False)
    (fmtp,) = section(sides.ims_answer).values("fmtp")
    assert f"mode-set={modes}" in fmtp
    assert ("octet-align=1" in fmtp) == ("octet-align=1" in ims.fmtp)


@pytest.mark.parametrize(("ims", "highest"), [(IMS[1], 8), (IMS[3], 7)], ids=["AMR-WB 23.85", "AMR 12.2"])
def test_a_far_end_that_calls_and_names_no_mode_gets_the_best(
    client: UdpClient, stack: ExitStack, ims: Spoken, highest: int
) -> None:
    sides = core_calls(client, stack, WIC[0], ims)
    sides.talk()
    assert {amr_frame_type(ims.name, payload) for payload in sides.ims.payloads(ims.payload_type)} == {
        highest
    }
    sides.heard(passing=False)


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
@pytest.mark.parametrize("ims", IMS[1:7], ids=lambda codec: codec.name)
def test_packets_have_the_length_the_far_end_wants(
    client: UdpClient, stack: ExitStack, ims: Spoken, ptime_ms: int
) -> None:
    """Where the daemon can: it makes AMR and G.722 in packets of 20 ms alone."""
    length_ms = ptime_ms if ims.name == "PCMA" else 20
    sides = core_calls(
        client, stack, WIC[0], ims, extra=(f"ptime:{ptime_ms}", f"maxptime:{max(20, ptime_ms)}")
    )
    assert section(sides.ims_answer).values("ptime") in ([], [str(length_ms)])
    sides.talk()
    for peer, codec, hz in (
        (sides.ims, sides.ims_codec, WIC_TONE_HZ),
        (sides.wic, sides.wic_codec, IMS_TONE_HZ),
    ):
        assert peer.wait_for(codec.payload_type, PACKETS * 20 // max(20, ptime_ms) - 4), codec.name
        assert loudest_frequency_hz(codec.name, peer.payloads(codec.payload_type)) == pytest.approx(
            hz, abs=12
        )
    lengths = {len(payload) for payload in sides.ims.payloads(ims.payload_type)}
    assert lengths == {8 * length_ms} or ims.name.startswith("AMR")
    assert len(sides.ims.packets) <= PACKETS * 20 // length_ms


@pytest.mark.parametrize("frames", [2, 3], ids=["40 ms", "60 ms"])
@pytest.mark.parametrize("wic", [WIC[0], WIC[2]], ids=["Opus", "PCMA"])
def test_longer_packets_than_the_page_has_are_heard(
    client: UdpClient, stack: ExitStack, wic: Spoken, frames: int
) -> None:
    """Transcoded they become as long in Opus; what both ends speak passes as it is."""
    sides = core_calls(client, stack, wic, IMS[6], extra=(f"ptime:{20 * frames}",))
    speech = tones("PCMA", IMS_TONE_HZ, PACKETS)
    longer = [b"".join(speech[at : at + frames]) for at in range(0, PACKETS, frames)]
    to = (IMS_ADDRESS, sides.ims_port)
    sides.ims.send(longer, codec="PCMA", payload_type=8, to=to, ssrc=IMS_SSRC, frames=frames)
    own = sides.wic_codec.payload_type
    passing = wic.name == "PCMA"
    assert sides.wic.wait_for(own, len(longer) - 2)
    heard = sides.wic.payloads(own)
    assert loudest_frequency_hz(wic.name, heard) == pytest.approx(IMS_TONE_HZ, abs=12)
    assert not passing or set(heard) <= set(longer)


@pytest.mark.parametrize("ims", IMS[1:5], ids=lambda codec: codec.name)
def test_speech_goes_on_after_silence(client: UdpClient, stack: ExitStack, ims: Spoken) -> None:
    """Discontinuous transmission: comfort noise every 160 ms, nothing between (TS 26.093, TS 26.193)."""
    sides = core_calls(client, stack, WIC[0], ims)
    comfort = 9 if "WB" in ims.name else 8
    silence = amr_payload(ims.name, comfort << 3 | 4, bytes(5))
    speech = tones(ims.name, IMS_TONE_HZ, PACKETS)
    none = amr_payload(ims.name, NO_DATA << 3 | 4, b"")
    payloads = [*speech[:10], silence, *[none] * 7, silence, *speech]
    sides.ims.send(
        payloads,
        codec=ims.name,
        payload_type=ims.payload_type,
        to=(IMS_ADDRESS, sides.ims_port),
        ssrc=IMS_SSRC,
    )
    assert sides.wic.wait_for(sides.wic_codec.payload_type, PACKETS)
    assert sides.wic.payload_types() == {sides.wic_codec.payload_type}
    heard = sides.wic.payloads(sides.wic_codec.payload_type)
    assert loudest_frequency_hz("opus", heard) == pytest.approx(IMS_TONE_HZ, abs=12)


@pytest.mark.parametrize("wic", [WIC[0], WIC[2]], ids=["Opus", "PCMA"])
def test_comfort_noise_that_nobody_agreed_on_harms_nothing(
    client: UdpClient, stack: ExitStack, wic: Spoken
) -> None:
    """RFC 3389 §5: payload type 13 needs no rtpmap, and some send it whatever was answered."""
    sides = core_calls(client, stack, wic, IMS[6])
    to = (IMS_ADDRESS, sides.ims_port)
    speech = tones("PCMA", IMS_TONE_HZ, PACKETS)
    sides.ims.send(speech[:10], codec="PCMA", payload_type=8, to=to, ssrc=IMS_SSRC)
    sides.ims.send([b"\x40"] * 3, codec="PCMA", payload_type=13, to=to, ssrc=IMS_SSRC)
    sides.ims.send(speech, codec="PCMA", payload_type=8, to=to, ssrc=IMS_SSRC)
    own = sides.wic_codec.payload_type
    assert sides.wic.wait_for(own, PACKETS)
    assert loudest_frequency_hz(wic.name, sides.wic.payloads(own)) == pytest.approx(IMS_TONE_HZ, abs=12)
    assert sides.wic.payload_types() <= {own, 13}  # it passes as it is: nobody knows a payload type 13 there
