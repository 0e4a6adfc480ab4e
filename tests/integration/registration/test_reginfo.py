"""The reg event package (RFC 3680; TS 24.229 §5.2.3, §5.2.5.2): the gateway watches its users' registrations."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB
from tests.integration.registration.registering import RegistrationStage
from tests.lab.ports import LOOPBACK
from tests.peers.core_reginfo import ContactReport, reginfo
from tests.peers.core_script import rings_for_ever
from tests.peers.sip import SipRequest, response_to
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE reginfo [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="9" state="full">&c;</reginfo>'
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE reginfo [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="9" state="full">&x;</reginfo>'
)


async def watched_page(stage: RegistrationStage) -> ScriptedWic:
    page = await stage.registered_page()
    await stage.subscribed()
    return page


def ended(page: ScriptedWic, event: str, **options: object) -> str:
    report = ContactReport(page.contact_uri, "terminated", event)
    return reginfo(ALICE, (report,), version=5, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
async def nobody_is_left_registered(stage: RegistrationStage) -> None:
    """A subscription is for a user, and other tests' bindings of the same user would keep theirs."""
    for key in stage.table("registration"):
        stage.lab.gateway_rpc("htable.delete", "registration", key)
        stage.lab.gateway_rpc("htable.sets", "changed", key, "1")
    await stage.soon(lambda: not stage.table("subscription"), "no subscription is left")


class TestSubscribe:
    """One dialog for each user of this node."""

    @pytest.mark.conformance("R-60")
    async def test_the_gateway_subscribes_as_itself(self, stage: RegistrationStage) -> None:
        uris = (f"{BOB}", ALICE)
        stage.core.registrar = replace(stage.core.registrar, associated_uris=uris)
        await watched_page(stage)
        request = stage.core.subscriptions.only.subscribe
        gateway = stage.lab.info.gateway
        ourselves = f"sip:{LOOPBACK}:{gateway.sip_port}"
        assert request.request_uri == BOB  # the default public identity
        assert (request.to.uri, request.from_.uri) == (BOB, ourselves)
        assert request.headers.get("P-Asserted-Identity") == f"<{ourselves}>"
        assert request.headers.get("Event") == "reg"
        assert request.headers.get("Accept") == "application/reginfo+xml"
        assert int(request.headers.get("Expires") or "0") > 600
        assert request.headers.all("Route") == [stage.core.service_route]
        assert "icid-value=" in (request.headers.get("P-Charging-Vector") or "")
        assert request.contact_uri == ourselves

    @pytest.mark.conformance("R-60")
    async def test_two_instances_of_a_user_share_it_and_the_last_one_ends_it(
        self, stage: RegistrationStage
    ) -> None:
        first = await watched_page(stage)
        second = await stage.registered_page()
        await asyncio.sleep(0.4)
        subscription = stage.core.subscriptions.only
        assert (await first.unregister()).status == 200
        await asyncio.sleep(0.4)
        assert not subscription.refreshes
        assert (await second.unregister()).status == 200
        await stage.soon(lambda: not stage.core.subscriptions.by_call_id, "unsubscribed")
        assert subscription.refreshes[-1].headers.get("Expires") == "0"
        assert subscription.refreshes[-1].cseq.number == subscription.subscribe.cseq.number + 1

    @pytest.mark.conformance("R-60")
    async def test_it_is_refreshed_with_the_registration(self, stage: RegistrationStage) -> None:
        stage.core.registrar = replace(stage.core.registrar, expires_s=60)
        page = await watched_page(stage)
        stage.core.registrar = replace(stage.core.registrar, expires_s=6000)
        assert (await page.register()).status == 200
        subscription = stage.core.subscriptions.only
        await stage.soon(lambda: bool(subscription.refreshes), "refreshed")
        assert int(subscription.refreshes[0].headers.get("Expires") or "0") > 6000

    @pytest.mark.conformance("R-60")
    async def test_a_core_that_grants_less_time_is_asked_again_in_time(
        self, stage: RegistrationStage
    ) -> None:
        stage.core.subscriptions.expires_s = 2
        await watched_page(stage)
        subscription = stage.core.subscriptions.only
        await stage.soon(lambda: len(subscription.refreshes) >= 2, "refreshed twice", 15)

    async def test_a_refusal_does_no_harm(self, stage: RegistrationStage) -> None:
        stage.core.subscriptions.status = 403
        page = await stage.registered_page()

        def new_ones() -> list[SipRequest]:
            return [request for request in stage.core.trace.requests("SUBSCRIBE") if request.to_tag is None]

        await stage.soon(lambda: bool(new_ones()), "asked")
        await asyncio.sleep(0.5)
        assert len(new_ones()) == 1
        await stage.state_of(page, "registered")


class TestTheNetworkEnds:
    """A terminated contact or registration is the end: calls, connection, record."""

    @pytest.mark.conformance("R-61")
    @pytest.mark.parametrize(
        ("event", "code"),
        [
            pytest.param("rejected", 4403, id="rejected"),
            pytest.param("deactivated", 1012, id="deactivated"),
            pytest.param("probation", 1013, id="probation"),
            pytest.param("unregistered", 4404, id="unregistered"),
            pytest.param("expired", 4404, id="expired"),
        ],
    )
    async def test_a_terminated_contact(self, stage: RegistrationStage, event: str, code: int) -> None:
        page = await watched_page(stage)
        call = await stage.answered(page)
        stage.settle(page)
        answer = await stage.core.subscriptions.only.notify(ended(page, event))
        assert answer.status == 200
        assert stage.binding(page) is None
        await call.ims.wait_request("BYE")
        await call.wic.wait_request("BYE")
        await stage.closed_with(page, code)

    @pytest.mark.conformance("R-61")
    async def test_what_a_page_may_have_caused_itself_is_looked_at_again(
        self, stage: RegistrationStage
    ) -> None:
        """It signed off and registered again at once; the notification of the first is late."""
        page = await watched_page(stage)
        subscription = stage.core.subscriptions.only
        assert (await subscription.notify(ended(page, "expired"))).status == 200
        await stage.state_of(page, "registered")
        await stage.soon(lambda: bool(subscription.refreshes), "asked again", 15)
        stage.settle(page)
        assert (await subscription.notify(reginfo(ALICE, (), version=6))).status == 200
        await stage.closed_with(page, 4404)

    @pytest.mark.conformance("R-61")
    async def test_a_page_that_signs_off_gets_its_answer_although_the_notification_overtakes_it(
        self, stage: RegistrationStage
    ) -> None:
        page = await watched_page(stage)
        stage.settle(page)
        stage.core.registrar = replace(stage.core.registrar, status=None)
        before = len(stage.core.trace.requests("REGISTER"))
        leaving = asyncio.create_task(page.unregister())
        await stage.soon(lambda: len(stage.core.trace.requests("REGISTER")) > before, "the core is asked")
        assert (await stage.core.subscriptions.only.notify(ended(page, "expired"))).status == 200
        assert stage.binding(page) is not None
        response = response_to(stage.core.trace.requests("REGISTER")[-1], 200, to_tag="core")
        stage.core.send(response, (LOOPBACK, stage.lab.info.gateway.sip_port))
        assert (await leaving).status == 200
        assert stage.binding(page) is None
        assert not page.lost.is_set()

    @pytest.mark.conformance("R-61")
    async def test_the_end_of_a_pages_other_flow_is_looked_at_again(self, stage: RegistrationStage) -> None:
        """One instance and Contact, two reg-ids (RFC 5626 §4.2): a partial list names only the one that is over."""
        page = await watched_page(stage)
        call = await stage.answered(page)
        stage.settle(page)
        subscription = stage.core.subscriptions.only
        other = ContactReport(page.contact_uri, "terminated", "unregistered", more=' callid="of-the-other"')
        notified = reginfo(ALICE, (other,), version=5, kind="partial")
        assert (await subscription.notify(notified)).status == 200
        await stage.soon(lambda: bool(subscription.refreshes), "asked again", 15)
        here = ContactReport(page.contact_uri)
        assert (await subscription.notify(reginfo(ALICE, (here,), version=6))).status == 200
        await stage.state_of(page, "registered")
        assert (await call.wic.info()).status == 200
        await call.hang_up()

    @pytest.mark.conformance("R-61")
    async def test_a_terminated_registration_without_contacts(self, stage: RegistrationStage) -> None:
        first, second = await watched_page(stage), await stage.registered_page()
        await asyncio.sleep(0.3)
        body = reginfo(ALICE, (), version=3, state="terminated")
        assert (await stage.core.subscriptions.only.notify(body, state="terminated")).status == 200
        for page in (first, second):
            await stage.closed_with(page, 4403)
            assert stage.binding(page) is None

    @pytest.mark.conformance("R-61")
    async def test_a_call_that_rings_is_cancelled(self, stage: RegistrationStage) -> None:
        stage.core.script = rings_for_ever()
        page = await watched_page(stage)
        await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await asyncio.sleep(0.3)
        assert (await stage.core.subscriptions.only.notify(ended(page, "rejected"))).status == 200
        await ims.wait_request("CANCEL")
        await ims.wait_request("ACK")

    @pytest.mark.conformance("R-61")
    async def test_a_call_that_rings_at_the_page_is_refused_at_once(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        await wic.respond(180)
        await ims.wait_status(180)
        await asyncio.sleep(0.3)
        assert (await stage.core.subscriptions.only.notify(ended(page, "rejected"))).status == 200
        await stage.closed_with(page, 4403)
        assert (await ims.wait_status(range(300, 700))).status in (430, 487)

    @pytest.mark.conformance("R-61")
    async def test_a_call_the_page_answered_is_hung_up(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        await wic.answer()
        await ims.wait_status(200)
        await wic.wait_request("ACK")
        stage.settle(page)
        assert (await stage.core.subscriptions.only.notify(ended(page, "rejected"))).status == 200
        await ims.wait_request("BYE")
        await wic.wait_request("BYE")

    @pytest.mark.conformance("R-61")
    async def test_a_page_whose_own_identity_is_barred_hears_of_the_end_by_the_default_one(
        self, stage: RegistrationStage
    ) -> None:
        stage.core.registrar = replace(stage.core.registrar, associated_uris=(BOB,))
        page = await watched_page(stage)
        report = ContactReport(page.contact_uri, "terminated", "deactivated")
        notified = reginfo(BOB, (report,), version=5, state="terminated")
        assert (await stage.core.subscriptions.only.notify(notified)).status == 200
        await stage.closed_with(page, 1012)
        assert stage.binding(page) is None

    @pytest.mark.conformance("R-61")
    async def test_a_number_that_is_withdrawn_is_asserted_no_more(self, stage: RegistrationStage) -> None:
        number = "tel:+15550100"
        stage.core.registrar = replace(stage.core.registrar, associated_uris=(ALICE, number))
        page = await watched_page(stage)
        stage.settle(page)
        report = ContactReport(page.contact_uri, "terminated", "unregistered")
        notified = reginfo(number, (report,), version=5, state="terminated", kind="partial")
        assert (await stage.core.subscriptions.only.notify(notified)).status == 200
        await stage.state_of(page, "registered")
        assert (
            await page.request("MESSAGE", BOB, headers=[("P-Preferred-Identity", f"<{number}>")])
        ).status == 200
        sent = stage.core.trace.requests("MESSAGE")[-1]
        assert sent.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]

    @pytest.mark.conformance("R-61")
    async def test_another_contact_of_the_user_is_not_ours(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        reports = (
            ContactReport(page.contact_uri),
            ContactReport("sip:phone@192.0.2.1", "terminated", "rejected"),
        )
        assert (await stage.core.subscriptions.only.notify(reginfo(ALICE, reports, version=1))).status == 200
        await stage.state_of(page, "registered")

    @pytest.mark.conformance("R-61")
    async def test_one_of_two_instances(self, stage: RegistrationStage) -> None:
        first, second = await watched_page(stage), await stage.registered_page()
        await asyncio.sleep(0.3)
        reports = (
            ContactReport(first.contact_uri),
            ContactReport(second.contact_uri, "terminated", "rejected"),
        )
        await stage.core.subscriptions.only.notify(reginfo(ALICE, reports, version=1))
        await stage.closed_with(second, 4403)
        await stage.state_of(first, "registered")

    @pytest.mark.conformance("R-61")
    async def test_a_shortened_registration_makes_the_page_renew(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        call = await stage.answered(page)
        report = ContactReport(page.contact_uri, "active", "shortened", expires_s=6)
        began = time.monotonic()
        await stage.core.subscriptions.only.notify(reginfo(ALICE, (report,), version=1))
        await stage.closed_with(page, 1012)
        assert 2.8 < time.monotonic() - began < 6
        await page.connect()
        assert (await page.register()).status == 200
        await stage.state_of(page, "registered")
        assert (await call.wic.info()).status == 200
        await call.hang_up()


class TestLateAnswer:
    """The core's 200 to a sign-off may come when the page has registered over another connection (RFC 5626 §6)."""

    @pytest.mark.conformance("R-64", "R-65")
    @pytest.mark.parametrize("contact", ["its own", "*"])
    async def test_the_newer_registration_stays_and_the_core_is_asked(
        self, stage: RegistrationStage, contact: str
    ) -> None:
        first = await watched_page(stage)
        good = stage.core.registrar
        stage.core.registrar = replace(good, status=None)
        request = first._register_request(0, ())
        if contact == "*":
            request.headers.replace("Contact", "*")
        before = len(stage.core.trace.requests("REGISTER"))
        await first.send(request)
        sign_off = await stage.core.trace.wait_request("REGISTER", count=before + 1)
        stage.core.registrar = good
        second = await stage.registered_page(instance=first.identity.instance)
        await stage.closed_with(first, 4409)
        subscription = stage.core.subscriptions.only
        assert not subscription.refreshes
        gateway = (LOOPBACK, stage.lab.info.gateway.sip_port)
        stage.core.send(response_to(sign_off, 200, to_tag="late"), gateway)
        await stage.logged(request.call_id, "event=deregistered")
        await stage.state_of(second, "registered")
        assert (await stage.ask_along(stage.path_of(second), second)).status == 200
        await stage.soon(lambda: bool(subscription.refreshes), "asked again")


class TestNotifications:
    """What is believed, and what is refused."""

    @pytest.mark.conformance("R-61")
    async def test_an_old_version_changes_nothing_and_a_gap_asks_for_everything(
        self, stage: RegistrationStage
    ) -> None:
        page = await watched_page(stage)
        subscription = stage.core.subscriptions.only
        here = (ContactReport(page.contact_uri),)
        await subscription.notify(reginfo(ALICE, here, version=7))
        await subscription.notify(reginfo(ALICE, here, version=8, kind="partial"))
        assert (await subscription.notify(ended(page, "rejected"))).status == 200  # version 5
        await stage.state_of(page, "registered")
        assert not subscription.refreshes
        await subscription.notify(reginfo(ALICE, here, version=11, kind="partial"))
        await stage.soon(lambda: bool(subscription.refreshes), "asked for the whole state")

    @pytest.mark.conformance("R-61")
    async def test_a_notify_of_another_dialog_gets_481(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        subscription = stage.core.subscriptions.only
        dialog = subscription.dialog
        for stranger in (
            replace(dialog, call_id="unknown"),
            replace(dialog, remote=dialog.remote.replace("tag=", "tag=x")),
            replace(dialog, local=dialog.local.replace("tag=", "tag=x")),
        ):
            answer = await replace(subscription, dialog=stranger).notify(ended(page, "rejected"))
            assert answer.status == 481
        await stage.state_of(page, "registered")

    @pytest.mark.conformance("R-62")
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            pytest.param(BILLION_LAUGHS, 400, id="billion laughs"),
            pytest.param(EXTERNAL, 400, id="external entity"),
            pytest.param("<reginfo", 400, id="not XML"),
            pytest.param("<presence/>", 400, id="another document"),
        ],
    )
    async def test_a_document_that_is_none_is_refused_without_harm(
        self, stage: RegistrationStage, body: str, status: int
    ) -> None:
        page = await watched_page(stage)
        began = time.monotonic()
        assert (await stage.core.subscriptions.only.notify(body)).status == status
        assert time.monotonic() - began < 5
        await stage.state_of(page, "registered")
        assert (await stage.core.subscriptions.only.notify(ended(page, "rejected"))).status == 200
        await stage.closed_with(page, 4403)

    @pytest.mark.conformance("R-62")
    async def test_other_namespaces_are_passed_over(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        inside = (
            '<x:registration xmlns:x="urn:3gpp:ns:extRegInfo:1.0" state="terminated"/>'
            '<gr:pub-gruu xmlns:gr="urn:ietf:params:xml:ns:gruuinfo" uri="sip:a"/>'
        )
        body = reginfo(ALICE, (ContactReport(page.contact_uri),), version=1, inside=inside)
        assert (await stage.core.subscriptions.only.notify(body)).status == 200
        await stage.state_of(page, "registered")

    @pytest.mark.conformance("R-61")
    async def test_another_event_or_type_is_refused(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        subscription = stage.core.subscriptions.only
        body = ended(page, "rejected")
        assert (await subscription.notify(body, event="presence")).status == 489
        assert (await subscription.notify(body, content_type="text/plain")).status == 415
        await stage.state_of(page, "registered")

    @pytest.mark.conformance("R-60")
    async def test_a_subscription_the_core_ends_is_made_again(self, stage: RegistrationStage) -> None:
        page = await watched_page(stage)
        first = stage.core.subscriptions.only
        stage.core.subscriptions.by_call_id.clear()
        body = reginfo(ALICE, (ContactReport(page.contact_uri),), version=1)
        assert (await first.notify(body, state="terminated;reason=timeout")).status == 200
        await stage.soon(lambda: bool(stage.core.subscriptions.by_call_id), "subscribed again")
        assert stage.core.subscriptions.only.subscribe.to_tag is None
