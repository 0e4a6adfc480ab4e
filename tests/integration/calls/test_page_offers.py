"""A page changes a running session: what the core hears of it, what the page is answered, and what a refusal leaves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.incoming import answered as answered_by_page
from tests.integration.calls.offers import (
    AUDIO,
    AUDIO_AND_VIDEO,
    AUDIO_BOTH_WAYS,
    with_replaced,
    without_codecs_in_common,
    without_lines,
)
from tests.integration.calls.stage import LONG_FOR_A_PAGE_S, Call, Stage, until, warning_of
from tests.peers.core_call import SILENT
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers
from tests.peers.device_sdp import DeviceMedia, device_answer, device_offer
from tests.peers.sdp import Sdp, offer_again, sdp_from_text, sdp_to_text
from tests.peers.sip import SipRequest, SipResponse
from tests.peers.trace import Direction
from tests.peers.wic_call import TextMedia

pytestmark = pytest.mark.lab

SENT_ONLY = {"0": "sendonly", "r0": "inactive"}
"""How a page with a line for each direction holds."""
NEW_ICE = "restarted"


def local(call: Call | PageCall) -> str:
    """Return the page's last description."""
    assert isinstance(call.wic.media, TextMedia)
    return call.wic.media.local


async def change(call: Call | PageCall, offer: str, method: str = "INVITE") -> SipResponse:
    """Offer something and, when it is taken, go on from there."""
    response = await (call.wic.update(offer) if method == "UPDATE" else call.wic.reinvite(offer))
    if response.status == 200:
        assert isinstance(call.wic.media, TextMedia)
        call.wic.media.local = offer
    return response


def directions(text: str) -> list[str]:
    """Return the direction of each m-line that is used; "off" for the others."""
    return [section.direction if section.port else "off" for section in sdp_from_text(text).media]


async def offers_at_core(call: Call | PageCall, method: str = "INVITE") -> list[Sdp]:
    """Return what the core has been offered inside the dialog."""
    return [sdp_from_text(request.body) for request in requests_at_core(call, method)]


def requests_at_core(call: Call | PageCall, method: str = "INVITE") -> list[SipRequest]:
    """Return the requests of a method that the core got inside the dialog."""
    messages = (entry.message for entry in call.ims.trace.entries if entry.direction is Direction.RECEIVED)
    return [
        message
        for message in messages
        if isinstance(message, SipRequest)
        and message.call_id == call.call_id
        and message.method == method
        and message is not call.ims.invite
    ]


async def still_works(call: Call) -> None:
    """An INFO passes both ways, and the page hangs up."""
    assert (await call.wic.info()).status == 200
    assert (await call.ims.info("text/plain", "still here")).status == 200
    await call.hang_up()


HOLDS = [
    pytest.param("sendonly", "recvonly", id="sendonly"),
    pytest.param("inactive", "inactive", id="inactive"),
    pytest.param("recvonly", "sendonly", id="recvonly"),
]


@pytest.mark.conformance("S-35")
class TestHold:
    """RFC 3264 §8.4, TS 24.610: hold and resume, whichever lines the page has."""

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    @pytest.mark.parametrize(("offered", "answered"), HOLDS)
    async def test_with_one_line(self, stage: Stage, offered: str, answered: str, method: str) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        first = sdp_from_text(call.ims.invite.body)
        held = await change(call, offer_again(local(call), {"0": offered}), method)
        assert (held.status, directions(held.body)) == (200, [answered])
        resumed = await change(call, offer_again(local(call), {"0": "sendrecv"}), method)
        assert (resumed.status, directions(resumed.body)) == (200, ["sendrecv"])
        hold, resume = await offers_at_core(call, method)
        assert [hold.media[0].direction, resume.media[0].direction] == [offered, "sendrecv"]
        # RFC 3264 §8: same lines, ports and payload types, next version
        assert hold.media[0].lines[:-1] == first.media[0].lines[:-1]
        versions = [int(sdp.session[1].split()[2]) for sdp in (first, hold, resume)]
        assert versions == [1, 2, 3]
        await still_works(call)

    async def test_with_a_line_for_each_direction(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        held = await change(call, offer_again(local(call), SENT_ONLY))
        assert (held.status, directions(held.body)) == (200, ["recvonly", "inactive"])
        silent = await change(call, offer_again(local(call), {"0": "inactive"}))
        assert (silent.status, directions(silent.body)) == (200, ["inactive", "inactive"])
        listening = await change(call, offer_again(local(call), {"r0": "recvonly"}))
        assert (listening.status, directions(listening.body)) == (200, ["inactive", "sendonly"])
        both = await change(call, offer_again(local(call), {"0": "sendonly"}))
        assert (both.status, directions(both.body)) == (200, ["recvonly", "sendonly"])
        assert sdp_from_text(both.body).bundle == ["0", "r0"]
        wanted = [sdp.media[0].direction for sdp in await offers_at_core(call)]
        assert wanted == ["sendonly", "inactive", "recvonly", "sendrecv"]
        await still_works(call)

    async def test_as_rfc_2543_had_it(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        zeros = with_replaced(local(call), r"^c=IN IP4 .*?(\r?)$", r"c=IN IP4 0.0.0.0\1")
        zeros = with_replaced(zeros, r"^m=audio \d+", "m=audio 40404")
        held = await change(call, offer_again(zeros))
        assert held.status == 200
        (hold,) = await offers_at_core(call)
        assert hold.media[0].direction == "sendonly"
        await still_works(call)

    async def test_the_far_end_holds_too(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.media = DeviceMedia(direction="sendonly", version=2)
        held = await change(call, offer_again(local(call), {"0": "sendonly"}))
        assert (held.status, directions(held.body)) == (200, ["recvonly"])
        resumed = await change(call, offer_again(local(call), {"0": "sendrecv"}))
        assert (resumed.status, directions(resumed.body)) == (200, ["sendonly"])  # it holds still
        call.ims.media = DeviceMedia(version=3)
        again = await change(call, offer_again(local(call), {"0": "sendrecv"}))
        assert again.status == 200
        await still_works(call)

    async def test_the_ack_goes_to_the_core_with_the_number_of_its_invite(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        await change(call, offer_again(local(call), {"0": "sendonly"}))
        (invite,) = requests_at_core(call)
        ack = await call.ims.wait_request("ACK", count=2)
        assert (ack.cseq.number, ack.to_tag) == (invite.cseq.number, invite.to_tag)
        assert not ack.has_sdp
        await still_works(call)

    async def test_of_a_page_that_was_called(self, stage: Stage) -> None:
        page = await stage.page()
        call = await answered_by_page(stage, page)
        held = await change(call, offer_again(local(call), {"0": "sendonly"}))
        assert (held.status, directions(held.body)) == (200, ["recvonly"])
        resumed = await change(call, offer_again(local(call), {"0": "sendrecv"}))
        assert (resumed.status, directions(resumed.body)) == (200, ["sendrecv"])
        wanted = [sdp.media[0].direction for sdp in await offers_at_core(call)]
        assert wanted == ["sendonly", "sendrecv"]
        await call.works()
        assert (await call.wic.bye()).status == 200


class TestAnsweredHere:
    """What changes nothing for the far end does not reach it."""

    @pytest.mark.parametrize(
        "offer", [pytest.param(AUDIO, id="one way"), pytest.param(AUDIO_BOTH_WAYS, id="both ways")]
    )
    async def test_an_ice_restart(self, stage: Stage, offer: str) -> None:
        call = await stage.answered(await stage.page(), offer)
        before = await call.wic.wait_status(183)
        renewed = await change(call, offer_again(local(call), ice=NEW_ICE))
        assert renewed.status == 200
        old, new = (sdp_from_text(text).media[0] for text in (before.body, renewed.body))
        assert old.attribute("ice-ufrag") != new.attribute("ice-ufrag")
        assert (old.port, old.attribute("fingerprint")) == (new.port, new.attribute("fingerprint"))
        assert all(section.attribute("setup") == "passive" for section in sdp_from_text(renewed.body).media)
        assert directions(renewed.body) == (["recvonly", "sendonly"] if offer == AUDIO else ["sendrecv"])
        assert not requests_at_core(call)
        await still_works(call)

    async def test_an_ice_restart_of_lines_with_a_transport_each(self, stage: Stage) -> None:
        stage.core.script = answers(DeviceMedia(video="VP8"))
        call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
        (update,) = [request for request in [await call.wic.wait_request("UPDATE")] if request.has_sdp]
        renewed = await change(call, offer_again(local(call), ice=NEW_ICE))
        assert (renewed.status, directions(renewed.body)) == (200, [*["recvonly"] * 2, *["sendonly"] * 2])
        old, new = sdp_from_text(update.body).media, sdp_from_text(renewed.body).media
        for before, after in zip(old, new, strict=True):
            assert before.port == after.port
            assert set(after.formats) <= set(before.formats)  # the far end has chosen meanwhile
            assert before.attribute("ice-ufrag") != after.attribute("ice-ufrag")
            assert after.attribute("setup") == "passive"
        assert not requests_at_core(call)
        held = await change(call, offer_again(local(call), {"r0": "inactive", "r1": "inactive"}))
        assert (held.status, directions(held.body)) == (200, ["recvonly", "recvonly", "inactive", "inactive"])
        await still_works(call)

    async def test_the_same_once_more(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        first = await change(call, offer_again(local(call)))
        second = await change(call, offer_again(local(call)), "UPDATE")
        assert (first.status, second.status) == (200, 200)
        one, two = sdp_from_text(first.body), sdp_from_text(second.body)
        assert one.media == two.media
        assert int(two.session[1].split()[2]) == int(one.session[1].split()[2]) + 1
        assert not requests_at_core(call)
        assert not requests_at_core(call, "UPDATE")
        await still_works(call)

    async def test_of_a_page_that_was_called(self, stage: Stage) -> None:
        call = await answered_by_page(stage, await stage.page())
        renewed = await change(call, offer_again(local(call), ice=NEW_ICE))
        assert (renewed.status, directions(renewed.body)) == (200, ["sendrecv"])
        assert not requests_at_core(call)
        await call.works()
        assert (await call.wic.bye()).status == 200

    @pytest.mark.parametrize(
        "offer", [pytest.param(AUDIO, id="one way"), pytest.param(AUDIO_BOTH_WAYS, id="both")]
    )
    async def test_without_a_description_the_page_gets_ours_and_answers_in_its_ack(
        self, stage: Stage, offer: str
    ) -> None:
        call = await stage.answered(await stage.page(), offer)
        assert isinstance(call.wic.media, TextMedia)
        told = call.wic.media.offers[-1] if offer == AUDIO else (await call.wic.wait_status(183)).body
        response = await call.wic.reinvite("")
        assert response.status == 200
        again = sdp_from_text(response.body)
        assert [s.lines[0] for s in again.media] == [s.lines[0] for s in sdp_from_text(told).media]
        assert {section.attribute("setup") for section in again.media} == {"actpass"}
        await stage.logged(call.call_id, "event=call_state_changed", "by=MediaGated", "wic=stable")
        assert not requests_at_core(call)
        assert (await change(call, offer_again(local(call), ice=NEW_ICE))).status == 200  # it is settled
        await still_works(call)

    async def test_a_bad_answer_in_the_ack_changes_nothing(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.wic.plan = call.wic.plan.__class__(ack=False)
        response = await call.wic.reinvite("")
        await call.wic.send(call.wic.request("ACK", cseq=response.cseq.number))
        await stage.logged(call.call_id, "event=page_answer_unusable")
        call.wic.plan = call.wic.plan.__class__()
        assert (await change(call, offer_again(local(call), {"0": "sendonly"}))).status == 200
        await still_works(call)


def _without_last_line(own: str) -> str:
    sdp = sdp_from_text(own)
    del sdp.media[-1]
    return sdp_to_text(sdp)


BAD_OFFERS = [
    pytest.param(_without_last_line, 400, "media lines", id="fewer lines"),
    pytest.param(
        lambda own: own.replace("m=audio", "m=video", 1), 488, "has become video", id="another kind"
    ),
    pytest.param(lambda own: own.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP"), 488, "uses RTP/SAVP", id="SDES"),
    pytest.param(lambda own: without_lines(own, "a=ice-ufrag"), 488, "no ICE credentials", id="no ICE"),
    pytest.param(lambda own: without_lines(own, "a=fingerprint"), 488, "no certificate", id="no certificate"),
    pytest.param(without_codecs_in_common, 488, "none of the codecs", id="no codec"),
    pytest.param(lambda own: own.replace("m=audio 9 ", "m=audio 0 "), 488, "no medium on", id="nothing left"),
    pytest.param(lambda own: without_lines(own, "a=group"), 488, "no BUNDLE group", id="no group any more"),
    pytest.param(lambda own: own.replace("a=mid:r0", "a=mid:0"), 400, "the mid", id="a mid twice"),
    pytest.param(lambda own: "v=0\r\n" + own, 400, "", id="broken"),
]


class TestRefusedHere:
    """RFC 3261 §14.2: an offer that cannot be taken gets the reason, and the session goes on."""

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    @pytest.mark.parametrize(("spoil", "status", "reason"), BAD_OFFERS)
    async def test_a_bad_offer(
        self, stage: Stage, spoil: Callable[[str], str], status: int, reason: str, method: str
    ) -> None:
        call = await stage.answered(await stage.page())
        offer = re.sub(r"(?m)^m=audio \d+ ", "m=audio 9 ", local(call))
        response = await change(call, spoil(offer_again(offer)), method)
        assert (response.status, reason in warning_of(response)) == (status, True), warning_of(response)
        assert not requests_at_core(call, method)
        assert (await change(call, offer_again(local(call), SENT_ONLY))).status == 200
        await still_works(call)

    async def test_another_content_type(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        request = call.wic.request("INVITE")
        request.set_body("hold please", "text/plain")
        assert (await call.wic.ask(request)).status == 415
        await still_works(call)

    async def test_an_extension_nobody_knows(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        response = await call.wic.reinvite(offer_again(local(call)), headers=[("Require", "time-travel")])
        assert (response.status, response.headers.get("Unsupported")) == (420, "time-travel")
        await still_works(call)


async def acknowledged(call: Call, invite: SipRequest) -> None:
    """Wait for the ACK to the core's answer to this INVITE, whatever others come, and how often."""
    for count in range(1, 9):
        ack = await call.ims.wait_request("ACK", count=count)
        if ack.cseq.number == invite.cseq.number:
            return
    raise AssertionError("eight others")


class TestRefusedByTheCore:
    """RFC 3261 §14.1: the session stays as it was."""

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    @pytest.mark.parametrize(
        "status", [pytest.param(status, id=str(status)) for status in (405, 488, 491, 500, 603)]
    )
    async def test_the_page_hears_it_and_the_call_goes_on(
        self, stage: Stage, status: int, method: str
    ) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.statuses[method] = status
        refused = await change(call, offer_again(local(call), {"0": "sendonly"}), method)
        assert (refused.status, refused.has_sdp) == (status, False)
        call.ims.statuses.clear()
        held = await change(call, offer_again(local(call), {"0": "inactive"}), method)
        assert (held.status, directions(held.body)) == (200, ["inactive"])
        await still_works(call)

    @pytest.mark.parametrize("status", [pytest.param(408, id="408"), pytest.param(481, id="481")])
    async def test_what_ends_the_dialog_ends_the_call(self, stage: Stage, status: int) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.statuses["INVITE"] = status
        assert (await change(call, offer_again(local(call), {"0": "sendonly"}))).status == status
        await call.wic.wait_request("BYE")
        await call.ims.wait_request("BYE")

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    async def test_a_silent_far_end_is_waited_for(self, stage: Stage, method: str) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.statuses[method] = SILENT
        changing = asyncio.create_task(change(call, offer_again(local(call), {"0": "sendonly"}), method))
        asked = await call.ims.wait_request(method, count=2 if method == "INVITE" else 1)
        await asyncio.sleep(LONG_FOR_A_PAGE_S)
        call.ims.statuses.clear()
        call.ims.respond_to(asked, 200, sdp=device_answer(asked.body, DeviceMedia()))
        assert (await changing).status == 200
        await still_works(call)

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param("", id="none"),
            pytest.param("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", id="no lines"),
            pytest.param(device_offer(DeviceMedia(video="VP8")), id="more lines"),
        ],
    )
    async def test_an_answer_that_cannot_be_used_is_a_refusal(
        self, stage: Stage, answer: str, method: str
    ) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.answers = [answer]
        refused = await change(call, offer_again(local(call), {"0": "sendonly"}), method)
        assert refused.status == 488
        assert warning_of(refused)
        # The far end believes in the hold: it is offered what still holds.
        told = await call.ims.wait_request("INVITE", count=3 if method == "INVITE" else 2)
        assert directions(told.body) == ["sendrecv"]
        await acknowledged(call, told)
        # The ACK is sent first: an offer of that moment would get 491.
        await until(
            lambda: '"exchange":{' not in stage.record(call.wic.call_id), lambda: "our offer is open", 5
        )
        assert (await change(call, offer_again(local(call), {"0": "sendonly"}), method)).status == 200
        await still_works(call)

    async def test_the_page_gives_up_its_offer(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.statuses["INVITE"] = SILENT
        await call.wic.send(call.wic.next_invite(offer_again(local(call), {"0": "sendonly"})))
        invite = await call.ims.wait_request("INVITE", count=2)
        call.ims.respond_to(invite, 100)
        await call.wic.cancel()
        cancelled = await call.wic.wait_status(487)
        assert call.wic.dialog is not None
        assert cancelled.to_tag == call.wic.dialog.remote_tag
        ack = await call.ims.wait_request("ACK", count=2)
        assert (ack.cseq.number, ack.to_tag) == (invite.cseq.number, invite.to_tag)
        call.ims.statuses.clear()
        assert (await change(call, offer_again(local(call), {"0": "sendonly"}))).status == 200
        await still_works(call)

    async def test_an_answer_that_comes_again_is_acknowledged_again(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.statuses["INVITE"] = SILENT
        await call.wic.send(call.wic.next_invite(offer_again(local(call), {"0": "sendonly"})))
        invite = await call.ims.wait_request("INVITE", count=2)
        answer = device_answer(invite.body, DeviceMedia())
        response = call.ims.respond_to(invite, 200, sdp=answer)
        await call.ims.wait_request("ACK", count=2)
        call.ims.peer.send(response, call.ims.gateway)
        again = await call.ims.wait_request("ACK", count=3)
        assert again.cseq.number == invite.cseq.number
        assert len([1 for label in call.wic.ladder() if label == "<- 200 INVITE (SDP)"]) == 1
        await still_works(call)


class TestOneAtATime:
    """RFC 3261 §14, RFC 3311 §5.2: glare, and offers one upon the other."""

    @pytest.mark.conformance("S-34")
    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    async def test_the_pages_offer_is_open(self, stage: Stage, method: str) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        call.ims.statuses["INVITE"] = SILENT
        await call.wic.send(call.wic.next_invite(offer_again(local(call), {"0": "sendonly"})))
        invite = await call.ims.wait_request("INVITE", count=2)
        call.ims.respond_to(invite, 100)
        offer = device_offer(DeviceMedia(version=2, direction="sendonly"))
        theirs = await (call.ims.update(offer) if method == "UPDATE" else call.ims.reinvite(offer))
        assert theirs.status == 491
        own = await call.wic.update(offer_again(local(call), {"0": "inactive"}))
        assert own.status == 500
        assert 0 <= int(own.headers.get("Retry-After") or -1) <= 10
        call.ims.respond_to(invite, 200, sdp=device_answer(invite.body, DeviceMedia()))
        assert (await call.wic.wait_status(200, count=2)).has_sdp
        await call.ims.wait_request("ACK", count=2)
        call.ims.statuses.clear()
        assert (await change(call, offer_again(local(call), {"0": "sendrecv"}))).status == 200
        await still_works(call)

    async def test_before_the_call_is_answered(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Provisional(180), UntilCancelled()))
        call = await stage.ringing(await stage.page())
        response = await call.wic.update(offer_again(local(call), ice=NEW_ICE))
        assert response.status == 491
        call.ims.respond(200, media=DeviceMedia())
        await call.ims.wait_ack()
        assert (await change(call, offer_again(local(call), ice=NEW_ICE))).status == 200
        await still_works(call)
