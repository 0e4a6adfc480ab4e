"""ScriptedCore against a gateway played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.peers import core_call
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.core_script import (
    CoreScript,
    Final,
    Provisional,
    answers,
    answers_twice,
    crosses_cancel,
    early_media,
    forks,
    rejects,
    rings_for_ever,
    silent,
)
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.dialog import dialog_of_caller
from tests.peers.digest import Credentials, authorization, challenge_from_text
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_branch, response_to
from tests.peers.trace import NothingMatchedError
from tests.unit.peers.far_ends import UdpEdge, udp_edge

OFFER = device_offer(DeviceMedia(video="VP8"))
AOR = "sip:alice@ims.example"


@pytest.fixture
async def edge() -> AsyncIterator[UdpEdge]:
    async with udp_edge() as edge:
        yield edge


@pytest.fixture
async def core() -> AsyncIterator[ScriptedCore]:
    async with ScriptedCore() as core:
        yield core


def register(edge: UdpEdge, cseq: int = 1, expires: int = 600, authorization: str = "") -> SipRequest:
    fields = [
        ("Via", edge.new_via()),
        ("From", f"<{AOR}>;tag=r"),
        ("To", f"<{AOR}>"),
        ("Call-ID", "reg"),
        ("CSeq", str(CSeq(cseq, "REGISTER"))),
        ("Contact", f'<sip:alice@{edge.host_port}>;reg-id=1;+sip.instance="<urn:uuid:1>";expires={expires}'),
        ("Path", f"<sip:tok@{edge.host_port};lr>"),
        *([("Authorization", authorization)] if authorization else []),
    ]
    return SipRequest("REGISTER", "sip:ims.example", headers=Headers(fields))


def invite(edge: UdpEdge, user: str = "bob") -> SipRequest:
    fields = [
        ("Via", edge.new_via()),
        ("From", f"<{AOR}>;tag=w"),
        ("To", "<sip:bob@ims.example>"),
        ("Call-ID", "call"),
        ("CSeq", "1 INVITE"),
        ("Contact", f"<sip:gw@{edge.host_port}>"),
    ]
    return SipRequest("INVITE", f"sip:{user}@ims.example", headers=Headers(fields)).set_body(OFFER)


def in_dialog(
    edge: UdpEdge, request: SipRequest, response: SipResponse, method: str, **more: str | int
) -> SipRequest:
    dialog = dialog_of_caller(request, response)
    cseq = int(more.get("cseq", 1 if method == "ACK" else 2))
    rack = more.get("rack", f"{response.rseq} 1 INVITE")
    headers = [("RAck", str(rack))] if method == "PRACK" else []
    return dialog.request(
        method, via=edge.new_via(), cseq=cseq, headers=headers, sdp=str(more.get("sdp", ""))
    )


async def status_of(edge: UdpEdge, status: int, count: int = 1) -> SipResponse:
    return await edge.trace.wait_response(status, "INVITE", call_id="call", count=count, timeout_s=3)


class TestRegistrar:
    async def test_it_echoes_path_and_gives_a_service_route(self, edge: UdpEdge, core: ScriptedCore) -> None:
        response = await edge.ask(register(edge), core.address)
        assert response.status == 200
        assert response.headers.all("Path") == [f"<sip:tok@{edge.host_port};lr>"]
        assert response.headers.all("Service-Route") == [f"<sip:orig@{core.host_port};lr>"]
        assert (response.headers.get("Contact") or "").endswith(";expires=600")
        assert len(response.headers.all("P-Associated-URI")) == 2
        assert core.registrations[AOR].path == (f"<sip:tok@{edge.host_port};lr>",)

    async def test_expires_zero_removes_the_binding(self, edge: UdpEdge, core: ScriptedCore) -> None:
        await edge.ask(register(edge), core.address)
        response = await edge.ask(register(edge, 2, expires=0), core.address)
        assert response.headers.get("Contact") is None
        assert core.registrations == {}

    @pytest.mark.parametrize("rounds", [1, 2])
    async def test_it_challenges_as_often_as_told(
        self, edge: UdpEdge, core: ScriptedCore, rounds: int
    ) -> None:
        credentials = Credentials("alice", "secret")
        core.registrar = RegistrarScript(credentials=credentials, rounds=rounds)
        value = ""
        for number in range(1, rounds + 1):
            response = await edge.ask(register(edge, number, authorization=value), core.address)
            assert response.status == 401
            challenge = challenge_from_text(response.headers.fields("WWW-Authenticate")[0])
            value = authorization(challenge, credentials, "REGISTER", "sip:ims.example")
        response = await edge.ask(register(edge, rounds + 1, authorization=value), core.address)
        assert response.status == 200

    async def test_a_wrong_password_is_challenged_again(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.registrar = RegistrarScript(credentials=Credentials("alice", "secret"))
        response = await edge.ask(register(edge), core.address)
        challenge = challenge_from_text(response.headers.fields("WWW-Authenticate")[0])
        value = authorization(challenge, Credentials("alice", "guess"), "REGISTER", "sip:ims.example")
        assert (await edge.ask(register(edge, 2, authorization=value), core.address)).status == 401

    async def test_it_can_refuse_or_be_silent(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.registrar = RegistrarScript(status=403)
        assert (await edge.ask(register(edge), core.address)).status == 403
        core.registrar = RegistrarScript(status=None)
        with pytest.raises(NothingMatchedError):
            await edge.ask(register(edge, 2), core.address, timeout_s=0.1)


class TestScripts:
    async def test_a_plain_answer_is_repeated_until_its_ack(
        self, edge: UdpEdge, core: ScriptedCore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(core_call, "T1_S", 0.05)
        request = invite(edge)
        edge.send(request, core.address)
        ringing = await status_of(edge, 180)
        answer = await status_of(edge, 200, count=2)
        assert len(answer.record_route) == 2
        assert ringing.to_tag == answer.to_tag
        audio, video = sdp_from_text(answer.body).media
        assert (audio.formats, video.port) == (["8", "101"], 0)
        call = await core.wait_call()
        edge.send(in_dialog(edge, request, answer, "ACK"), core.address)
        await call.wait_ack()
        assert call.violations == []

    async def test_reliable_early_media_waits_for_its_prack(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.script = early_media(DeviceMedia(video="VP8"))
        request = invite(edge)
        edge.send(request, core.address)
        progress = await status_of(edge, 183)
        assert progress.is_reliable
        assert progress.rseq == 7000
        assert sdp_from_text(progress.body).media[1].port == 40002
        wrong = await edge.ask(in_dialog(edge, request, progress, "PRACK", rack="1 1 INVITE"), core.address)
        assert wrong.status == 481
        right = await edge.ask(in_dialog(edge, request, progress, "PRACK", cseq=3), core.address)
        assert right.status == 200
        assert not (await status_of(edge, 200)).has_sdp
        call = await core.wait_call()
        assert [text.startswith("PRACK with RAck 1 1 INVITE") for text in call.violations] == [True]

    async def test_unreliable_early_media_repeats_the_answer_in_the_200(
        self, edge: UdpEdge, core: ScriptedCore
    ) -> None:
        core.script = early_media(reliable=False)
        edge.send(invite(edge), core.address)
        assert (await status_of(edge, 183)).body == (await status_of(edge, 200)).body

    async def test_a_fork_has_two_tags_and_two_rseq_spaces(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.script = forks()
        request = invite(edge)
        edge.send(request, core.address)
        first = await status_of(edge, 183)
        await edge.ask(in_dialog(edge, request, first, "PRACK"), core.address)
        second = await status_of(edge, 180)
        assert first.to_tag != second.to_tag
        assert (first.rseq, second.rseq) == (7000, 42)
        await edge.ask(in_dialog(edge, request, second, "PRACK", cseq=3), core.address)
        assert (await status_of(edge, 200)).to_tag == second.to_tag

    async def test_two_devices_can_answer(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.script = answers_twice()
        edge.send(invite(edge), core.address)
        tags = {(await status_of(edge, 200, count=n)).to_tag for n in (1, 2)}
        assert len(tags) == 2

    @pytest.mark.parametrize("status", [302, 404, 486, 503, 603])
    async def test_it_refuses(self, edge: UdpEdge, core: ScriptedCore, status: int) -> None:
        core.script = rejects(status, ("Reason", "Q.850;cause=17"))
        edge.send(invite(edge), core.address)
        response = await status_of(edge, status)
        assert response.headers.get("Reason") == "Q.850;cause=17"
        assert response.to_tag == (await status_of(edge, 180)).to_tag

    async def test_the_script_is_chosen_by_the_user_called(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.scripts = {"busy": rejects(486, ringing=False)}
        edge.send(invite(edge, "busy"), core.address)
        await status_of(edge, 486)

    async def test_silence_is_silence(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.script = silent()
        edge.send(invite(edge), core.address)
        await core.wait_call()
        with pytest.raises(NothingMatchedError):
            await edge.trace.wait_response(range(100, 700), "INVITE", timeout_s=0.1)

    async def test_a_repeated_invite_gets_the_last_response_again(
        self, edge: UdpEdge, core: ScriptedCore
    ) -> None:
        core.script = rings_for_ever()
        request = invite(edge)
        edge.send(request, core.address)
        await status_of(edge, 180)
        edge.send(request, core.address)
        await status_of(edge, 180, count=2)
        assert len(core.calls) == 1


class TestCancel:
    def cancel(self, request: SipRequest) -> SipRequest:
        headers = request.headers.copy()
        headers.replace("CSeq", "1 CANCEL")
        return SipRequest("CANCEL", request.request_uri, headers=headers)

    async def test_it_ends_the_invite(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.script = rings_for_ever()
        request = invite(edge)
        edge.send(request, core.address)
        await status_of(edge, 180)
        assert (await edge.ask(self.cancel(request), core.address)).status == 200
        await status_of(edge, 487)

    async def test_the_answer_can_cross_it(self, edge: UdpEdge, core: ScriptedCore) -> None:
        core.script = crosses_cancel()
        request = invite(edge)
        edge.send(request, core.address)
        await status_of(edge, 180)
        await edge.ask(self.cancel(request), core.address)
        assert (await status_of(edge, 200)).has_sdp


class TestInsideTheDialog:
    async def test_the_core_sends_info_and_bye(self, edge: UdpEdge, core: ScriptedCore) -> None:
        edge.send(invite(edge), core.address)
        answer = await status_of(edge, 200)
        call = await core.wait_call()
        for work, method in ((call.info("application/dtmf-relay", "Signal=5"), "INFO"), (call.bye(), "BYE")):
            done = asyncio.create_task(work)
            request, source = await edge.next_request(method)
            assert (request.from_tag, request.to_tag) == (answer.to_tag, "w")
            edge.send(response_to(request, 200), source)
            assert (await done).status == 200

    async def test_offers_of_the_gateway_are_answered(self, edge: UdpEdge, core: ScriptedCore) -> None:
        request = invite(edge)
        edge.send(request, core.address)
        answer = await status_of(edge, 200)
        update = await edge.ask(in_dialog(edge, request, answer, "UPDATE", sdp=OFFER), core.address)
        assert sdp_from_text(update.body).media[0].formats == ["8", "101"]
        call = await core.wait_call()
        call.statuses["UPDATE"] = 491
        again = await edge.ask(in_dialog(edge, request, answer, "UPDATE", cseq=3, sdp=OFFER), core.address)
        assert again.status == 491

    async def test_a_request_without_the_route_set_is_noted(self, edge: UdpEdge, core: ScriptedCore) -> None:
        request = invite(edge)
        edge.send(request, core.address)
        answer = await status_of(edge, 200)
        bye = in_dialog(edge, request, answer, "BYE")
        bye.headers.remove("Route")
        await edge.ask(bye, core.address)
        call = await core.wait_call()
        assert call.violations == ["BYE with Route []"]


class TestCalling:
    async def test_a_registered_page_is_called_through_its_path(
        self, edge: UdpEdge, core: ScriptedCore
    ) -> None:
        await edge.ask(register(edge), core.address)
        call = core.call(AOR, media=DeviceMedia(audio="PCMU"))
        request, source = await edge.next_request("INVITE")
        assert request.headers.all("Route") == [f"<sip:tok@{edge.host_port};lr>"]
        assert request.request_uri == f"sip:alice@{edge.host_port}"
        assert sdp_from_text(request.body).media[0].formats == ["0", "101"]
        contact = ("Contact", f"<sip:gw@{edge.host_port}>")
        reliable = [("Require", "100rel"), ("RSeq", "1"), contact]
        edge.send(response_to(request, 183, to_tag="g", headers=reliable), source)
        prack, _ = await edge.next_request("PRACK")
        assert prack.headers.get("RAck") == "1 1 INVITE"
        edge.send(response_to(prack, 200), source)
        edge.send(response_to(request, 200, to_tag="g", headers=[contact]), source)
        ack, _ = await edge.next_request("ACK")
        assert (ack.to_tag, ack.cseq.number) == ("g", 1)
        await call.wait_status(200)
        done = asyncio.create_task(call.bye())
        bye, _ = await edge.next_request("BYE")
        edge.send(response_to(bye, 200), source)
        assert (await done).status == 200

    async def test_a_refusal_is_acknowledged_hop_by_hop(self, edge: UdpEdge, core: ScriptedCore) -> None:
        await edge.ask(register(edge), core.address)
        core.call(AOR)
        request, source = await edge.next_request("INVITE")
        edge.send(response_to(request, 486, to_tag="g"), source)
        ack, _ = await edge.next_request("ACK")
        assert ack.via_branch == request.via_branch

    async def test_a_call_can_be_cancelled(self, edge: UdpEdge, core: ScriptedCore) -> None:
        await edge.ask(register(edge), core.address)
        call = core.call(AOR)
        request, source = await edge.next_request("INVITE")
        edge.send(response_to(request, 180, to_tag="g"), source)
        await call.wait_status(180)
        call.cancel()
        cancel, _ = await edge.next_request("CANCEL")
        assert cancel.via_branch == request.via_branch

    def test_an_unknown_page_cannot_be_called(self) -> None:
        with pytest.raises(KeyError):
            ScriptedCore().call(AOR)


def test_scripts_are_plain_values() -> None:
    assert answers() == CoreScript((Provisional(180), Final(200, DeviceMedia())))


def test_a_branch_is_never_used_twice() -> None:
    assert new_branch() != new_branch()
