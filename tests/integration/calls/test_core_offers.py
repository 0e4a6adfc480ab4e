"""Offers of the core in a running session: what the page hears of, what it does not, and what is refused."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import sdp_from_text
from tests.integration.calls import incoming, ladders
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import BOB, Call, Stage, until, warn_code_of
from tests.peers.call_plan import ANSWERED, IGNORED, CallPlan, OfferReply, refused
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.sip import SipRequest, SipResponse, response_to
from tests.peers.wic_call import WicCall

pytestmark = pytest.mark.lab

DEVICE = DeviceMedia()
STOCK_ALLOW = "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER"
"""Stock SIP.js: no UPDATE."""


def offer_of(**changes: object) -> str:
    """Return an offer of the device after its first description."""
    return device_offer(replace(DEVICE, version=5, **changes))  # type: ignore[arg-type]


def described(response: SipResponse) -> SessionDescription:
    """Return the description of a 200."""
    assert response.status == 200, response.start_line
    return sdp_from_text(response.body)


def page_offers(call: Call | PageCall) -> list[SessionDescription]:
    """Return what the page was offered in this call, its call excluded."""
    return [sdp_from_text(request.body) for request in ladders.requests_received(call.wic) if request.has_sdp]


async def still_works(call: Call | PageCall) -> None:
    """Pass an INFO both ways and hang up."""
    assert (await call.wic.info()).status == 200
    assert (await call.ims.info("text/plain", "still here")).status == 200
    assert (await call.wic.bye()).status == 200


async def answers_late(wic: WicCall, method: str) -> None:
    """The page answers the newest request of that method, which it has ignored."""
    asked = [one for one in ladders.requests_received(wic) if one.method == method][-1]
    await wic.send(await answer_of(wic, asked))


async def answer_of(wic: WicCall, asked: SipRequest) -> SipResponse:
    return response_to(
        asked, 200, headers=[("Contact", wic.line.contact)], sdp=await wic.media.answer_offer(asked.sdp)
    )


def acknowledged(wic: WicCall) -> list[int]:
    """Return what of our re-INVITEs the page's 2xx has been acknowledged for."""
    return [one.cseq.number for one in ladders.requests_received(wic) if one.method == "ACK"]


async def one_way(stage: Stage, offer: str = AUDIO, **plan: object) -> Call:
    """A call of a page with one-way lines."""
    return await stage.answered(await stage.page(), offer, CallPlan(**plan))  # type: ignore[arg-type]


class TestNothingForThePage:
    """What the relay takes care of."""

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"audio_port": 40100}, id="port"),
            pytest.param({"address": "127.0.0.9"}, id="address"),
            pytest.param({"audio": "PCMU"}, id="codec"),
            pytest.param({"audio": "AMR-WB"}, id="AMR-WB"),
        ],
    )
    @pytest.mark.conformance("S-34", "S-35")
    async def test_it_is_answered_without_the_page(
        self, stage: Stage, method: str, changes: dict[str, object]
    ) -> None:
        call = await one_way(stage)
        before = len(page_offers(call))
        answer = described(await call.ims.ask(method, sdp=offer_of(**changes)))
        assert [line.kind for line in answer.media] == ["audio"]
        assert answer.media[0].port
        codec = str(changes.get("audio", "PCMA")).lower()
        assert answer.media[0].codecs[0].name == codec
        assert len(page_offers(call)) == before
        await still_works(call)

    async def test_the_ports_and_the_origin_stay(self, stage: Stage) -> None:
        call = await one_way(stage)
        first = sdp_from_text(call.ims.invite.body)
        answer = described(await call.ims.reinvite(offer_of(audio_port=40100)))
        assert answer.media[0].port == first.media[0].port
        old, new = (d.session.values("o")[0].split() for d in (first, answer))
        assert (old[1], int(old[2]) + 1) == (new[1], int(new[2]))
        await still_works(call)

    async def test_renumbered_payload_types_are_legal(self, stage: Stage) -> None:
        call = await one_way(stage)
        offer = offer_of(audio="AMR-WB").replace(" 104", " 119").replace(":104 ", ":119 ")
        answer = described(await call.ims.reinvite(offer))
        assert answer.media[0].codecs[0].payload_type == "119"
        await still_works(call)

    async def test_of_a_call_towards_the_page(self, stage: Stage) -> None:
        call = await incoming.answered(stage, await stage.page(), sdp=device_offer(DEVICE))
        before = len(page_offers(call))
        for method in ("INVITE", "UPDATE"):
            answer = described(await call.ims.ask(method, sdp=offer_of(audio_port=40200)))
            assert answer.media[0].port
        assert len(page_offers(call)) == before
        await call.works()
        assert (await call.wic.bye()).status == 200


class TestHold:
    """The far end holds and resumes: the page hears of it (TS 24.610)."""

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    @pytest.mark.parametrize(
        ("direction", "lines", "answered"),
        [
            pytest.param("sendonly", ["inactive", "sendonly"], "recvonly", id="sendonly"),
            pytest.param("inactive", ["inactive", "inactive"], "inactive", id="inactive"),
            pytest.param("recvonly", ["recvonly", "inactive"], "sendonly", id="recvonly"),
        ],
    )
    async def test_one_way_lines(
        self, stage: Stage, method: str, direction: str, lines: list[str], answered: str
    ) -> None:
        call = await one_way(stage)
        answer = described(await call.ims.ask(method, sdp=offer_of(direction=direction)))
        assert answer.media[0].direction == answered
        assert [line.direction for line in page_offers(call)[-1].media] == lines
        answer = described(await call.ims.ask(method, sdp=offer_of()))
        assert answer.media[0].direction == "sendrecv"
        assert [line.direction for line in page_offers(call)[-1].media] == ["recvonly", "sendonly"]
        await still_works(call)

    async def test_a_two_way_line(self, stage: Stage) -> None:
        call = await one_way(stage, AUDIO_BOTH_WAYS)
        answer = described(await call.ims.reinvite(offer_of(direction="sendonly")))
        assert answer.media[0].direction == "recvonly"
        assert [line.direction for line in page_offers(call)[-1].media] == ["sendonly"]
        await still_works(call)

    @pytest.mark.parametrize("address", ["0.0.0.0"])
    async def test_an_address_of_zeros_is_a_hold(self, stage: Stage, address: str) -> None:
        call = await one_way(stage)
        answer = described(await call.ims.reinvite(offer_of(address=address)))
        assert answer.media[0].direction in ("recvonly", "inactive")
        assert "0.0.0.0" not in (answer.media[0].connection or "")
        assert [line.direction for line in page_offers(call)[-1].media] == ["inactive", "sendonly"]
        await still_works(call)

    @pytest.mark.parametrize(
        "offer", [pytest.param(AUDIO, id="one-way"), pytest.param(AUDIO_BOTH_WAYS, id="two-way")]
    )
    async def test_a_page_that_is_away_hears_of_it_when_it_is_back(self, stage: Stage, offer: str) -> None:
        page = await stage.page()
        call = await stage.answered(page, offer)
        page.lose()
        await page.lost.wait()
        await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
        answer = described(await call.ims.reinvite(offer_of(direction="inactive")))
        assert answer.media[0].direction == "inactive"
        before = len(page_offers(call))
        await page.connect()
        assert (await page.register()).status == 200
        await until(lambda: len(page_offers(call)) > before, lambda: "the page is not told", 15)
        assert {line.direction for line in page_offers(call)[-1].media} == {"inactive"}
        await still_works(call)

    async def test_of_a_call_towards_the_page(self, stage: Stage) -> None:
        call = await incoming.answered(stage, await stage.page(), sdp=device_offer(DEVICE))
        answer = described(await call.ims.reinvite(offer_of(direction="sendonly")))
        assert answer.media[0].direction == "recvonly"
        assert page_offers(call)[-1].media[0].direction == "sendonly"
        answer = described(await call.ims.reinvite(offer_of()))
        assert answer.media[0].direction == "sendrecv"
        await call.works()
        assert (await call.wic.bye()).status == 200

    async def test_a_page_without_update_is_told_afterwards_by_invite(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO_BOTH_WAYS, allow=STOCK_ALLOW)
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        answer = described(await call.ims.update(offer_of(direction="sendonly")))
        assert answer.media[0].direction == "recvonly"
        told = await wic.wait_request("INVITE")
        assert sdp_from_text(told.body).media[0].direction == "sendonly"
        ack = await wic.wait_request("ACK")
        assert ack.cseq.number == told.cseq.number
        assert ack.request_uri == wic.line.contact.strip("<>")
        assert not re.search(r"could not resolve", stage.gateway_log.read_text(errors="replace"))
        await still_works(call)


class TestVideo:
    """The far end adds and removes video."""

    async def test_added_and_removed(self, stage: Stage) -> None:
        call = await one_way(stage, AUDIO_BOTH_WAYS)
        answer = described(await call.ims.reinvite(offer_of(video="VP8")))
        assert [bool(line.port) for line in answer.media] == [True, True]
        assert [line.kind for line in page_offers(call)[-1].media] == ["audio", "video"]
        answer = described(await call.ims.reinvite(_without_video(offer_of(video="VP8"))))
        assert [bool(line.port) for line in answer.media] == [True, False]
        await still_works(call)

    async def test_added_to_one_way_lines(self, stage: Stage) -> None:
        """The page has no camera: it takes the line it listens on."""
        call = await one_way(stage)
        answer = described(await call.ims.reinvite(offer_of(video="VP8")))
        assert [bool(line.port) for line in answer.media] == [True, True]
        assert [line.direction for line in answer.media] == ["sendrecv", "recvonly"]
        offered = page_offers(call)[-1]
        # Chromium 156: the first line of a new group is never one the page listens on.
        assert [(line.kind, line.direction) for line in offered.media] == [
            ("audio", "recvonly"),
            ("audio", "sendonly"),
            ("video", "recvonly"),
            ("video", "sendonly"),
        ]
        assert offered.bundle_groups[-1] == tuple(line.mid for line in offered.media[2:])
        await still_works(call)

    async def test_a_page_that_refuses_it_keeps_its_audio(self, stage: Stage) -> None:
        call = await one_way(stage, AUDIO_BOTH_WAYS, offer_replies=[refused(488), ANSWERED])
        response = await call.ims.reinvite(offer_of(video="VP8"))
        assert response.status == 488
        answer = described(await call.ims.reinvite(offer_of(direction="sendonly")))
        assert [line.kind for line in answer.media] == ["audio"]
        await still_works(call)

    async def test_the_far_end_switches_the_pages_video_off(self, stage: Stage) -> None:
        stage.core.script = answers(media=replace(DEVICE, video="VP8"))
        call = await one_way(stage, AUDIO_AND_VIDEO)
        answer = described(await call.ims.reinvite(_without_video(offer_of(video="VP8"))))
        assert [bool(line.port) for line in answer.media] == [True, False]
        offered = page_offers(call)[-1]
        assert [line.kind for line in offered.media if line.port] == ["audio", "audio"]
        await still_works(call)


class TestLateOffer:
    """A re-INVITE without a description (RFC 3725)."""

    async def test_we_offer_everything_and_take_the_answer(self, stage: Stage) -> None:
        call = await one_way(stage)
        call.ims.media = replace(DEVICE, audio="PCMU", audio_port=40300)
        offer = described(await call.ims.reinvite(""))
        names = [codec.name for codec in offer.media[0].codecs]
        assert {"amr-wb", "pcma", "pcmu"} <= set(names)
        assert offer.media[0].port == sdp_from_text(call.ims.invite.body).media[0].port
        await still_works(call)

    async def test_of_a_call_towards_the_page(self, stage: Stage) -> None:
        call = await incoming.answered(stage, await stage.page(), sdp=device_offer(DEVICE))
        offer = described(await call.ims.reinvite(""))
        assert {"amr-wb", "pcma"} <= {codec.name for codec in offer.media[0].codecs}
        await call.works()
        assert (await call.wic.bye()).status == 200


class TestRefused:
    """What is not taken leaves the call as it was."""

    @pytest.mark.parametrize(
        ("offer", "status", "code"),
        [
            pytest.param("v=0\r\n", 400, 399, id="no description"),
            pytest.param(
                offer_of(audio="opus").replace("opus/48000/2", "iLBC/8000"), 488, 305, id="no codec"
            ),
            pytest.param(
                _no_media := re.sub(r"m=.*", "", offer_of(), flags=re.DOTALL), 488, 399, id="no line"
            ),
            pytest.param(offer_of().replace("m=audio", "m=video"), 488, 399, id="another kind"),
            pytest.param(offer_of().replace("m=audio 40000", "m=audio 0"), 488, 399, id="nothing left"),
            pytest.param(offer_of().replace("RTP/AVP", "UDP/TLS/RTP/SAVP"), 488, 302, id="another profile"),
        ],
    )
    async def test_a_bad_offer(self, stage: Stage, offer: str, status: int, code: int) -> None:
        del self
        call = await one_way(stage)
        refused = await call.ims.reinvite(offer), await call.ims.update(offer)
        assert [(answer.status, warn_code_of(answer)) for answer in refused] == [(status, code)] * 2
        await still_works(call)

    @pytest.mark.parametrize(("method", "status", "wait_s"), [("INVITE", 491, None), ("UPDATE", 500, "5")])
    async def test_a_page_that_does_not_answer(
        self, stage: Stage, method: str, status: int, wait_s: str | None
    ) -> None:
        """408 would end the dialog (RFC 3261 §12.2.1.2)."""
        call = await one_way(stage, offer_replies=[ANSWERED, IGNORED])
        ask = call.ims.reinvite if method == "INVITE" else call.ims.update
        response = await ask(offer_of(direction="sendonly"))
        assert (response.status, response.headers.get("Retry-After")) == (status, wait_s)
        answer = described(await call.ims.reinvite(offer_of(audio_port=40400)))
        assert answer.media[0].port
        await still_works(call)

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    async def test_a_page_that_answers_later_is_told_what_holds(self, stage: Stage, method: str) -> None:
        call = await one_way(stage, offer_replies=[ANSWERED, IGNORED, ANSWERED])
        assert (await call.ims.ask(method, sdp=offer_of(direction="sendonly"))).status in (491, 500)
        held = page_offers(call)
        assert [line.direction for line in held[-1].media] == ["inactive", "sendonly"]
        await answers_late(call.wic, method)
        await until(lambda: len(page_offers(call)) > len(held), lambda: "the page is not told", 15)
        assert [line.direction for line in page_offers(call)[-1].media] == ["recvonly", "sendonly"]
        await still_works(call)

    async def test_so_late_an_answer_to_our_own_re_invite_is_acknowledged(self, stage: Stage) -> None:
        """When tm has forgotten that, too: SIP.js repeats its 2xx, and hangs up after 32 s without an ACK."""
        page = await stage.page()
        plan = CallPlan(offer_replies=[IGNORED, ANSWERED])
        wic = await page.invite(BOB, AUDIO_BOTH_WAYS, plan=plan, allow=STOCK_ALLOW)
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        assert (await call.ims.update(offer_of(direction="sendonly"))).status == 200
        told = await wic.wait_request("INVITE")
        await wic.wait_request("INVITE", count=2, timeout_s=15)
        await until(lambda: not stage.has_transaction(call.call_id), lambda: "tm knows it still", 15)
        await wic.send(await answer_of(wic, told))
        await until(lambda: told.cseq.number in acknowledged(wic), lambda: "no ACK", 15)
        await still_works(call)

    async def test_glare_with_the_page_is_passed_on(self, stage: Stage) -> None:
        call = await one_way(stage, offer_replies=[ANSWERED, refused(491), ANSWERED])
        assert (await call.ims.reinvite(offer_of(direction="sendonly"))).status == 491
        assert (await call.ims.reinvite(offer_of(direction="sendonly"))).status == 200
        await still_works(call)

    async def test_one_offer_at_a_time(self, stage: Stage) -> None:
        call = await one_way(stage, offer_replies=[ANSWERED, OfferReply(delay_s=0.5), ANSWERED])
        first = asyncio.create_task(call.ims.reinvite(offer_of(direction="sendonly")))
        await until(lambda: len(page_offers(call)) == 2, lambda: "the page was not asked", 15)
        assert (await call.ims.update(offer_of(audio_port=40500))).status == 500
        assert (await call.wic.update(AUDIO)).status == 491
        await first
        await still_works(call)

    async def test_an_answer_that_does_not_fit_does_not_cost_the_call(self, stage: Stage) -> None:
        call = await one_way(stage, AUDIO_BOTH_WAYS, offer_replies=[OfferReply(sdp="v=0\r\n"), ANSWERED])
        answer = described(await call.ims.reinvite(offer_of(video="VP8")))
        assert [bool(line.port) for line in answer.media] == [True, False]
        await still_works(call)


def _without_video(offer: str) -> str:
    return offer.replace("m=video 40002", "m=video 0")
