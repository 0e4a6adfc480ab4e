"""Requests of any kind inside a call, both ways, while it rings and when it is answered (RFC 3261 §12, RFC 6086)."""

from __future__ import annotations

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.stage import ALICE, BOB, Call, Stage
from tests.integration.services.world import (
    AnyCall,
    core_asks,
    core_dialog,
    established,
    hang_up,
    page_asks,
    page_dialog,
    unharmed,
)
from tests.peers.core_script import answers
from tests.peers.dialog import Pairs
from tests.peers.sip import CSeq, Headers, SipRequest, message_to_text, new_tag
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

Body = tuple[str, str] | None
AOC = ("application/vnd.etsi.aoc+xml", '<?xml version="1.0"?>\r\n<aoc><aoc-d>1,50 €</aoc-d></aoc>\r\n')
USSD = ("application/vnd.3gpp.ussd+xml", "<ussd-data><ussd-string>*100#</ussd-string></ussd-data>")
SMS = ("application/vnd.3gpp.sms", "\0\x01\udcff\udc80\r\n\r\n")
METHODS = [
    pytest.param("MESSAGE", (), ("text/plain;charset=utf-8", "Grüße\r\n"), id="MESSAGE"),
    pytest.param("MESSAGE", (), SMS, id="MESSAGE of bytes"),
    pytest.param("OPTIONS", (("Accept", "application/sdp"),), None, id="OPTIONS"),
    pytest.param(
        "INFO",
        (("Info-Package", "g.3gpp.ussd"), ("Content-Disposition", "Info-Package")),
        USSD,
        id="INFO of a package",
    ),
    pytest.param("INFO", (), AOC, id="INFO without package"),
    pytest.param("INFO", (), SMS, id="INFO of bytes"),
    pytest.param(
        "SUBSCRIBE",
        (("Event", "conference"), ("Expires", "600"), ("Accept", "application/conference-info+xml")),
        None,
        id="SUBSCRIBE",
    ),
    pytest.param(
        "NOTIFY",
        (("Event", "conference"), ("Subscription-State", "active;expires=600")),
        ("application/conference-info+xml", "<conference-info/>"),
        id="NOTIFY",
    ),
    pytest.param("REFER", (("Refer-To", f"<{BOB};method=BYE>"), ("Refer-Sub", "false")), None, id="REFER"),
]
SIDES = [pytest.param(True, id="from the page"), pytest.param(False, id="from the core")]
WAYS = [pytest.param(True, id="call of the page"), pytest.param(False, id="call to the page")]


def arrived(call: AnyCall, method: str, *, by_page: bool) -> SipRequest:
    """Return the last request of a method that reached the other end."""
    end = call.ims if by_page else call.wic
    return next(one for one in reversed(end.trace.requests(method)) if one.call_id == call.call_id)


async def passes(
    stage: Stage, call: AnyCall, method: str, fields: Pairs, body: Body, *, by_page: bool
) -> None:
    """Send it and see that it arrived in the other end's dialog, as it was."""
    fields = list(fields)
    answer = await (page_asks if by_page else core_asks)(call, method, headers=fields, body=body)
    assert answer.status == 200, answer.start_line
    got = arrived(call, method, by_page=by_page)
    for name, value in fields:
        assert got.headers.get(name) == value
    assert (got.headers.get("Content-Type"), got.body) == (body or (None, ""))
    mine, theirs = page_dialog(call), core_dialog(call)
    dialog, own = (theirs, mine) if by_page else (mine, theirs)
    assert (got.from_tag, got.to_tag) == (dialog.remote_tag, dialog.local_tag)
    assert (answer.from_tag, answer.to_tag) == (own.local_tag, own.remote_tag)
    if not by_page:
        whole = "".join(f"{name}: {value}\r\n" for name, value in got.headers)
        assert stage.core.host_port not in whole
        assert stage.core.host_port not in message_to_text(got).partition("\r\n")[0]


class TestInACall:
    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize("by_page", SIDES)
    @pytest.mark.parametrize("made_by_page", WAYS)
    async def test_everything_passes(self, stage: Stage, made_by_page: bool, by_page: bool) -> None:
        call = await established(stage, await stage.page(), by_page=made_by_page)
        for case in METHODS:
            method, fields, body = case.values
            await passes(stage, call, method, fields, body, by_page=by_page)  # type: ignore[arg-type]
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("by_page", SIDES)
    @pytest.mark.parametrize("status", [202, 403, 415, 469, 489, 603])
    async def test_so_does_the_answer(self, stage: Stage, status: int, by_page: bool) -> None:
        call = await established(stage, await stage.page(), by_page=False)
        if by_page:
            call.ims.statuses["INFO"] = status
        else:
            call.wic.plan = type(call.wic.plan)(statuses={"INFO": status})
        asks = page_asks if by_page else core_asks
        assert (await asks(call, "INFO", headers=[("Info-Package", "x")], body=USSD)).status == status
        call.ims.statuses.clear()
        call.wic.plan = type(call.wic.plan)()
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("by_page", SIDES)
    async def test_publish_does_not(self, stage: Stage, by_page: bool) -> None:
        """RFC 3903 §4: it makes no dialog and is in none."""
        call = await established(stage, await stage.page())
        refused = await (page_asks if by_page else core_asks)(
            call, "PUBLISH", headers=[("Event", "presence")]
        )
        assert refused.status == 405
        assert {"INFO", "REFER", "SUBSCRIBE"} <= refused.option_tags("Allow")
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("by_page", SIDES)
    async def test_many_at_once_stay_in_order_of_their_dialog(self, stage: Stage, by_page: bool) -> None:
        call = await established(stage, await stage.page())
        for number in range(20):
            body = ("text/plain", f"number {number}")
            await (page_asks if by_page else core_asks)(call, "INFO", body=body)
        end = call.ims if by_page else call.wic
        texts = [one.body for one in end.trace.requests("INFO") if one.call_id == call.call_id]
        assert texts == [f"number {number}" for number in range(20)]
        await hang_up(call)

    @pytest.mark.conformance("S-41")
    async def test_a_subscription_inside_a_call_ends_with_its_last_notify(self, stage: Stage) -> None:
        call = await established(stage, await stage.page())
        event = ("Event", "conference")
        assert (await page_asks(call, "SUBSCRIBE", headers=[event, ("Expires", "60")])).status == 200
        for state in ("active;expires=60", "terminated;reason=timeout"):
            await passes(
                stage,
                call,
                "NOTIFY",
                (event, ("Subscription-State", state)),
                ("text/xml", "<a/>"),
                by_page=False,
            )
        await hang_up(call)
        late = await core_asks(call, "NOTIFY", headers=[event, ("Subscription-State", "terminated")])
        assert late.status == 481


class TestWhileItRings:
    """RFC 3261 §12.2: an early dialog takes requests too; PRACK and UPDATE are tested elsewhere."""

    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize("by_page", SIDES)
    async def test_a_call_of_the_page(self, stage: Stage, by_page: bool) -> None:
        stage.core.script = answers(ring_s=1.0)
        call: AnyCall = await stage.ringing(await stage.page())
        for case in METHODS[:5] + METHODS[8:]:
            method, fields, body = case.values
            await passes(stage, call, method, fields, body, by_page=by_page)  # type: ignore[arg-type]
        assert isinstance(call, Call)
        await call.wic.wait_answer()
        await call.ims.wait_ack()
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize("by_page", SIDES)
    async def test_a_call_to_the_page(self, stage: Stage, by_page: bool) -> None:
        call = await incoming.ringing(stage, await stage.page())
        for case in METHODS[:5] + METHODS[8:]:
            method, fields, body = case.values
            await passes(stage, call, method, fields, body, by_page=by_page)  # type: ignore[arg-type]
        await call.wic.answer()
        await unharmed(call)
        await hang_up(call)


class TestOutsideCalls:
    """Bytes and types of MESSAGE, PUBLISH and the like stay."""

    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize(
        "body", [SMS, AOC, ("multipart/mixed;boundary=a", "--a\r\n\r\n\udcff\0\r\n--a--\r\n")]
    )
    @pytest.mark.parametrize(
        ("method", "fields"),
        [
            ("MESSAGE", ()),
            ("PUBLISH", (("Event", "presence"), ("Expires", "60"))),
            ("NOTIFY", (("Event", "x"), ("Subscription-State", "active"))),
        ],
    )
    async def test_from_the_page(
        self, stage: Stage, method: str, fields: Pairs, body: tuple[str, str]
    ) -> None:
        page = await stage.page()
        headers = [*fields, ("Content-Type", body[0])]
        answer = await page.request(method, BOB, headers=headers, body=body[1])
        assert answer.status == 200
        (got,) = [one for one in stage.core.trace.requests(method) if one.call_id == answer.call_id]
        assert (got.headers.get("Content-Type"), got.body) == body

    @pytest.mark.conformance("S-41", "B-04")
    @pytest.mark.parametrize("body", [SMS, AOC])
    async def test_from_the_core(self, stage: Stage, body: tuple[str, str]) -> None:
        """An IP-SM-GW chooses a contact that has registered for short messages (TS 24.341 §5.3.3)."""
        identity = WicIdentity(ALICE, feature_tags=("+g.3gpp.smsip",))
        page = await stage.join(ScriptedWic(stage.handshake, identity))
        registration = stage.core.registrations[ALICE]
        assert "+g.3gpp.smsip" in (registration.request.headers.get("Contact") or "")
        fields = [
            ("Via", stage.core.new_via()),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in registration.path),
            ("From", f"<{BOB}>;tag={new_tag()}"),
            ("To", f"<{ALICE}>"),
            ("Call-ID", new_tag()),
            ("CSeq", str(CSeq(1, "MESSAGE"))),
            ("Accept-Contact", "*;+g.3gpp.smsip;require;explicit"),
        ]
        request = SipRequest("MESSAGE", registration.contact, headers=Headers(fields)).set_body(
            body[1], body[0]
        )
        stage.core.send(request, (stage.core.address[0], stage.lab.info.gateway.sip_port))
        answer = await stage.core.trace.wait_response(range(200, 700), "MESSAGE", call_id=request.call_id)
        assert answer.status == 200
        got = await page.trace.wait_request("MESSAGE", call_id=request.call_id)
        assert (got.headers.get("Content-Type"), got.body) == body
        assert page.socket.close_code is None
