"""Faults of the media, each planted into a real call: pages with ICE and DTLS, devices with RTP.

Such calls have to last until something can be missed, so they do it together: what ends one is done later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tests.integration.calls.planted import Plant, World, planting
from tests.integration.calls.plants import device
from tests.integration.calls.stage import BOB
from tests.peers.aiortc_wic import AiortcMedia
from tests.peers.core_script import CoreScript, Provisional, answers
from tests.peers.core_script import Final as Final_
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.wic_call import OutgoingCall

PLANTS: Final[dict[str, Plant]] = {}


plants = planting(PLANTS)
LONG: Final[dict[str, Plant]] = {}
"""Those that wait for a time-out, or for reports of both sides."""
lasts = planting(LONG)


class SpoiltMedia(AiortcMedia):
    """A page's media whose descriptions are not what its connection does."""

    def __init__(
        self,
        offered: Callable[[str], str] = str,
        answered: Callable[[str], str] = str,
        told: Callable[[str], str] = str,
    ) -> None:
        super().__init__()
        self._offered, self._answered, self._told = offered, answered, told

    async def spoilt_offer(self) -> str:
        """Return the offer as it is sent."""
        return self._offered(await self.offer())

    async def answer_received(self, sdp: str) -> None:
        await super().answer_received(self._told(sdp))

    async def answer_offer(self, sdp: str) -> str:
        return self._answered(await super().answer_offer(sdp))


def other_certificate(beginning: str) -> Callable[[str], str]:
    """Let a description name a certificate nobody has."""
    return lambda sdp: re.sub(r"(a=fingerprint:sha-256 )..:..", rf"\g<1>{beginning}", sdp)


async def talking(
    world: World,
    phone: RtpEndpoint,
    media: AiortcMedia | None = None,
    *,
    video_port: int = 0,
    offer: str = "",
) -> tuple[OutgoingCall, AiortcMedia]:
    """Let a page with media call and the core answer; it is hung up later."""
    telling = DeviceMedia(
        audio_port=phone.port, video="VP8" if video_port else None, video_port=video_port or 40002
    )
    world.stage.core.script = answers(telling)
    page = await world.real_page()
    own = media or page.new_media()
    page.media.append(own)
    offer = offer or (await own.spoilt_offer() if isinstance(own, SpoiltMedia) else await own.offer())
    call = await page.invite(BOB, offer, media=own)
    await call.wait_answer(timeout_s=10)
    await device(world, call).wait_ack()
    phone.send_to_sdp(device(world, call).invite.body)
    world.later.append(call.bye)
    return call, own


async def _silent(media: AiortcMedia) -> str:
    """Offer with a microphone that is off."""
    await media.offer()
    for sender in media.connection.getSenders():
        sender.replaceTrack(None)
    return media.connection.localDescription.sdp


@lasts("media-lost")
async def media_lost(world: World) -> str:
    phone = world.phone()
    call, media = await talking(world, phone)
    world.later.pop()
    phone.start_tone()
    await phone.until_tone(1000.0, timeout_s=10)
    phone.stop_sending()
    await media.close()
    world.later.append(lambda: call.wait_request("BYE", timeout_s=30))
    return call.call_id


@lasts("session-timer-unanswered")
async def session_timer(world: World) -> str:
    timer = (("Session-Expires", "6;refresher=uas"), ("Require", "timer"))
    phone = world.phone()
    world.stage.core.script = CoreScript(
        (Provisional(180), Final_(200, DeviceMedia(audio_port=phone.port), headers=timer))
    )
    page = await world.real_page()
    call, _ = await page.dial(BOB)
    await call.wait_answer(timeout_s=10)
    await device(world, call).wait_ack()
    phone.send_to_sdp(device(world, call).invite.body)
    phone.start_tone()
    world.later.append(lambda: call.wait_request("BYE", timeout_s=30))
    return call.call_id


@plants("ice-never-done")
async def no_ice(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await world.page.invite(BOB, await AiortcMedia().offer())
    await call.wait_answer()
    world.later.append(call.bye)
    return call.call_id


@plants("dtls-never-done")
async def no_dtls(world: World) -> str:
    call, _ = await talking(
        world, world.phone(), SpoiltMedia(other_certificate("00:00"), other_certificate("00:00"))
    )
    return call.call_id


@plants("dtls-certificate-changed")
async def changed_certificate(world: World) -> str:
    call, _ = await talking(
        world, world.phone(), SpoiltMedia(other_certificate("00:00"), other_certificate("11:11"))
    )
    return call.call_id


@plants("dtls-both-passive")
async def both_passive(world: World) -> str:
    """The page takes our passive for active, and waits."""

    def swapped(sdp: str) -> str:
        return sdp.replace("a=setup:passive", "a=setup:active")

    def said(sdp: str) -> str:
        return sdp.replace("a=setup:active", "a=setup:passive")

    call, _ = await talking(world, world.phone(), SpoiltMedia(answered=said, told=swapped))
    return call.call_id


@plants("page-sends-no-media")
async def muted(world: World) -> str:
    phone, media = world.phone(), AiortcMedia()
    call, _ = await talking(world, phone, media, offer=await _silent(media))
    phone.start_tone()
    return call.call_id


@plants("far-end-sends-no-media")
async def far_end_silent(world: World) -> str:
    call, _ = await talking(world, world.phone())
    return call.call_id


@plants("nobody-sends-media")
async def nobody_sends(world: World) -> str:
    media = AiortcMedia()
    call, _ = await talking(world, world.phone(), media, offer=await _silent(media))
    return call.call_id


@plants("packets-refused")
async def strange_packets(world: World) -> str:
    """The far end's packets come from where its description does not say."""
    phone, stranger = world.phone(), world.phone("127.0.0.9")
    call, _ = await talking(world, phone)
    stranger.send_to_sdp(device(world, call).invite.body)
    stranger.start_tone()
    return call.call_id


@plants("no-picture")
async def no_picture(world: World) -> str:
    phone, camera = world.phone(), world.phone()
    media = AiortcMedia()
    offer = await media.offer(video="sendonly", video_codec="VP8")
    call, _ = await talking(world, phone, media, video_port=camera.port, offer=offer)
    phone.start_tone()
    return call.call_id


@lasts("high-loss")
async def loss(world: World) -> str:
    return await _bad_news(world, lost_of_256=30)


@lasts("high-jitter")
async def jitter(world: World) -> str:
    return await _bad_news(world, jitter=800)


async def _bad_news(world: World, **news: int) -> str:
    phone = world.phone()
    phone.bad_news = dict(news)
    call, _ = await talking(world, phone)
    phone.start_tone()
    return call.call_id


@lasts("transcoded")
async def transcoded(world: World) -> str:
    return await _bad_news(world)


@plants("digits-without-telephone-event")
async def digits(world: World) -> str:
    phone = world.phone()
    world.stage.core.script = answers(DeviceMedia(audio_port=phone.port, telephone_event=False))
    page = await world.real_page()
    call, media = await page.dial(BOB)
    await call.wait_answer(timeout_s=10)
    phone.send_to_sdp(device(world, call).invite.body)
    phone.start_tone()
    await media.until_connected()
    await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
    assert (await call.info_dtmf("5")).status == 200
    world.later.append(call.bye)
    return call.call_id
