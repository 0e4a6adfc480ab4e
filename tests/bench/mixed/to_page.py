"""Calls to the page, one function for each kind.

Each plays one call to its end and raises AssertionError when an end hears anything else than it should.
"""

from __future__ import annotations

import re

from tests.bench.mixed.play import PATIENCE_S, Play
from tests.peers.call_plan import CallPlan
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.websocket import Loss


async def answered(play: Play) -> None:
    """Rings and is answered."""
    media = DeviceMedia(audio=play.random.choice(["PCMA", "PCMU", "opus", "AMR-WB"]))
    call = await play.talking(media=media)
    await play.works(call)
    await play.hang_up(call)


async def with_video(play: Play) -> None:
    """Audio and video."""
    call = await play.talking(media=DeviceMedia(video=play.random.choice(["VP8", "H264"])))
    await play.hang_up(call)


async def with_early_media(play: Play) -> None:
    """The page describes its media before it answers."""
    call = await play.called()
    sdp = await call.wic.media.answer_offer(call.wic.invite.body)
    await call.wic.respond(183, sdp=sdp)
    await call.ims.wait_status(183, timeout_s=PATIENCE_S)
    await call.wic.answer(sdp, timeout_s=PATIENCE_S)
    await play.works(call)
    await play.hang_up(call)


async def rings_reliably(play: Play) -> None:
    """The page's 180 is reliable."""
    call = await play.called()
    await call.wic.respond(180, headers=[("Require", "100rel"), ("RSeq", "17")])
    await call.wic.wait_request("PRACK", timeout_s=PATIENCE_S)
    await call.wic.answer(timeout_s=PATIENCE_S)
    await play.hang_up(call)


async def late_offer(play: Play) -> None:
    """We offer both sides, the core's ACK answers."""
    call = await play.called(sdp="")
    await call.wic.ring()
    await call.wic.answer(timeout_s=PATIENCE_S)
    await play.works(call)
    await play.hang_up(call)


async def refused_by_page(play: Play) -> None:
    """Busy, declined, not found."""
    call = await (play.ringing() if play.random.random() < 0.5 else play.called())
    status = play.random.choice([404, 480, 486, 600, 603])
    await call.wic.respond(status)
    await call.ims.wait_status(status, timeout_s=PATIENCE_S)


async def cancelled(play: Play) -> None:
    """The caller gives up while it rings, or before."""
    call = await (play.ringing() if play.random.random() < 0.5 else play.called())
    call.ims.cancel()
    await call.wic.wait_request("CANCEL", timeout_s=PATIENCE_S)
    await call.ims.wait_status(487, timeout_s=PATIENCE_S)


async def answer_crosses_cancel(play: Play) -> None:
    """The page answers while the caller gives up: the call stands."""
    call = await play.ringing()
    await call.wic.respond(200, sdp=await call.wic.media.answer_offer(call.wic.invite.body))
    call.ims.cancel()
    final = await call.ims.wait_status(range(200, 700), timeout_s=PATIENCE_S)
    if final.status == 200:
        await call.wic.wait_request("ACK", timeout_s=PATIENCE_S)
        await play.hang_up(call)


async def nobody_answers(play: Play) -> None:
    """It rings until the gateway gives up."""
    call = await play.ringing()
    await call.ims.wait_status(480, timeout_s=PATIENCE_S)
    await call.wic.wait_request("CANCEL", timeout_s=PATIENCE_S)


async def page_silent(play: Play) -> None:
    """The page does not even say 100."""
    play.page.plan = CallPlan(trying=False)
    call = await play.called()
    await call.ims.wait_status(408, timeout_s=PATIENCE_S)


async def bad_answer_of_page(play: Play) -> None:
    """Rubbish, nothing, or every medium refused in the 200: both sides end."""
    call = await play.ringing()
    good = await call.wic.media.answer_offer(call.wic.invite.body)
    sdp = play.random.choice(["", "v=0\r\nrubbish\r\n", re.sub(r"m=audio \d+", "m=audio 0", good)])
    await call.wic.respond(200, sdp=sdp)
    await call.ims.wait_status(range(488, 503), timeout_s=PATIENCE_S)
    await call.wic.wait_request("BYE", timeout_s=PATIENCE_S)


async def bad_offer_of_core(play: Play) -> None:
    """Nothing a page could take: it never hears of it."""
    good = device_offer(DeviceMedia())
    sdp = play.random.choice([good.replace("RTP/AVP", "RTP/SAVP"), "v=0\r\nnonsense\r\n"])
    ims = play.stage.core.call(play.aor, sdp=sdp)
    play.call_ids.append(ims.call_id)
    await ims.wait_status(range(400, 489), timeout_s=PATIENCE_S)


async def lost_before_answer(play: Play) -> None:
    """The socket dies before the page answers: the core hears it at once."""
    call = await (play.ringing() if play.random.random() < 0.5 else play.called())
    play.page.lose(play.random.choice(list(Loss)))
    await call.ims.wait_status(430, timeout_s=PATIENCE_S)


async def lost_for_good(play: Play) -> None:
    """The socket dies in the call and does not come back in time: the core hears BYE."""
    call = await play.talking()
    play.page.lose(play.random.choice(list(Loss)))
    await call.ims.wait_request("BYE", timeout_s=PATIENCE_S)


async def lost_and_back(play: Play) -> None:
    """The socket dies in the call and comes back: it goes on."""
    call = await play.talking()
    play.page.lose(Loss.RESET)
    await play.come_back()
    await play.works(call)
    await play.hang_up(call)


async def page_gone(play: Play) -> None:
    """The page is away when it is called."""
    play.page.lose(play.random.choice(list(Loss)))
    await play.page.lost.wait()
    ims = play.stage.core.call(play.aor)
    play.call_ids.append(ims.call_id)
    await ims.wait_status(430, timeout_s=PATIENCE_S)
