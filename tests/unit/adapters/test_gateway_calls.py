"""One call through all callbacks, from a message in to messages out."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from kemi.adapters.gateway import Gateway
from kemi.core.call.actions import SendRequest
from kemi.core.call.events import CallForbidden, MediaConnected, MediaReserved
from kemi.core.call.media_actions import ConnectMedia, ReserveMedia
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.state.calls import record_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import core_reply, from_core, from_page, invite, page_reply, page_request
from tests.unit.adapters.played import MESSAGE, called, forwarded
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.core.call import descriptions as sdp


class TestCall:
    """One call through all callbacks."""

    def test_the_invite_is_answered_early(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        (reply,) = kamailio.replies
        assert reply.status == 183
        assert "RSeq: 1" in reply.headers
        assert reply.body.startswith("v=0")
        assert len(tag) == 16

    def test_after_prack_and_update_it_goes_to_the_core(self, kamailio: FakeKamailio, page: Gateway) -> None:
        forwarded(kamailio, page)
        message = kamailio.relayed[-1]
        assert message.method == "INVITE"
        assert message.sent_values("Route") == ["<sip:orig@scscf.ims.example;lr>"]
        assert message.sent_values("P-Asserted-Identity") == ["<sip:alice@ims.example>"]
        assert "RTP/AVP" in message.sent()

    def test_the_cores_answer_is_mapped_and_the_media_connected(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay
    ) -> None:
        tag = forwarded(kamailio, page)
        message = kamailio.receive(core_reply(200, body=sdp.core_answer()))
        page.ksr_reply_route(MESSAGE)
        assert type(relay.asked[-1]).__name__ == "ConnectMedia"
        assert message.sent_values("To") == [f"<sip:bob@ims.example>;tag={tag}"]
        assert not kamailio.dropped

    def test_kamailio_is_not_asked_for_one_header_field_after_the_other(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        """That was a third of all there was to ask in a call: each head is taken apart once."""
        forwarded(kamailio, page)
        kamailio.receive(core_reply(200, body=sdp.core_answer()))
        page.ksr_reply_route(MESSAGE)
        asked = [str(variable) for (variable,) in kamailio.called("pv.get")]
        assert not [variable for variable in asked if variable.startswith(("$hdrc(", "$(hdr("))]

    def test_an_answer_whose_call_ends_while_the_relay_is_told_goes_no_further(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Untranslated, it would open a dialog the page knows nothing of."""
        forwarded(kamailio, page)
        kamailio.script("corex.send_data", 1)

        def end_meanwhile(action: ConnectMedia) -> MediaConnected:
            page._dispatcher.dispatch("call-1", CallForbidden("ended by the operator"))
            return MediaConnected(action.reply, action.bearer)

        monkeypatch.setattr(relay, "connect", end_meanwhile)
        kamailio.receive(core_reply(200, body=sdp.core_answer()))
        page.ksr_reply_route(MESSAGE)
        assert kamailio.tables["call"] == {}
        assert kamailio.dropped
        ((_, text),) = kamailio.called("corex.send_data")
        assert str(text).startswith("SIP/2.0 487 Request Terminated\r\n")
        assert "CSeq: 1 INVITE\r\n" in str(text)

    def test_a_failure_at_the_core_ends_it(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay
    ) -> None:
        forwarded(kamailio, page)
        kamailio.receive(invite(), transaction=(11, 22))
        kamailio.failure_status = 486
        kamailio.script("tm.t_branch_timeout", -1)
        page.ksr_failure_ims(MESSAGE)
        assert kamailio.tables["call"] == {}
        assert type(relay.asked[-1]).__name__ == "ReleaseMedia"

    def test_without_registration_the_invite_gets_403(self, kamailio: FakeKamailio, page: Gateway) -> None:
        kamailio.receive(invite(connection_id=8))
        page.ksr_request_route(MESSAGE)
        assert (kamailio.replies[0].status, kamailio.tables.get("call", {})) == (403, {})

    def test_the_same_call_id_again_gets_482(self, kamailio: FakeKamailio, page: Gateway) -> None:
        called(kamailio, page)
        kamailio.receive(invite())
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 482

    @pytest.mark.parametrize(("first", "second"), [("call-1", "call-1-v"), ("call-1-v", "call-1")])
    def test_nor_may_a_call_be_anothers_video_at_the_relay(
        self, kamailio: FakeKamailio, page: Gateway, first: str, second: str
    ) -> None:
        for call_id in (first, second):
            kamailio.receive(invite(call_id=call_id))
            page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 482
        assert list(kamailio.tables["call"]) == [first]

    def test_an_invite_sent_again_is_absorbed(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay
    ) -> None:
        """Also when its call is over and its transaction still stands: nothing is reserved for it."""
        kamailio.script("tm.t_check_trans", 0)
        kamailio.receive(invite())
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies == []
        assert relay.asked == []

    @pytest.mark.parametrize(
        ("method", "error", "status"),
        [
            pytest.param("choose_node", MediaUnavailable("none"), 503, id="no node"),
            pytest.param("reserve", MediaUnavailable("late"), 503, id="relay late"),
            pytest.param("reserve", RuntimeError("bug"), 500, id="unforeseen"),
        ],
    )
    def test_a_set_up_that_fails_leaves_nothing_behind(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        relay: ScriptedRelay,
        method: str,
        error: RuntimeError | MediaUnavailable,
        status: int,
    ) -> None:
        relay.fail(method, error)
        kamailio.receive(invite())
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [status]
        assert kamailio.tables.get("call", {}) == {}

    def test_a_call_that_is_over_before_the_relay_answers_gives_the_ports_back(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """CANCEL in another worker has ended it and taken its record away."""
        reserve = relay.reserve

        def late(action: ReserveMedia) -> MediaReserved:
            kamailio.tables["call"].clear()
            return replace(reserve(action), node=action.node)

        monkeypatch.setattr(relay, "reserve", late)
        kamailio.receive(invite())
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [487]
        assert [type(action).__name__ for action in relay.asked] == ["ReserveMedia", "ReleaseMedia"]
        assert kamailio.tables["call"] == {}

    def test_a_set_up_that_fails_after_the_reservation_gives_the_ports_back(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay
    ) -> None:
        kamailio.script("tmx.t_suspend", -1)
        kamailio.receive(invite())
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 500
        assert type(relay.asked[-1]).__name__ == "ReleaseMedia"
        assert kamailio.tables["call"] == {}

    def test_a_flow_that_closed_while_its_invite_was_worked_on_is_noticed(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        def suspend() -> int:
            kamailio.tables["flow"].clear()
            return 1

        kamailio.script("tmx.t_suspend", suspend)
        kamailio.script("tmx.t_continue", 1)
        kamailio.receive(invite())
        page.ksr_request_route(MESSAGE)
        assert kamailio.called("tmx.t_continue") == [(11, 22, "ksr_continue_invite")]

    def test_a_cancelled_invite_is_not_continued(self, kamailio: FakeKamailio, page: Gateway) -> None:
        called(kamailio, page)
        kamailio.script("tm.t_is_canceled", 1)
        kamailio.receive(invite(), transaction=(11, 22))
        page.ksr_continue_invite(MESSAGE)
        page.ksr_failure_suspended(MESSAGE)
        assert kamailio.relayed == []
        assert [reply.status for reply in kamailio.replies] == [183]

    def test_a_stuck_set_up_gets_504(self, kamailio: FakeKamailio, page: Gateway) -> None:
        called(kamailio, page)
        kamailio.script("tm.t_is_canceled", -1)
        kamailio.receive(invite(), transaction=(11, 22))
        page.ksr_failure_suspended(MESSAGE)
        assert kamailio.replies[-1].status == 504
        assert kamailio.tables["call"] == {}

    def test_a_cancel_before_the_core_knows_ends_it(self, kamailio: FakeKamailio, page: Gateway) -> None:
        called(kamailio, page)
        kamailio.script("tm.t_check_trans", 1)
        kamailio.receive(from_page("CANCEL sip:b SIP/2.0\nCall-ID: call-1\nCSeq: 1 CANCEL\n"))
        page.ksr_request_route(MESSAGE)
        assert kamailio.relayed[-1].method == "CANCEL"
        assert kamailio.tables["call"] == {}

    def test_nobody_cancels_over_another_connection(self, kamailio: FakeKamailio, page: Gateway) -> None:
        called(kamailio, page)
        kamailio.script("tm.t_check_trans", 1)
        kamailio.cancelled_source = ("127.0.0.1", 4242)
        kamailio.receive(from_page("CANCEL sip:b SIP/2.0\nCall-ID: call-1\nCSeq: 1 CANCEL\n"))
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 481
        assert not [one for one in kamailio.relayed if one.method == "CANCEL"]
        assert kamailio.tables["call"]


class TestOwnUpdate:
    """The page's answer to our UPDATE comes by tm's callbacks."""

    def test_replies_are_asked_for_the_update_only(self, kamailio: FakeKamailio, page: Gateway) -> None:
        def build(*_: str) -> int:
            page.ksr_tm_event(MESSAGE, "tm:local-request")
            return 1

        tag = called(kamailio, page)
        page.ksr_tm_event(MESSAGE, "tm:local-request")
        assert kamailio.called("tm.t_on_reply") == []
        kamailio.script("tm.t_uac_send", build)
        kamailio.receive(page_request("PRACK", tag, "RAck: 1 1 INVITE"))
        page.ksr_request_route(MESSAGE)
        assert kamailio.called("tm.t_on_reply") == [("ksr_onreply_own_request",)]
        assert kamailio.called("tm.t_on_failure")[-1] == ("ksr_failure_own_request_to_page",)

    @pytest.mark.parametrize(
        ("to", "method", "patience_ms"),
        [
            pytest.param(Side.IMS, "UPDATE", [(0, 32000)], id="change for the core"),
            pytest.param(Side.IMS, "INVITE", [(0, 32000)], id="re-INVITE for the core"),
            pytest.param(Side.IMS, "PRACK", [(0, 32000)], id="whose response nobody wants"),
            pytest.param(Side.IMS, "SUBSCRIBE", [], id="another entry point may have it"),
            pytest.param(Side.WIC, "UPDATE", [], id="change for the page"),
            pytest.param(Side.WIC, "BYE", [(0, 32000)], id="goodbye for the page"),
        ],
    )
    def test_a_silent_page_is_soon_given_up_and_a_silent_far_end_late(
        self, kamailio: FakeKamailio, page: Gateway, to: Side, method: str, patience_ms: list[tuple[int, int]]
    ) -> None:
        def build(*_: str) -> int:
            kamailio.receive(from_core(f"{method} sip:x SIP/2.0\nCSeq: 1 {method}\n"))
            page.ksr_tm_event(MESSAGE, "tm:local-request")
            return 1

        before = len(kamailio.called("tm.t_set_fr"))
        kamailio.script("tm.t_uac_send", build)
        page._executor.perform("c", SendRequest(to, method, "sip:a", "sip:b", ()))
        assert kamailio.called("tm.t_set_fr")[before:] == patience_ms

    @pytest.mark.parametrize(
        ("value", "delay_s"),
        [
            pytest.param("3", 3.0, id="plain"),
            pytest.param("3 (busy);duration=9", 3.0, id="comment and parameter"),
        ],
    )
    def test_retry_after_is_read(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        monkeypatch: pytest.MonkeyPatch,
        value: str,
        delay_s: float,
    ) -> None:
        monkeypatch.setattr(time, "time", lambda: 1000.0)
        tag = called(kamailio, page)
        kamailio.receive(page_request("PRACK", tag, "RAck: 1 1 INVITE"))
        page.ksr_request_route(MESSAGE)
        kamailio.receive(page_reply(500, "UPDATE", tag, f"Retry-After: {value}\n"))
        page.ksr_onreply_own_request(MESSAGE)
        assert kamailio.tables["due"]["call-1"] == f"{1000 + delay_s:.3f} update_retry"

    def test_one_that_is_no_number_is_ignored(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        kamailio.receive(page_request("PRACK", tag, "RAck: 1 1 INVITE"))
        page.ksr_request_route(MESSAGE)
        kamailio.receive(page_reply(500, "UPDATE", tag, "Retry-After: ²\n"))
        page.ksr_onreply_own_request(MESSAGE)
        assert kamailio.tables["due"]["call-1"].endswith(" update_retry")

    def test_a_provisional_response_means_nothing(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        before = kamailio.tables["call"]["call-1"]
        kamailio.receive(page_reply(100, "UPDATE", tag))
        page.ksr_onreply_own_request(MESSAGE)
        assert kamailio.tables["call"]["call-1"] == before

    @pytest.mark.parametrize(
        ("method", "status", "acknowledged"), [("INVITE", 200, 1), ("INVITE", 486, 0), ("UPDATE", 200, 0)]
    )
    def test_a_2xx_to_our_re_invite_is_acknowledged_also_after_the_transaction(
        self, kamailio: FakeKamailio, page: Gateway, method: str, status: int, acknowledged: int
    ) -> None:
        """SIP.js repeats it, takes no offer meanwhile, and hangs up after 32 s."""
        tag = forwarded(kamailio, page)
        before = len(kamailio.requests)
        via = "Via: SIP/2.0/WS 127.0.0.1:8080;branch=z9hG4bKours\n"
        kamailio.receive(page_reply(status, method, tag, via))
        page.ksr_reply_route(MESSAGE)
        assert (len(kamailio.requests), kamailio.dropped) == (before, False)  # tm may know it
        page.ksr_stray_reply_event(MESSAGE, "on_sl_reply")
        assert kamailio.dropped
        sent = kamailio.requests[before:]
        assert [one.method for one in sent] == ["ACK"] * acknowledged
        assert all("CSeq: 1 ACK" in one.headers for one in sent)

    def test_no_answer_at_all_resumes_the_invite(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        kamailio.receive(page_request("PRACK", tag, "RAck: 1 1 INVITE"))
        page.ksr_request_route(MESSAGE)
        kamailio.script("tm.t_branch_timeout", 1)
        kamailio.script("tmx.t_continue", 1)
        kamailio.receive(from_page("UPDATE sip:x SIP/2.0\nCall-ID: call-1\nCSeq: 1 UPDATE\n"))
        page.ksr_failure_own_request_to_page(MESSAGE)
        assert kamailio.called("tmx.t_continue")
        rejection = record_from_text(kamailio.tables["call"]["call-1"]).rejection
        assert rejection is not None
        assert rejection.status == 504
