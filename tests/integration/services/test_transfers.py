"""REFER and Replaces: both sides name one call by different tags (RFC 3515, RFC 3891, RFC 4538, RFC 5589)."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import ALICE, BOB, CAROL, Call, Stage, warning_of
from tests.integration.services.world import (
    core_asks,
    core_dialog,
    established,
    hang_up,
    last,
    notified,
    page_asks,
    page_dialog,
    refer_to,
    replaces,
    seen_by_other_end,
    told,
    transferred,
    unharmed,
)
from tests.peers.core_script import CoreScript, Final, Provisional, answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import CSeq, Headers, SipRequest, new_tag
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

WAYS = [pytest.param(True, id="call of the page"), pytest.param(False, id="call to the page")]


def outside(stage: Stage, method: str, *headers: tuple[str, str]) -> SipRequest:
    """Return a request of the core to alice's page outside any dialog."""
    registration = stage.core.registrations[ALICE]
    fields = [
        ("Via", stage.core.new_via()),
        ("Max-Forwards", "70"),
        *(("Route", route) for route in registration.path),
        ("From", f"<{BOB}>;tag={new_tag()}"),
        ("To", f"<{ALICE}>"),
        ("Call-ID", new_tag()),
        ("CSeq", str(CSeq(1, method))),
        ("Contact", f"<sip:bob@{stage.core.host_port}>"),
        *headers,
    ]
    return SipRequest(method, registration.contact, headers=Headers(fields))


class TestBlindTransfer:
    """REFER inside the call, progress in NOTIFY."""

    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize("by_page", WAYS)
    async def test_by_the_page(self, stage: Stage, by_page: bool) -> None:
        call = await established(stage, await stage.page(), by_page=by_page)
        call.ims.statuses["REFER"] = 202
        fields = [("Refer-To", f"<{CAROL}>"), ("Referred-By", f"<{ALICE}>")]
        assert (await page_asks(call, "REFER", headers=fields)).status == 202
        refer = await call.ims.wait_request("REFER")
        assert (refer.headers.get("Refer-To"), refer.headers.get("Referred-By")) == (
            f"<{CAROL}>",
            f"<{ALICE}>",
        )
        assert (refer.from_tag, refer.to_tag) == (core_dialog(call).remote_tag, core_dialog(call).local_tag)
        assert "invalid" not in (refer.contact_uri or "")
        assert (
            await notified(call, "SIP/2.0 100 Trying", "active;expires=60", by_page=False)
            == "SIP/2.0 100 Trying"
        )
        assert (
            await notified(call, "SIP/2.0 200 OK", "terminated;reason=noresource", by_page=False)
            == "SIP/2.0 200 OK"
        )
        await hang_up(call)

    async def test_to_a_number_as_sipjs_and_jssip_write_it(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        call.ims.statuses["REFER"] = 202
        written = "<sip:7042%3Bphone-context%3Dims.test@ims.test;user=phone>"
        assert (await page_asks(call, "REFER", headers=[("Refer-To", written)])).status == 202
        refer = await call.ims.wait_request("REFER")
        assert refer.headers.get("Refer-To") == "<sip:7042;phone-context=ims.test@ims.test;user=phone>"
        await hang_up(call)

    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize("by_page", WAYS)
    async def test_by_the_core(self, stage: Stage, by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        fields = [("Refer-To", f"<{CAROL}>"), ("Referred-By", f"<{BOB}>")]
        assert (await core_asks(call, "REFER", headers=fields)).status == 200
        refer = await call.wic.wait_request("REFER")
        assert (refer.headers.get("Refer-To"), refer.headers.get("Referred-By")) == (f"<{CAROL}>", f"<{BOB}>")
        assert (refer.from_tag, refer.to_tag) == (page_dialog(call).remote_tag, page_dialog(call).local_tag)
        assert stage.core.host_port not in str(refer.headers)
        assert (
            await notified(call, "SIP/2.0 100 Trying", "active;expires=60", by_page=True)
            == "SIP/2.0 100 Trying"
        )
        wic = await page.invite(CAROL, AUDIO, headers=[("Referred-By", f"<{BOB}>")])
        await wic.wait_answer()
        new = Call(wic, stage.core.calls[wic.call_id])  # type: ignore[arg-type]
        assert new.ims.invite.headers.get("Referred-By") == f"<{BOB}>"
        assert (
            await notified(call, "SIP/2.0 200 OK", "terminated;reason=noresource", by_page=True)
            == "SIP/2.0 200 OK"
        )
        assert (await call.ims.bye()).status == 200
        await hang_up(new)

    async def test_without_subscription(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        fields = [("Refer-To", f"<{CAROL}>"), ("Refer-Sub", "false"), ("Supported", "norefersub")]
        assert (await page_asks(call, "REFER", headers=fields)).status == 200
        refer = await call.ims.wait_request("REFER")
        assert (refer.headers.get("Refer-Sub"), refer.headers.get("Supported")) == ("false", "norefersub")
        await transferred(call, by_page=False)  # the core has not agreed: its 200 says nothing of Refer-Sub
        await hang_up(call)

    @pytest.mark.parametrize("page_transfers", [True, False], ids=["by-page", "by-core"])
    @pytest.mark.parametrize("by_page", WAYS)
    async def test_reports_come_after_the_call_too(
        self, stage: Stage, by_page: bool, page_transfers: bool
    ) -> None:
        """Who transfers a call may hang up before it knows what became of it (RFC 5589 §6.1)."""
        call = await established(stage, await stage.page(), by_page=by_page)
        call.ims.statuses["REFER"] = 202
        ask = page_asks if page_transfers else core_asks
        accepted = await ask(call, "REFER", headers=[("Refer-To", f"<{CAROL}>")])
        assert accepted.status in (200, 202)
        await hang_up(call)
        reports = [
            ("SIP/2.0 100 Trying", "active;expires=60"),
            ("SIP/2.0 200 OK", "terminated;reason=noresource"),
        ]
        for fragment, state in reports:
            assert await notified(call, fragment, state, by_page=not page_transfers) == fragment
        tell = core_asks if page_transfers else page_asks
        fields = [("Event", "refer"), ("Subscription-State", "active;expires=60")]
        late = await tell(call, "NOTIFY", headers=fields, body=("message/sipfrag", "SIP/2.0 100 Trying"))
        assert late.status == 481

    async def test_no_reports_come_after_the_call_where_nobody_transferred(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        await hang_up(call)
        fields = [("Event", "refer"), ("Subscription-State", "active;expires=60")]
        report = await core_asks(
            call, "NOTIFY", headers=fields, body=("message/sipfrag", "SIP/2.0 100 Trying")
        )
        assert report.status == 481
        assert not [r for r in call.wic.trace.requests("NOTIFY") if r.call_id == call.call_id]


class TestSeveralTransfers:
    """Reports on the second one name it by its CSeq, which is another one on either side (RFC 3515 §2.4.6)."""

    async def test_by_the_page(self, stage: Stage) -> None:
        """The gateway has acknowledged a reliable 183 for the page, which does not count that PRACK."""
        page = await stage.page()
        stage.core.script = CoreScript((Provisional(183, True, DeviceMedia()), Final(200)))
        wic = await page.invite(BOB, AUDIO_BOTH_WAYS, supported="outbound")
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        call.ims.statuses["REFER"] = 202
        for _ in range(2):
            assert (await page_asks(call, "REFER", headers=[("Refer-To", f"<{CAROL}>")])).status == 202
        sent, got = wic.trace.requests("REFER", Direction.SENT)[-1], last(call, "REFER", at_core=True)
        assert sent.cseq.number != got.cseq.number
        report = ("SIP/2.0 200 OK", "terminated;reason=noresource")
        event = await told(call, *report, event=f"refer;id={got.cseq.number}", by_page=False)
        assert event == f"refer;id={sent.cseq.number}"
        fields = [("Event", f"refer;id={sent.cseq.number}"), ("Expires", "0")]
        assert (await page_asks(call, "SUBSCRIBE", headers=fields)).status == 200
        assert last(call, "SUBSCRIBE", at_core=True).headers.all("Event") == [f"refer;id={got.cseq.number}"]
        assert await told(call, *report, event="refer", by_page=False) == "refer"
        await hang_up(call)

    async def test_by_the_core(self, stage: Stage) -> None:
        """The page has had an UPDATE of the gateway before."""
        call = await established(stage, await stage.page())
        for _ in range(2):
            assert (await core_asks(call, "REFER", headers=[("Refer-To", f"<{CAROL}>")])).status == 200
        sent, got = call.ims.trace.requests("REFER", Direction.SENT)[-1], last(call, "REFER", at_core=False)
        assert sent.cseq.number != got.cseq.number
        report = ("SIP/2.0 200 OK", "terminated;reason=noresource")
        event = await told(call, *report, event=f"refer;id={got.cseq.number}", by_page=True)
        assert event == f"refer;id={sent.cseq.number}"
        assert await told(call, *report, event="refer", by_page=True) == "refer"
        await hang_up(call)


class TestAttendedTransfer:
    """The Refer-To names another call of the page."""

    @pytest.mark.conformance("S-24")
    @pytest.mark.parametrize("other_by_page", WAYS)
    @pytest.mark.parametrize("by_page", WAYS)
    async def test_by_the_page(self, stage: Stage, by_page: bool, other_by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        other = await established(stage, page, by_page=other_by_page)
        target = refer_to(CAROL, Replaces=replaces(page_dialog(other), "early-only"), Require="replaces")
        assert (await page_asks(call, "REFER", headers=[("Refer-To", target)])).status == 200
        refer = await call.ims.wait_request("REFER")
        wanted = refer_to(
            CAROL, Replaces=seen_by_other_end(core_dialog(other), "early-only"), Require="replaces"
        )
        assert unquote(refer.headers.get("Refer-To") or "") == unquote(wanted)
        assert await notified(call, "SIP/2.0 200 OK", "terminated;reason=noresource", by_page=False)
        assert (await other.ims.bye()).status == 200
        await hang_up(call)

    async def test_by_jssip_to_whoever_had_called_it(self, stage: Stage) -> None:
        """It writes its own tag first, as if it were to get the request itself."""
        page = await stage.page()
        call, other = await established(stage, page), await established(stage, page, by_page=False)
        own = page_dialog(other)
        target = refer_to(BOB, Replaces=f"{own.call_id};to-tag={own.local_tag};from-tag={own.remote_tag}")
        assert (await page_asks(call, "REFER", headers=[("Refer-To", target)])).status == 200
        found = (await call.ims.wait_request("REFER")).headers.get("Refer-To") or ""
        assert unquote(found) == unquote(refer_to(BOB, Replaces=seen_by_other_end(core_dialog(other))))
        assert await notified(call, "SIP/2.0 200 OK", "terminated;reason=noresource", by_page=False)
        assert (await other.ims.bye()).status == 200
        await hang_up(call)

    @pytest.mark.parametrize("other_by_page", WAYS)
    async def test_by_a_page_that_names_the_contact_of_the_other_call(
        self, stage: Stage, other_by_page: bool
    ) -> None:
        """As RFC 5589 §7.3 has it, and SIP.js does: to a page that Contact is the gateway's, whoever is behind it."""
        page = await stage.page()
        call = await established(stage, page)
        if other_by_page:
            other = await established(stage, page)
        else:
            other = await incoming.answered(stage, page, caller=BOB)
        target = refer_to(page_dialog(other).remote_target, Replaces=replaces(page_dialog(other)))
        assert target.startswith("<sip:gateway@")
        assert (await page_asks(call, "REFER", headers=[("Refer-To", f'"Bob" {target}')])).status == 200
        refer = await call.ims.wait_request("REFER")
        wanted = refer_to(BOB, Replaces=seen_by_other_end(core_dialog(other)))
        (found,) = refer.headers.all("Refer-To")
        assert unquote(found) == f'"Bob" {unquote(wanted)}'
        await transferred(call, by_page=False)
        await hang_up(call, other)

    async def test_by_the_core_to_somebody_elses_call(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        target = refer_to(CAROL, Replaces="between-bob-and-carol;to-tag=carol;from-tag=bob")
        assert (await core_asks(call, "REFER", headers=[("Refer-To", target)])).status == 200
        assert (await call.wic.wait_request("REFER")).headers.get("Refer-To") == target
        await transferred(call, by_page=True)
        await hang_up(call)

    @pytest.mark.parametrize("by_page", WAYS)
    async def test_the_page_takes_over_what_it_was_told(self, stage: Stage, by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        foreign = "between-bob-and-carol;to-tag=carol;from-tag=bob"
        fields = [("Replaces", foreign), ("Require", "replaces")]
        wic = await page.invite(CAROL, AUDIO, headers=fields)
        await wic.wait_answer()
        new = Call(wic, stage.core.calls[wic.call_id])  # type: ignore[arg-type]
        assert new.ims.invite.headers.all("Replaces") == [foreign]
        assert new.ims.invite.option_tags("Require") == {"replaces"}
        await hang_up(call, new)

    @pytest.mark.parametrize("by_page", WAYS)
    async def test_an_invite_of_the_page_names_its_own_call(self, stage: Stage, by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        fields = [("Replaces", replaces(page_dialog(call))), ("Require", "replaces")]
        wic = await page.invite(CAROL, AUDIO, headers=fields)
        await wic.wait_answer()
        new = Call(wic, stage.core.calls[wic.call_id])  # type: ignore[arg-type]
        assert new.ims.invite.headers.all("Replaces") == [seen_by_other_end(core_dialog(call))]
        await hang_up(call, new)

    @pytest.mark.conformance("S-24")
    @pytest.mark.parametrize("by_page", WAYS)
    async def test_somebody_takes_the_place_of_the_far_end(self, stage: Stage, by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        fields = [("Replaces", replaces(core_dialog(call))), ("Require", "replaces")]
        ims = stage.core.call(ALICE, caller=CAROL, headers=fields)
        wic = await page.wait_incoming()
        assert wic.invite.headers.all("Replaces") == [seen_by_other_end(page_dialog(call))]
        assert wic.invite.option_tags("Require") == {"replaces"}
        await wic.answer()
        await hang_up(call)
        new = incoming.PageCall(wic, ims)
        await unharmed(new)
        await hang_up(new)


class TestOtherNames:
    """Target-Dialog and Join, inside and outside of calls."""

    @pytest.mark.parametrize("by_page", WAYS)
    async def test_a_refer_of_the_page_outside_the_call(self, stage: Stage, by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        own, far = page_dialog(call), core_dialog(call)
        named = f"{call.call_id};local-tag={own.local_tag};remote-tag={own.remote_tag}"
        target = refer_to(CAROL, Replaces=replaces(own))
        answer = await page.request("REFER", BOB, headers=[("Refer-To", target), ("Target-Dialog", named)])
        assert answer.status == 200
        (refer,) = [one for one in stage.core.trace.requests("REFER") if one.call_id == answer.call_id]
        assert refer.headers.all("Target-Dialog") == [
            f"{call.call_id};local-tag={far.remote_tag};remote-tag={far.local_tag}"
        ]
        assert unquote(refer.headers.get("Refer-To") or "") == f"<{CAROL}?Replaces={seen_by_other_end(far)}>"
        await hang_up(call)

    @pytest.mark.parametrize("by_page", WAYS)
    async def test_a_refer_of_the_core_outside_the_call(self, stage: Stage, by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=by_page)
        own, far = page_dialog(call), core_dialog(call)
        named = f"{call.call_id};local-tag={far.local_tag};remote-tag={far.remote_tag}"
        request = outside(stage, "REFER", ("Refer-To", f"<{CAROL}>"), ("Target-Dialog", named))
        assert (await stage.core.ask(request, call.ims.gateway)).status == 200
        refer = await page.trace.wait_request("REFER", call_id=request.call_id)
        assert refer.headers.all("Target-Dialog") == [
            f"{call.call_id};local-tag={own.remote_tag};remote-tag={own.local_tag}"
        ]
        await hang_up(call)

    @pytest.mark.parametrize("field", ["Join", "Replaces"])
    async def test_inside_another_call_it_is_translated_too(self, stage: Stage, field: str) -> None:
        page = await stage.page()
        call = await established(stage, page)
        other = await established(stage, page, by_page=False)
        fields = [(field, replaces(core_dialog(other)))]
        assert (await core_asks(call, "MESSAGE", headers=fields, body=("text/plain", "x"))).status == 200
        message = await call.wic.wait_request("MESSAGE")
        assert message.headers.all(field) == [seen_by_other_end(page_dialog(other))]
        await hang_up(call, other)


class TestForeignCalls:
    """Nobody finds out about another's call."""

    async def test_another_page_names_it(self, stage: Stage) -> None:
        page = await stage.page()
        call = await established(stage, page)
        other = await stage.join(ScriptedWic(stage.handshake, WicIdentity(CAROL)), registered=False)
        stage.core.registrar = type(stage.core.registrar)(realm="ims.test", associated_uris=(CAROL,))
        assert (await other.register()).status == 200
        target = refer_to(BOB, Replaces=replaces(page_dialog(call)))
        answer = await other.request("REFER", BOB, headers=[("Refer-To", target)])
        assert answer.status == 200
        (refer,) = [one for one in stage.core.trace.requests("REFER") if one.call_id == answer.call_id]
        assert refer.headers.get("Refer-To") == target
        await hang_up(call)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(("to-tag=", "to-tag=x"), id="another tag"),
            pytest.param(("from-tag=", "from-tag=x"), id="another tag of the page"),
            pytest.param(("to-tag=", "to-thing="), id="no To-tag"),
            pytest.param(("from-tag=", "to-tag="), id="two To-tags"),
        ],
    )
    async def test_a_name_that_does_not_fit_passes(self, stage: Stage, change: tuple[str, str]) -> None:
        page = await stage.page()
        call = await established(stage, page)
        named = replaces(page_dialog(call)).replace(*change)
        fields = [("Refer-To", refer_to(CAROL, Replaces=named))]
        assert (await page_asks(call, "REFER", headers=fields)).status == 200
        refer = await call.ims.wait_request("REFER")
        assert unquote(refer.headers.get("Refer-To") or "") == f"<{CAROL}?Replaces={named}>"
        await transferred(call, by_page=False)
        await unharmed(call)
        await hang_up(call)

    async def test_nobody_asks_for_many_at_once(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        names = "&".join(f"Replaces={number}%3Bto-tag%3Da%3Bfrom-tag%3Db" for number in range(9))
        refused = await page_asks(call, "REFER", headers=[("Refer-To", f"<{CAROL}?{names}>")])
        assert (refused.status, warning_of(refused)) == (400, "more than 8 dialogs are named")
        assert not stage.core.trace.requests("REFER")
        await unharmed(call)
        await hang_up(call)


async def test_a_page_is_transferred_while_it_rings(stage: Stage) -> None:
    stage.core.script = answers(ring_s=0.5)
    call = await stage.ringing(await stage.page())
    assert (await core_asks(call, "REFER", headers=[("Refer-To", f"<{CAROL}>")])).status == 200
    await call.wic.wait_request("REFER")
    await call.ims.wait_ack()
    await transferred(call, by_page=True)
    await hang_up(call)
