"""The home network has two entry points: the first is dead, silent, overloaded, and comes back (RFC 3263 §4.3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Final

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import (
    ALICE,
    BOB,
    IMS_RESPONSE_TIMEOUT_S,
    Call,
    Stage,
    until,
    warning_of,
)
from tests.integration.registration.registering import (
    RegistrationStage,
    registration_lab_of,
    registration_options,
)
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK, own_port
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, Pause, answers, rejects, silent
from tests.peers.core_script import Final as Final_
from tests.peers.device_sdp import DeviceMedia
from tests.peers.digest import Credentials
from tests.peers.sip import Headers, SipResponse
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

FIRST_PORT, SECOND_PORT = own_port(), own_port()
ENTRY_POINT_TIMEOUT_S: Final = 3
AVOID_S: Final = 5
AT_ONCE_S: Final = 0.5 * ENTRY_POINT_TIMEOUT_S
"""Well below the patience with an entry point, which Kamailio's timer may cut by a tenth."""
SECRET = Credentials("alice@ims.test", "secret")


@pytest.fixture(scope="module")
def two_doors() -> Iterator[Lab]:
    """A gateway with two entry points."""
    with registration_lab_of(
        gateway_icscf_uris=[f"sip:{LOOPBACK}:{port}" for port in (FIRST_PORT, SECOND_PORT)],
        gateway_entry_point_timeout_s=ENTRY_POINT_TIMEOUT_S,
        gateway_entry_point_avoid_s=AVOID_S,
        gateway_unregistered_timeout_s=30,
        gateway_flow_recovery_s=1,
        gateway_hide_users=False,  # what the core says is to be seen
    ) as lab:
        yield lab


@dataclass
class Doors:
    """The stage, and its two cores."""

    stage: RegistrationStage
    first: ScriptedCore
    second: ScriptedCore

    def page(self) -> ScriptedWic:
        """Make a page that can answer a challenge."""
        return ScriptedWic(self.stage.handshake, WicIdentity(ALICE, SECRET))

    async def register(self, page: ScriptedWic | None = None) -> tuple[SipResponse, float]:
        """Register a page; return the answer and how long it took, in seconds."""
        page = await self.stage.join(page or self.page(), registered=False)
        began = time.monotonic()
        response = await page.register(timeout_s=30)
        return response, time.monotonic() - began

    @property
    def avoided(self) -> list[str]:
        """Ports of the entry points that come last for now."""
        return sorted(self.stage.table("avoided"))


@pytest.fixture
async def doors(two_doors: Lab) -> AsyncIterator[Doors]:
    """Both entry points well; nothing remembered of the test before."""
    stage = RegistrationStage(two_doors)
    stage.core = ScriptedCore(LOOPBACK, SECOND_PORT)
    script = RegistrarScript(realm="ims.test", associated_uris=(ALICE,))
    first = ScriptedCore(LOOPBACK, FIRST_PORT)
    first.registrar = stage.core.registrar = script
    for uri in stage.table("avoided"):
        two_doors.gateway_rpc("htable.delete", "avoided", uri)
    stage.other_cores.append(first)
    await stage.open()
    try:
        async with first:
            yield Doors(stage, first, stage.core)
    finally:
        await stage.close()


async def dies(doors: Doors) -> None:
    await doors.first.close()


async def falls_silent(doors: Doors) -> None:
    doors.first.registrar = replace(doors.first.registrar, status=None)


async def is_overloaded(doors: Doors) -> None:
    doors.first.registrar = replace(doors.first.registrar, status=503)


@pytest.mark.conformance("R-27")
async def test_the_best_one_is_asked_as_long_as_it_answers(doors: Doors) -> None:
    for _ in range(3):
        assert (await doors.register())[0].status == 200
    assert len(doors.first.trace.requests("REGISTER")) == 3
    assert not doors.second.trace.requests("REGISTER")


@pytest.mark.conformance("R-27")
@pytest.mark.parametrize("status", [401, 403, 404, 500, 504])
async def test_a_no_of_the_network_is_no_reason_to_ask_elsewhere(doors: Doors, status: int) -> None:
    doors.first.registrar = replace(doors.first.registrar, status=status)
    assert (await doors.register(ScriptedWic(doors.stage.handshake, WicIdentity(ALICE))))[0].status == status
    assert not doors.second.trace.requests("REGISTER")
    assert not doors.avoided


@pytest.mark.conformance("R-27")
@pytest.mark.parametrize("trouble", [dies, falls_silent, is_overloaded])
async def test_the_next_one_is_asked_in_the_same_transaction(doors: Doors, trouble: object) -> None:
    assert callable(trouble)
    await trouble(doors)
    doors.second.registrar = replace(doors.second.registrar, credentials=SECRET)
    response, took_s = await doors.register()
    assert response.status == 200
    assert took_s < ENTRY_POINT_TIMEOUT_S + 2 * AT_ONCE_S
    assert doors.avoided == [f"sip:{LOOPBACK}:{FIRST_PORT}"]
    challenged, authorized = doors.second.trace.requests("REGISTER")
    (page,) = doors.stage.pages
    assert challenged.call_id == authorized.call_id == response.call_id
    assert [request.cseq.number for request in (challenged, authorized)] == [1, 2]
    for request in (challenged, authorized):
        assert len(request.headers.fields("Path")) == 1
        assert len(request.headers.fields("P-Charging-Vector")) == 1
        assert len(request.headers.all("Via")) == 2
    assert f'username="{SECRET.username}"' in (authorized.headers.get("Authorization") or "")
    if trouble is is_overloaded:
        asked = doors.first.trace.requests("REGISTER")
        assert {(one.call_id, one.cseq.number) for one in asked} == {(response.call_id, 1)}
        assert asked[0].via_branch != challenged.via_branch
    assert doors.stage.binding(page) is not None
    assert [one.status for one in page.trace.responses("REGISTER")] == [401, 200]


@pytest.mark.conformance("R-27")
async def test_one_that_failed_is_not_asked_again_for_a_while(doors: Doors) -> None:
    await falls_silent(doors)
    assert (await doors.register())[1] > AT_ONCE_S
    asked = len(doors.first.trace.requests("REGISTER"))
    for _ in range(3):
        response, took_s = await doors.register()
        assert response.status == 200
        assert took_s < AT_ONCE_S
    assert len(doors.first.trace.requests("REGISTER")) == asked


@pytest.mark.conformance("R-27")
async def test_the_first_one_comes_back(doors: Doors) -> None:
    await is_overloaded(doors)
    await doors.register()
    doors.first.registrar = replace(doors.first.registrar, status=200)
    asked = len(doors.first.trace.requests("REGISTER"))
    await asyncio.sleep(AVOID_S)
    response, took_s = await doors.register()
    assert (response.status, took_s < AT_ONCE_S) == (200, True)
    assert len(doors.first.trace.requests("REGISTER")) == asked + 1
    await until(lambda: not doors.avoided, lambda: "still avoided", 10)


@pytest.mark.conformance("R-27")
async def test_while_it_is_on_trial_the_others_do_not_wait_for_it(doors: Doors) -> None:
    await falls_silent(doors)
    await doors.register()
    await asyncio.sleep(AVOID_S)
    trial = asyncio.create_task(doors.register())
    await asyncio.sleep(0.3)
    response, took_s = await doors.register()
    assert (response.status, took_s < AT_ONCE_S) == (200, True)
    response, took_s = await trial
    assert (response.status, took_s > AT_ONCE_S) == (200, True)


@pytest.mark.conformance("R-27")
@pytest.mark.parametrize("trouble", [dies, falls_silent, is_overloaded])
async def test_when_all_fail_the_page_gets_504(doors: Doors, trouble: object) -> None:
    assert callable(trouble)
    await trouble(doors)
    doors.second.registrar = replace(doors.second.registrar, status=503 if trouble is is_overloaded else None)
    response, took_s = await doors.register()
    assert (response.status, warning_of(response)) == (504, "the IMS core does not answer")
    assert took_s < 2 * ENTRY_POINT_TIMEOUT_S + 2 * AT_ONCE_S
    assert len(doors.avoided) == 2
    doors.second.registrar = replace(doors.second.registrar, status=200)
    assert (await doors.register())[0].status == 200  # tried all the same
    assert not doors.stage.table("attempt")


@pytest.mark.conformance("R-27")
async def test_a_late_answer_does_no_harm(doors: Doors) -> None:
    """The first entry point answers when the second has done so already."""
    await falls_silent(doors)
    response, _ = await doors.register()
    assert response.status == 200
    (page,) = doors.stage.pages
    asked = doors.first.trace.requests("REGISTER")[0]
    late = [
        (name, value) for name, value in asked.headers if name in ("Via", "From", "To", "Call-ID", "CSeq")
    ]
    gateway = (LOOPBACK, doors.stage.lab.info.gateway.sip_port)
    doors.first.send(SipResponse(403, "Forbidden", headers=Headers(late)), gateway)
    await asyncio.sleep(0.3)
    assert [one.status for one in page.trace.responses("REGISTER")] == [200]
    assert doors.stage.binding(page) is not None


@pytest.mark.conformance("R-27")
@pytest.mark.parametrize("script", [silent(), rejects(503, ringing=False)], ids=["silent", "503"])
async def test_a_call_without_service_route_goes_the_same_way(doors: Doors, script: object) -> None:
    stage: Stage = doors.stage
    doors.first.script = script  # type: ignore[assignment]
    doors.second.script = answers()
    for core in (doors.first, doors.second):
        core.__class__ = WithoutServiceRoute
    assert (await doors.register())[0].status == 200
    call = await stage.answered(stage.pages[0], AUDIO)
    (invite,) = doors.second.trace.requests("INVITE")
    assert invite.request_uri == BOB
    assert len(invite.headers.fields("P-Asserted-Identity")) == 1
    assert invite.has_sdp
    assert doors.avoided == [f"sip:{LOOPBACK}:{FIRST_PORT}"]
    await call.hang_up()


async def test_an_entry_point_that_answers_a_call_too_late_is_hung_up(doors: Doors) -> None:
    stage: Stage = doors.stage
    too_late = Pause(IMS_RESPONSE_TIMEOUT_S + 0.6)
    doors.first.script = CoreScript((too_late, Final_(200, DeviceMedia())), trying=False)
    doors.second.script = answers(ring_s=2.0)
    for core in (doors.first, doors.second):
        core.__class__ = WithoutServiceRoute
    assert (await doors.register())[0].status == 200
    wic = await stage.pages[0].invite(BOB, AUDIO)
    former = await doors.first.wait_call()
    assert isinstance(former, CalledDevice)
    await former.wait_ack()
    await former.wait_request("BYE")
    await wic.wait_answer()
    call = Call(wic, await doors.second.wait_call())
    await call.ims.wait_ack()
    await call.hang_up()


@pytest.mark.parametrize("from_tag", [None, "x"], ids=["with its own tag", "with another tag"])
async def test_a_page_that_answers_its_own_call_says_nothing_of_entry_points(
    doors: Doors, from_tag: str | None
) -> None:
    """tm knows a response by its branch, which the page can compute."""
    doors.first.script = answers(ring_s=1.0)
    for core in (doors.first, doors.second):
        core.__class__ = WithoutServiceRoute
    assert (await doors.register())[0].status == 200
    page = doors.stage.pages[0]
    call = await page.invite(BOB, AUDIO)
    invite = await doors.first.trace.wait_request("INVITE")
    sender = invite.headers.get("From") or ""
    fields = [
        f"Via: {invite.headers.all('Via')[0]}",
        f"From: {sender if from_tag is None else sender.partition(';tag=')[0] + ';tag=' + from_tag}",
        *(f"{name}: {invite.headers.get(name)}" for name in ("To", "Call-ID", "CSeq")),
        "Content-Length: 0",
    ]
    await page.send_raw("\r\n".join(["SIP/2.0 503 Service Unavailable", *fields, "", ""]))
    await call.wait_status(range(200, 700))
    assert doors.avoided == []
    assert not doors.second.trace.requests("INVITE")
    if from_tag is None:  # nobody has heard it
        await call.wait_answer()
        await call.bye()


class WithoutServiceRoute(ScriptedCore):
    """A core that names no Service-Route."""

    @property
    def service_route(self) -> str:
        return ""


@pytest.mark.conformance("R-27")
@pytest.mark.parametrize("trouble", [dies, is_overloaded])
async def test_our_own_sign_off_goes_the_same_way(doors: Doors, trouble: object) -> None:
    assert callable(trouble)
    page = await doors.stage.page_with_token("session")
    await trouble(doors)
    page.lose()
    await doors.second.trace.wait_request("REGISTER", timeout_s=20)
    request = doors.second.trace.requests("REGISTER")[-1]
    assert request.headers.get("Expires") == "0"
    await doors.stage.soon(lambda: doors.stage.binding(page) is None, "the binding is gone")


@pytest.mark.conformance("R-27")
async def test_a_connection_that_is_refused_is_a_failure_too() -> None:
    """Nobody listens for TCP at the first one."""
    uris = [f"sip:{LOOPBACK}:{FIRST_PORT};transport=tcp", f"sip:{LOOPBACK}:{SECOND_PORT}"]
    with Lab(registration_options(gateway_icscf_uris=uris)) as lab:
        stage = RegistrationStage(lab)
        stage.core = ScriptedCore(LOOPBACK, SECOND_PORT)
        await stage.open()
        try:
            for _ in range(2):
                page = await stage.registered_page()
                assert [one.status for one in page.trace.responses("REGISTER")] == [200]
            assert list(stage.table("avoided")) == uris[:1]
        finally:
            await stage.close()
