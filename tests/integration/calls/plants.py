"""Faults of signalling, of descriptions and of the way, each planted into a real call.

A plant returns the Call-ID of its call, which is over soon.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final

from tests.integration.calls import incoming
from tests.integration.calls.offers import (
    AUDIO,
    AUDIO_AND_VIDEO,
    AUDIO_BOTH_WAYS,
    sample,
    with_replaced,
    without_codecs_in_common,
    without_lines,
)
from tests.integration.calls.outbound_site import answered as answered_by_carrier
from tests.integration.calls.planted import SECRET, Plant, World, planting
from tests.integration.calls.stage import ALICE, BOB, Call, until
from tests.integration.calls.test_core_trouble import answer_with
from tests.integration.trust.issuers import bearer, register, token_for
from tests.peers.call_plan import IGNORED, CallPlan, OfferReply, Step, refused, reset_socket
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import (
    CoreScript,
    Provisional,
    UntilCancelled,
    answers,
    rejects,
    rings_for_ever,
    silent,
)
from tests.peers.core_script import Final as Final_
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.digest import Credentials
from tests.peers.sip import SipResponse
from tests.peers.wic_call import OutgoingCall

PLANTS: Final[dict[str, Plant]] = {}
BERLIN: Final = "tel:+493012345678"
MADRID: Final = "tel:+34912345678"
MOBILE: Final = "tel:+4915112345678"
FINAL: Final = range(300, 700)


plants = planting(PLANTS)


async def called(world: World, target: str = BOB, offer: str = AUDIO, **how: Any) -> OutgoingCall:
    """Let the shared page call."""
    return await world.page.invite(target, offer, **how)


async def over(call: OutgoingCall, timeout_s: float = 30.0) -> str:
    """Wait until a call is refused and return its Call-ID."""
    response: SipResponse = await call.wait_status(FINAL, timeout_s=timeout_s)
    return response.call_id


async def answered(world: World, offer: str = AUDIO, **how: Any) -> Call:
    """Let the shared page call and be answered."""
    return await taken(world, await called(world, offer=offer, **how))


async def taken(world: World, wic: OutgoingCall) -> Call:
    """Wait until a call is answered by the core."""
    await wic.wait_answer()
    call = Call(wic, device(world, wic))
    await call.ims.wait_ack()
    return call


def device(world: World, wic: OutgoingCall) -> CalledDevice:
    """Return the core's side of a call that has got there."""
    ims = world.stage.core.calls[wic.call_id]
    assert isinstance(ims, CalledDevice)
    return ims


async def hung_up(call: Call) -> str:
    """End a call and return its Call-ID."""
    await call.hang_up()
    return call.call_id


# ------------------------------------------------------------ who refuses, or says nothing


def _rejected(code: str, status: int, *, ringing: bool = False) -> None:
    @plants(code)
    async def plant(world: World) -> str:
        world.stage.core.script = rejects(status, ringing=ringing)
        return await over(await called(world))


_rejected("busy", 486, ringing=True)
_rejected("declined", 603, ringing=True)
_rejected("nobody-answered", 480, ringing=True)
_rejected("callee-not-reachable", 404)
_rejected("refused", 403)
_rejected("core-unavailable", 503)
_rejected("precondition-failed", 580)


@plants("core-does-not-answer")
@plants("request-too-large")
async def core_silent(world: World) -> str:
    world.stage.core.script = silent()
    return await over(await called(world))


@plants("no-prack")
async def no_prack(world: World) -> str:
    return await over(await called(world, plan=CallPlan(prack=False)))


@plants("update-refused")
async def update_refused(world: World) -> str:
    return await over(await called(world, plan=CallPlan(offer_replies=(refused(488),))))


@plants("update-unanswered")
async def update_unanswered(world: World) -> str:
    return await over(await called(world, plan=CallPlan(offer_replies=(IGNORED,))))


@plants("glare-unsolved")
async def glare_unsolved(world: World) -> str:
    busy = refused(491, ("Retry-After", "0"))
    return await over(await called(world, plan=CallPlan(offer_replies=(busy,))))


@plants("malformed-request")
async def malformed(world: World) -> str:
    return await over(await called(world, offer=with_replaced(AUDIO, r"^m=audio \d+ ", "m=audio x ")))


@plants("extension-required")
async def extension(world: World) -> str:
    return await over(await called(world, headers=[("Require", "privacy-of-mars")]))


@plants("cancelled")
async def cancelled(world: World) -> str:
    world.stage.core.script = rings_for_ever()
    call = await called(world)
    await call.wait_status(180)
    await call.cancel()
    return await over(call)


@plants("page-without-100rel")
async def no_100rel(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    return await hung_up(await answered(world, supported="outbound"))


@plants("forked-early-media")
async def forked(world: World) -> str:
    world.stage.core.script = CoreScript(
        (
            Provisional(183, True, DeviceMedia(), "a"),
            Provisional(183, True, DeviceMedia(), "b"),
            Final_(200, None, "b"),
        )
    )
    wic = await called(world)
    await wic.wait_answer()
    await wic.bye()
    return wic.call_id


@plants("change-refused")
async def change_refused(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    offer = device_offer(DeviceMedia(version=2)).replace("RTP/AVP", "UDP/TLS/RTP/SAVP")
    assert (await call.ims.reinvite(offer)).status == 488
    return await hung_up(call)


@plants("change-collided")
async def collided(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world, plan=CallPlan(offer_replies=(OfferReply(), refused(491), OfferReply())))
    assert (await call.ims.reinvite(device_offer(DeviceMedia(version=2, direction="sendonly")))).status == 491
    assert (await call.ims.reinvite(device_offer(DeviceMedia(version=3)))).status == 200
    return await hung_up(call)


@plants("page-connection-lost")
async def connection_lost(world: World) -> str:
    page = await world.own_page()
    call = await page.invite(BOB, AUDIO, plan=CallPlan(hooks={Step.UPDATE_RECEIVED: reset_socket}))
    await page.lost.wait()
    return call.call_id


@plants("page-came-back")
async def came_back(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    page = await world.own_page()
    call = await taken(world, await page.invite(BOB, AUDIO))
    page.lose()
    await page.lost.wait()
    await world.stage.logged(call.call_id, "event=flow_lost")
    await page.connect()
    assert (await page.register()).status == 200
    return await hung_up(call)


@plants("ice-restart-refused")
async def restart_refused(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    page = await world.own_page()
    plan = CallPlan(offer_replies=(OfferReply(), refused(488)))
    call = await taken(world, await page.invite(BOB, AUDIO, plan=plan))
    page.lose()
    await page.lost.wait()
    await page.connect()
    assert (await page.register()).status == 200
    await world.stage.logged(call.call_id, "event=ice_restart_refused")
    await call.wic.wait_request("BYE")
    return call.call_id


# ------------------------------------------------------------ calls towards a page


@plants("answered-elsewhere")
async def elsewhere(world: World) -> str:
    call = await incoming.ringing(world.stage, await world.own_page())
    call.ims.cancel([("Reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    await call.ims.wait_status(487)
    return call.call_id


@plants("called-page-gone")
async def page_gone(world: World) -> str:
    page = await world.own_page()
    flows = len(world.stage.lab.gateway_rpc.htable("flow"))
    page.lose()
    await page.lost.wait()
    await until(
        lambda: len(world.stage.lab.gateway_rpc.htable("flow")) < flows, lambda: "the flow stays", 15.0
    )
    ims = world.stage.core.call(ALICE)
    await ims.wait_status(430)
    return ims.call_id


@plants("page-does-not-answer")
async def page_silent(world: World) -> str:
    page = await world.own_page()
    page.plan = CallPlan(trying=False)
    ims = world.stage.core.call(ALICE)
    await page.wait_incoming()
    await ims.wait_status(408)
    return ims.call_id


@plants("late-offer-unanswered")
async def late_offer(world: World) -> str:
    page = await world.own_page()
    ims = world.stage.core.call(ALICE, sdp="")
    ims.says_nothing = True
    wic = await page.wait_incoming()
    await wic.answer()
    await ims.wait_request("BYE")
    return ims.call_id


@plants("registration-ended")
async def registration_ended(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    page = await world.own_page()
    call = await taken(world, await page.invite(BOB, AUDIO))
    await page.unregister()
    await call.ims.wait_request("BYE")
    return call.call_id


# ------------------------------------------------------------ the way


@plants("emergency-refused")
async def emergency(world: World) -> str:
    return await over(await called(world, "urn:service:sos"))


@plants("page-not-registered")
async def not_registered(world: World) -> str:
    page = await world.stage.page(registered=False)
    return await over(await page.invite(BOB, AUDIO))


@plants("ended-by-operator")
async def by_operator(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    world.control("POST", "/v1/calls/end", {"call_id": call.call_id, "why": "node in repair"})
    await call.wic.wait_request("BYE")
    return call.call_id


@plants("limit-reached")
async def limit(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    wic = await called(world, MOBILE)
    await wic.wait_answer()
    await wic.bye()
    return await over(await called(world, MOBILE))


def _not_sent(code: str, target: str) -> None:
    @plants(code)
    async def plant(world: World) -> str:
        return await over(await called(world, target))


@plants("token-refused")
async def token(world: World) -> str:
    page = await world.stage.page(registered=False)
    assert (await register(page, token_for())).status == 200
    return await over(await page.invite(BOB, AUDIO, headers=bearer(token_for(exp=int(time.time()) - 5))))


_not_sent("not-permitted", "tel:+12125550123")
_not_sent("route-refuses", "tel:+4312345678")
_not_sent("no-route", "tel:+81312345678")
_not_sent("bad-number", "tel:+999123456789")


@plants("trunks-exhausted")
async def trunks_exhausted(world: World) -> str:
    world.carriers.do(rejects(503, ringing=False))
    return await over(await called(world, BERLIN))


@plants("failed-over")
async def failed_over(world: World) -> str:
    world.carriers.do(rejects(503, ringing=False), answers(DeviceMedia()))
    return await hung_up(await answered_by_carrier(world.stage, world.carriers.spare, BERLIN))


@plants("trunk-full")
async def trunk_full(world: World) -> str:
    world.carriers.do(answers(DeviceMedia()))
    first = await answered_by_carrier(world.stage, world.carriers.first, MADRID)
    name = await over(await called(world, MADRID))
    await first.hang_up()
    return name


@plants("trunk-redirects")
async def redirected(world: World) -> str:
    world.carriers.do(rejects(302, ("Contact", "<sip:+882990000001@two.example>"), ringing=False))
    return await over(await called(world, BERLIN))


@plants("trunk-credentials")
async def credentials(world: World) -> str:
    world.carriers.do(answers(DeviceMedia()))
    world.carriers.first.credentials = Credentials(SECRET.username, "another")
    name = await over(await called(world, BERLIN))
    world.carriers.first.credentials = None
    return name


# ------------------------------------------------------------ descriptions


@plants("no-common-codec")
async def no_codec(world: World) -> str:
    return await over(await called(world, offer=without_codecs_in_common(AUDIO)))


@plants("description-refused")
async def no_ice(world: World) -> str:
    return await over(await called(world, offer=without_lines(AUDIO, "a=ice-ufrag")))


@plants("answer-unusable")
async def unusable(world: World) -> str:
    world.stage.core.script = CoreScript((UntilCancelled(),))
    wic = await called(world)
    await until(lambda: world.stage.core_knows(wic.call_id), lambda: "the core was not asked", 15)
    ims = device(world, wic)
    answer = device_offer(DeviceMedia()).replace("PCMA/8000", "iLBC/8000")
    await answer_with(wic, ims, 183, answer)
    return await over(wic)


@plants("inactive-from-the-start")
async def inactive(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia(direction="inactive"))
    return await hung_up(await answered(world))


@plants("video-dropped")
async def video_dropped(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    offer = re.sub(r"(a=rtpmap:\d+ )(?:VP8|H264)/", r"\1AV1/", AUDIO_AND_VIDEO)
    return await hung_up(await answered(world, offer))


@plants("video-declined")
async def video_declined(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia(video=None))
    return await hung_up(await answered(world, AUDIO_AND_VIDEO))


@plants("lines-left-out")
async def lines_left_out(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    return await hung_up(await answered(world, sample("chromium-156-audio-and-datachannel")))


@plants("held")
async def held(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia())
    call = await answered(world)
    assert (await call.ims.reinvite(device_offer(DeviceMedia(version=2, direction="sendonly")))).status == 200
    return await hung_up(call)


@plants("one-way-session")
async def one_way(world: World) -> str:
    world.stage.core.script = answers(DeviceMedia(direction="recvonly"))
    return await hung_up(await answered(world, AUDIO_BOTH_WAYS))
