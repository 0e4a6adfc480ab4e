"""What the users of a class may call, how much of it, and emergencies: on real Kamailio, by the table in Redis."""

from __future__ import annotations

import asyncio
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.nodes import NodesView
from kemi.state.web.running_calls import RunningCalls
from kemi.state.web.streams import CommandStream
from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.routes import load
from tests.integration.calls.stage import CLEAN_WITHIN_S, Call, warning_of
from tests.integration.limits.limited import LimitedStage, final_status, limited_options
from tests.integration.limits.test_policy import ended_on_both_sides
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS
from tests.lab.proof import wait_clean
from tests.lab.subscribers import REALM
from tests.peers.multipart import Part
from tests.peers.sip import SipResponse
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

LONGEST_CALL_S = 3.0
BERLIN, MUNICH, PARIS, ROME = (
    "tel:+493012345678",
    "tel:+498912345678",
    "tel:+33123456789",
    "tel:+390612345678",
)
MOBILE, PREMIUM = "tel:+4915112345678", "tel:+499001234567"
DOCUMENT = RoutingDocument(
    routes=[
        Route("all", "*", Target.CORE),
        Route("nowhere", "+4940*", Target.REFUSE, status=480, reason="closed"),
    ],
    plans={REALM: DialPlan(country="DE")},
    permissions={
        "*": Permission(
            classes=(CostClass.FREE, CostClass.NATIONAL, CostClass.MOBILE),
            allowed=("FR",),
            denied=("+4989",),
            calls=3,
            per_minute={CostClass.MOBILE: 2},
            longest_call_s=LONGEST_CALL_S,
            alarms={"denied": 2},
            class_alarms={"international": 1},
        )
    },
)


@pytest.fixture(scope="module")
def barring_lab() -> Iterator[Lab]:
    """No limits but those of the table; emergencies as by default."""
    options = limited_options(
        **NO_LIMITS,
        gateway_emergency_numbers=["19222"],
        gateway_denied_numbers=[],
        gateway_longest_call_s=60,
    )
    with Lab(options) as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def stage(barring_lab: Lab) -> AsyncIterator[LimitedStage]:
    """A core and a user of this test's own."""
    stage = LimitedStage(barring_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


async def answer_to(stage: LimitedStage, page: ScriptedWic, target: str) -> SipResponse:
    """Call, and return the final response; nobody was called."""
    call = await page.invite(target, AUDIO)
    final = await final_status(call)
    assert not stage.core_knows(call.call_id)
    return final


async def answered(stage: LimitedStage, page: ScriptedWic, target: str) -> Call:
    """Call and be answered."""
    wic = await page.invite(target, AUDIO)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    return call


def counted(stage: LimitedStage, name: str) -> int:
    """Ask the control endpoint."""
    status, body = stage.lab.control("GET", "/v1/counters")
    assert status == 200
    return int(body["counters"].get(name, 0))


class TestClasses:
    """What a number costs decides, in every way that makes somebody call."""

    @pytest.mark.parametrize(
        ("target", "why", "counter"),
        [
            (PREMIUM, "you may not call premium numbers", "denied.premium"),
            (f"sip:0900-1234567@{REALM};user=phone", "you may not call premium numbers", "denied.premium"),
            (f"sip:0900-1234567,5@{REALM}", "you may not call premium numbers", "denied.premium"),
            ("tel:00390612345678", "you may not call international numbers", "denied.international"),
            (MUNICH, "you may not call numbers that begin with +4989", "denied.number"),
            ("tel:+881612345678", "you may not call satellite numbers", "denied.satellite"),
        ],
    )
    async def test_it_is_denied_and_told(
        self, stage: LimitedStage, target: str, why: str, counter: str
    ) -> None:
        before = counted(stage, counter)
        refused = await answer_to(stage, await stage.own_page(), target)
        assert (refused.status, warning_of(refused)) == (403, why)
        await stage.logged(refused.call_id, "event=call_denied", "why=")
        assert (await stage.told("call_refused", call_id=refused.call_id))["why"] == why
        assert counted(stage, counter) == before + 1

    async def test_what_is_allowed_is_called(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        for target, cost in (
            (BERLIN, "national"),
            (PARIS, "international"),
            (f"sip:bob@{REALM}", "internal"),
        ):
            call = await answered(stage, page, target)
            await stage.logged(call.call_id, "event=call_routed", f"cost={cost}")
            await call.hang_up()
        alarm = await stage.told("fraud_alarm", what="international")
        assert "impu" not in alarm

    async def test_a_page_does_not_say_where_a_ported_number_is(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        call = await answered(stage, page, f"sip:+493012345678;npdi;rn=+49900@{REALM};user=phone")
        assert call.ims.invite.request_uri == f"sip:+493012345678@{REALM};user=phone"
        refer = call.wic.request("REFER", headers=[("Refer-To", f"<{BERLIN};rn=+49900>")])
        assert (await call.wic.ask(refer)).status == 403
        await call.hang_up()

    async def test_nobody_else_is_made_to_call(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        call = await answered(stage, page, BERLIN)
        replaces = f"<{PREMIUM}?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>"
        for target, status in (
            (f"<{PREMIUM}>", 403),
            (replaces, 403),
            ("<tel:112>", 380),
            (f"<{PARIS}>", 200),
        ):
            refer = call.wic.request("REFER", headers=[("Refer-To", target)])
            assert (await call.wic.ask(refer)).status == status
        await call.hang_up()
        outside = await page.request("REFER", f"sip:bob@{REALM}", headers=[("Refer-To", f"<{PREMIUM}>")])
        assert outside.status == 403
        for target, status in ((PREMIUM, 403), (BERLIN, 200)):
            assert (await page.request("MESSAGE", target)).status == status

    async def test_a_conference_calls_nobody_else_either(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        names = ("denied.premium", "denied.site_policy", "emergency.refuse")
        before = [counted(stage, name) for name in names]
        decoy = '<display-name>uri="http:</display-name>'
        for first, target, status in (
            ("", PREMIUM, 403),
            ("", "tel:112", 403),
            ("", "sip:x@evil.example", 403),
            ("", "tel:&#43;499001234567", 403),
            (decoy, PREMIUM, 403),
            ('<!-- uri="http: -->', PREMIUM, 415),
            (decoy, BERLIN, 200),
        ):
            guests = Part(
                "application/resource-lists+xml",
                f'<resource-lists><list><entry uri="sip:bob@{REALM}">{first}</entry><entry uri="{target}"/></list>'
                "</resource-lists>",
                (("Content-Disposition", "recipient-list"),),
            )
            wic = await page.invite(f"sip:mmtel@conf-factory.{REALM}", AUDIO, parts=[guests])
            assert (await final_status(wic)).status == status
            if status == 200:
                call = Call(wic, await stage.core.wait_call())
                await call.ims.wait_ack()
                await call.hang_up()
        assert [counted(stage, name) for name in names] == [
            number + more for number, more in zip(before, (3, 1, 1), strict=True)
        ]
        await stage.told("fraud_alarm", impu=stage.aor, what="denied")

    @pytest.mark.parametrize("target", [PREMIUM, "tel:+4940123456", "tel:112"])
    async def test_a_page_deflects_nobody_there(self, stage: LimitedStage, target: str) -> None:
        page = await stage.own_page()
        call = await incoming.ringing(stage, page, stage.aor)
        await call.wic.respond(302, headers=[("Contact", f"<{target}>")])
        refused = await call.ims.wait_status(range(300, 700))
        assert (refused.status, refused.headers.get("Contact")) == (480, None)
        await call.wic.wait_request("ACK")

    async def test_but_elsewhere(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        call = await incoming.ringing(stage, page, stage.aor)
        await call.wic.respond(302, headers=[("Contact", f"<{BERLIN}>")])
        assert (await call.ims.wait_status(302)).headers.get("Contact") == f"<{BERLIN}>"
        await call.wic.wait_request("ACK")


class TestLimits:
    """Counted for each user."""

    async def test_calls_at_once_and_the_longest_call(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        calls = [await answered(stage, page, BERLIN) for _ in range(3)]
        refused = await answer_to(stage, page, BERLIN)
        assert (refused.status, warning_of(refused)) == (403, "you may have no more than 3 calls at once")
        for call in calls:
            await ended_on_both_sides(call, "longer than a call may be")
        await (await answered(stage, page, BERLIN)).hang_up()

    async def test_calls_in_a_minute_to_one_kind_of_rates(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        for _ in range(2):
            await (await answered(stage, page, MOBILE)).hang_up()
        refused = await answer_to(stage, page, MOBILE)
        assert (refused.status, warning_of(refused)) == (
            503,
            "you may make no more than 2 mobile calls in a minute",
        )
        assert 0 < int(refused.headers.get("Retry-After") or 0) <= 30
        await (await answered(stage, page, BERLIN)).hang_up()

    async def test_another_spelling_of_the_identity_is_no_other_user(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        for number in range(2):
            page.identity = replace(page.identity, aor=f"{stage.aor};a={number}")
            assert (await page.register()).status == 200
            await (await answered(stage, page, MOBILE)).hang_up()
        assert (await answer_to(stage, page, MOBILE)).status == 503

    async def test_an_alarm_is_raised_once(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        alarms = counted(stage, "alarms")
        for _ in range(3):
            await answer_to(stage, page, ROME)
        alarm = await stage.told("fraud_alarm", impu=stage.aor)
        assert (alarm["what"], alarm["calls"]) == ("denied", "2")
        await asyncio.sleep(0.3)
        assert len(stage.events("fraud_alarm", impu=stage.aor)) == 1
        assert counted(stage, "alarms") == alarms + 1


@pytest.mark.conformance("S-60", "S-61")
class TestEmergency:
    """By default a page hears that another telephone is needed, whatever else it may or may not do."""

    @pytest.mark.parametrize(
        "target",
        [
            "urn:service:sos",
            "urn:service:sos.police",
            "tel:110",
            f"sip:112@{REALM}",
            "tel:+49112",
            "tel:19222",
        ],
    )
    async def test_it_is_another_service(self, stage: LimitedStage, target: str) -> None:
        before = counted(stage, "emergency.refuse")
        answer = await answer_to(stage, await stage.own_page(), target)
        assert (answer.status, answer.reason_phrase) == (380, "Alternative Service")
        assert answer.headers.get("Content-Type") == "application/3gpp-ims+xml"
        gateway = stage.lab.info.gateway
        assert answer.headers.get("P-Asserted-Identity") == f"<sip:{gateway.address}:{gateway.sip_port}>"
        assert answer.headers.get("Contact") is None  # SIP.js and JsSIP drop a response with a URN there
        assert "another telephone" in warning_of(answer)
        told = ET.fromstring(answer.body).find("alternative-service")
        assert told is not None
        assert (told.findtext("type"), told.findtext("action")) == ("emergency", None)
        await stage.told("emergency_call", call_id=answer.call_id, action="refuse", impu=stage.aor)
        assert counted(stage, "emergency.refuse") == before + 1

    async def test_messages_and_who_is_not_registered_hear_the_same(self, stage: LimitedStage) -> None:
        page = await stage.own_page(registered=False)
        assert (await answer_to(stage, page, "tel:112")).status == 380
        assert (await page.request("MESSAGE", "urn:service:sos")).status == 380

    @pytest.mark.conformance("S-62")
    async def test_nobody_registers_for_emergencies(self, stage: LimitedStage) -> None:
        page = ScriptedWic(stage.handshake, WicIdentity(stage.aor, feature_tags=("sos",)))
        await stage.join(page, registered=False)
        refused = await page.register()
        assert (refused.status, "emergencies" in warning_of(refused)) == (403, True)


class TestOperator:
    """Who watches sees calls and counters of all gateways, and ends calls."""

    async def test_calls_are_listed_and_ended(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        out = await answered(stage, page, BERLIN)
        towards = await incoming.answered(stage, page, stage.aor)
        redis = connect(stage.lab.info.redis_url)
        found, silent = await asyncio.to_thread(RunningCalls(redis).ask, time.time())
        ((_, gateway),) = found.items()
        assert silent == []
        calls = {call.call_id: call for call in gateway.calls if call.owner == stage.aor}
        assert {call_id: (call.direction, call.dialog, call.kinds) for call_id, call in calls.items()} == {
            out.call_id: ("out", "confirmed", ["audio"]),
            towards.call_id: ("in", "confirmed", ["audio"]),
        }
        assert calls[out.call_id].peer == BERLIN
        CommandStream(redis).end_calls(call_id=out.call_id, now=time.time())
        await ended_on_both_sides(out, "ended by the operator")
        assert (await towards.wic.bye()).status == 200

    async def test_counters_are_in_redis(self, stage: LimitedStage) -> None:
        await answer_to(stage, await stage.own_page(), PREMIUM)
        number = counted(stage, "denied.premium")
        view = NodesView(connect(stage.lab.info.redis_url))

        def seen() -> bool:
            return any(
                one.counters.get("denied.premium") == number for one in view.seen(time.time()).values()
            )

        await stage.soon(seen, "the counter in Redis")
