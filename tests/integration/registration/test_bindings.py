"""Bindings and connections: who replaces whom, what a lost or idle connection means, what the answers grant."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest

from kemi.core.registration.records import MOST_PATIENCE
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CAROL, warning_of
from tests.integration.registration.registering import GRACE_S, UNREGISTERED_S, RegistrationStage
from tests.peers.core_script import rings_for_ever
from tests.peers.sip import SipRequest
from tests.peers.trace import NothingMatchedError
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab


def registers_of(stage: RegistrationStage, page: ScriptedWic) -> list[SipRequest]:
    """Return every REGISTER that came to the core for a page; those of pages before may still come."""
    return [
        request
        for request in stage.core.trace.requests("REGISTER")
        if page.contact_uri in (request.headers.get("Contact") or "")
    ]


def signed_off_by_gateway(stage: RegistrationStage, page: ScriptedWic) -> bool:
    """Whether the gateway has sent a REGISTER for this page."""
    return any(
        "auth-done" in "".join(request.headers.fields("Authorization"))
        for request in registers_of(stage, page)
    )


class TestLostConnection:
    """The page has a while to come back (RFC 5626 §4.5)."""

    @pytest.mark.conformance("R-65")
    @pytest.mark.parametrize("loss", [pytest.param(loss, id=loss.name.lower()) for loss in Loss])
    async def test_a_page_that_comes_back_has_its_binding_again(
        self, stage: RegistrationStage, loss: Loss
    ) -> None:
        page = await stage.registered_page()
        page.lose(loss)
        await stage.state_of(page, "away")
        await page.connect()
        assert (await page.register()).status == 200
        binding = stage.binding(page)
        assert binding is not None
        assert binding["state"] == "registered"
        assert binding["service_route"] == [stage.core.service_route]
        await asyncio.sleep(GRACE_S + 0.5)
        await stage.state_of(page, "registered")
        assert not page.lost.is_set()

    @pytest.mark.conformance("R-65")
    async def test_with_digest_only_the_cores_time_ends_it(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        page.lose()
        await stage.state_of(page, "away")
        await stage.state_of(page, "abandoned")
        assert not signed_off_by_gateway(stage, page)
        await page.connect()
        assert (await page.register()).status == 200
        await stage.state_of(page, "registered")

    @pytest.mark.conformance("R-65")
    async def test_with_a_token_the_gateway_signs_the_page_off(self, stage: RegistrationStage) -> None:
        page = await stage.page_with_token("sid-lost", impi="alice-private@ims.test")
        page.lose()
        await stage.state_of(page, None)
        await stage.soon(lambda: len(registers_of(stage, page)) == 2, "signed off")
        first, last = registers_of(stage, page)
        (authorization,) = last.headers.fields("Authorization")
        assert 'username="alice-private@ims.test"' in authorization
        assert (last.headers.get("Expires"), last.call_id, last.cseq.number) == (
            "0",
            first.call_id,
            first.cseq.number + 1,
        )
        assert ALICE not in stage.core.registrations
        await stage.logged(first.call_id, "event=deregistered_on_behalf", "status=200")


class TestSecondConnection:
    """One instance, one connection (RFC 5626 §6); several instances, several bindings."""

    @pytest.mark.conformance("B-13", "R-65")
    async def test_the_same_instance_takes_the_place_and_the_old_socket_is_closed(
        self, stage: RegistrationStage
    ) -> None:
        first = await stage.registered_page()
        second = await stage.registered_page(instance=first.identity.instance)
        await stage.closed_with(first, 4409)
        await stage.state_of(second, "registered")
        assert (await stage.ask_along(stage.path_of(first), first)).status == 430
        assert (await stage.ask_along(stage.path_of(second), second)).status == 200

    @pytest.mark.conformance("S-26")
    async def test_another_instance_is_a_binding_of_its_own(self, stage: RegistrationStage) -> None:
        first, second = await stage.registered_page(), await stage.registered_page()
        await stage.state_of(first, "registered")
        await stage.state_of(second, "registered")
        assert (await second.unregister()).status == 200
        await stage.state_of(second, None)
        await stage.state_of(first, "registered")
        assert not first.lost.is_set()

    @pytest.mark.conformance("R-65")
    async def test_the_end_of_one_flow_leaves_the_calls_of_the_pages_other_flow(
        self, stage: RegistrationStage
    ) -> None:
        """Two connections of one page: one instance and Contact, two reg-ids (RFC 5626 §4.2)."""
        first = stage.new_page()
        second = stage.new_page(instance=first.identity.instance)
        second.identity = replace(second.identity, reg_id=2)
        second._user, second._host = first._user, first._host
        assert second.contact_uri == first.contact_uri
        await stage.join(first)
        await stage.join(second)
        call, other = await stage.answered(first), await stage.answered(second)
        assert (await second.unregister()).status == 200
        await stage.state_of(second, None)
        await other.ims.wait_request("BYE")
        await other.wic.wait_request("BYE")
        await stage.state_of(first, "registered")
        assert (await call.wic.info()).status == 200
        await call.hang_up()

    @pytest.mark.conformance("R-64")
    async def test_who_signs_off_and_registers_at_once_over_the_same_connection_has_no_calls_left(
        self, stage: RegistrationStage
    ) -> None:
        page = await stage.registered_page()
        call = await stage.answered(page)
        assert (await page.unregister()).status == 200
        assert (await page.register()).status == 200
        await call.ims.wait_request("BYE")
        await call.wic.wait_request("BYE")

    @pytest.mark.conformance("R-14")
    async def test_one_connection_speaks_for_one_identity(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        page.identity = replace(page.identity, aor=CAROL)
        response = await page.register()
        assert (response.status, "another identity" in warning_of(response)) == (403, True)
        page.identity = replace(page.identity, aor=ALICE)
        assert (await page.unregister()).status == 200
        page.identity = replace(page.identity, aor=CAROL)
        assert (await page.register()).status == 200


class TestIdleConnection:
    """A connection without a registration is closed."""

    @pytest.mark.conformance("X-04")
    async def test_one_that_never_registers(self, stage: RegistrationStage) -> None:
        page = await stage.join(stage.new_page(), registered=False)
        opened = time.monotonic()
        await stage.closed_with(page, 1008, UNREGISTERED_S + 15)
        assert time.monotonic() - opened >= UNREGISTERED_S - 0.2

    async def test_one_that_tries_has_as_long_again(self, stage: RegistrationStage) -> None:
        page = await stage.join(stage.new_page(), registered=False)
        stage.core.registrar = replace(stage.core.registrar, status=403)
        await asyncio.sleep(0.6 * UNREGISTERED_S)
        assert (await page.register()).status == 401
        stage.core.registrar = replace(stage.core.registrar, status=200)
        await asyncio.sleep(0.7 * UNREGISTERED_S)
        assert (await page.register()).status == 200
        assert not page.lost.is_set()

    @pytest.mark.conformance("X-04")
    async def test_one_that_goes_on_trying(self, stage: RegistrationStage) -> None:
        stage.core.registrar = replace(stage.core.registrar, status=403)
        page = await stage.join(stage.new_page(), registered=False)
        opened = time.monotonic()
        while not page.lost.is_set():
            with contextlib.suppress(NothingMatchedError):  # closed just then
                assert (await page.register(timeout_s=2)).status == 401
            assert time.monotonic() - opened < MOST_PATIENCE * UNREGISTERED_S + 10
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(page.lost.wait(), 0.5 * UNREGISTERED_S)
        assert time.monotonic() - opened >= MOST_PATIENCE * UNREGISTERED_S - 0.2
        await stage.closed_with(page, 1008)

    @pytest.mark.conformance("X-04")
    async def test_one_whose_register_is_refused(self, stage: RegistrationStage) -> None:
        stage.core.registrar = replace(stage.core.registrar, status=403)
        page = await stage.join(stage.new_page(), registered=False)
        assert (await page.register()).status == 401  # as every user hears who has not logged in
        await stage.closed_with(page, 1008, UNREGISTERED_S + 15)

    @pytest.mark.conformance("R-44")
    @pytest.mark.parametrize(("status", "told"), [(480, 480), (500, 500), (503, 504)])
    async def test_one_that_the_core_told_to_wait_may_wait(
        self, stage: RegistrationStage, status: int, told: int
    ) -> None:
        wait_s = 2 * UNREGISTERED_S
        headers = (("Retry-After", f"{wait_s} (busy);duration=60"),)
        stage.core.registrar = replace(stage.core.registrar, status=status, headers=headers)
        page = await stage.join(stage.new_page(), registered=False)
        response = await page.register()
        assert response.status == told
        assert (response.headers.get("Retry-After") or "").split()[0] == str(wait_s)
        await asyncio.sleep(wait_s)
        assert not page.lost.is_set()
        await stage.closed_with(page, 1013, UNREGISTERED_S + 15)

    @pytest.mark.conformance("X-04")
    async def test_a_registered_one_stays_and_goes_after_it_signed_off(
        self, stage: RegistrationStage
    ) -> None:
        page = await stage.registered_page()
        await asyncio.sleep(UNREGISTERED_S + 1.5)
        assert not page.lost.is_set()
        assert (await page.unregister()).status == 200
        await stage.closed_with(page, 1008, UNREGISTERED_S + 15)


class TestAnswers:
    """What the core's 200 means (RFC 3261 §10.3; TS 24.229 §5.2.2.1)."""

    @pytest.mark.conformance("R-43")
    async def test_only_our_own_contact_counts(self, stage: RegistrationStage) -> None:
        others = (("Contact", "<sip:other@x.invalid>;expires=1, <sip:third@x.invalid>;expires=9000"),)
        stage.core.registrar = replace(stage.core.registrar, headers=others, expires_s=300)
        page = await stage.registered_page()
        binding = stage.binding(page)
        assert binding is not None
        assert 290 < binding["expires_at"] - time.time() <= 300

    @pytest.mark.conformance("R-40", "R-41", "R-48")
    async def test_charging_is_kept_and_not_shown_and_the_rest_passes(self, stage: RegistrationStage) -> None:
        more = (
            ("P-Charging-Vector", 'icid-value="abc";orig-ioi=x;term-ioi="home.test"'),
            ("P-Charging-Function-Addresses", "ccf=10.0.0.1"),
            ("P-Visited-Network-ID", '"elsewhere"'),
            ("Require", "outbound"),
            ("Service-Route", "<sip:second.test;lr>"),
        )
        stage.core.registrar = replace(stage.core.registrar, headers=more)
        page = await stage.registered_page()
        (answer,) = page.trace.responses("REGISTER")
        for name in ("P-Charging-Vector", "P-Charging-Function-Addresses", "P-Visited-Network-ID"):
            assert not answer.headers.fields(name)
        assert answer.headers.get("Require") == "outbound"
        assert answer.headers.fields("P-Associated-URI")
        binding = stage.binding(page)
        assert binding is not None
        assert binding["charging"] == {
            "icid": "abc",
            "term_ioi": "home.test",
            "function_addresses": "ccf=10.0.0.1",
        }
        assert binding["service_route"] == [stage.core.service_route, "<sip:second.test;lr>"]

    @pytest.mark.conformance("R-40")
    async def test_a_refresh_replaces_everything(self, stage: RegistrationStage) -> None:
        stage.core.registrar = replace(
            stage.core.registrar, headers=(("Service-Route", "<sip:second.test;lr>"),)
        )
        page = await stage.registered_page()
        stage.core.registrar = replace(stage.core.registrar, headers=(), associated_uris=(BOB,))
        assert (await page.register()).status == 200
        binding = stage.binding(page)
        assert binding is not None
        assert (binding["service_route"], binding["associated_uris"]) == (
            [stage.core.service_route],
            [f"<{BOB}>"],
        )

    @pytest.mark.conformance("R-44")
    @pytest.mark.parametrize("status", [420, 423, 439, 480, 500])
    async def test_a_refusal_passes_and_a_running_registration_stays(
        self, stage: RegistrationStage, status: int
    ) -> None:
        page = await stage.registered_page()
        headers = (("Retry-After", "7"), ("Min-Expires", "60"))
        stage.core.registrar = replace(stage.core.registrar, status=status, headers=headers)
        response = await page.register()
        assert response.status == status
        assert (response.headers.get("Retry-After"), response.headers.get("Min-Expires")) == ("7", "60")
        await stage.state_of(page, "registered")

    @pytest.mark.conformance("R-64")
    async def test_signing_off_takes_effect_on_the_200_and_not_before(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        stage.core.registrar = replace(stage.core.registrar, status=500)
        assert (await page.unregister()).status == 500
        await stage.state_of(page, "registered")
        stage.core.registrar = replace(stage.core.registrar, status=200)
        assert (await page.unregister()).status == 200
        assert stage.binding(page) is None
        assert not page.lost.is_set()

    @pytest.mark.conformance("R-64")
    async def test_a_star_takes_every_contact_of_the_user(self, stage: RegistrationStage) -> None:
        first, second = await stage.registered_page(), await stage.registered_page()
        other = await stage.registered_page(CAROL)
        request = second._register_request(0, ())
        request.headers.replace("Contact", "*")
        await second.send(request)
        await second.trace.wait_response(200, "REGISTER", cseq=request.cseq.number)
        assert stage.binding(first) is None
        assert stage.binding(second) is None
        assert stage.binding(other) is not None

    async def test_a_query_changes_nothing(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        request = page._register_request(600, ())
        request.headers.remove("Contact")
        await page.send(request)
        await page.trace.wait_response(200, "REGISTER", cseq=request.cseq.number)
        await stage.state_of(page, "registered")


class TestExpiry:
    """A registration that is not refreshed ends, and its calls with it; the connection may register anew."""

    @pytest.mark.conformance("R-40")
    async def test_calls_end_on_both_sides_and_the_page_may_register_again(
        self, stage: RegistrationStage
    ) -> None:
        stage.core.registrar = replace(stage.core.registrar, expires_s=2)
        page = await stage.registered_page()
        call = await stage.answered(page)
        to_core = await call.ims.wait_request("BYE", timeout_s=4)
        to_page = await call.wic.wait_request("BYE")
        for bye in (to_core, to_page):
            assert 'text="registration expired"' in (bye.headers.get("Reason") or "")
        assert stage.binding(page) is None
        assert (await page.register()).status == 200
        await stage.state_of(page, "registered")

    async def test_a_call_that_rings_is_cancelled(self, stage: RegistrationStage) -> None:
        stage.core.registrar = replace(stage.core.registrar, expires_s=1)
        stage.core.script = rings_for_ever()
        page = await stage.registered_page()
        call = await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await ims.wait_request("CANCEL", timeout_s=4)
        refused = await call.wait_status(range(300, 700))
        assert (refused.status, refused.reason_phrase) == (403, "Not Registered")
