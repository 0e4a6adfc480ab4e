"""Calls towards a page that do not reach it, or break on it: the right status, a reason, and nothing left behind."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace

import pytest

from tests.hostile.run import worker_ids
from tests.integration.calls.incoming import answered, ringing
from tests.integration.calls.stage import (
    ALICE,
    BOB,
    CAROL,
    UPDATE_TIMEOUT_S,
    Stage,
    until,
    warn_code_of,
    warning_of,
)
from tests.peers.call_plan import CallPlan
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

AT_ONCE_S = 2.0


def with_path(stage: Stage, change: str) -> None:
    """Change the flow token in the Path the core has of Alice."""
    known = stage.core.registrations[ALICE]
    (path,) = known.path
    token = path.partition("sip:")[2].partition("@")[0]
    other = {
        "changed": ("A" if token[0] != "A" else "B") + token[1:],
        "cut": token[:-4],
        "empty": "",
        "not base64": "%ff%00",
        "longer": token + "AAAA",
    }[change]
    stage.core.registrations[ALICE] = replace(known, path=(path.replace(token, other),))


class TestDelivery:
    """Over the connection the token names, while it stands, to the Contact that registered; nowhere else."""

    @pytest.mark.conformance("R-66")
    @pytest.mark.parametrize(
        "change", [pytest.param(c, id=c) for c in ("changed", "cut", "empty", "not base64", "longer")]
    )
    async def test_a_forged_token_is_forbidden(self, stage: Stage, change: str) -> None:
        page = await stage.page()
        with_path(stage, change)
        ims = stage.core.call(ALICE)
        refused = await ims.wait_status(403)
        assert warning_of(refused)
        assert "<- INVITE (SDP)" not in page.trace.ladder()

    @pytest.mark.conformance("R-66")
    async def test_without_a_token_nobody_is_called(self, stage: Stage) -> None:
        await stage.page()
        known = stage.core.registrations[ALICE]
        (path,) = known.path
        host = path.partition("@")[2].partition(";")[0]
        stage.core.registrations[ALICE] = replace(known, path=(), contact=f"sip:alice@{host}")
        assert (
            warning_of(await stage.core.call(ALICE).wait_status(403)) == "flow token with a wrong signature"
        )

    @pytest.mark.conformance("R-66", "S-20")
    @pytest.mark.parametrize("loss", [pytest.param(loss, id=loss.name.lower()) for loss in Loss])
    async def test_a_dead_flow_is_said_so_at_once(self, stage: Stage, loss: Loss) -> None:
        page = await stage.page()
        page.lose(loss)
        await page.lost.wait()
        await _ended(stage, page)
        started = time.monotonic()
        refused = await stage.core.call(ALICE).wait_status(430)
        assert time.monotonic() - started < AT_ONCE_S
        assert warning_of(refused) == "the page's connection is gone"

    @pytest.mark.conformance("R-66", "S-20")
    @pytest.mark.parametrize("loss", [pytest.param(loss, id=loss.name.lower()) for loss in Loss])
    async def test_a_flow_that_dies_before_the_page_says_a_word_is_said_so_at_once(
        self, stage: Stage, loss: Loss
    ) -> None:
        page = await stage.page()
        page.plan = CallPlan(trying=False)
        ims = stage.core.call(ALICE)
        await page.wait_incoming()
        started = time.monotonic()
        page.lose(loss)
        assert (await ims.wait_status(range(200, 700))).status == 430
        assert time.monotonic() - started < AT_ONCE_S

    @pytest.mark.conformance("R-66")
    async def test_a_call_id_longer_than_tm_can_look_for_waits_for_the_timer(self, stage: Stage) -> None:
        """tm of 5.6 looks for one on its stack, where 1,024 bytes have room: a longer one ended the gateway."""
        page = await stage.page()
        workers = worker_ids(stage.lab)
        page.plan = CallPlan(trying=False)
        ims = stage.core.call(ALICE, call_id="long" * 1000)
        await page.wait_incoming()
        # A worker that is still at the INVITE would see for itself that the page has gone, and say 430.
        await asyncio.sleep(0.3)
        page.lose(Loss.RESET)
        final = await ims.wait_status(range(300, 700), timeout_s=UPDATE_TIMEOUT_S + 10)
        assert final.status in (408, 430)
        await until(
            lambda: not stage.lab.gateway_rpc.htable("call"), lambda: "a record of the call is left", 15
        )
        assert workers <= worker_ids(stage.lab)

    @pytest.mark.conformance("R-68")
    @pytest.mark.parametrize("user", [pytest.param(ALICE, id="same user"), pytest.param(CAROL, id="other")])
    async def test_a_page_that_got_the_port_of_another_never_gets_its_calls(
        self, stage: Stage, user: str
    ) -> None:
        page = await stage.page()
        port = page.socket.local_address[1]
        old = stage.core.registrations[ALICE]
        page.lose(Loss.RESET)
        await page.lost.wait()
        handshake = replace(stage.handshake, source_port=port)
        other = await stage.join(ScriptedWic(handshake, WicIdentity(user)))
        assert other.socket.local_address[1] == port
        stage.core.registrations[ALICE] = old
        await stage.core.call(ALICE).wait_status(430)
        assert "<- INVITE (SDP)" not in other.trace.ladder()

    @pytest.mark.conformance("S-20")
    async def test_a_registration_that_ended_is_called_no_more(self, stage: Stage) -> None:
        page = await stage.page()
        known = stage.core.registrations[ALICE]
        assert (await page.register(expires_s=0)).status == 200
        stage.core.registrations[ALICE] = known
        refused = await stage.core.call(ALICE).wait_status(430)
        assert "connection" in warning_of(refused)

    @pytest.mark.conformance("S-20")
    async def test_another_contact_than_the_registered_one_is_not_called(self, stage: Stage) -> None:
        page = await stage.page()
        known = stage.core.registrations[ALICE]
        stage.core.registrations[ALICE] = replace(known, contact="sip:x@elsewhere.invalid;transport=ws")
        refused = await stage.core.call(ALICE).wait_status(480)
        assert "Contact" in warning_of(refused)
        assert "<- INVITE (SDP)" not in page.trace.ladder()


async def _ended(stage: Stage, page: ScriptedWic) -> None:
    """Wait until the gateway has noticed that a page is gone."""
    source = ":".join(map(str, page.socket.local_address))

    def flows() -> list[str]:
        return [text for text in map(str, stage.lab.gateway_rpc.htable("flow").values()) if source in text]

    await until(lambda: not flows(), lambda: f"still there: {flows()}", 15)


class TestOffers:
    """What the core offers has to be something a page can take."""

    @pytest.mark.parametrize(
        ("sdp", "status", "words"),
        [
            pytest.param("v=0\r\nnonsense\r\n", 400, "line 2", id="no description"),
            pytest.param(
                device_offer(DeviceMedia()).replace("RTP/AVP", "RTP/SAVP"), 488, "RTP/SAVP", id="SRTP"
            ),
            pytest.param(
                device_offer(DeviceMedia()).replace("8 101", "18").replace("PCMA", "G729"),
                488,
                "none of the codecs",
                id="no usable codec",
            ),
            pytest.param(
                device_offer(DeviceMedia()).replace("m=audio 40000 RTP/AVP", "m=application 40000 TCP/MSRP"),
                488,
                "carries application",
                id="no audio or video",
            ),
            pytest.param(
                device_offer(DeviceMedia()).replace("m=audio 40000", "m=audio 0"),
                488,
                "switched off",
                id="audio switched off",
            ),
            pytest.param(
                device_offer(DeviceMedia()).replace("c=IN IP4 127.0.0.1\r\n", ""), 400, "c=", id="no address"
            ),
            pytest.param(
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 488, "no media", id="no line"
            ),
        ],
    )
    async def test_refused(self, stage: Stage, sdp: str, status: int, words: str) -> None:
        page = await stage.page()
        refused = await stage.core.call(ALICE, sdp=sdp).wait_status(status)
        assert words in warning_of(refused)
        assert warn_code_of(refused) == {"none of the codecs": 305, "carries application": 304}.get(
            words, 399
        )
        assert not any("INVITE" in rung for rung in page.trace.ladder())

    async def test_what_we_do_not_do_is_named(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, headers=[("Require", "100rel, made-up")])
        refused = await ims.wait_status(420)
        assert refused.headers.get("Unsupported") == "made-up"
        assert "<- INVITE (SDP)" not in page.trace.ladder()

    async def test_what_the_page_has_to_know_is_left_to_it(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, headers=[("Require", "replaces")])
        wic = await page.wait_incoming()
        assert wic.invite.headers.get("Require") == "replaces"
        await wic.respond(420, headers=[("Unsupported", "replaces")])
        assert (await ims.wait_status(420)).headers.get("Unsupported") == "replaces"

    async def test_video_nobody_can_carry_leaves_the_audio(self, stage: Stage) -> None:
        page = await stage.page()
        offer = device_offer(DeviceMedia(video="VP8")).replace("VP8", "H263")
        call = await answered(stage, page, sdp=offer)
        assert call.wic.invite.body.count("m=") == 1
        answer = (await call.ims.wait_status(200)).body
        assert "m=video 0 RTP/AVP" in answer
        await call.works()
        await call.ims.bye()


class TestAnswers:
    """What the page answers has to fit; else it is hung up and the caller told."""

    @pytest.mark.parametrize(
        ("answer", "status", "words"),
        [
            pytest.param("", 502, "without a session description", id="none"),
            pytest.param("v=0\r\nrubbish\r\n", 502, "line 2", id="rubbish"),
            pytest.param("m=audio", 502, "media lines", id="a line too many"),
            pytest.param("refused", 488, "refused every medium", id="audio refused"),
            pytest.param("fingerprint", 502, "fingerprint", id="no fingerprint"),
        ],
    )
    async def test_an_answer_that_does_not_fit(
        self, stage: Stage, answer: str, status: int, words: str
    ) -> None:
        call = await ringing(stage, await stage.page())
        good = await call.wic.media.answer_offer(call.wic.invite.body)
        bad = {
            "m=audio": good + good[good.index("m=audio") :],
            "refused": re.sub(r"m=audio \d+", "m=audio 0", good),
            "fingerprint": good.replace("a=fingerprint:", "a=x:"),
        }.get(answer, answer)
        await call.wic.respond(200, sdp=bad)
        refused = await call.ims.wait_status(status)
        assert words in warning_of(refused)
        await call.wic.wait_request("ACK")
        bye = await call.wic.wait_request("BYE")
        assert f"cause={status}" in (bye.headers.get("Reason") or "")

    async def test_a_page_cannot_answer_a_call_that_is_over(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        call.ims.cancel()
        await call.ims.wait_status(487)
        await call.wic.respond(200, sdp=await call.wic.media.answer_offer(call.wic.invite.body))
        options = await (await stage.page(BOB)).request("OPTIONS", BOB)
        assert options.status == 200
        assert "<- 200 INVITE" not in call.ims.ladder()


class TestInsideTheDialog:
    """Requests that do not belong there leave the call alone."""

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("BYE", "INFO", "UPDATE")])
    @pytest.mark.parametrize("which", [pytest.param("From", id="From"), pytest.param("To", id="To")])
    async def test_wrong_tags(self, stage: Stage, method: str, which: str) -> None:
        call = await answered(stage, await stage.page())
        request = call.ims.dialogs["a"].request(method, via=stage.core.new_via())
        value = request.headers.get(which) or ""
        request.headers.replace(which, value.partition(";tag=")[0] + ";tag=gw-in-wrong")
        assert (await stage.core.ask(request, call.ims.gateway)).status == 481
        await call.works()
        await call.ims.bye()

    async def test_a_refresh_is_answered(self, stage: Stage) -> None:
        call = await answered(stage, await stage.page())
        assert (await call.ims.update()).status == 200
        assert (await call.wic.update()).status == 200
        await call.ims.bye()
