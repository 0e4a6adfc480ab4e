"""Calls that change while they run, one function for each kind.

Each plays one call to its end and raises AssertionError when an end hears anything else than it should.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.bench.mixed.play import PATIENCE_S, PageCall, Play
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import Call
from tests.peers.call_plan import ANSWERED, CallPlan, OfferReply, refused
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.sdp import offer_again, sdp_from_text
from tests.peers.sip import SipResponse
from tests.peers.wic_call import TextMedia

DEVICE: Final = DeviceMedia()
NEEDS: Final = "a=curr:qos local {}\r\na=curr:qos remote none\r\na=des:qos mandatory local sendrecv\r\n"
REFUSALS: Final = (405, 488, 491, 500, 603)


async def held_by_the_page(play: Play) -> None:
    """Hold and resume, by re-INVITE or UPDATE, of a call in either direction."""
    if play.random.random() < 0.5:
        call: Call | PageCall = await play.answered(offer=AUDIO_BOTH_WAYS)
    else:
        call = await play.talking()
    (mid,) = [line.attribute("mid") or "" for line in sdp_from_text(_local(call)).media]
    for direction, answered in (("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
        response = await _change(play, call, {mid: direction})
        assert _directions(response) == [answered]
    await play.works(call)
    await play.hang_up(call)


async def held_by_the_far_end(play: Play) -> None:
    """The same from the core, with one-way lines at the page."""
    call = await play.answered()
    for direction, answered in (("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
        offer = device_offer(replace(DEVICE, version=5, direction=direction))
        response = await call.ims.ask(play.random.choice(["INVITE", "UPDATE"]), sdp=offer)
        assert _directions(response) == [answered]
    await play.hang_up(call)


async def moved_by_the_far_end(play: Play) -> None:
    """Another address and codec; the page hears nothing of it."""
    call = await play.answered()
    offer = device_offer(
        replace(DEVICE, version=5, audio=play.random.choice(["PCMU", "AMR-WB"]), audio_port=40300)
    )
    assert _directions(await call.ims.reinvite(offer)) == ["sendrecv"]
    await play.works(call)
    await play.hang_up(call)


async def video_comes_and_goes(play: Play) -> None:
    """The far end adds its camera and takes it back."""
    call = await play.answered(offer=play.random.choice([AUDIO, AUDIO_BOTH_WAYS]))
    offer = device_offer(replace(DEVICE, version=5, video="VP8"))
    added = await call.ims.reinvite(offer)
    assert _ports(added) == [True, True], added.body
    removed = await call.ims.reinvite(offer.replace("m=video 40002", "m=video 0"))
    assert _ports(removed) == [True, False], removed.body
    await play.works(call)
    await play.hang_up(call)


async def page_restarts_ice(play: Play) -> None:
    """New credentials: the relay alone answers."""
    call = await play.answered(offer=AUDIO_BOTH_WAYS)
    offer = offer_again(_local(call), ice="restarted")
    assert _directions(await call.wic.reinvite(offer)) == ["sendrecv"]
    await play.works(call)
    await play.hang_up(call)


async def offers_without_description(play: Play) -> None:
    """A re-INVITE of the core that asks for our offer."""
    call = await play.answered()
    assert _directions(await call.ims.reinvite("")) == ["sendrecv"]
    await play.works(call)
    await play.hang_up(call)


async def change_refused_by_the_core(play: Play) -> None:
    """The page hears it, and its call is as it was."""
    call = await play.answered(offer=AUDIO_BOTH_WAYS)
    status = play.random.choice(REFUSALS)
    call.ims.statuses["INVITE"] = status
    response = await call.wic.reinvite(offer_again(_local(call), {"0": "sendonly"}))
    assert response.status == status
    call.ims.statuses.clear()
    await play.works(call)
    await play.hang_up(call)


async def change_refused_by_the_page(play: Play) -> None:
    """The far end hears it, and its call is as it was."""
    offer = device_offer(replace(DEVICE, version=5, video="VP8"))
    call = await play.answered(offer=AUDIO_BOTH_WAYS, plan=CallPlan(offer_replies=[refused(488), ANSWERED]))
    response = await call.ims.reinvite(offer)
    assert response.status == 488
    await play.works(call)
    await play.hang_up(call)


async def changes_cross(play: Play) -> None:
    """The page is asked when it asks: one of the two hears 491, and comes again."""
    call = await play.answered(plan=CallPlan(offer_replies=[ANSWERED, OfferReply(status=491), ANSWERED]))
    offer = device_offer(replace(DEVICE, version=5, direction="sendonly"))
    assert (await call.ims.reinvite(offer)).status == 491
    assert _directions(await call.ims.reinvite(offer)) == ["recvonly"]
    await play.hang_up(call)


async def bad_change(play: Play) -> None:
    """An offer nobody can take, from either end."""
    call = await play.answered(offer=AUDIO_BOTH_WAYS)
    if play.random.random() < 0.5:
        bad = device_offer(replace(DEVICE, version=5)).replace("m=audio", "m=video")
        assert (await call.ims.reinvite(bad)).status == 488
    else:
        bad = offer_again(_local(call)).replace("m=audio", "m=video")
        assert (await call.wic.reinvite(bad)).status == 488
    await play.works(call)
    await play.hang_up(call)


async def transferred(play: Play) -> None:
    """REFER from either end, its progress, and the end of the call."""
    call = await play.answered()
    fields = [("Refer-To", f"<sip:other@{play.aor.partition('@')[2]}>")]
    if play.random.random() < 0.5:
        call.ims.statuses["REFER"] = 202
        request = call.wic.request("REFER", headers=[("Contact", call.wic.line.contact), *fields])
        assert (await call.wic.ask(request)).status == 202
        await call.ims.wait_request("REFER", timeout_s=PATIENCE_S)
        await play.hang_up(call)
        report = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]
        assert (await call.ims.ask("NOTIFY", headers=report)).status == 200
    else:
        response = await call.ims.ask("REFER", headers=[("Contact", call.ims.contact), *fields])
        assert response.status in (200, 202)
        await call.wic.wait_request("REFER", timeout_s=PATIENCE_S)
        report = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]
        assert (await call.wic.ask(call.wic.request("NOTIFY", headers=report))).status == 200
        await play.hang_up(call)


async def waits_for_resources(play: Play) -> None:
    """Preconditions: the page rings when the caller has its resources; some callers give up before."""
    required = [("Require", "precondition")]
    call = play.stage.core.call(play.aor, sdp=_needing("none", 1), headers=required)
    play.call_ids.append(call.call_id)
    early = await call.wait_status(183, timeout_s=PATIENCE_S)
    assert "precondition" in early.option_tags("Require")
    await call.trace.wait_response(200, "PRACK", call_id=call.call_id, timeout_s=PATIENCE_S)
    if play.random.random() < 0.3:
        call.cancel()
        await call.wait_status(487, timeout_s=PATIENCE_S)
        return
    assert (await call.update(_needing("sendrecv", 2))).status == 200
    both = PageCall(await play.page.wait_incoming(PATIENCE_S), call)
    await both.wic.ring()
    await both.wic.answer(timeout_s=PATIENCE_S)
    await play.works(both)
    await play.hang_up(both)


def _needing(current: str, version: int) -> str:
    head, video, rest = device_offer(replace(DEVICE, version=version)).partition("m=video")
    return head + NEEDS.format(current) + video + rest


async def _change(play: Play, call: Call | PageCall, directions: dict[str, str]) -> SipResponse:
    """Offer the page's lines again with these directions."""
    offer = offer_again(_local(call), directions)
    by_update = play.random.random() < 0.5
    response = await (call.wic.update(offer) if by_update else call.wic.reinvite(offer))
    assert isinstance(call.wic.media, TextMedia)
    call.wic.media.local = offer
    return response


def _local(call: Call | PageCall) -> str:
    assert isinstance(call.wic.media, TextMedia)
    return call.wic.media.local


def _directions(response: SipResponse) -> list[str]:
    assert response.status == 200, response.start_line
    return [line.direction for line in sdp_from_text(response.body).media if line.port]


def _ports(response: SipResponse) -> list[bool]:
    assert response.status == 200, response.start_line
    return [bool(line.port) for line in sdp_from_text(response.body).media]
