"""Pauses of the far end that the relay fills (`rtpengine_dtx_delay_ms`), so that time stamps go on as time does."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.conftest import OWN_PORTS
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon, media_ports
from tests.contract.rtpengine.rtp_peer import amr_payload, loudest_frequency_hz
from tests.contract.rtpengine.test_codecs import (
    IMS,
    IMS_SSRC,
    IMS_TONE_HZ,
    PACKETS,
    WIC,
    Sides,
    Spoken,
    core_calls,
    tones,
)


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UdpClient]:
    """A client of a daemon that fills pauses."""
    with (
        media_ports(OWN_PORTS) as ports,
        Daemon(tmp_path_factory.mktemp("filling"), ports, rtpengine_dtx_delay_ms=10) as running,
    ):
        connected = UdpClient(running.address, deadline_s=3.0)
        yield connected
        connected.close()
        assert running.alive


@pytest.mark.parametrize("ims", [IMS[1], IMS[3], IMS[6]], ids=lambda codec: codec.name)
def test_time_goes_on_in_pauses(filling: UdpClient, ims: Spoken) -> None:
    """Else a browser takes a pause for lateness of the network, and plays everything later from then on."""
    with ExitStack() as stack:
        sides = core_calls(filling, stack, WIC[0], ims)
        _talk_with_pauses(sides, ims)


def _talk_with_pauses(sides: Sides, ims: Spoken) -> None:
    speech = tones(ims.name, IMS_TONE_HZ, PACKETS)
    kind = 9 if "WB" in ims.name else 8
    comfort = [amr_payload(ims.name, kind << 3 | 4, bytes(5))] if "AMR" in ims.name else []
    to = (IMS_ADDRESS, sides.ims_port)

    def send(payloads: list[bytes]) -> None:
        sides.ims.send(payloads, codec=ims.name, payload_type=ims.payload_type, to=to, ssrc=IMS_SSRC)

    own = sides.wic_codec.payload_type
    send(speech)
    assert sides.wic.wait_for(own, PACKETS - 2)
    for _ in range(3):
        send(comfort)
        sides.ims.pause(8 - len(comfort))
    said_s = (PACKETS + 24 + PACKETS) * 0.02
    before = len(sides.wic.payloads(own))
    send(speech)
    assert sides.wic.wait_for(own, before + PACKETS)
    stamps = [packet.timestamp for packet in sides.wic.packets if packet.payload_type == own]
    passed_s = (max(stamps) - stamps[0]) / 48_000
    assert passed_s == pytest.approx(said_s, abs=0.15)  # 0.48 s less where only what came counts
    assert loudest_frequency_hz("opus", sides.wic.payloads(own)) == pytest.approx(IMS_TONE_HZ, abs=12)
