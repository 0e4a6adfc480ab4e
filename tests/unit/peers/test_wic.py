"""ScriptedWic against a gateway played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.peers.call_plan import (
    ANSWERED,
    IGNORED,
    CallPlan,
    Hook,
    OfferReply,
    Step,
    cancel_and_go_on,
    cancel_instead,
    drop_socket,
    fall_silent,
    hang_up_instead,
    refused,
    reset_socket,
)
from tests.peers.dialog import Dialog, dialog_of_callee
from tests.peers.digest import Challenge, Credentials, challenge_to_text, is_authorized
from tests.peers.sdp import page_offer, sdp_from_text
from tests.peers.sip import SipRequest, response_to
from tests.peers.trace import NothingMatchedError
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall
from tests.unit.peers.far_ends import WebSocketEdge, labels, websocket_edge

ALICE = WicIdentity(credentials=Credentials("alice", "secret"))
CONTACT = ("Contact", "<sip:gw@127.0.0.1;transport=ws>")
RELIABLE = (("Require", "100rel"), ("RSeq", "1"), CONTACT)
ANSWER = "v=0\r\no=gw 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=setup:passive\r\n"
OFFER2 = (
    ANSWER.replace("passive", "actpass")
    + "a=mid:0\r\na=recvonly\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:r0\r\na=sendonly\r\n"
)


@pytest.fixture
async def edge() -> AsyncIterator[WebSocketEdge]:
    async with websocket_edge() as edge:
        yield edge


@pytest.fixture
async def wic(edge: WebSocketEdge) -> AsyncIterator[ScriptedWic]:
    async with ScriptedWic(edge.url, ALICE) as wic:
        yield wic


def from_gateway(dialog: Dialog, method: str, sdp: str = "", cseq: int | None = None) -> SipRequest:
    return dialog.request(method, via=f"SIP/2.0/WSS gw;branch=z9hG4bK{method}{cseq}", cseq=cseq, sdp=sdp)


async def reliable_progress(edge: WebSocketEdge) -> tuple[SipRequest, Dialog]:
    """Play the gateway up to the reliable 183."""
    invite = await edge.next_request("INVITE")
    await edge.send(response_to(invite, 183, to_tag="g", headers=RELIABLE, sdp=ANSWER))
    return invite, dialog_of_callee(invite, "g")


async def answered(
    edge: WebSocketEdge, wic: ScriptedWic, plan: CallPlan | None = None
) -> tuple[OutgoingCall, Dialog]:
    """Play a whole set-up without UPDATE."""
    call = await wic.invite("sip:bob@ims.example", page_offer(), plan=plan)
    invite = await edge.next_request("INVITE")
    await edge.send(response_to(invite, 200, to_tag="g", headers=[CONTACT], sdp=ANSWER))
    await edge.next_request("ACK")
    return call, dialog_of_callee(invite, "g")


class TestHandshake:
    async def test_it_looks_like_a_page_behind_haproxy(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        await wic.send_raw("\r\n\r\n")
        request = edge.connections[0].request
        assert request is not None
        assert request.headers["Origin"] == "https://softphone.example"
        assert request.headers["X-Forwarded-For"] == "198.51.100.7"
        assert wic.socket.subprotocol == "sip"

    @pytest.mark.parametrize("loss", list(Loss))
    async def test_a_lost_socket_is_noticed_and_can_be_opened_again(
        self, edge: WebSocketEdge, wic: ScriptedWic, loss: Loss
    ) -> None:
        await wic.send_request("OPTIONS", "sip:ims.example")
        await edge.next_request("OPTIONS")
        wic.lose(loss)
        await edge.until_lost()
        await wic.lost.wait()
        await wic.connect()
        await wic.send_request("OPTIONS", "sip:ims.example")
        await edge.next_request("OPTIONS")
        assert len(edge.connections) == 2

    async def test_what_its_work_failed_with_is_told_by_the_trace_and_does_not_keep_it_from_closing(
        self, edge: WebSocketEdge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wic = ScriptedWic(edge.url, ALICE)

        def fail(message: object) -> None:
            raise KeyError("a mistake of the peer")

        monkeypatch.setattr(wic, "_dispatch", fail)
        await wic.connect()
        await wic.send_request("OPTIONS", "sip:ims.example")
        await edge.send(response_to(await edge.next_request("OPTIONS"), 200, to_tag="g"))
        with pytest.raises(KeyError):
            await wic.trace.wait_response(200, "MESSAGE")
        await wic.close()
        await edge.until_lost()
        assert isinstance(wic.trace.failure, KeyError)


class TestRegistration:
    @pytest.mark.parametrize("rounds", [0, 1, 2])
    async def test_every_challenge_is_answered_with_the_right_digest(
        self, edge: WebSocketEdge, wic: ScriptedWic, rounds: int
    ) -> None:
        done = asyncio.create_task(wic.register())
        challenge = None
        for number in range(rounds):
            request = await edge.next_request("REGISTER")
            challenge = Challenge("ims.example", f"nonce{number}")
            value = challenge_to_text(challenge)
            await edge.send(response_to(request, 401, to_tag="t", headers=[("WWW-Authenticate", value)]))
        request = await edge.next_request("REGISTER")
        if challenge is not None:
            assert ALICE.credentials is not None
            assert is_authorized(request, challenge, ALICE.credentials)
        assert request.cseq.number == rounds + 1
        await edge.send(response_to(request, 200, to_tag="t"))
        assert (await done).status == 200

    async def test_a_challenge_without_credentials_is_the_result(self, edge: WebSocketEdge) -> None:
        async with ScriptedWic(edge.url) as wic:
            done = asyncio.create_task(wic.register())
            await edge.send(response_to(await edge.next_request("REGISTER"), 401, to_tag="t"))
            assert (await done).status == 401


class TestAnswerThenUpdate:
    async def test_the_whole_ladder_runs_by_itself(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer())
        invite, dialog = await reliable_progress(edge)
        prack = await edge.next_request("PRACK")
        assert prack.headers.get("RAck") == "1 1 INVITE"
        await edge.send(response_to(prack, 200))
        await edge.send(from_gateway(dialog, "UPDATE", OFFER2))
        update = await edge.next_response(200)
        assert [m.direction for m in sdp_from_text(update.body).media] == ["sendonly", "recvonly"]
        await edge.send(response_to(invite, 200, to_tag="g", headers=[CONTACT]))
        ack = await edge.next_request("ACK")
        assert (ack.cseq.number, ack.to_tag) == (1, "g")
        assert call.violations == []
        assert call.ladder() == [
            "-> INVITE (SDP)",
            "<- 183 INVITE (SDP)",
            "-> PRACK",
            "<- 200 PRACK",
            "<- UPDATE (SDP)",
            "-> 200 UPDATE (SDP)",
            "<- 200 INVITE",
            "-> ACK",
        ]

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(refused(488), id="488"),
            pytest.param(refused(491), id="491 glare"),
            pytest.param(refused(500, ("Retry-After", "1")), id="500 with Retry-After"),
        ],
    )
    async def test_the_update_can_be_refused_and_the_next_one_accepted(
        self, edge: WebSocketEdge, wic: ScriptedWic, reply: OfferReply
    ) -> None:
        plan = CallPlan(offer_replies=(reply, ANSWERED))
        await wic.invite("sip:bob@ims.example", page_offer(), plan=plan)
        _, dialog = await reliable_progress(edge)
        await edge.next_request("PRACK")
        await edge.send(from_gateway(dialog, "UPDATE", OFFER2))
        assert reply.status is not None
        response = await edge.next_response(reply.status)
        assert all(pair in list(response.headers) for pair in reply.headers)
        await edge.send(from_gateway(dialog, "UPDATE", OFFER2))
        await edge.next_response(200)

    async def test_the_update_can_be_ignored(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer(), plan=CallPlan(offer_replies=(IGNORED,)))
        _, dialog = await reliable_progress(edge)
        await edge.next_request("PRACK")
        await edge.send(from_gateway(dialog, "UPDATE", OFFER2))
        await edge.send(from_gateway(dialog, "INFO"))
        assert (await edge.next_response(200)).cseq.method == "INFO"
        assert "-> 200 UPDATE" not in labels(call.trace)

    async def test_a_manual_prack_may_carry_a_wrong_rack(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer(), plan=CallPlan(prack=False))
        await reliable_progress(edge)
        response = await call.wait_status(183)
        done = asyncio.create_task(call.prack(response, rack="99 1 INVITE"))
        prack = await edge.next_request("PRACK")
        assert prack.headers.get("RAck") == "99 1 INVITE"
        await edge.send(response_to(prack, 481))
        assert (await done).status == 481

    async def test_a_repeated_183_gets_one_prack(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        await wic.invite("sip:bob@ims.example", page_offer())
        invite, dialog = await reliable_progress(edge)
        await edge.send(response_to(invite, 183, to_tag="g", headers=RELIABLE, sdp=ANSWER))
        await edge.next_request("PRACK")
        await edge.send(from_gateway(dialog, "INFO"))
        assert (await edge.next_response(200)).cseq.method == "INFO"


class TestSteppingIn:
    @pytest.mark.parametrize(
        ("hook", "expected"),
        [
            pytest.param(cancel_instead, ["CANCEL"], id="cancel instead"),
            pytest.param(cancel_and_go_on, ["CANCEL", "PRACK"], id="cancel and go on"),
            pytest.param(hang_up_instead, ["BYE"], id="BYE in the early dialog"),
            pytest.param(fall_silent, [], id="silence"),
        ],
    )
    async def test_before_the_prack(
        self, edge: WebSocketEdge, wic: ScriptedWic, hook: Hook, expected: list[str]
    ) -> None:
        plan = CallPlan(hooks={Step.RELIABLE_RECEIVED: hook})
        await wic.invite("sip:bob@ims.example", page_offer(), plan=plan)
        _, dialog = await reliable_progress(edge)
        for method in expected:
            await edge.next_request(method)
        await edge.send(from_gateway(dialog, "INFO"))
        await edge.next_response(200)

    @pytest.mark.parametrize("hook", [reset_socket, drop_socket])
    @pytest.mark.parametrize("step", [Step.INVITE_SENT, Step.RELIABLE_RECEIVED, Step.PRACK_SENT])
    async def test_the_socket_can_be_lost_at_any_step(
        self, edge: WebSocketEdge, wic: ScriptedWic, step: Step, hook: Hook
    ) -> None:
        await wic.invite("sip:bob@ims.example", page_offer(), plan=CallPlan(hooks={step: hook}))
        invite = await edge.next_request("INVITE") if step is not Step.INVITE_SENT else None
        if invite is not None:
            await edge.send(response_to(invite, 183, to_tag="g", headers=RELIABLE, sdp=ANSWER))
        await edge.until_lost()
        await wic.lost.wait()

    async def test_the_answer_can_be_left_without_ack(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        plan = CallPlan(hooks={Step.ANSWER_RECEIVED: fall_silent})
        call = await wic.invite("sip:bob@ims.example", page_offer(), plan=plan)
        invite = await edge.next_request("INVITE")
        await edge.send(response_to(invite, 200, to_tag="g", headers=[CONTACT], sdp=ANSWER))
        await call.wait_answer()
        await edge.send(from_gateway(dialog_of_callee(invite, "g"), "BYE"))
        assert (await edge.next_response(200)).cseq.method == "BYE"


class TestInsideTheDialog:
    async def test_digits_reinvite_and_bye_use_the_dialog(
        self, edge: WebSocketEdge, wic: ScriptedWic
    ) -> None:
        call, _ = await answered(edge, wic)
        for number, work in enumerate((call.info_dtmf("5"), call.reinvite(page_offer()), call.bye()), 2):
            done = asyncio.create_task(work)
            message = await asyncio.wait_for(edge.messages.get(), 2)
            assert isinstance(message, SipRequest)
            assert (message.cseq.number, message.to_tag) == (number, "g")
            await edge.send(response_to(message, 200, headers=[CONTACT]))
            assert (await done).status == 200
            if message.method == "INVITE":
                assert (await edge.next_request("ACK")).cseq.number == number

    async def test_a_failed_reinvite_is_acknowledged_hop_by_hop(
        self, edge: WebSocketEdge, wic: ScriptedWic
    ) -> None:
        call, _ = await answered(edge, wic)
        done = asyncio.create_task(call.reinvite(page_offer()))
        invite = await edge.next_request("INVITE")
        await edge.send(response_to(invite, 488))
        assert (await edge.next_request("ACK")).via_branch == invite.via_branch
        assert (await done).status == 488

    async def test_planned_statuses_answer_in_dialog_requests(
        self, edge: WebSocketEdge, wic: ScriptedWic
    ) -> None:
        _, dialog = await answered(edge, wic, CallPlan(statuses={"INFO": 469}))
        await edge.send(from_gateway(dialog, "INFO"))
        await edge.next_response(469)

    @pytest.mark.parametrize(
        ("tag", "cseqs", "violation"),
        [
            pytest.param("other", [1], "From-tag other", id="another From-tag"),
            pytest.param("g", [5, 5], "CSeq 5 after 5", id="CSeq that does not grow"),
        ],
    )
    async def test_broken_requests_of_the_gateway_are_noted(
        self, edge: WebSocketEdge, wic: ScriptedWic, tag: str, cseqs: list[int], violation: str
    ) -> None:
        call, dialog = await answered(edge, wic)
        wrong = Dialog(
            call.call_id, dialog.local.replace("tag=g", f"tag={tag}"), dialog.remote, "sip:a@b.invalid"
        )
        for cseq in cseqs:
            await edge.send(from_gateway(wrong, "INFO", cseq=cseq))
            await edge.next_response(200)
        assert len(call.violations) == 1
        assert violation in call.violations[0]


class TestFailures:
    async def test_a_busy_callee_is_acknowledged_with_its_tag(
        self, edge: WebSocketEdge, wic: ScriptedWic
    ) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer())
        invite = await edge.next_request("INVITE")
        await edge.send(response_to(invite, 486, to_tag="g"))
        ack = await edge.next_request("ACK")
        assert (ack.via_branch, ack.to_tag) == (invite.via_branch, "g")
        assert (await call.wait_status(486)).status == 486

    async def test_a_challenged_invite_is_sent_again(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        await wic.invite("sip:bob@ims.example", page_offer())
        invite = await edge.next_request("INVITE")
        challenge = Challenge("ims.example", "n")
        field = ("Proxy-Authenticate", challenge_to_text(challenge))
        await edge.send(response_to(invite, 407, to_tag="x", headers=[field]))
        await edge.next_request("ACK")
        again = await edge.next_request("INVITE")
        assert ALICE.credentials is not None
        assert is_authorized(again, challenge, ALICE.credentials)
        assert (again.cseq.number, again.to_tag) == (2, None)

    @pytest.mark.parametrize(
        ("status", "tag", "headers", "violation"),
        [
            pytest.param(180, "h", [CONTACT], "another To-tag", id="To-tag changed"),
            pytest.param(180, "g", [], "without Contact", id="no Contact"),
            pytest.param(180, None, [CONTACT], "without To-tag", id="no To-tag"),
        ],
    )
    async def test_broken_responses_of_the_gateway_are_noted(
        self,
        edge: WebSocketEdge,
        wic: ScriptedWic,
        status: int,
        tag: str | None,
        headers: list[tuple[str, str]],
        violation: str,
    ) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer())
        invite, _ = await reliable_progress(edge)
        await edge.next_request("PRACK")
        await edge.send(response_to(invite, status, to_tag=tag, headers=headers))
        await call.wait_status(status)
        assert [violation in text for text in call.violations] == [True]

    async def test_a_wait_that_fails_shows_the_ladder(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer())
        with pytest.raises(NothingMatchedError, match="-> INVITE"):
            await call.wait_status(180, timeout_s=0.05)

    async def test_a_frame_that_is_not_sip_fails_the_waiting_test(
        self, edge: WebSocketEdge, wic: ScriptedWic
    ) -> None:
        call = await wic.invite("sip:bob@ims.example", page_offer())
        await edge.next_request("INVITE")
        await edge.connections[0].send("hello")
        with pytest.raises(ValueError, match="start line"):
            await call.wait_status(180)


class TestIncoming:
    OFFER = OFFER2.replace("recvonly", "sendrecv")

    def invite(self) -> SipRequest:
        request = from_gateway(
            Dialog("c9", "<sip:bob@ims.example>;tag=b", "<sip:alice@ims.example>", "sip:alice@x.invalid"),
            "INVITE",
            self.OFFER,
        )
        request.headers.add("Contact", "<sip:gw@127.0.0.1;transport=ws>")
        return request

    async def test_it_rings_answers_and_hangs_up(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        await wic.send_raw("\r\n\r\n")
        invite = self.invite()
        await edge.send(invite)
        call = await wic.wait_incoming()
        await edge.next_response(100)
        await call.ring()
        ringing = await edge.next_response(180)
        done = asyncio.create_task(call.answer(ANSWER))
        ok = await edge.next_response(200)
        assert ok.to_tag == ringing.to_tag
        assert ok.body == ANSWER
        dialog = Dialog("c9", "<sip:bob@ims.example>;tag=b", ok.headers.get("To") or "", "sip:a@b")
        await edge.send(from_gateway(dialog, "ACK", cseq=1))
        await done
        bye = asyncio.create_task(call.bye())
        request = await edge.next_request("BYE")
        assert (request.to_tag, request.request_uri) == ("b", "sip:gw@127.0.0.1;transport=ws")
        await edge.send(response_to(request, 200))
        assert (await bye).status == 200

    async def test_a_cancel_ends_it(self, edge: WebSocketEdge, wic: ScriptedWic) -> None:
        invite = self.invite()
        await edge.send(invite)
        await wic.wait_incoming()
        await edge.next_response(100)
        cancel = SipRequest("CANCEL", invite.request_uri, headers=invite.headers.copy())
        cancel.headers.replace("CSeq", "1 CANCEL")
        await edge.send(cancel)
        await edge.next_response(200)
        assert (await edge.next_response(487)).cseq.method == "INVITE"
