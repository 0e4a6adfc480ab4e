"""Actions become calls of Kamailio, in order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.monitoring.measuring import METRICS
from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.answer import NO_CORE
from kemi.core.call.from_page.trunk_call import NO_ROOM
from kemi.core.call.record import Rejection
from kemi.core.errors import LocalProtocolError, MediaUnavailable, RemoteProtocolError
from kemi.core.messages import Reply, Side
from kemi.core.metrics import catalogue
from kemi.state.calls import CallStore
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import core_reply, from_core, from_page, invite
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.core.call.ladder import Call, record_at

INVITE_OF_CORE = (
    "INVITE sip:x@page.invalid SIP/2.0\nVia: SIP/2.0/UDP scscf;branch=1\nVia: SIP/2.0/UDP icscf;branch=2\n"
    "CSeq: 1 INVITE\nContact: <sip:caller>\n"
)
REPLY = Reply(Side.IMS, "INVITE", "call-1", "page", "core1", 1)


def test_every_action_has_its_handler(executor: Executor) -> None:
    kinds = [kind for kind in vars(act).values() if isinstance(kind, type) and issubclass(kind, act.Action)]
    assert set(executor._handlers) == set(kinds) - {act.Action, act.Note}  # perform() writes notes itself


class TestInviteTransaction:
    """Our tag first, then the transaction, then whatever waits."""

    def test_the_tag_is_written_before_the_transaction_is_made(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.receive(invite())
        event = executor.perform("call-1", act.CreateTransaction("ours"))
        assert event == ev.TransactionCreated(11, 22)
        names = [name for name, _ in kamailio.calls]
        assert names.index("textopsx.msg_apply_changes") < names.index("tm.t_newtran")

    @pytest.mark.parametrize(
        ("function", "action"),
        [
            pytest.param("textopsx.msg_apply_changes", act.CreateTransaction("ours"), id="no tag"),
            pytest.param("tmx.t_suspend", act.SuspendInvite(5.0), id="not suspended"),
        ],
    )
    def test_what_kamailio_refuses_is_an_error(
        self, kamailio: FakeKamailio, executor: Executor, function: str, action: act.Action
    ) -> None:
        kamailio.receive(invite())
        kamailio.script(function, -1)
        with pytest.raises(LocalProtocolError):
            executor.perform("call-1", action)

    def test_an_invite_of_which_tm_makes_no_transaction_is_its_senders_fault(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        """As one with a Content-Length that is no number."""
        kamailio.receive(invite())
        kamailio.script("tm.t_newtran", -1)
        with pytest.raises(RemoteProtocolError):
            executor.perform("call-1", act.CreateTransaction("ours"))

    def test_a_resume_that_comes_too_late_is_no_error(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.script("tmx.t_continue", -1)
        assert executor.perform("call-1", act.ResumeInvite((11, 22))) is None
        assert kamailio.called("tmx.t_continue") == [(11, 22, "ksr_continue_invite")]

    def test_the_forwarded_invite_is_edited_and_leaves_by_our_socket(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        message = kamailio.receive(invite())
        edits = act.MessageEdits(
            request_uri="sip:bob@ims.example",
            next_hop="sip:scscf",
            to_tag="",
            remove=("Contact", "P-Asserted-Identity"),
            insert=("Route: <sip:one>", "Route: <sip:two>", "Contact: <sip:ours>"),
            body="v=0\r\nnew",
        )
        assert executor.perform("call-1", act.ForwardInvite(edits, 5, 180)) is None
        assert message.sent_values("Route") == ["<sip:one>", "<sip:two>"]
        assert message.sent_values("Contact") == ["<sip:ours>"]
        assert message.sent_values("P-Asserted-Identity") == []
        assert message.sent().endswith("v=0\nnew")
        assert message.variables["$du"] == "sip:scscf"
        assert message.send_socket == "udp:192.0.2.1:5060"

    def test_without_a_next_hop_it_goes_to_the_entry_point_of_the_home_network(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        for edits in (act.MessageEdits(request_uri="sip:bob@x"), act.MessageEdits()):
            message = kamailio.receive(invite())
            executor.perform("call-1", act.ForwardInvite(edits, 5, 180))
            assert message.variables["$du"] == "sip:icscf.ims.example"

    def test_an_invite_that_cannot_be_sent_ends_like_one_nobody_answers(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.receive(invite())
        kamailio.script("tm.t_relay", -1)
        event = executor.perform("call-1", act.ForwardInvite(act.MessageEdits(), 5, 180))
        assert event == ev.ImsFailed(503, local=True)


class TestInviteToAPage:
    """Over the page's own socket; what cannot be sent is told the core."""

    @pytest.mark.parametrize(
        ("cancelled", "status"),
        [pytest.param(-1, 430, id="connection gone"), pytest.param(1, 487, id="cancelled meanwhile")],
    )
    def test_one_that_cannot_be_sent(
        self, kamailio: FakeKamailio, executor: Executor, cancelled: int, status: int
    ) -> None:
        message = kamailio.receive(from_core(INVITE_OF_CORE), transaction=(1, 2))
        kamailio.script("tm.t_relay", -1)
        kamailio.script("tm.t_is_canceled", cancelled)
        edits = act.MessageEdits(next_hop="sip:h", cseq=9, remove=("Contact",))
        action = act.ForwardInvite(edits, 5, 180, to=Side.WIC)
        assert executor.perform("c", action) == ev.WicFailed(status, local=True)
        assert message.sent() == INVITE_OF_CORE + "\n", "its final response is made of the message as it came"
        assert kamailio.called("tm.t_on_failure") == [("ksr_failure_wic",)]

    def test_it_leaves_by_the_websocket_listener(self, kamailio: FakeKamailio, executor: Executor) -> None:
        message = kamailio.receive(from_core(INVITE_OF_CORE), transaction=(1, 2))
        hop = "sip:127.0.0.1:40000;transport=ws"
        executor.perform("c", act.ForwardInvite(act.MessageEdits(next_hop=hop), 5, 180, to=Side.WIC))
        assert (message.variables["$du"], message.send_socket) == (hop, "tcp:127.0.0.1:8080")

    @pytest.mark.conformance("S-50")
    def test_the_core_hears_100_before_its_vias_are_taken_away(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        message = kamailio.receive(from_core(INVITE_OF_CORE), transaction=(1, 2))
        vias_in_answer: list[str] = []

        def answer(*_: object) -> int:
            vias_in_answer.extend(message.values("Via"))
            return 1

        kamailio.script("tm.t_reply", answer)
        executor.perform("c", act.ForwardInvite(act.MessageEdits(next_hop="sip:h"), 5, 180, to=Side.WIC))
        assert vias_in_answer == ["SIP/2.0/UDP scscf;branch=1", "SIP/2.0/UDP icscf;branch=2"]
        assert message.sent_values("Via") == []
        assert message.values("Via") == ["SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK-hidden"], "nothing to add"

    @pytest.mark.conformance("S-50")
    @pytest.mark.parametrize("sent", [pytest.param(1, id="sent"), pytest.param(-1, id="connection gone")])
    def test_a_request_of_the_core_goes_without_its_vias_and_is_answered_with_them(
        self, kamailio: FakeKamailio, executor: Executor, sent: int
    ) -> None:
        text = INVITE_OF_CORE.replace("INVITE", "INFO")
        message = kamailio.receive(from_core(text))
        kamailio.script("tm.t_relay", sent)
        executor.perform("c", act.ForwardRequest(Side.WIC, act.MessageEdits(next_hop="sip:h", cseq=7)))
        names = [name for name, _ in kamailio.calls]
        assert names.index("tm.t_newtran") < names.index("textopsx.msg_apply_changes")
        if sent > 0:
            assert (message.sent_values("Via"), kamailio.replies) == ([], [])
        else:
            assert message.sent() == text + "\n"
            assert [(reply.status, reply.stateful) for reply in kamailio.replies] == [(480, True)]

    def test_a_request_sent_once_more_goes_no_further(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.receive(from_core(INVITE_OF_CORE.replace("INVITE", "INFO")))
        kamailio.script("tm.t_newtran", 0)
        executor.perform("c", act.ForwardRequest(Side.WIC, act.MessageEdits(next_hop="sip:h")))
        assert not kamailio.relayed

    def test_a_response_gets_the_cores_vias_behind_ours(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        message = kamailio.receive(
            from_page("SIP/2.0 200 OK\nVia: SIP/2.0/WS ours\nFrom: <sip:b>;tag=ours\nCSeq: 9 INFO\n")
        )
        executor.perform("c", act.ForwardReply(act.MessageEdits(vias=("SIP/2.0/UDP a", "SIP/2.0/UDP b"))))
        assert message.values("Via") == ["SIP/2.0/WS ours", "SIP/2.0/UDP a", "SIP/2.0/UDP b"]

    def test_an_answer_in_the_page_s_name_comes_in_by_our_own_socket(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.script("corex.send_data", 1)
        executor.perform("c", act.AnswerForPage("c", 430, "Flow Failed", ("Via: ours", "CSeq: 1 INVITE")))
        ((uri, text),) = kamailio.called("corex.send_data")
        assert uri == "sip:192.0.2.1:5060"
        assert text == ("SIP/2.0 430 Flow Failed\r\nVia: ours\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n")

    @pytest.mark.parametrize(
        ("action", "method"),
        [
            pytest.param(
                act.ReserveIncoming("c", "n", {}, act.MessageEdits()), "reserve_incoming", id="ports"
            ),
            pytest.param(act.ConnectIncoming("c", "n", {}, REPLY), "connect_incoming", id="answer"),
        ],
    )
    def test_a_relay_that_fails_is_an_event(
        self, executor: Executor, relay: ScriptedRelay, action: act.Action, method: str
    ) -> None:
        relay.fail(method, MediaUnavailable("no"))
        event = executor.perform("c", action)
        assert isinstance(event, ev.MediaFailed)
        assert event.error.detail == "no"

    def test_an_answer_for_a_call_that_is_over_is_dropped_and_its_ports_given_back(
        self, kamailio: FakeKamailio, executor: Executor, relay: ScriptedRelay
    ) -> None:
        kamailio.receive(from_page("SIP/2.0 200 OK\n"))
        executor.perform("c", act.ConnectIncoming("gone", "n", {"audio": "x"}, REPLY))
        assert relay.asked[-1] == act.ReleaseMedia("gone", "n", ("audio",))
        assert kamailio.dropped


class TestReplies:
    """Stateful where there is a transaction or one is worth having."""

    def test_inside_a_transaction(self, kamailio: FakeKamailio, executor: Executor) -> None:
        kamailio.receive(invite(), transaction=(1, 2))
        executor.perform("c", act.SendReply(183, "Progress", ("RSeq: 1",), "v=0"))
        (reply,) = kamailio.replies
        assert reply.stateful
        assert (reply.status, reply.headers, reply.body) == (183, ("RSeq: 1",), "v=0")

    def test_to_a_page_without_one(self, kamailio: FakeKamailio, executor: Executor) -> None:
        kamailio.receive(from_page("BYE sip:x SIP/2.0\n"))
        executor.perform("c", act.SendReply(481, "No"))
        assert not kamailio.replies[0].stateful

    @pytest.mark.parametrize(
        ("reply", "series"),
        [
            pytest.param(NO_CORE, ["INVITE 504 server_error"], id="a core that is silent"),
            pytest.param(NO_ROOM, ["INVITE 503 server_error"], id="trunks that are full"),
            pytest.param(Rejection(488, "Not Acceptable Here"), ["INVITE 488 client_error"], id="no codec"),
            pytest.param(Rejection(487, "Request Terminated"), [], id="the caller has given up"),
            pytest.param(Rejection(200, "OK"), [], id="no error"),
        ],
    )
    def test_one_that_refuses_is_counted(
        self, kamailio: FakeKamailio, executor: Executor, reply: Rejection, series: list[str]
    ) -> None:
        kamailio.receive(invite(), transaction=(1, 2))
        executor.perform("call-1", act.SendReply(reply.status, reply.reason_phrase))
        counted = [one.labels for one in METRICS.all() if one.metric is catalogue.REFUSED]
        assert [" ".join(labels) for labels in counted] == series

    def test_to_the_core_one_is_made_because_udp_repeats(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.receive(from_core("BYE sip:x SIP/2.0\n"))
        executor.perform("c", act.SendReply(200, "OK"))
        assert kamailio.replies[0].stateful

    def test_a_forwarded_reply_is_mapped_and_loses_its_description(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        message = kamailio.receive(core_reply(200, body="v=0\n"))
        edits = act.MessageEdits(to_tag="ours", remove=("Record-Route",), insert=("X: y",), body="")
        executor.perform("c", act.ForwardReply(edits))
        assert message.sent_values("To") == ["<sip:bob@ims.example>;tag=ours"]
        assert message.sent_values("Record-Route") == []
        assert message.sent_values("Content-Type") == []
        assert message.sent().endswith("\n\n")

    def test_a_pages_reply_gets_tag_and_number_of_the_core(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        message = kamailio.receive(from_page("SIP/2.0 200 OK\nFrom: <sip:b>;tag=ours\nCSeq: 9 INFO\n"))
        executor.perform("c", act.ForwardReply(act.MessageEdits(from_tag="core1", cseq=500)))
        assert message.sent_values("From") == ["<sip:b>;tag=core1"]
        assert message.sent_values("CSeq") == ["500 INFO"]

    def test_a_dropped_reply(self, kamailio: FakeKamailio, executor: Executor) -> None:
        kamailio.receive(core_reply(180))
        executor.perform("c", act.DropReply())
        assert kamailio.dropped


class TestRequests:
    """In-dialog requests and our own."""

    @pytest.mark.parametrize(
        ("to", "socket"),
        [
            pytest.param(Side.WIC, "tcp:127.0.0.1:8080", id="page"),
            pytest.param(Side.IMS, "udp:192.0.2.1:5060", id="core"),
        ],
    )
    def test_each_side_has_its_socket(
        self, kamailio: FakeKamailio, executor: Executor, to: Side, socket: str
    ) -> None:
        message = kamailio.receive(from_core("INFO sip:x SIP/2.0\nCSeq: 1 INFO\nFrom: <sip:b>;tag=core1\n"))
        edits = act.MessageEdits(request_uri="sip:new", next_hop="sip:hop", from_tag="ours", cseq=4)
        executor.perform("c", act.ForwardRequest(to, edits))
        assert message.send_socket == socket
        assert message.sent().startswith("INFO sip:new SIP/2.0")
        assert message.sent_values("From") == ["<sip:b>;tag=ours"]
        assert message.sent_values("CSeq") == ["4 INFO"]
        own = act.SendRequest(to, "BYE", "sip:a", "sip:b", ("CSeq: 2 BYE",))
        executor.perform("c", own)
        assert kamailio.requests[0].socket == socket

    @pytest.mark.parametrize(
        ("method", "statuses"),
        [pytest.param("INFO", [480], id="answered for"), pytest.param("ACK", [], id="an ACK has no answer")],
    )
    def test_a_request_that_cannot_be_sent(
        self, kamailio: FakeKamailio, executor: Executor, method: str, statuses: list[int]
    ) -> None:
        kamailio.receive(from_core(f"{method} sip:x SIP/2.0\nCSeq: 1 {method}\n"))
        kamailio.script("tm.t_relay", -1)
        executor.perform("c", act.ForwardRequest(Side.WIC, act.MessageEdits(request_uri="sip:y")))
        assert [reply.status for reply in kamailio.replies] == statuses

    @pytest.mark.parametrize("report", [True, False])
    def test_replies_are_asked_for_only_while_the_request_is_built(
        self, kamailio: FakeKamailio, executor: Executor, report: bool
    ) -> None:
        seen: list[Side | None] = []

        def build(*_: str) -> int:
            seen.append(executor.reporting)
            return 1

        kamailio.script("tm.t_uac_send", build)
        executor.perform("c", act.SendRequest(Side.WIC, "UPDATE", "sip:a", "sip:b", (), report=report))
        assert seen == [Side.WIC if report else None]
        assert executor.reporting is None

    @pytest.mark.parametrize(
        ("to", "method", "change", "patience_ms"),
        [
            pytest.param(Side.IMS, "UPDATE", True, [(0, 32000)], id="change for the core"),
            pytest.param(Side.IMS, "INVITE", True, [(180000, 32000)], id="re-INVITE for the core"),
            pytest.param(Side.IMS, "PRACK", False, [(0, 32000)], id="anything for the core"),
            pytest.param(Side.WIC, "UPDATE", True, [], id="change for the page"),
            pytest.param(Side.WIC, "INVITE", True, [(180000, 5000)], id="re-INVITE for the page"),
            pytest.param(Side.WIC, "INFO", False, [], id="anything for the page"),
            pytest.param(Side.WIC, "BYE", False, [(0, 32000)], id="goodbye for the page"),
        ],
    )
    def test_a_silent_page_is_soon_given_up_and_a_silent_far_end_late(
        self,
        kamailio: FakeKamailio,
        executor: Executor,
        to: Side,
        method: str,
        change: bool,
        patience_ms: list[tuple[int, int]],
    ) -> None:
        kamailio.receive(from_core(f"{method} sip:x SIP/2.0\nCSeq: 1 {method}\n"))
        executor.perform("c", act.ForwardRequest(to, act.MessageEdits(next_hop="sip:hop"), change=change))
        assert kamailio.called("tm.t_set_fr") == patience_ms

    def test_a_request_of_ours_that_is_not_sent_is_logged(
        self, kamailio: FakeKamailio, executor: Executor, caplog: pytest.LogCaptureFixture
    ) -> None:
        kamailio.script("tm.t_uac_send", -1)
        executor.perform("c", act.SendRequest(Side.WIC, "BYE", "sip:a", "sip:b", ()))
        assert "event=request_not_sent method=BYE to=wic" in caplog.text

    def test_a_cancel_goes_to_our_own_socket_as_the_page_would_send_it(
        self, kamailio: FakeKamailio, executor: Executor
    ) -> None:
        kamailio.script("corex.send_data", 1)
        lines = ("Via: SIP/2.0/WSS page.invalid;branch=z9hG4bK1", "CSeq: 7 CANCEL")
        executor.perform("c", act.CancelForwardedInvite("call-1", 7, "sip:bob@ims.test", lines))
        ((_, text),) = kamailio.called("corex.send_data")
        assert text == (
            "CANCEL sip:bob@ims.test SIP/2.0\r\nVia: SIP/2.0/WSS page.invalid;branch=z9hG4bK1\r\n"
            "CSeq: 7 CANCEL\r\nContent-Length: 0\r\n\r\n"
        )


class TestTimeAndMemory:
    """Wake-ups and records."""

    def test_a_wake_up_is_put_replaced_and_dropped(self, kamailio: FakeKamailio, executor: Executor) -> None:
        executor.perform("c", act.Schedule("c", ev.Due.PRACK_TIMEOUT, 32.0))
        executor.perform("c", act.Schedule("c", ev.Due.FORGET, 34.0))
        at, _, due = kamailio.tables["due"]["c"].partition(" ")
        assert due == "forget"
        assert float(at) > 1_000_000_000
        executor.perform("c", act.Unschedule("c"))
        assert kamailio.tables["due"] == {}

    def test_a_forgotten_call_leaves_nothing(self, kamailio: FakeKamailio, executor: Executor) -> None:
        CallStore(HtableTable("call"), HtableTable("call_of")).create(record_at("offered"))
        executor.perform("call-1", act.Schedule("call-1", ev.Due.FORGET, 34.0))
        executor.perform("call-1", act.ForgetCall("call-1"))
        assert {name for name, entries in kamailio.tables.items() if entries} == {
            "waits"
        }  # housekeeping hears of it

    def test_a_note_is_a_log_line_with_the_call_id(
        self, executor: Executor, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert executor.perform("call-1", act.Note("call_ended", 40, {"by": "wic"})) is None
        assert "event=call_ended call_id=call-1 by=wic" in caplog.text


@pytest.mark.conformance("R-68")
class TestOwnRequestsToThePage:
    """Never down a connection that may be another page's by now."""

    ACTION = act.SendRequest(Side.WIC, "BYE", "sip:x@page.invalid", "sip:127.0.0.1:40000;transport=ws", ())

    @pytest.mark.parametrize(("connection_id", "sent"), [("7", 1), ("gone", 0)])
    def test_only_while_its_connection_stands(
        self, kamailio: FakeKamailio, executor: Executor, connection_id: str, sent: int
    ) -> None:
        record = Call.confirmed().record
        record.connection_id = connection_id
        CallStore(HtableTable("call"), HtableTable("call_of")).create(record)
        executor.perform(record.call_id, self.ACTION)
        assert len(kamailio.requests) == sent

    @pytest.mark.parametrize(("stage", "is_settled"), [("confirmed", True), ("ringing", False)])
    def test_an_offer_in_a_running_call_is_settled_without_it(
        self, kamailio: FakeKamailio, executor: Executor, stage: str, is_settled: bool
    ) -> None:
        record = getattr(Call, stage)().record
        record.connection_id = "gone"
        CallStore(HtableTable("call"), HtableTable("call_of")).create(record)
        update = replace(self.ACTION, method="UPDATE", headers=("CSeq: 2 UPDATE",), report=True)
        settled = ev.UpdateAnswered(408, cseq=2) if is_settled else None
        assert executor.perform(record.call_id, update) == settled
        assert not kamailio.requests
