"""Calls of the page, one function for each kind.

Each plays one call to its end and raises AssertionError when an end hears anything else than it should.
"""

from __future__ import annotations

import asyncio

from tests.bench.mixed.play import PATIENCE_S, Play
from tests.integration.calls.offers import (
    AUDIO,
    AUDIO_AND_VIDEO,
    AUDIO_AND_VIDEO_BOTH_WAYS,
    AUDIO_BOTH_WAYS,
    without_codecs_in_common,
)
from tests.integration.calls.stage import Call
from tests.peers.call_plan import (
    ANSWERED,
    IGNORED,
    CallPlan,
    OfferReply,
    Step,
    cancel_and_go_on,
    cancel_instead,
    drop_socket,
    hang_up_instead,
    refused,
    reset_socket,
)
from tests.peers.core_script import (
    CoreScript,
    UntilCancelled,
    answers,
    answers_twice,
    crosses_cancel,
    early_media,
    forks,
    rejects,
    rings_for_ever,
    silent,
)
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import response_to
from tests.peers.wic_call import OutgoingCall

TRYING_ONLY = CoreScript((UntilCancelled(),))
SET_UP_STEPS = (Step.RELIABLE_RECEIVED, Step.PRACK_SENT, Step.UPDATE_RECEIVED)
ONLY_200 = "outbound"
NO_MEDIA = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\n"


async def one_way(play: Play) -> None:
    """Answer, then UPDATE."""
    call = await play.answered()
    await play.works(call)
    await play.hang_up(call)


async def two_way(play: Play) -> None:
    """A stock client with 100rel."""
    call = await play.answered(offer=AUDIO_BOTH_WAYS)
    await play.works(call)
    await play.hang_up(call)


async def two_way_unreliable(play: Play) -> None:
    """A stock client without 100rel."""
    call = await play.answered(offer=AUDIO_BOTH_WAYS, supported=ONLY_200)
    await play.works(call)
    await play.hang_up(call)


async def with_video(play: Play) -> None:
    """Audio and video, with either codec or without video at the far end."""
    codec = play.random.choice(["VP8", "H264", None])
    offer = play.random.choice([AUDIO_AND_VIDEO, AUDIO_AND_VIDEO_BOTH_WAYS])
    call = await play.answered(answers(DeviceMedia(video=codec)), offer)
    await play.hang_up(call)


async def with_early_media(play: Play) -> None:
    """183 with a description, reliable or not."""
    call = await play.answered(early_media(reliable=play.random.random() < 0.5))
    await play.works(call)
    await play.hang_up(call)


async def refreshed(play: Play) -> None:
    """A refresh without an offer from both ends."""
    call = await play.answered()
    assert (await call.wic.update()).status == 200
    assert (await call.ims.update()).status == 200
    await play.hang_up(call)


async def refused_by_core(play: Play) -> None:
    """Busy, declined, not found ... and 503, which is 500 behind a proxy."""
    status = play.random.choice([302, 400, 404, 480, 486, 488, 500, 503, 600, 603])
    contact = (("Contact", "<sip:elsewhere@ims.test>"),) if status == 302 else ()
    wic = await play.dial(rejects(status, *contact, ringing=play.random.random() < 0.5))
    await play.refused(wic, 500 if status == 503 else status)


async def cancelled_in_set_up(play: Play) -> None:
    """CANCEL before the core knows."""
    step = play.random.choice((Step.INVITE_SENT, *SET_UP_STEPS))
    wic = await play.dial(plan=CallPlan(hooks={step: cancel_instead}))
    await play.refused(wic, 487)
    assert not play.stage.core_knows(wic.call_id)


async def cancelled_while_ringing(play: Play) -> None:
    """CANCEL after 180, or after 100."""
    wic = await play.dial(play.random.choice([rings_for_ever(), TRYING_ONLY]))
    ims = await play.far_end(wic)
    await wic.cancel()
    await play.refused(wic, 487)
    await ims.wait_request("CANCEL", timeout_s=PATIENCE_S)
    await ims.wait_request("ACK", timeout_s=PATIENCE_S)


async def bye_in_early_dialog(play: Play) -> None:
    """The caller ends the early dialog by BYE."""
    step = play.random.choice((*SET_UP_STEPS, Step.RINGING_RECEIVED))
    wic = await play.dial(rings_for_ever(), plan=CallPlan(hooks={step: hang_up_instead}))
    await play.refused(wic, 487)


async def answer_crosses_cancel(play: Play) -> None:
    """200 after the CANCEL: the page's to end."""
    plan = CallPlan(hooks={Step.RINGING_RECEIVED: cancel_and_go_on})
    call = await play.answered(crosses_cancel(), plan=plan)
    await play.hang_up(call)


async def no_prack(play: Play) -> None:
    """The page does not acknowledge our answer."""
    wic = await play.dial(plan=CallPlan(prack=False))
    await play.refused(wic, 504)


async def update_refused(play: Play) -> None:
    """The page refuses the added line for good."""
    status, heard = play.random.choice([(488, 488), (403, 488), (481, 481), (501, 500)])
    wic = await play.dial(plan=CallPlan(offer_replies=(refused(status),)))
    await play.refused(wic, heard)


async def update_ignored(play: Play) -> None:
    """The page does not answer the UPDATE."""
    await play.refused(await play.dial(plan=CallPlan(offer_replies=(IGNORED,))), 504)


async def update_tried_again(play: Play) -> None:
    """Glare, or a busy page: it takes the second one."""
    first = play.random.choice([refused(491), refused(500, ("Retry-After", "0"))])
    call = await play.answered(plan=CallPlan(offer_replies=(first, ANSWERED)))
    await play.hang_up(call)


async def bad_answer_to_update(play: Play) -> None:
    """Fewer lines, rubbish or nothing."""
    sdp = play.random.choice(["", "hello\r\n", AUDIO])
    wic = await play.dial(plan=CallPlan(offer_replies=(OfferReply(200, sdp=sdp),)))
    await play.refused(wic, 488)


async def bad_offer(play: Play) -> None:
    """Nothing in common, or no description at all."""
    offer = play.random.choice([without_codecs_in_common(AUDIO), "v=0\r\nrubbish\r\n", ""])
    await play.refused(await play.dial(offer=offer), 400, 488)


async def forked(play: Play) -> None:
    """Two devices ring reliably, one answers."""
    winner = play.random.choice("ab")
    wic = await play.dial(forks(winner=winner))
    await wic.wait_answer(PATIENCE_S)
    ims = await play.far_end(wic)
    await ims.wait_ack(fork=winner, timeout_s=PATIENCE_S)
    assert (await wic.bye()).status == 200
    await ims.wait_request("BYE", timeout_s=PATIENCE_S)


async def second_answer(play: Play) -> None:
    """Two devices answer: the second is hung up."""
    call = await play.answered(answers_twice())
    await call.ims.wait_ack(fork="b", timeout_s=PATIENCE_S)
    bye = await call.ims.wait_request("BYE", timeout_s=PATIENCE_S)
    assert bye.to_tag == call.ims.dialogs["b"].local_tag
    assert (await call.wic.bye()).status == 200
    await call.ims.wait_request("BYE", count=2, timeout_s=PATIENCE_S)


async def core_silent(play: Play) -> None:
    """Nothing at all comes back."""
    await play.refused(await play.dial(silent()), 504)


async def nobody_answers(play: Play) -> None:
    """It rings until the gateway gives up."""
    wic = await play.dial(rings_for_ever())
    await play.refused(wic, 480)
    await (await play.far_end(wic)).wait_request("CANCEL", timeout_s=PATIENCE_S)


async def bad_answer_of_core(play: Play) -> None:
    """Rubbish, nothing, or every medium refused in the 200: both sides are hung up."""
    sdp = play.random.choice(["hello\r\n", "", NO_MEDIA])
    wic = await play.dial(TRYING_ONLY)
    ims = await play.far_end(wic)
    ims.respond(180)
    dialog = ims.dialogs["a"]
    routes = [("Record-Route", route) for route in reversed(dialog.route_set_of_peer)]
    fields = [*routes, ("Contact", ims.contact)]
    ims.peer.send(response_to(ims.invite, 200, to_tag=dialog.local_tag, headers=fields, sdp=sdp), ims.gateway)
    await wic.wait_answer(PATIENCE_S)
    await wic.wait_request("BYE", timeout_s=PATIENCE_S)
    await ims.wait_request("BYE", timeout_s=PATIENCE_S)


async def bye_unknown_at_core(play: Play) -> None:
    """The core has lost the call: it says 481 to the BYE."""
    call = await play.answered()
    call.ims.statuses["BYE"] = 481
    assert (await call.wic.bye()).status in (200, 481)


async def lost_in_set_up(play: Play) -> None:
    """The socket dies before the core knows."""
    step = play.random.choice((Step.INVITE_SENT, *SET_UP_STEPS))
    await play.dial(plan=CallPlan(hooks={step: play.random.choice([reset_socket, drop_socket])}))
    await play.page.lost.wait()


async def lost_while_ringing(play: Play) -> None:
    """The socket dies while it rings: the core hears CANCEL."""
    hook = play.random.choice([reset_socket, drop_socket])
    wic = await play.dial(rings_for_ever(), plan=CallPlan(hooks={Step.RINGING_RECEIVED: hook}))
    ims = await play.far_end(wic)
    await ims.wait_request("CANCEL", timeout_s=PATIENCE_S)
    await ims.wait_request("ACK", timeout_s=PATIENCE_S)


async def lost_for_good(play: Play) -> None:
    """The socket dies in the call and does not come back in time: the core hears BYE."""
    call = await play.answered()
    play.page.lose()
    await call.ims.wait_request("BYE", timeout_s=PATIENCE_S)


async def lost_and_back(play: Play) -> None:
    """The socket dies in the call and comes back: it goes on."""
    call = await play.answered()
    play.page.lose()
    await play.come_back()
    await play.works(call)
    await play.hang_up(call)


async def relay_refuses(play: Play) -> None:
    """The relay does not answer: 503, and calls work again when it is back."""
    with play.stage.relay_asleep():
        await play.refused(await play.dial(), 503)
    while True:
        wic: OutgoingCall = await play.dial()
        final = await wic.wait_status(range(200, 700), timeout_s=PATIENCE_S)
        if final.status == 200:
            break
        assert final.status == 503, final.start_line
        await asyncio.sleep(0.5)
    ims = await play.far_end(wic)
    await ims.wait_ack(timeout_s=PATIENCE_S)
    await play.hang_up(Call(wic, ims))
