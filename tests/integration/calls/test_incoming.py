"""The core calls a page: one dialog on each side, over the page's own connection (TS 24.229 §5.2.6.4)."""

from __future__ import annotations

import time

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.incoming import PageCall, answered, ringing
from tests.integration.calls.stage import (
    ALICE,
    CAROL,
    FLOW_RECOVERY_S,
    IMS_ANSWER_TIMEOUT_S,
    UPDATE_TIMEOUT_S,
    Stage,
    until,
)
from tests.peers.call_plan import CallPlan
from tests.peers.core import ScriptedCore
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import SipRequest
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

AT_ONCE_S = 2.0
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
NETWORK_ONLY = (
    ("P-Charging-Vector", "icid-value=abc;orig-ioi=home"),
    ("P-Charging-Function-Addresses", "ccf=192.0.2.1"),
    ("P-Access-Network-Info", "3GPP-E-UTRAN-FDD"),
    ("P-Visited-Network-ID", "visited"),
    ("P-Served-User", "<sip:alice@ims.test>;sescase=term"),
    ("P-Profile-Key", "<sip:alice@ims.test>"),
    ("P-Private-Network-Indication", "ims.test"),
    ("Resource-Priority", "ets.0"),
    ("Restoration-Info", "x"),
    ("Relayed-Charge", "x"),
    ("Service-Interact-Info", "x"),
    ("Attestation-Info", "A"),
    ("Origination-Id", "x"),
)
END_TO_END = (
    ("History-Info", "<sip:first@ims.test>;index=1"),
    ("Alert-Info", "<urn:alert:service:call-waiting>"),
    ("Call-Info", "<https://ims.test/card>;purpose=card"),
    ("Reply-To", "<sip:office@ims.test>"),
    ("Referred-By", "<sip:office@ims.test>"),
    ("Subject", "lunch"),
    ("Priority", "urgent"),
    ("Accept-Contact", "*;audio"),
)


async def gone(stage: Stage, call_id: str) -> None:
    """Wait until the gateway has no record of any leg of a call."""

    def left() -> list[str]:
        return [key for key in stage.lab.gateway_rpc.htable("call") if key.startswith(call_id)]

    await until(lambda: not left(), lambda: f"still there: {left()}", 15)


class TestTheCall:
    """From INVITE to BYE."""

    async def test_the_page_is_offered_one_line_that_any_client_understands(self, stage: Stage) -> None:
        page = await stage.page()
        call = await ringing(stage, page)
        offer = sdp_from_text(call.wic.invite.body)
        (audio,) = offer.media
        assert audio.protocol == "UDP/TLS/RTP/SAVPF"
        assert audio.direction == "sendrecv"
        assert [value.split(" ")[1] for value in audio.attributes("rtpmap")] == [
            "opus/48000/2",
            "telephone-event/48000",
        ]
        assert audio.attributes("setup") == ["actpass"]
        assert audio.attribute("rtcp-mux") is not None
        assert "a=ice-lite" in call.wic.invite.body.splitlines()
        await call.wic.respond(486)
        await call.ims.wait_status(486)

    async def test_both_sides_see_one_dialog_and_the_ladder_is_plain(self, stage: Stage) -> None:
        page = await stage.page()
        call = await answered(stage, page)
        assert call.wic.ladder() == [
            "<- INVITE (SDP)",
            "-> 100 INVITE",
            "-> 180 INVITE",
            "-> 200 INVITE (SDP)",
            "<- ACK",
        ]
        ringing_reply = await call.ims.wait_status(180)
        answer = await call.ims.wait_status(200)
        assert ringing_reply.to_tag == answer.to_tag
        assert answer.to_tag not in (call.wic.dialog and call.wic.dialog.local_tag, None)
        (audio,) = sdp_from_text(answer.body).media
        assert (audio.protocol, audio.direction) == ("RTP/AVP", "sendrecv")
        assert audio.formats == ["8", "101"]
        await call.works()
        assert (await call.wic.bye()).status == 200
        await call.ims.wait_request("BYE")
        await gone(stage, call.call_id)

    async def test_the_caller_hangs_up(self, stage: Stage) -> None:
        call = await answered(stage, await stage.page())
        assert (await call.ims.bye(headers=[("Reason", "Q.850;cause=16")])).status == 200
        bye = await call.wic.wait_request("BYE")
        assert bye.headers.get("Reason") == "Q.850;cause=16"
        await gone(stage, call.call_id)

    async def test_a_page_may_answer_without_ringing(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        await wic.answer()
        await PageCall(wic, ims).works()
        await ims.bye()

    @pytest.mark.parametrize("status", [pytest.param(s, id=str(s)) for s in (404, 480, 486, 600, 603)])
    async def test_a_page_that_declines_is_heard(self, stage: Stage, status: int) -> None:
        call = await ringing(stage, await stage.page())
        await call.wic.respond(status, headers=[("Reason", "Q.850;cause=17")])
        refused = await call.ims.wait_status(status)
        assert refused.to_tag == (await call.ims.wait_status(180)).to_tag
        assert refused.headers.get("Reason") == "Q.850;cause=17"
        assert refused.contact_uri is None
        await call.wic.wait_request("ACK")
        await gone(stage, call.call_id)

    @pytest.mark.conformance("S-24")
    async def test_a_page_may_send_the_caller_elsewhere(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        elsewhere = [("Contact", f"<{CAROL}>")]
        await call.wic.respond(302, headers=elsewhere)
        assert (await call.ims.wait_status(302)).contact_uri == CAROL

    async def test_early_media_of_the_page_is_described_to_the_core(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, supported="")
        wic = await page.wait_incoming()
        answer = await wic.media.answer_offer(wic.invite.body)
        await wic.respond(183, sdp=answer)
        early = await ims.wait_status(183)
        assert early.has_sdp
        await wic.answer(answer)
        assert (await ims.wait_status(200)).body == early.body
        await PageCall(wic, ims).works()
        await ims.bye()

    async def test_an_invite_that_is_sent_again_calls_the_page_once(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        stage.core.send(call.ims.invite, call.ims.gateway)
        await call.ims.wait_status(180, count=2)
        assert call.wic.ladder().count("<- INVITE (SDP)") == 1
        await call.wic.answer()
        await call.works()
        await call.ims.bye()


class TestHeaders:
    """What crosses, and what does not."""

    @pytest.mark.conformance("S-21")
    async def test_what_is_for_the_network_stays_there(self, stage: Stage) -> None:
        call = await answered(stage, await stage.page(), headers=NETWORK_ONLY)
        for name, _ in (*NETWORK_ONLY, ("Record-Route", ""), ("Route", "")):
            assert call.wic.invite.headers.get(name) is None, name
        info = await call.ims.ask("INFO", headers=NETWORK_ONLY, body=("text/plain", "x"))
        assert info.status == 200
        seen = await call.wic.wait_request("INFO")
        assert not [name for name, _ in NETWORK_ONLY if seen.headers.get(name) is not None]
        await call.ims.bye()

    @pytest.mark.conformance("S-24")
    async def test_what_is_for_the_page_arrives_as_it_was(self, stage: Stage) -> None:
        call = await answered(stage, await stage.page(), headers=END_TO_END)
        for name, value in END_TO_END:
            assert call.wic.invite.headers.get(name) == value
        await call.ims.bye()

    @pytest.mark.conformance("S-22")
    @pytest.mark.parametrize(
        ("privacy", "shown"),
        [
            pytest.param(None, True, id="none asked for"),
            pytest.param("none", True, id="none"),
            pytest.param("id", False, id="id"),
            pytest.param("header; ID;critical", False, id="id among others"),
        ],
    )
    async def test_the_callers_identity_follows_his_wish(
        self, stage: Stage, privacy: str | None, shown: bool
    ) -> None:
        headers = [("Privacy", privacy)] if privacy else []
        call = await answered(stage, await stage.page(), headers=headers)
        assert (call.wic.invite.headers.get("P-Asserted-Identity") is not None) is shown
        assert call.wic.invite.headers.get("Privacy") == privacy
        await call.ims.bye()

    @pytest.mark.conformance("S-23", "S-08")
    async def test_responses_say_who_answered_and_carry_the_charging_identifier_back(
        self, stage: Stage
    ) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, headers=NETWORK_ONLY[:1])
        wic = await page.wait_incoming()
        liar = [("P-Asserted-Identity", "<sip:president@ims.test>"), ("P-Charging-Vector", "icid-value=mine")]
        await wic.respond(180, headers=liar)
        first = await ims.wait_status(180)
        assert first.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        (vector,) = first.headers.all("P-Charging-Vector")
        assert vector == 'icid-value=abc;orig-ioi=home;term-ioi="Type 1ims.test"'
        await wic.respond(
            200,
            sdp=await wic.media.answer_offer(wic.invite.body),
            headers=[("P-Preferred-Identity", "<tel:+15550100>")],
        )
        final = await ims.wait_status(200)
        assert final.headers.all("P-Asserted-Identity") == ["<tel:+15550100>"]
        assert final.headers.get("P-Preferred-Identity") is None
        await ims.bye()

    @pytest.mark.conformance("S-23")
    async def test_a_preferred_identity_of_somebody_else_is_not_asserted(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        await wic.respond(180, headers=[("P-Preferred-Identity", f"<{CAROL}>")])
        assert (await ims.wait_status(180)).headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        await wic.respond(486)


class TestReliableResponses:
    """100rel (RFC 3262): what the page does reliably stays so; see test_incoming_reliable.py for pages without."""

    async def test_a_reliable_180_is_acknowledged_by_the_core(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        assert "100rel" in wic.invite.option_tags("Supported")
        await wic.respond(180, headers=[("Require", "100rel"), ("RSeq", "17")])
        prack = await wic.wait_request("PRACK")
        assert prack.headers.get("RAck") == f"17 {wic.invite.cseq}"
        await wic.answer()
        await PageCall(wic, ims).works()
        await ims.bye()


class TestEndBeforeTheAnswer:
    """The caller gives up, nobody answers, the page goes away."""

    @pytest.mark.conformance("S-26")
    async def test_a_cancel_reaches_the_page_with_its_reason(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        call.ims.cancel(headers=[("Reason", ELSEWHERE)])
        cancel = await call.wic.wait_request("CANCEL")
        assert cancel.headers.get("Reason") == ELSEWHERE
        assert cancel.from_tag == call.wic.invite.from_tag
        over = await call.ims.wait_status(487)
        assert over.to_tag == (await call.ims.wait_status(180)).to_tag
        await call.wic.wait_request("ACK")
        await gone(stage, call.call_id)

    @pytest.mark.parametrize("trying", [pytest.param(True, id="trying"), pytest.param(False, id="silent")])
    async def test_a_cancel_before_it_rings(self, stage: Stage, trying: bool) -> None:
        page = await stage.page()
        page.plan = CallPlan(trying=trying)
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        ims.cancel(headers=[("Reason", ELSEWHERE)])
        await ims.trace.wait_response(200, "CANCEL", call_id=ims.call_id)
        if not trying:
            await wic.ring()
        cancel = await wic.wait_request("CANCEL")
        assert cancel.headers.get("Reason") == ELSEWHERE
        await ims.wait_status(487)
        await gone(stage, ims.call_id)

    async def test_a_cancel_that_crosses_the_answer_changes_nothing(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        await call.wic.respond(200, sdp=await call.wic.media.answer_offer(call.wic.invite.body))
        call.ims.cancel()
        await call.ims.wait_status(200)
        await call.wic.wait_request("ACK")
        await call.works()
        await call.ims.bye()

    async def test_the_caller_may_end_the_early_dialog_by_bye(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        bye = await call.ims.bye(headers=[("Reason", ELSEWHERE)])
        assert bye.status == 200
        cancel = await call.wic.wait_request("CANCEL")  # a browser that gets a BYE goes on ringing
        assert cancel.headers.get("Reason") == ELSEWHERE
        await call.ims.wait_status(487)
        await gone(stage, call.call_id)
        assert "<- BYE" not in call.wic.ladder()

    async def test_a_callee_cannot_end_it_so(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        assert (await call.wic.bye()).status == 481
        await call.wic.answer()
        await call.works()
        await call.ims.bye()

    async def test_nobody_answers(self, stage: Stage) -> None:
        call = await ringing(stage, await stage.page())
        over = await call.ims.wait_status(480, timeout_s=IMS_ANSWER_TIMEOUT_S + 10)
        assert over.reason_phrase == "No Answer"
        await call.wic.wait_request("CANCEL")
        await gone(stage, call.call_id)

    async def test_a_page_that_does_not_react_at_all(self, stage: Stage) -> None:
        page = await stage.page()
        page.plan = CallPlan(trying=False)
        ims = stage.core.call(ALICE)
        await page.wait_incoming()
        await ims.wait_status(408, timeout_s=UPDATE_TIMEOUT_S + 10)
        await gone(stage, ims.call_id)

    @pytest.mark.conformance("R-66")
    @pytest.mark.parametrize("loss", [pytest.param(loss, id=loss.name.lower()) for loss in Loss])
    @pytest.mark.parametrize("rings", [pytest.param(True, id="ringing"), pytest.param(False, id="trying")])
    async def test_a_page_that_is_lost_is_reported_at_once(
        self, stage: Stage, loss: Loss, rings: bool
    ) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        if rings:
            await wic.ring()
            await ims.wait_status(180)
        lost_at = time.monotonic()
        page.lose(loss)
        assert (await ims.wait_status(430)).reason_phrase == "Flow Failed"
        assert time.monotonic() - lost_at < AT_ONCE_S
        await gone(stage, ims.call_id)


class TestLostDuringTheCall:
    """As in a call of the page: it has a while to come back."""

    async def test_a_page_that_stays_away_ends_its_call(self, stage: Stage) -> None:
        page = await stage.page()
        call = await answered(stage, page)
        lost_at = time.monotonic()
        page.lose()
        bye = await call.ims.wait_request("BYE", timeout_s=FLOW_RECOVERY_S + 10)
        assert time.monotonic() - lost_at >= FLOW_RECOVERY_S
        assert bye.from_tag == call.ims.dialogs["a"].remote_tag
        await gone(stage, call.call_id)

    async def test_a_page_that_comes_back_goes_on(self, stage: Stage) -> None:
        page = await stage.page()
        call = await answered(stage, page)
        page.lose(Loss.RESET)
        await page.lost.wait()
        await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
        await page.connect()
        assert (await page.register()).status == 200
        await call.works()
        assert (await call.wic.bye()).status == 200
        await call.ims.wait_request("BYE")

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INFO", "BYE", "UPDATE")])
    async def test_somebody_else_cannot_take_the_call(self, stage: Stage, method: str) -> None:
        call = await answered(stage, await stage.page())
        other = await stage.page(CAROL)
        await other.send(call.wic.request(method))
        response = await other.trace.wait_response(range(200, 700), method, call_id=call.call_id)
        assert response.status == 481
        await call.works()
        await call.ims.bye()


class TestTwoTabs:
    """Two pages of one user (TS 24.229 §5.4.3.3 forks in the core): both ring, one answers, the other hears why."""

    @pytest.mark.conformance("S-26")
    @pytest.mark.parametrize("winner", [pytest.param(0, id="the first"), pytest.param(1, id="the second")])
    async def test_one_answers_and_the_other_is_told_elsewhere(self, stage: Stage, winner: int) -> None:
        first = await stage.page()
        registration = stage.core.registrations[ALICE]
        identity = WicIdentity(ALICE, instance="urn:uuid:00000000-0000-4000-8000-000000000002")
        second = await stage.join(ScriptedWic(stage.handshake, identity))
        async with ScriptedCore() as other_fork:
            stage.other_cores.append(other_fork)
            other_fork.registrations[ALICE] = registration
            ims_second = stage.core.call(ALICE)
            ims_first = other_fork.call(ALICE, fork_of=ims_second)
            calls = [
                PageCall(await page.wait_incoming(), ims)
                for page, ims in ((first, ims_first), (second, ims_second))
            ]
            tags = set()
            for call in calls:
                await call.wic.ring()
                tags.add((await call.ims.wait_status(180)).to_tag)
            assert len(tags) == 2
            won, lost = calls[winner], calls[1 - winner]
            await won.wic.answer()
            await won.ims.wait_status(200)
            lost.ims.cancel(headers=[("Reason", ELSEWHERE)])
            cancel = await lost.wic.wait_request("CANCEL")
            assert cancel.headers.get("Reason") == ELSEWHERE
            await lost.ims.wait_status(487)
            await won.works()
            assert "<- CANCEL" not in won.wic.ladder()
            assert (await won.wic.bye()).status == 200
            await won.ims.wait_request("BYE")
            assert won.wic.ladder()[-2:] == ladders.HUNG_UP
        await gone(stage, won.call_id)

    async def test_each_leg_has_ports_of_its_own(self, stage: Stage) -> None:
        first = await stage.page()
        registration = stage.core.registrations[ALICE]
        second = await stage.join(ScriptedWic(stage.handshake, WicIdentity(ALICE)))
        async with ScriptedCore() as other_fork:
            stage.other_cores.append(other_fork)
            other_fork.registrations[ALICE] = registration
            ims = stage.core.call(ALICE)
            fork = other_fork.call(ALICE, fork_of=ims)
            invites: list[SipRequest] = []
            for page in (first, second):
                wic = await page.wait_incoming()
                invites.append(wic.invite)
                await wic.ring()
            assert len({sdp_from_text(invite.body).media[0].port for invite in invites}) == 2
            assert len({invite.from_tag for invite in invites}) == 2
            for call in (ims, fork):
                call.cancel()
                await call.wait_status(487)
        await gone(stage, ims.call_id)
