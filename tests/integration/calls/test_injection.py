"""A stranger floods all ports of a call, in the default configuration: both ends hear each other and nobody else.

What happens at the other times of a call: tests/contract/rtpengine/test_injection.py.
"""

from __future__ import annotations

import pytest

from tests.integration.calls.stage import BOB, Stage
from tests.integration.calls.test_incoming_media import talking
from tests.integration.calls.test_media import DEVICE_HZ, connected
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.injection import SSRC, Attacker, Target
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text

pytestmark = pytest.mark.lab

PACKETS_PER_S = 4000


def ports(media: AiortcMedia, ims_sdp: str) -> list[Target]:
    """Return the relay's ports of both legs, as their descriptions have them."""
    core = sdp_from_text(ims_sdp)
    line = next((text for text in core.section("audio").lines if text.startswith("c=")), None)
    host = line.split()[2] if line else core.address
    candidate = sdp_from_text(media.connection.remoteDescription.sdp).section("audio").attribute("candidate")
    assert candidate is not None
    words = candidate.split()
    port = core.section("audio").port
    return [(host, port), (host, port + 1), (words[4], int(words[5]))]


async def heard_in_spite_of(targets: list[Target], media: AiortcMedia, phone: RtpEndpoint, mid: str) -> None:
    """Let both ends hear each other for the first time while the stranger is at it."""
    with Attacker(targets, PACKETS_PER_S) as attacker:
        phone.start_tone(DEVICE_HZ)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await media.until_heard(DEVICE_HZ, mid=mid)
        so_far = phone.packets_received
        await phone.until(
            lambda p: p.packets_received >= so_far + 50, what="a second of the page", timeout_s=15
        )
    assert attacker.sent > PACKETS_PER_S / 8
    assert attacker.stolen == 0
    assert len(phone.packets_by_ssrc) == 1
    assert SSRC not in phone.packets_by_ssrc


async def test_a_call_of_the_page(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    wic, media = await page.dial(BOB)
    call = await connected(stage, wic, media)
    phone.send_to_sdp(call.ims.invite.body)
    await heard_in_spite_of(ports(media, call.ims.invite.body), media, phone, "r0")
    await call.hang_up()


async def test_a_call_towards_the_page(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    call, media, answer = await talking(stage, page, DeviceMedia(audio_port=phone.port))
    phone.send_to_sdp(answer)
    await heard_in_spite_of(ports(media, answer), media, phone, "0")
    assert (await call.ims.bye()).status == 200
