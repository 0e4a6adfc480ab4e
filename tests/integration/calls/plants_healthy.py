"""Calls of many kinds with nothing wrong in them: media both ways, changes that succeed, callers that give up.

They last as long as those in which something is to be missed.
"""

from __future__ import annotations

from typing import Final

from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO, AUDIO_BOTH_WAYS
from tests.integration.calls.planted import Plant, World, planting
from tests.integration.calls.plants import BERLIN, answered, called, device, hung_up, taken
from tests.integration.calls.plants_media import talking
from tests.integration.calls.stage import ALICE, BOB
from tests.lab.subscribers import REALM
from tests.peers.aiortc_wic import AiortcMedia
from tests.peers.core_script import CoreScript, answers, early_media, forks, rejects
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.digest import Challenge, Credentials, challenge_to_text
from tests.peers.sdp import offer_again, sdp_from_text
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import TextMedia

PLANTS: Final[dict[str, Plant]] = {}
plants = planting(PLANTS)


@plants("one-way lines, both speak")
async def one_way_lines(world: World) -> str:
    phone = world.phone()
    call, _ = await talking(world, phone)
    phone.start_tone()
    return call.call_id


@plants("one line, both speak")
async def both_ways(world: World) -> str:
    phone, media = world.phone(), AiortcMedia()
    call, _ = await talking(world, phone, media, offer=await media.offer(audio="sendrecv"))
    phone.start_tone()
    return call.call_id


@plants("audio and video")
async def video(world: World) -> str:
    phone, camera, media = world.phone(), world.phone(), AiortcMedia()
    offer = await media.offer(video="sendonly", video_codec="VP8")
    call, _ = await talking(world, phone, media, video_port=camera.port, offer=offer)
    invite = device(world, call).invite
    camera.send_to_sdp(invite.body, "video")
    number = sdp_from_text(invite.body).section("video").payload_type("VP8")
    assert number is not None
    phone.start_tone()
    camera.start_video("VP8", number)
    return call.call_id


@plants("the page hears an announcement only")
async def announcement(world: World) -> str:
    phone = world.phone()
    world.stage.core.script = answers(DeviceMedia(audio_port=phone.port, direction="sendonly"))
    page = await world.real_page()
    call, _ = await page.dial(BOB)
    await call.wait_answer(timeout_s=10)
    phone.send_to_sdp(device(world, call).invite.body)
    phone.start_tone()
    world.later.append(call.bye)
    return call.call_id


def _towards_page(name: str, *, late: bool = False) -> None:
    @plants(name)
    async def plant(world: World) -> str:
        phone, page = world.phone(), await world.real_page()
        media = DeviceMedia(audio_port=phone.port)
        how = {"sdp": ""} if late else {}
        call = await incoming.answered(world.stage, page, ALICE, media=media, **how)
        phone.send_to_sdp((await call.ims.wait_status(200)).body)
        phone.start_tone()
        world.later.append(call.ims.bye)
        return call.call_id


_towards_page("a page is called")
_towards_page("a page is called without an offer", late=True)


def _scripted(name: str, script: CoreScript, offer: str = AUDIO, **how: str) -> None:
    @plants(name)
    async def plant(world: World) -> str:
        world.stage.core.script = script
        return await hung_up(await answered(world, offer, **how))


_scripted("early media, reliable", early_media())
_scripted("early media, unreliable", early_media(reliable=False))
_scripted("video that both have", answers(DeviceMedia(video="VP8")), AUDIO_AND_VIDEO)
_scripted("a page without UPDATE", answers(), AUDIO_BOTH_WAYS, allow="INVITE, ACK, BYE, CANCEL, PRACK")


@plants("the core challenges the page, which answers")
async def challenged(world: World) -> str:
    core, stage = world.stage.core, world.stage
    challenge = challenge_to_text(Challenge(REALM, "0123456789abcdef"))
    core.script = rejects(407, ("Proxy-Authenticate", challenge), ringing=False)
    secret = Credentials(f"alice@{REALM}", "secret-alice")
    page = await stage.join(ScriptedWic(stage.handshake, WicIdentity(ALICE, credentials=secret)))
    wic = await page.invite(BOB, AUDIO_BOTH_WAYS)
    while (await core.wait_call()).invite.call_id != wic.call_id:
        pass
    core.script = answers()
    return await hung_up(await taken(world, wic))


@plants("devices of the callee that fork")
async def forked(world: World) -> str:
    world.stage.core.script = forks()
    call = await called(world)
    await call.wait_answer()
    await call.bye()
    return call.call_id


@plants("hold and resume by the core")
async def held_by_core(world: World) -> str:
    world.stage.core.script = answers()
    call = await answered(world)
    for version, direction in enumerate(("sendonly", "sendrecv", "inactive", "sendrecv"), 2):
        offer = device_offer(DeviceMedia(version=version, direction=direction))
        assert (await call.ims.reinvite(offer)).status == 200
    return await hung_up(call)


@plants("hold and resume by the page")
async def held_by_page(world: World) -> str:
    world.stage.core.script = answers()
    call = await answered(world, AUDIO_BOTH_WAYS)
    assert isinstance(call.wic.media, TextMedia)
    for direction in ("sendonly", "sendrecv"):
        offer = offer_again(call.wic.media.local, {"0": direction})
        answer = await call.wic.reinvite(offer)
        assert answer.status == 200
        await call.wic.media.answer_received(answer.body)
    return await hung_up(call)


@plants("by a trunk")
async def by_trunk(world: World) -> str:
    world.carriers.do(answers())
    call = await called(world, BERLIN, AUDIO_BOTH_WAYS)
    await call.wait_answer()
    await call.bye()
    return call.call_id


@plants("given up while it rings")
async def given_up(world: World) -> str:
    call = await incoming.ringing(world.stage, await world.own_page())
    call.ims.cancel()
    await call.ims.wait_status(487)
    return call.call_id
