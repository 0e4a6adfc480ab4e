"""REGISTER through the gateway: what it adds, keeps and takes away; and that nobody calls without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CAROL, Stage, until, warning_of
from tests.lab.kamailio import RpcError
from tests.lab.subscribers import REALM
from tests.peers.addresses import name_addr_from_text, sip_uri_from_text
from tests.peers.digest import Credentials
from tests.peers.sip import SipRequest
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

SECRET = Credentials(f"alice@{REALM}", "secret-alice")
FORGED = (
    ("P-Asserted-Identity", "<sip:president@ims.test>"),
    ("P-Preferred-Identity", "<sip:president@ims.test>"),
    ("P-Access-Network-Info", "IEEE-802.11"),
    ("P-Associated-URI", "<sip:president@ims.test>"),
    ("P-Charging-Vector", "icid-value=free"),
    ("P-Visited-Network-ID", '"elsewhere"'),
    ("P-Served-User", "<sip:president@ims.test>"),
    ("P-Profile-Key", "<sip:any@ims.test>"),
    ("Resource-Priority", "ets.0"),
    ("Service-Route", "<sip:elsewhere.test;lr>"),
    ("Feature-Caps", "*;+g.3gpp.atcf"),
)


def register_at_core(stage: Stage, number: int = -1) -> SipRequest:
    """Return a REGISTER the core got."""
    return stage.core.trace.requests("REGISTER")[number]


async def refused_call(page: ScriptedWic) -> tuple[int, str, str]:
    """Call and return status, reason phrase and explanation of the refusal."""
    call = await page.invite(BOB, AUDIO)
    response = await call.wait_status(range(300, 700))
    return response.status, response.reason_phrase, warning_of(response)


class TestPath:
    """RFC 3327, RFC 5626 §5.1."""

    @pytest.mark.conformance("R-21")
    async def test_the_core_learns_a_way_back_through_the_gateway_and_the_page_is_told(
        self, stage: Stage
    ) -> None:
        page = await stage.page()
        (path,) = stage.core.registrations[ALICE].path
        uri = sip_uri_from_text(name_addr_from_text(path).uri)
        gateway = stage.lab.info.gateway
        assert (uri.host, uri.port) == (gateway.address, gateway.sip_port)
        assert uri.user
        assert (uri.param("lr"), uri.param("ob")) == ("", "")
        (answer,) = page.trace.responses("REGISTER")
        assert answer.headers.all("Path") == [path]

    @pytest.mark.conformance("R-22")
    async def test_a_core_must_support_path(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        await page.register(headers=[("Require", "gruu")])
        request = register_at_core(stage)
        assert request.option_tags("Require") == {"path", "gruu"}
        assert request.option_tags("Supported") == {"path", "outbound", "gruu"}

    @pytest.mark.conformance("R-21")
    async def test_each_connection_has_a_token_of_its_own_that_stays_the_same(self, stage: Stage) -> None:
        page = await stage.page()
        await page.register()
        await stage.page(CAROL)
        first, again, other = (
            request.headers.all("Path") for request in stage.core.trace.requests("REGISTER")
        )
        assert first == again
        assert first != other

    @pytest.mark.conformance("R-20")
    async def test_a_path_of_the_pages_own_is_not_passed_on(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        answer = await page.register(headers=[("Path", "<sip:elsewhere.test;lr>")])
        assert answer.status == 200, answer.start_line
        paths = register_at_core(stage).headers.all("Path")
        assert len(paths) == 1
        assert "elsewhere" not in paths[0]
        assert answer.headers.all("Path") == paths


class TestServiceRoute:
    """RFC 3608: kept by the gateway, because pages ignore it."""

    @pytest.mark.conformance("S-02")
    async def test_it_is_the_route_of_the_pages_calls(self, stage: Stage) -> None:
        further = "<sip:second.hop.test;lr>"
        stage.core.registrar = replace(stage.core.registrar, headers=(("Service-Route", further),))
        call = await stage.answered(await stage.page())
        await call.hang_up()
        assert call.ims.invite.headers.all("Route") == [stage.core.service_route, further]

    @pytest.mark.conformance("S-02")
    async def test_a_route_of_the_pages_own_is_not_passed_on(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, headers=[("Route", "<sip:elsewhere.test;lr>")])
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        assert ims.invite.headers.all("Route") == [stage.core.service_route]
        await wic.bye()

    @pytest.mark.conformance("S-03")
    async def test_the_default_identity_is_asserted(self, stage: Stage) -> None:
        uris = (f"sip:+15550100@{REALM}", ALICE)
        stage.core.registrar = replace(stage.core.registrar, associated_uris=uris)
        call = await stage.answered(await stage.page())
        await call.hang_up()
        assert call.ims.invite.headers.all("P-Asserted-Identity") == [f"<{uris[0]}>"]


class TestAuthentication:
    """Digest is between page and core; the gateway lets it through unchanged."""

    async def signing_in(self, stage: Stage, credentials: Credentials) -> tuple[ScriptedWic, int]:
        stage.core.registrar = replace(stage.core.registrar, credentials=SECRET)
        identity = WicIdentity(ALICE, credentials=credentials)
        page = await stage.join(ScriptedWic(stage.handshake, identity), registered=False)
        return page, (await page.register()).status

    @pytest.mark.conformance("R-05")
    async def test_the_right_password_opens(self, stage: Stage) -> None:
        page, status = await self.signing_in(stage, SECRET)
        assert status == 200
        assert page.trace.ladder() == ["-> REGISTER", "<- 401 REGISTER", "-> REGISTER", "<- 200 REGISTER"]

    async def test_a_wrong_password_does_not_and_the_page_cannot_call(self, stage: Stage) -> None:
        page, status = await self.signing_in(stage, Credentials(SECRET.username, "wrong"))
        assert status == 401
        assert await refused_call(page) == (
            403,
            "Not Registered",
            "this connection has no registration: REGISTER first",
        )

    @pytest.mark.conformance("R-31")
    async def test_call_id_and_numbers_pass_unchanged_across_a_challenge(self, stage: Stage) -> None:
        page, _ = await self.signing_in(stage, SECRET)
        sent = page.trace.requests("REGISTER", Direction.SENT)
        got = stage.core.trace.requests("REGISTER")
        assert len(got) == 2
        assert [(r.call_id, r.cseq) for r in got] == [(r.call_id, r.cseq) for r in sent]

    @pytest.mark.parametrize(
        ("status", "told"), [pytest.param(s, t, id=str(s)) for s, t in ((403, 401), (404, 401), (500, 500))]
    )
    async def test_a_refusal_of_the_core_is_the_pages_answer(
        self, stage: Stage, status: int, told: int
    ) -> None:
        """But not that it knows no such user, which is nobody's business who has not logged in."""
        stage.core.registrar = replace(stage.core.registrar, status=status)
        page = await stage.page(registered=False)
        response = await page.register()
        assert response.status == told
        await stage.logged(response.call_id, "event=registration_refused", f"status={status}")

    async def test_a_silent_core_is_a_time_out(self, stage: Stage) -> None:
        stage.core.registrar = replace(stage.core.registrar, status=None)
        page = await stage.page(registered=False)
        response = await page.register()
        assert (response.status, warning_of(response)) == (504, "the IMS core does not answer")
        assert (await refused_call(page))[0] == 403

    @pytest.mark.conformance("R-03")
    async def test_a_page_cannot_vouch_for_itself(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        value = (
            f'Digest username="{SECRET.username}", realm="{REALM}", nonce="", uri="sip:{REALM}", response="", '
            'integrity-protected="auth-done", ck="00", ik="00"'
        )
        await page.register(headers=[("Authorization", value)])
        (passed,) = register_at_core(stage).headers.fields("Authorization")
        assert f'username="{SECRET.username}"' in passed
        assert not any(word in passed for word in ("integrity-protected", "ck=", "ik="))

    @pytest.mark.conformance("R-03")
    async def test_credentials_that_hide_a_claim_are_refused(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        value = f'Digest username="{SECRET.username}" integrity-protected="auth-done"'
        response = await page.register(headers=[("Authorization", value)])
        assert response.status == 400
        assert "Authorization" in warning_of(response)
        await stage.logged(response.call_id, "event=request_rejected", "status=400")
        assert not stage.core.trace.requests("REGISTER")


class TestTrust:
    """A page is outside the trust domain (RFC 3325 §7)."""

    @pytest.mark.conformance("R-20")
    async def test_what_only_the_network_may_say_is_taken_from_its_register(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        assert (await page.register(headers=FORGED)).status == 200
        headers = register_at_core(stage).headers
        assert headers.fields("P-Visited-Network-ID") == [f'"{REALM}"']
        assert len(headers.fields("P-Charging-Vector")) == 1
        values = {value for _, value in headers}
        assert not values & {value for _, value in FORGED}

    @pytest.mark.conformance("S-04")
    async def test_what_only_the_network_may_say_is_taken_from_its_invite(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, headers=FORGED)
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        values = {value for _, value in ims.invite.headers}
        assert not values & {value for _, value in FORGED}
        assert ims.invite.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        await wic.bye()

    async def test_charging_data_of_the_core_does_not_reach_the_page(self, stage: Stage) -> None:
        stage.core.registrar = replace(
            stage.core.registrar, headers=(("P-Charging-Function-Addresses", "ccf=10.0.0.1"),)
        )
        page = await stage.page()
        (answer,) = page.trace.responses("REGISTER")
        assert not answer.headers.fields("P-Charging-Function-Addresses")

    @pytest.mark.conformance("R-14")
    async def test_nobody_registers_somebody_else(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        response = await page.request("REGISTER", f"sip:{REALM}", headers=[("Expires", "600")])
        assert (response.status, warning_of(response)) == (403, "third-party registration is not allowed")
        await stage.logged(response.call_id, "event=request_rejected", "status=403")
        assert not stage.core.trace.requests("REGISTER")


class TestNotRegistered:
    """Only a page the core knows may call."""

    async def check_refused(self, stage: Stage, page: ScriptedWic) -> None:
        status, reason, warning = await refused_call(page)
        assert (status, reason) == (403, "Not Registered")
        assert "REGISTER first" in warning
        assert not stage.core.trace.requests("INVITE")
        (call,) = page.calls.values()
        await stage.logged(call.call_id, "event=request_rejected", "status=403")

    @pytest.mark.conformance("S-01")
    async def test_a_page_that_never_registered(self, stage: Stage) -> None:
        await self.check_refused(stage, await stage.page(registered=False))

    @pytest.mark.conformance("S-01")
    async def test_a_page_that_signed_off(self, stage: Stage) -> None:
        page = await stage.page()
        response = await page.unregister()
        assert response.status == 200
        await stage.logged(response.call_id, "event=deregistered")
        await self.check_refused(stage, page)

    @pytest.mark.conformance("S-01")
    async def test_a_page_whose_registration_ran_out(self, stage: Stage) -> None:
        stage.core.registrar = replace(stage.core.registrar, expires_s=1)
        page = await stage.page()
        binding = f"{ALICE} {page.identity.instance} {page.identity.reg_id}"

        def is_over() -> bool:
            try:
                stage.lab.gateway_rpc("htable.get", "registration", binding)
            except RpcError:
                return True
            return False

        assert not is_over()
        await until(is_over, lambda: "still registered", 15)
        await self.check_refused(stage, page)

    @pytest.mark.conformance("S-01")
    async def test_another_connection_of_a_registered_user(self, stage: Stage) -> None:
        await stage.page()
        await self.check_refused(stage, await stage.page(registered=False))

    async def test_a_connection_that_closed_is_forgotten(self, stage: Stage) -> None:
        page = await stage.page()
        tables = ("flow", "port", "unregistered", "closed")
        page.lose()
        await until(
            lambda: not any(stage.lab.gateway_rpc.htable(name) for name in tables),
            lambda: str({name: stage.lab.gateway_rpc.htable(name) for name in tables}),
            15,
        )
