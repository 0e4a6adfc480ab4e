"""Supplementary services of MMTel (TS 24.173): conferences, events, bodies, tones (docs/mmtel.md)."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CAROL, Call, Stage, until
from tests.integration.services.world import (
    TAKES_PARTS,
    called,
    capable_page,
    core_asks,
    core_dialog,
    established,
    hang_up,
    last,
    page_asks,
    page_dialog,
    refer_to,
    replaces,
    seen_by_other_end,
    unharmed,
)
from tests.peers.core_script import CoreScript, Final, Pause, Provisional, answers, rejects
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.multipart import Part

pytestmark = pytest.mark.lab

OPTIONAL = (("Content-Disposition", "render;handling=optional"),)
AOC = Part("application/vnd.etsi.aoc+xml", "<aoc><aoc-e>3,20 €</aoc-e></aoc>", OPTIONAL)
CUG = Part("application/vnd.etsi.cug+xml", "<cug><networkIndicator>01</networkIndicator></cug>", OPTIONAL)
USSD = Part(
    "application/vnd.3gpp.ussd+xml", "<ussd-data><ussd-string>*100#</ussd-string></ussd-data>", OPTIONAL
)
GUESTS = Part(
    "application/resource-lists+xml",
    f'<list><entry uri="{BOB}"/></list>',
    (("Content-Disposition", "recipient-list"),),
)
MCID = ("application/vnd.etsi.mcid+xml", "<mcid><request/></mcid>")
FACTORY = "sip:mmtel@conf-factory.ims.test"
CONFERENCE = "sip:conf-4711@conf.ims.test"
DIALLED = "sip:*100%23;phone-context=ims.test@ims.test;user=dialstring"
FOCUS = ("Contact", f"<{CONFERENCE}>;isfocus")


class TestConference:
    """CONF and 3PTY (TS 24.605, TS 24.147)."""

    async def test_a_page_makes_one_and_has_others_join(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (Provisional(183, headers=(FOCUS,)), Final(200, DeviceMedia(), headers=(FOCUS,)))
        )
        page = await stage.page()
        call = await called(stage, page, FACTORY)
        assert call.ims.invite.request_uri == FACTORY
        answer = await call.wic.wait_answer()
        assert answer.headers.get("Contact") == FOCUS[1]
        assert (await call.wic.update()).headers.get("Contact") == FOCUS[1]
        invited = await page.request(
            "REFER",
            CONFERENCE,
            headers=[("Refer-To", f"<{CAROL};method=INVITE>"), ("Referred-By", f"<{ALICE}>")],
        )
        assert invited.status == 200
        (refer,) = [one for one in stage.core.trace.requests("REFER") if one.call_id == invited.call_id]
        assert (refer.request_uri, refer.headers.get("Refer-To")) == (CONFERENCE, f"<{CAROL};method=INVITE>")
        call.ims.reply_headers["REFER"] = [FOCUS]
        dropped = await page_asks(call, "REFER", headers=[("Refer-To", f"<{CAROL};method=BYE>")])
        assert (dropped.status, dropped.headers.get("Contact")) == (200, FOCUS[1])
        assert last(call, "REFER", at_core=True).headers.get("Refer-To") == f"<{CAROL};method=BYE>"
        await unharmed(call)
        await hang_up(call)

    async def test_a_call_of_the_page_moves_into_it(self, stage: Stage) -> None:
        page = await stage.page()
        call = await established(stage, page)
        target = refer_to(BOB, Replaces=replaces(page_dialog(call)))
        invited = await page.request("REFER", CONFERENCE, headers=[("Refer-To", target)])
        assert invited.status == 200
        (refer,) = [one for one in stage.core.trace.requests("REFER") if one.call_id == invited.call_id]
        named = seen_by_other_end(core_dialog(call))
        assert unquote(refer.headers.get("Refer-To") or "") == f"<{BOB}?Replaces={named}>"
        await hang_up(call)

    async def test_a_call_becomes_one(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        call.ims.features = ";isfocus"
        moved = device_offer(DeviceMedia(version=5, audio_port=40100))
        assert (await call.ims.reinvite(moved)).status == 200
        await until(
            lambda: last(call, "UPDATE", at_core=False).headers.get("Contact") == call.ims.contact,
            lambda: "the page is not told",
            15,
        )
        assert (await call.wic.update()).headers.get("Contact") == call.ims.contact
        await hang_up(call)

    async def test_a_focus_calls_the_page(self, stage: Stage) -> None:
        page = await stage.page()
        features = ';isfocus;text;+sip.instance="<urn:uuid:1>";expires=3;+g.3gpp.icsi-ref="urn%3Aurn-7%3Ax"'
        ims = stage.core.call(ALICE, headers=[("Contact", f'"Team" <{CONFERENCE}>{features}')])
        wic = await page.wait_incoming()
        assert wic.invite.headers.get("Contact") == (
            f'<{CONFERENCE}>;isfocus;text;+g.3gpp.icsi-ref="urn%3Aurn-7%3Ax"'
        )
        await wic.respond(486)
        await ims.wait_status(486)

    async def test_any_other_contact_stays_in_the_network(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, headers=[("Contact", "<sip:internal@192.0.2.9;x=y>;automata;q=1")])
        wic = await page.wait_incoming()
        assert wic.invite.headers.get("Contact") == "<sip:gateway@ims.test;transport=ws>;automata"
        await wic.respond(486)
        await ims.wait_status(486)

    async def test_who_is_in_it(self, stage: Stage) -> None:
        page = await stage.page()
        event = [("Event", "conference"), ("Accept", "application/conference-info+xml"), ("Expires", "600")]
        subscribe = await page.send_request("SUBSCRIBE", CONFERENCE, headers=event)
        page.dialogs.add(subscribe.call_id)
        answer = await page.trace.wait_response(range(200, 700), "SUBSCRIBE", call_id=subscribe.call_id)
        assert answer.status == 200
        there = stage.core.subscriptions.by_call_id[subscribe.call_id]
        assert (there.subscribe.request_uri, there.subscribe.headers.get("Event")) == (
            CONFERENCE,
            "conference",
        )
        info = '<conference-info entity="sip:conf"><users><user entity="sip:bob"/></users></conference-info>'
        for state in ("active;expires=600", "terminated;reason=noresource"):
            sent = await there.notify(
                info, state=state, content_type="application/conference-info+xml", event="conference"
            )
            assert sent.status == 200
        notify = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)
        assert (notify.body, notify.headers.get("Content-Type")) == (info, "application/conference-info+xml")

    async def test_guests_are_named_in_the_invite(self, stage: Stage) -> None:
        page = await stage.page()
        fields = [("Require", "recipient-list-invite")]
        call = await called(stage, page, FACTORY, headers=fields, parts=[GUESTS])
        assert call.ims.invite.option_tags("Require") == {"recipient-list-invite"}
        assert call.ims.invite.parts[1] == GUESTS
        await hang_up(call)


class TestMessageWaiting:
    """MWI (TS 24.606)."""

    async def test_a_page_hears_of_its_voice_mail(self, stage: Stage) -> None:
        page = await stage.page()
        event = [
            ("Event", "message-summary"),
            ("Accept", "application/simple-message-summary"),
            ("Expires", "600"),
        ]
        subscribe = await page.send_request("SUBSCRIBE", ALICE, headers=event)
        page.dialogs.add(subscribe.call_id)
        answer = await page.trace.wait_response(range(200, 700), "SUBSCRIBE", call_id=subscribe.call_id)
        assert answer.status == 200
        there = stage.core.subscriptions.by_call_id[subscribe.call_id]
        summary = (
            "Messages-Waiting: yes\r\nMessage-Account: sip:alice@ims.test\r\nVoice-Message: 2/8 (0/2)\r\n"
        )
        sent = await there.notify(
            summary,
            state="terminated;reason=timeout",
            content_type="application/simple-message-summary",
            event="message-summary",
        )
        assert sent.status == 200
        notify = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)
        assert (notify.body, notify.headers.get("Event")) == (summary, "message-summary")


class TestCallCompletion:
    """CCBS, CCNR and CCNL (TS 24.642)."""

    async def test_a_page_waits_for_the_callee_and_is_told(self, stage: Stage) -> None:
        stage.core.script = rejects(
            486, ("Call-Info", f"<{BOB};m=BS>;purpose=call-completion;m=BS"), ringing=False
        )
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        busy = await wic.wait_status(486)
        assert "purpose=call-completion" in (busy.headers.get("Call-Info") or "")
        event = [("Event", "call-completion"), ("Expires", "600")]
        subscribe = await page.send_request("SUBSCRIBE", f"{BOB};m=BS", headers=event)
        page.dialogs.add(subscribe.call_id)
        answer = await page.trace.wait_response(range(200, 700), "SUBSCRIBE", call_id=subscribe.call_id)
        assert answer.status == 200
        there = stage.core.subscriptions.by_call_id[subscribe.call_id]
        assert there.subscribe.request_uri == f"{BOB};m=BS"
        ready = "cc-state: ready\r\n"
        sent = await there.notify(
            ready,
            state="terminated;reason=noresource",
            content_type="application/call-completion",
            event="call-completion",
        )
        assert sent.status == 200
        assert (await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)).body == ready
        stage.core.script = answers()
        recall = await called(stage, page, f"{BOB};m=BS")
        assert recall.ims.invite.request_uri == f"{BOB};m=BS"
        await hang_up(recall)


class TestMaliciousCalls:
    """MCID (TS 24.616)."""

    @pytest.mark.parametrize("by_page", [True, False])
    async def test_it_is_asked_for_in_a_call(self, stage: Stage, by_page: bool) -> None:
        call = await established(stage, await stage.page(), by_page=False)
        assert (await (page_asks if by_page else core_asks)(call, "INFO", body=MCID)).status == 200
        got = last(call, "INFO", at_core=by_page)
        assert (got.headers.get("Content-Type"), got.body) == MCID
        await hang_up(call)


class TestAdviceOfCharge:
    """AOC (TS 24.647)."""

    async def test_in_every_message_that_may_carry_it(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (Provisional(180, parts=(AOC,)), Final(200, DeviceMedia(), parts=(AOC,)))
        )
        call = await called(stage, await stage.page(), headers=[TAKES_PARTS])
        ringing, answer = await call.wic.wait_status(180), await call.wic.wait_answer()
        assert ringing.body == AOC.body
        assert answer.parts == [AOC]
        assert (await core_asks(call, "INFO", body=(AOC.content_type, AOC.body))).status == 200
        assert last(call, "INFO", at_core=False).body == AOC.body
        assert (await core_asks(call, "BYE", body=(AOC.content_type, AOC.body))).status == 200
        bye = last(call, "BYE", at_core=False)
        assert (bye.headers.get("Content-Type"), bye.body) == (AOC.content_type, AOC.body)

    async def test_a_page_asks_for_it(self, stage: Stage) -> None:
        call = await called(stage, await stage.page(), parts=[AOC])
        assert call.ims.invite.parts[1] == AOC
        await hang_up(call)


class TestClosedUserGroups:
    """CUG (TS 24.654)."""

    async def test_both_ways(self, stage: Stage) -> None:
        page = await capable_page(stage)
        call = await called(stage, page, parts=[CUG])
        assert call.ims.invite.parts[1] == CUG
        await hang_up(call)
        stage.core.call(ALICE, parts=[CUG])
        wic = await page.wait_incoming()
        assert wic.invite.parts[1] == CUG
        await wic.respond(603)


class TestAlertingTones:
    """CAT and CRS (TS 24.182, TS 24.183)."""

    async def test_the_gateway_model_is_early_media(self, stage: Stage) -> None:
        alert = ("Alert-Info", "<urn:alert:tone:normal>")
        stage.core.script = CoreScript(
            (
                Provisional(183, True, DeviceMedia(), headers=(alert,)),
                Provisional(180),
                Pause(0.1),
                Final(200),
            )
        )
        call = await called(stage, await stage.page())
        tone = await call.wic.wait_status(183, count=2)
        assert (tone.headers.get("Alert-Info"), tone.is_reliable) == (alert[1], True)
        await hang_up(call)

    async def test_the_forking_model_is_another_early_dialog(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (
                Provisional(183, media=DeviceMedia(), fork="cat"),
                Provisional(180, fork="a"),
                Final(200, DeviceMedia(audio="PCMU"), fork="a"),
            )
        )
        wic = await (await stage.page()).invite(BOB, AUDIO)
        await wic.wait_answer()
        call = Call(wic, stage.core.calls[wic.call_id])  # type: ignore[arg-type]
        await call.ims.wait_ack()
        await unharmed(call)
        await hang_up(call)

    async def test_early_sessions_end_here(self, stage: Stage) -> None:
        early = Part(
            "application/sdp", "v=0\r\n", (("Content-Disposition", "early-session;handling=optional"),)
        )
        stage.core.script = CoreScript(
            (Provisional(183, media=DeviceMedia(), parts=(early,)), Final(200, DeviceMedia(), parts=(AOC,)))
        )
        call = await called(stage, await stage.page(), headers=[TAKES_PARTS])
        assert early.body not in (await call.wic.wait_status(183, count=2)).body
        await hang_up(call)

    async def test_a_customized_ringing_signal_reaches_the_page(self, stage: Stage) -> None:
        page = await stage.page()
        signal = ("Alert-Info", "<https://ims.test/ring.wav>;appearance=1")
        stage.core.call(ALICE, headers=[signal])
        wic = await page.wait_incoming()
        assert wic.invite.headers.get("Alert-Info") == signal[1]
        await wic.respond(486)


class TestCallingName:
    """eCNAM (TS 24.196)."""

    async def test_name_and_card_reach_the_page(self, stage: Stage) -> None:
        page = await stage.page()
        card = ("Call-Info", "<https://ims.test/card.jpg>;purpose=icon, <https://ims.test/bob>;purpose=info")
        named = ("P-Asserted-Identity", '"Bob Größe" <sip:bob@ims.test>')
        stage.core.call(ALICE, caller="sip:bob@ims.test;verstat=TN-Validation-Passed", headers=[card, named])
        wic = await page.wait_incoming()
        assert wic.invite.headers.fields("Call-Info") == [card[1]]
        assert named[1] in wic.invite.headers.fields("P-Asserted-Identity")
        assert "verstat=TN-Validation-Passed" in (wic.invite.headers.get("From") or "")
        await wic.respond(486)


class TestManyIdentities:
    """MuD and MiD (TS 24.174)."""

    async def test_additional_identities_stay_in_the_network(self, stage: Stage) -> None:
        page = await stage.page()
        additional = ("Additional-Identity", "<sip:other@ims.test>")
        call = await called(stage, page, headers=[additional])
        assert call.ims.invite.headers.get("Additional-Identity") is None
        await hang_up(call)
        stage.core.call(ALICE, headers=[additional])
        wic = await page.wait_incoming()
        assert wic.invite.headers.get("Additional-Identity") is None
        await wic.respond(486)

    async def test_a_page_calls_with_another_identity_of_its_own(self, stage: Stage) -> None:
        call = await called(stage, await stage.page(), headers=[("P-Preferred-Identity", "<tel:+15550100>")])
        assert call.ims.invite.headers.all("P-Asserted-Identity") == ["<tel:+15550100>"]
        await hang_up(call)


class TestUssd:
    """USSI (TS 24.390)."""

    async def test_a_page_asks_and_is_answered(self, stage: Stage) -> None:
        package = ("Recv-Info", "g.3gpp.ussd")
        stage.core.script = CoreScript((Final(200, DeviceMedia(), headers=(package,)),))
        call = await called(
            stage,
            await stage.page(),
            DIALLED,
            headers=[package],
            parts=[USSD],
        )
        assert call.ims.invite.parts[1] == USSD
        assert call.ims.invite.headers.get("Recv-Info") == package[1]
        assert (await call.wic.wait_answer()).headers.get("Recv-Info") == package[1]
        fields = [("Info-Package", "g.3gpp.ussd"), ("Content-Disposition", "Info-Package")]
        for by_page in (False, True):
            asks = page_asks if by_page else core_asks
            assert (
                await asks(call, "INFO", headers=fields, body=(USSD.content_type, USSD.body))
            ).status == 200
            got = last(call, "INFO", at_core=by_page)
            assert (got.headers.get("Info-Package"), got.body) == ("g.3gpp.ussd", USSD.body)
        assert (await core_asks(call, "BYE", body=(USSD.content_type, USSD.body))).status == 200
        assert last(call, "BYE", at_core=False).body == USSD.body


class TestShortMessages:
    """SMSoIP (TS 24.341): bytes, so a binary frame (RFC 7118 §4.2)."""

    RP_DATA = ("application/vnd.3gpp.sms", "\0\x01\0\x07\udc91\udcff\x10\r\n\x04\0")

    async def test_of_the_page(self, stage: Stage) -> None:
        page = await stage.page()
        fields = [("Content-Type", self.RP_DATA[0]), ("Accept-Contact", "*;+g.3gpp.smsip")]
        answer = await page.request("MESSAGE", "tel:+15550199", headers=fields, body=self.RP_DATA[1])
        assert answer.status == 200
        (got,) = [one for one in stage.core.trace.requests("MESSAGE") if one.call_id == answer.call_id]
        assert got.body == self.RP_DATA[1]

    async def test_to_the_page(self, stage: Stage) -> None:
        page = await stage.page()
        call = await established(stage, page)
        assert (await core_asks(call, "MESSAGE", body=self.RP_DATA)).status == 200
        assert last(call, "MESSAGE", at_core=False).body == self.RP_DATA[1]
        assert page.socket.close_code is None
        await unharmed(call)
        await hang_up(call)
