"""One call towards a page through all callbacks, from a message in to messages out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.adapters.gateway import Gateway
from kemi.core.call.actions import AnswerAhead
from kemi.core.call.boundary import ICSI_REF
from kemi.core.call.events import AnsweredAhead, CancelReceived
from kemi.core.errors import MediaUnavailable
from kemi.core.flow_token import token_from_flow
from kemi.state.calls import record_from_text
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import core_request, from_core, from_page
from tests.unit.adapters.played import MESSAGE
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import offer

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def connection_stands(kamailio: FakeKamailio) -> None:
    """The page's connection is there, and nothing is sent twice."""
    kamailio.script("tcpops.tcp_conid_alive", 1)
    kamailio.script("tm.t_check_trans", -1)
    kamailio.script("tm.t_is_canceled", -1)


def token(kamailio: FakeKamailio) -> str:
    """Return the flow token of the page's connection."""
    (flow,) = kamailio.tables["flow"].values()
    nonce = flow.partition('"nonce":"')[2].partition('"')[0]
    return token_from_flow(SECRET, "7", nonce)


def core_invite(
    route_user: str,
    *,
    uri: str = "sip:x@page.invalid;transport=ws",
    call_id: str = "call-in",
    extra: str = "",
    body: str = offer(),
) -> FakeMessage:
    """Return the core's INVITE with our Path as Route."""
    return from_core(
        f"""INVITE {uri} SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKcore
Route: <sip:{route_user}@192.0.2.1:5060;lr;ob>
Record-Route: <sip:scscf.ims.example;lr>
From: <sip:bob@ims.example>;tag=caller
To: <sip:alice@ims.example>
Call-ID: {call_id}
CSeq: 5 INVITE
Max-Forwards: 70
Contact: <sip:bob@198.51.100.7:5080>
{extra}Content-Type: application/sdp

{body}"""
    )


MISSING = "a=curr:qos local none\r\na=des:qos mandatory local sendrecv\r\n"


def preconditioned_invite(route_user: str, call_id: str = "call-in") -> FakeMessage:
    """Return an INVITE whose caller has to wait for its resources."""
    extra = "Require: precondition\nSupported: 100rel\n"
    return core_invite(route_user, call_id=call_id, extra=extra, body=offer() + MISSING)


def called(kamailio: FakeKamailio, page: Gateway) -> str:
    """Deliver the INVITE; return our tag."""
    kamailio.receive(core_invite(token(kamailio)))
    page.ksr_request_route(MESSAGE)
    ((key, _),) = kamailio.tables["call"].items()
    return key.partition(";")[2]


def page_reply(status: int, tag: str, *, method: str = "INVITE", body: str = "") -> FakeMessage:
    """Return the page's response."""
    content = "Content-Type: application/sdp\n" if body else ""
    to_tag = "" if status == 100 else ";tag=page"
    return from_page(
        f"""SIP/2.0 {status} Whatever
Via: SIP/2.0/WS 127.0.0.1:8080;branch=z9hG4bKours
From: <sip:bob@ims.example>;tag={tag}
To: <sip:alice@ims.example>{to_tag}
Call-ID: call-in
CSeq: 5 {method}
Contact: <sip:x@page.invalid;transport=ws>
{content}
{body}"""
    )


def record_text(kamailio: FakeKamailio) -> str:
    """Return the one record's text."""
    (text,) = kamailio.tables["call"].values()
    return text


class TestDelivery:
    """To the connection of the token, or to nobody."""

    def test_the_page_is_called_over_its_connection(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        message = kamailio.relayed[-1]
        assert message.variables["$du"] == "sip:127.0.0.1:40000;transport=ws"
        assert message.sent_values("From") == [f"<sip:bob@ims.example>;tag={tag}"]
        assert message.sent_values("To") == ["<sip:alice@ims.example>"]
        assert message.sent_values("Route") == []
        assert message.sent_values("Record-Route") == []
        assert "UDP/TLS/RTP/SAVPF" in message.sent()
        assert tag.startswith("gw-in-")

    @pytest.mark.parametrize(
        ("user", "status"),
        [pytest.param("AAAA", 403, id="forged"), pytest.param("", 403, id="none")],
    )
    def test_a_token_that_is_not_ours(
        self, kamailio: FakeKamailio, page: Gateway, user: str, status: int
    ) -> None:
        kamailio.receive(core_invite(user))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [status]
        assert kamailio.relayed == []

    @pytest.mark.parametrize(
        ("nonce", "connection_id"),
        [pytest.param("older", "7", id="older nonce"), pytest.param("any", "9", id="no such connection")],
    )
    def test_a_flow_that_is_gone(
        self, kamailio: FakeKamailio, page: Gateway, nonce: str, connection_id: str
    ) -> None:
        kamailio.receive(core_invite(token_from_flow(SECRET, connection_id, nonce)))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [430]

    def test_a_connection_that_ended_but_was_not_cleared_away_yet(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        kamailio.script("tcpops.tcp_conid_alive", -1)
        kamailio.receive(core_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [430]

    def test_one_that_ends_while_its_call_is_worked_on(self, kamailio: FakeKamailio, page: Gateway) -> None:
        answers = iter([1, 1, -1])
        kamailio.script("tcpops.tcp_conid_alive", lambda *_: next(answers))
        kamailio.receive(core_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [100, 430]
        assert not kamailio.tables.get("call")

    def test_a_page_of_another_gateway(self, kamailio: FakeKamailio, page: Gateway) -> None:
        kamailio.receive(core_invite(token_from_flow(SECRET, "7", "any", "192.0.2.9:5060")))
        page.ksr_request_route(MESSAGE)
        (passed,) = kamailio.relayed
        assert passed.variables["$du"] == "sip:192.0.2.9:5060"
        assert not kamailio.replies
        assert not kamailio.tables.get("call")
        # Its responses go back as they are, whoever has a call with this Call-ID here.
        kamailio.receive(
            from_core(
                """SIP/2.0 180 Ringing
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKcore
From: <sip:bob@ims.example>;tag=caller
To: <sip:alice@ims.example>;tag=there
Call-ID: call-in
CSeq: 5 INVITE

"""
            )
        )
        page.ksr_reply_route(MESSAGE)
        assert not kamailio.dropped
        kamailio.script("tm.t_check_trans", 1)
        kamailio.receive(
            from_core(
                """CANCEL sip:x@page.invalid;transport=ws SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKcore
From: <sip:bob@ims.example>;tag=caller
To: <sip:alice@ims.example>
Call-ID: call-in
CSeq: 5 CANCEL
Max-Forwards: 70

"""
            )
        )
        page.ksr_request_route(MESSAGE)
        assert len(kamailio.relayed) == 2

    def test_a_cancel_that_overtakes_its_invite_is_sent_again(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        kamailio.script("corex.send_data", 1)
        invite = core_invite(token(kamailio))
        cancel = (
            "CANCEL sip:x@page.invalid;transport=ws SIP/2.0\n"
            f"Via: {invite.value('Via')}\nCall-ID: call-in\nCSeq: 5 CANCEL\n\n"
        )
        kamailio.receive(from_core(cancel))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [481]
        kamailio.receive(core_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        ((_, text),) = kamailio.called("corex.send_data")
        assert str(text).startswith("CANCEL ")
        assert kamailio.tables["early_cancel"] == {}

    def test_a_cancel_while_the_relay_answers_ahead_of_the_page(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        relay: ScriptedRelay,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """tm answers the CANCEL and marks the INVITE, which is not suspended yet and is nobody's but ours to answer."""
        answer_ahead = relay.answer_ahead

        def cancelled(action: AnswerAhead) -> AnsweredAhead:
            (key,) = kamailio.tables["call"]
            page._dispatcher.dispatch(key, CancelReceived())
            return answer_ahead(action)

        monkeypatch.setattr(relay, "answer_ahead", cancelled)
        kamailio.receive(preconditioned_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [487]
        assert [type(action).__name__ for action in relay.asked] == ["AnswerAhead", "ReleaseMedia"]
        assert kamailio.tables["call"] == {}

    def test_a_cancel_just_before_the_invite_is_suspended(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay
    ) -> None:
        """tm suspends none that is cancelled, and says that it has."""
        kamailio.script("tmx.t_suspend", 1)
        kamailio.script("tm.t_is_canceled", 1)
        kamailio.receive(preconditioned_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [487]
        assert [type(action).__name__ for action in relay.asked] == ["AnswerAhead", "ReleaseMedia"]
        assert kamailio.tables["call"] == {}

    def test_one_that_waits_for_resources_is_refused_as_itself(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        """The page's connection ends while the relay answers; another INVITE was sent to a page before."""
        called(kamailio, page)
        kamailio.script("tmx.t_suspend", 1)
        kamailio.script("tcpops.tcp_conid_alive", lambda *_: -1 if kamailio.called("tmx.t_suspend") else 1)
        message = kamailio.receive(preconditioned_invite(token(kamailio), "another-call"))
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 430
        assert message.values("Call-ID") == ["another-call"]

    def test_a_page_that_has_just_lost_its_connection(self, kamailio: FakeKamailio, page: Gateway) -> None:
        kamailio.script("tmx.t_suspend", 1)
        (binding,) = kamailio.tables["registration"].values()
        token_of_page = binding.partition('"flow_token":"')[2].partition('"')[0]
        kamailio.script("tcpops.tcp_conid_alive", -1)
        kamailio.receive(core_invite(token_of_page))
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies == []
        assert len(kamailio.tables["waiting"]) == 1

    def test_another_contact_is_not_called(self, kamailio: FakeKamailio, page: Gateway) -> None:
        kamailio.receive(core_invite(token(kamailio), uri="sip:y@page.invalid"))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [480]

    def test_an_invite_sent_again_is_absorbed(self, kamailio: FakeKamailio, page: Gateway) -> None:
        called(kamailio, page)
        kamailio.script("tm.t_check_trans", 0)
        kamailio.receive(core_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        assert len(kamailio.relayed) == 1
        assert [reply.status for reply in kamailio.replies] == [100]

    def test_forks_of_one_call_id_have_a_record_each(self, kamailio: FakeKamailio, page: Gateway) -> None:
        for _ in range(2):
            kamailio.receive(core_invite(token(kamailio)))
            page.ksr_request_route(MESSAGE)
        assert len(kamailio.tables["call"]) == 2

    @pytest.mark.parametrize(
        ("method", "error", "status"),
        [
            pytest.param("choose_node", MediaUnavailable("none"), 503, id="no node"),
            pytest.param("reserve_incoming", MediaUnavailable("late"), 503, id="relay late"),
            pytest.param("reserve_incoming", RuntimeError("bug"), 500, id="unforeseen"),
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
        kamailio.receive(core_invite(token(kamailio)))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [status]
        assert kamailio.tables.get("call", {}) == {}


class TestTheCall:
    """Responses, requests and the end find the record by our tag."""

    def answered(self, kamailio: FakeKamailio, page: Gateway) -> str:
        tag = called(kamailio, page)
        answer = sdp.page_answer(record_from_text(record_text(kamailio)).wic_description)
        kamailio.receive(page_reply(200, tag, body=answer))
        page.ksr_reply_route(MESSAGE)
        return tag

    def test_the_answer_is_mapped(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = self.answered(kamailio, page)
        assert kamailio.message is not None
        assert kamailio.message.sent_values("To") == [f"<sip:alice@ims.example>;tag={tag}"]
        assert kamailio.message.sent_values("From") == ["<sip:bob@ims.example>;tag=caller"]
        assert kamailio.message.sent_values("Record-Route") == ["<sip:scscf.ims.example;lr>"]
        assert kamailio.message.sent_values("Contact") == [f"<sip:{tag}@192.0.2.1:5060>;{ICSI_REF};audio"]
        assert not kamailio.dropped

    @pytest.mark.parametrize("method", ["ACK", "BYE"])
    def test_a_request_of_the_core_reaches_the_page(
        self, kamailio: FakeKamailio, page: Gateway, method: str
    ) -> None:
        tag = self.answered(kamailio, page)
        kamailio.receive(core_request(method, tag))
        page.ksr_request_route(MESSAGE)
        message = kamailio.relayed[-1]
        assert message.method == method
        assert message.sent_values("To") == ["<sip:alice@ims.example>;tag=page"]

    def test_a_request_for_another_leg_is_unknown(self, kamailio: FakeKamailio, page: Gateway) -> None:
        self.answered(kamailio, page)
        kamailio.receive(core_request("BYE", "gw-in-other"))
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 481

    def test_the_page_s_100_tells_the_way_back(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        kamailio.receive(page_reply(100, tag))
        page.ksr_reply_route(MESSAGE)
        assert not kamailio.dropped
        record = record_from_text(record_text(kamailio))
        assert record.incoming is not None
        assert record.incoming.via == "SIP/2.0/WS 127.0.0.1:8080;branch=z9hG4bKours"

    @pytest.mark.conformance("X-09")
    @pytest.mark.parametrize("status", [180, 200, 486])
    def test_another_page_answers_nothing(self, kamailio: FakeKamailio, page: Gateway, status: int) -> None:
        """Whoever has heard our tag, the caller for one, could answer in the page's place."""
        tag = called(kamailio, page)
        before = record_text(kamailio)
        kamailio.receive(replace(page_reply(status, tag), connection_id=8))
        page.ksr_reply_route(MESSAGE)
        assert kamailio.dropped
        assert record_text(kamailio) == before

    def test_its_answer_passes_also_after_the_transaction(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        self.answered(kamailio, page)
        page.ksr_stray_reply_event(MESSAGE, "on_sl_reply")
        assert not kamailio.dropped

    def test_but_nothing_that_does_not_go_back_by_the_vias_of_the_call(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        tag = self.answered(kamailio, page)
        for reply in (page_reply(200, "another", method="INFO"), page_reply(486, tag, method="CANCEL")):
            kamailio.receive(reply)
            page.ksr_reply_route(MESSAGE)
            page.ksr_stray_reply_event(MESSAGE, "on_sl_reply")
            assert kamailio.dropped

    def test_a_connection_that_closes_while_it_rings(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        kamailio.receive(page_reply(180, tag))
        page.ksr_reply_route(MESSAGE)
        kamailio.script("corex.send_data", 1)
        kamailio.receive(page_reply(180, tag))  # its connection id is what the event reads
        page.ksr_tcp_event(MESSAGE, "tcp:closed")
        page.ksr_rtimer_housekeeping(MESSAGE, "rtimer")
        ((_, text),) = kamailio.called("corex.send_data")
        assert str(text).startswith("SIP/2.0 430 Flow Failed\r\nVia: SIP/2.0/WS 127.0.0.1:8080")

    @pytest.mark.parametrize(
        ("timeout", "cancelled", "replies"),
        [
            pytest.param(-1, -1, [], id="refused by the page"),
            pytest.param(1, -1, [408], id="no reaction"),
            pytest.param(1, 1, [487], id="cancelled, and no reaction"),
        ],
    )
    def test_a_failure_ends_it(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        relay: ScriptedRelay,
        timeout: int,
        cancelled: int,
        replies: list[int],
    ) -> None:
        tag = called(kamailio, page)
        invite = core_invite(token(kamailio))
        failed = FakeMessage.from_bytes(
            invite.head.replace(
                "To: <sip:alice@ims.example>", f"To: <sip:alice@ims.example>;tag={tag}"
            ).encode(),
            protocol="udp",
            source=("198.51.100.7", 5060),
        )
        kamailio.receive(failed, transaction=(11, 22))
        kamailio.failure_status = 486
        kamailio.script("tm.t_branch_timeout", timeout)
        kamailio.script("tm.t_is_canceled", cancelled)
        page.ksr_failure_wic(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [100, *replies]
        assert not kamailio.tables.get("call")
        assert type(relay.asked[-1]).__name__ == "ReleaseMedia"

    @pytest.mark.parametrize(("status", "dropped"), [(200, True), (180, True), (486, False)])
    def test_what_comes_after_the_end_opens_no_dialog(
        self, kamailio: FakeKamailio, page: Gateway, status: int, dropped: bool
    ) -> None:
        tag = called(kamailio, page)
        kamailio.tables["call"].clear()
        kamailio.receive(page_reply(status, tag))
        page.ksr_reply_route(MESSAGE)
        assert kamailio.dropped is dropped
