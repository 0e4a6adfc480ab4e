"""The callbacks outside calls, and what runs beside them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from kemi.adapters.faults import Faults
from kemi.adapters.gateway import Gateway
from kemi.adapters.monitoring.measuring import METRICS
from kemi.core.errors import LocalProtocolError
from kemi.settings import settings_from_text
from kemi.state.calls import record_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import (
    HANDSHAKE,
    core_reply,
    from_core,
    from_page,
    handshake,
    invite,
    register,
    registered,
)
from tests.unit.adapters.played import MESSAGE, called, connected_page, forwarded
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.core.call import descriptions as sdp
from tests.unit.site import SETTINGS_TEXT


class TestHandshake:
    """Who may open a WebSocket: only pages of our origins, only through the TLS front."""

    def test_a_good_one_is_accepted_and_remembered_before_the_101_leaves(
        self, kamailio: FakeKamailio, gateway: Gateway
    ) -> None:
        seen: list[dict[str, str]] = []

        def accept() -> int:
            seen.append(dict(kamailio.tables["flow"]))
            return 1

        kamailio.script("websocket.handle_handshake", accept)
        kamailio.script("tcpops.tcp_enable_closed_event", 1)
        kamailio.receive(handshake())
        gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
        (flows,) = seen
        assert '"198.51.100.9"' in flows["7"]
        assert kamailio.http_replies == []

    @pytest.mark.conformance("X-02")
    @pytest.mark.parametrize(
        ("good", "bad", "status"),
        [
            pytest.param("/sip", "/chat", 404, id="another path"),
            pytest.param("https://page.example", "https://evil.example", 403, id="another origin"),
            pytest.param("https://page.example", "https://page.example.evil", 403, id="longer origin"),
            pytest.param("Origin: https://page.example\n", "", 403, id="no origin"),
            pytest.param("Upgrade", "Origin: https://page.example\nUpgrade", 403, id="two origins"),
            pytest.param("X-Forwarded-For: 198.51.100.9\n", "", 400, id="no client address"),
            pytest.param("198.51.100.9", "1.2.3.4, 198.51.100.9", 400, id="two client addresses"),
            pytest.param("198.51.100.9", "", 400, id="empty client address"),
            pytest.param("Upgrade", "X-Forwarded-For: 1.2.3.4\nUpgrade", 400, id="client address twice"),
        ],
    )
    def test_others_are_refused(
        self, kamailio: FakeKamailio, gateway: Gateway, good: str, bad: str, status: int
    ) -> None:
        kamailio.receive(handshake(HANDSHAKE.replace(good, bad, 1)))
        gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
        assert [reply[0] for reply in kamailio.http_replies] == [status]
        assert kamailio.tables.get("flow", {}) == {}

    @pytest.mark.conformance("X-01")
    def test_a_connection_around_the_front_is_refused(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.receive(handshake(source=("203.0.113.5", 1)))
        gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
        assert kamailio.http_replies[0][0] == 403

    def test_a_query_after_the_path_is_fine(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.script("websocket.handle_handshake", 1)
        kamailio.script("tcpops.tcp_enable_closed_event", 1)
        kamailio.receive(handshake(HANDSHAKE.replace("/sip", "/sip?x=1")))
        gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
        assert kamailio.http_replies == []

    def test_one_that_fails_after_all_leaves_nothing(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.script("websocket.handle_handshake", -1)
        kamailio.receive(handshake())
        gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
        assert kamailio.tables["flow"] == {}


def asks_to_register(kamailio: FakeKamailio, gateway: Gateway) -> None:
    """Send a page's REGISTER to the core."""
    kamailio.tables["flow"] = {"7": '{"connection_id":"7","nonce":"n","client_address":"a","source":"b"}'}
    kamailio.tables["port"] = {"b": "7"}
    kamailio.receive(register())
    gateway.ksr_request_route(MESSAGE)


class TestRegistration:
    """Through us to the core and back."""

    def test_the_register_goes_out_with_our_path(self, kamailio: FakeKamailio, page: Gateway) -> None:
        message = kamailio.receive(register())
        page.ksr_request_route(MESSAGE)
        assert kamailio.relayed == [message]
        assert message.sent_values("Path")
        assert message.variables["$du"] == "sip:icscf.ims.example"

    def test_what_the_core_grants_is_kept(self, kamailio: FakeKamailio, page: Gateway) -> None:
        assert page is not None
        assert "sip:orig@scscf.ims.example" in next(iter(kamailio.tables["registration"].values()))

    @pytest.mark.parametrize("status", [401, 403, 500])
    def test_a_refusal_registers_nobody(self, kamailio: FakeKamailio, gateway: Gateway, status: int) -> None:
        asks_to_register(kamailio, gateway)
        kamailio.receive(registered(status))
        gateway.ksr_reply_route(MESSAGE)
        assert kamailio.tables.get("registration", {}) == {}
        assert not kamailio.dropped

    @pytest.mark.parametrize("status", [200, 401, 403])
    def test_a_page_does_not_answer_its_own(
        self, kamailio: FakeKamailio, gateway: Gateway, status: int
    ) -> None:
        asks_to_register(kamailio, gateway)
        kamailio.receive(registered(status, came=from_page))
        gateway.ksr_reply_route(MESSAGE)
        assert kamailio.dropped
        assert kamailio.tables.get("registration", {}) == {}
        kamailio.receive(registered())  # and the core's answer still counts
        gateway.ksr_reply_route(MESSAGE)
        assert kamailio.tables["registration"]

    def test_what_is_for_the_network_only_does_not_reach_the_page(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        message = kamailio.receive(registered())
        page.ksr_reply_route(MESSAGE)
        assert message.sent_values("P-Charging-Vector") == []

    def test_a_connection_that_is_closing_cannot_register(
        self, kamailio: FakeKamailio, gateway: Gateway
    ) -> None:
        kamailio.receive(register())
        gateway.ksr_request_route(MESSAGE)
        assert kamailio.replies[0].status == 480

    def test_a_claim_in_the_credentials_never_leaves(self, kamailio: FakeKamailio, page: Gateway) -> None:
        message = kamailio.receive(register('Authorization: Digest username="a",integrity-protected="yes"'))
        page.ksr_request_route(MESSAGE)
        assert message.sent_values("Authorization") == ['Digest username="a"']


class TestEmergency:
    """What bars no call makes no other call of it either."""

    @pytest.mark.parametrize(
        ("dialled", "sent"),
        [
            ("sip:112@evil.example", "sip:112;phone-context=ims.example@ims.example;user=phone"),
            ("tel:112;phone-context=+881", "sip:112;phone-context=ims.example@ims.example;user=phone"),
            ("sip:112@ims.example", "sip:112@ims.example"),
            ("urn:service:sos", "urn:service:sos"),
        ],
    )
    def test_it_goes_to_the_realm(
        self, kamailio: FakeKamailio, gateway: Gateway, dialled: str, sent: str
    ) -> None:
        assert gateway
        to_core = '\n[emergency]\naction = "core"\n'
        page = connected_page(kamailio, Gateway(settings_from_text(SETTINGS_TEXT + to_core)))
        message = invite()
        message.first_line = f"INVITE {dialled} SIP/2.0"
        kamailio.receive(message)
        page.ksr_request_route(MESSAGE)
        assert record_from_text(kamailio.tables["call"]["call-1"]).request_uri == sent
        message = from_page(
            f"""MESSAGE {dialled} SIP/2.0
From: <sip:alice@ims.example>;tag=m
To: <{dialled}>
Call-ID: message-1
CSeq: 1 MESSAGE
"""
        )
        kamailio.receive(message)
        page.ksr_request_route(MESSAGE)
        assert message.variables["$ru"] == sent


class TestOutsideCalls:
    """What is answered or refused without a call."""

    @pytest.mark.parametrize(
        ("message", "status"),
        [
            pytest.param(from_page("OPTIONS sip:x SIP/2.0\n"), 200, id="page: OPTIONS"),
            pytest.param(from_core("OPTIONS sip:x SIP/2.0\n"), 200, id="core: OPTIONS"),
            pytest.param(from_page("INFO sip:x SIP/2.0\n"), 405, id="page: INFO"),
            pytest.param(from_core("INVITE sip:x SIP/2.0\n"), 403, id="core: INVITE without a flow token"),
            pytest.param(from_core("NOTIFY sip:x SIP/2.0\n"), 403, id="core: NOTIFY to nobody"),
            pytest.param(from_page("OPTIONS sip:x SIP/2.0\nMax-Forwards: 0\n"), 483, id="too many hops"),
            pytest.param(from_page("BYE sip:x SIP/2.0\nTo: <sip:b>;tag=x\nCall-ID: n\n"), 481, id="no call"),
            pytest.param(
                from_core("BYE sip:x SIP/2.0\nTo: <sip:b>;tag=x\nCall-ID: n\n"), 481, id="core: no call"
            ),
        ],
    )
    def test_requests(self, kamailio: FakeKamailio, gateway: Gateway, message: Any, status: int) -> None:
        kamailio.script("tm.t_check_trans", -1)
        kamailio.receive(message)
        gateway.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [status]

    def test_a_cancel_for_nothing_gets_481(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.script("tm.t_check_trans", -1)
        kamailio.receive(from_page("CANCEL sip:x SIP/2.0\n"))
        gateway.ksr_request_route(MESSAGE)
        assert kamailio.replies[0].status == 481

    @pytest.mark.parametrize("found", [0, -1])
    def test_an_ack_is_never_answered(self, kamailio: FakeKamailio, gateway: Gateway, found: int) -> None:
        kamailio.script("tm.t_check_trans", found)
        for text in ("ACK sip:x SIP/2.0\n", "ACK sip:x SIP/2.0\nTo: <sip:b>;tag=x\nCall-ID: n\n"):
            for message in (from_page(text), from_core(text)):
                kamailio.receive(message)
                gateway.ksr_request_route(MESSAGE)
        assert kamailio.replies == []
        assert kamailio.relayed == []


def subscription(first_line: str, from_tag: str, to_tag: str) -> str:
    """Return a SUBSCRIBE of the page, or a response to one."""
    return f"""{first_line}
Via: SIP/2.0/WSS page.invalid;branch=z9hG4bK1
From: <sip:alice@ims.example>{from_tag}
To: <sip:alice@ims.example>{to_tag}
Call-ID: sub-1
CSeq: 1 SUBSCRIBE
Max-Forwards: 70
Event: reg
Contact: <sip:x@page.invalid;transport=ws>
"""


class TestReplyRoute:
    """Replies that belong to no call here."""

    @pytest.mark.parametrize(("from_tag", "to_tag"), [("", ";tag=watcher"), (";tag=watcher", ";tag=b")])
    @pytest.mark.parametrize("status", [200, 481])
    def test_a_page_that_nobody_asked_says_nothing_about_a_subscription(
        self, kamailio: FakeKamailio, page: Gateway, status: int, from_tag: str, to_tag: str
    ) -> None:
        kamailio.receive(
            from_page(subscription("SUBSCRIBE sip:alice@ims.example SIP/2.0", ";tag=watcher", ""))
        )
        page.ksr_request_route(MESSAGE)
        before = dict(kamailio.tables["dialog"])
        assert before
        kamailio.receive(
            from_page(
                subscription(f"SIP/2.0 {status} X", from_tag, to_tag).replace("page.invalid", "evil.invalid")
            )
        )
        page.ksr_reply_route(MESSAGE)
        assert kamailio.dropped
        assert kamailio.tables["dialog"] == before

    def test_a_page_that_was_asked_says_nothing_about_the_subscription_of_another_one(
        self, kamailio: FakeKamailio, page: Gateway
    ) -> None:
        """Its To-tag is that of the other one's dialog."""
        kamailio.receive(
            from_page(subscription("SUBSCRIBE sip:alice@ims.example SIP/2.0", ";tag=watcher", ""))
        )
        page.ksr_request_route(MESSAGE)
        dialogs = kamailio.tables["dialog"]
        dialogs.update({name: text.replace("sip:alice@", "sip:carol@") for name, text in dialogs.items()})
        before = dict(dialogs)
        kamailio.tables["passing"] = {"7 sub-1 1 b": "\nSIP/2.0/UDP 198.51.100.7;branch=z9hG4bKcore"}
        kamailio.receive(from_page(subscription("SIP/2.0 481 X", ";tag=b", ";tag=watcher")))
        page.ksr_reply_route(MESSAGE)
        assert not kamailio.dropped
        assert kamailio.tables["dialog"] == before

    @pytest.mark.parametrize(
        ("status", "method", "dropped"),
        [
            pytest.param(183, "INVITE", True, id="a 183 would open a dialog the page knows nothing of"),
            pytest.param(200, "INVITE", True, id="a 200 too"),
            pytest.param(486, "INVITE", False, id="a refusal may pass"),
            pytest.param(200, "INFO", False, id="an answer to something else may pass"),
            pytest.param(100, "INVITE", False, id="100 is tm's"),
            pytest.param(200, "CANCEL", False, id="CANCEL is tm's"),
        ],
    )
    def test_unknown_calls(
        self, kamailio: FakeKamailio, gateway: Gateway, status: int, method: str, dropped: bool
    ) -> None:
        kamailio.receive(core_reply(status, method=method, call_id="unknown"))
        gateway.ksr_reply_route(MESSAGE)
        assert kamailio.dropped is dropped

    def test_we_register_nobody_ourselves(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        kamailio.receive(replace(registered(), source=("192.0.2.1", 5060)))
        gateway.ksr_reply_route(MESSAGE)
        assert kamailio.dropped

    def test_a_reply_whose_handling_fails_does_not_pass_untranslated(
        self, kamailio: FakeKamailio, page: Gateway, relay: ScriptedRelay
    ) -> None:
        forwarded(kamailio, page)
        relay.fail("connect", RuntimeError("bug"))
        kamailio.receive(core_reply(200, body=sdp.core_answer()))
        assert page.ksr_reply_route(MESSAGE) == 1
        assert kamailio.dropped


class TestHousekeeping:
    """Ten times a second: dead connections and what is due."""

    @pytest.mark.parametrize("how", ["ksr_tcp_event", "ksr_websocket_event"])
    def test_a_dead_connection_is_only_noted_and_cleared_later(
        self, kamailio: FakeKamailio, page: Gateway, how: str
    ) -> None:
        called(kamailio, page)
        kamailio.script("tmx.t_continue", 1)
        getattr(page, how)(MESSAGE, "websocket:closed")
        assert "7" in kamailio.tables["flow"]
        page.ksr_rtimer_housekeeping(MESSAGE, "timer")
        assert kamailio.tables["flow"] == {}
        assert '"state":"away"' in next(iter(kamailio.tables["registration"].values()))
        assert kamailio.tables["closed"] == {}
        rejection = record_from_text(kamailio.tables["call"]["call-1"]).rejection
        assert rejection is not None
        assert rejection.status == 480

    def test_a_new_registration_becomes_an_event_and_no_part_fails(
        self, page: Gateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        page._housekeeping._began = True  # or it would be one of before a restart
        page.ksr_rtimer_housekeeping(MESSAGE, "timer")
        assert "housekeeping_failed" not in caplog.text
        assert page._shared.waiting()["events"] == 1

    def test_another_websocket_event_means_nothing(self, kamailio: FakeKamailio, page: Gateway) -> None:
        page.ksr_websocket_event(MESSAGE, "websocket:something")
        assert kamailio.tables.get("closed", {}) == {}

    def test_what_is_due_is_done_once(
        self, kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called(kamailio, page)
        kamailio.script("tmx.t_continue", 1)
        page.ksr_rtimer_housekeeping(MESSAGE, "timer")
        assert kamailio.called("tmx.t_continue") == []
        monkeypatch.setattr(time, "time", lambda: 9_000_000_000.0)
        page.ksr_rtimer_housekeeping(MESSAGE, "timer")
        page.ksr_rtimer_housekeeping(MESSAGE, "timer")
        assert len(kamailio.called("tmx.t_continue")) == 1

    def test_one_calls_trouble_does_not_keep_the_others_from_their_turn(
        self, kamailio: FakeKamailio, page: Gateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        called(kamailio, page)
        text = kamailio.tables["call"]["call-1"]
        kamailio.tables["call"] = {
            "broken": text.replace("call-1", "broken").replace("[11,22]", "[0,0]"),
            "call-1": text,
        }
        found = kamailio.tables["call_of"]
        kamailio.tables["call_of"] = {value: f"broken\n{names}" for value, names in found.items()}

        def resume(index: int, *_: object) -> int:
            if index == 0:
                raise LocalProtocolError("bug")
            return 1

        kamailio.script("tmx.t_continue", resume)
        page.ksr_tcp_event(MESSAGE, "tcp:closed")
        page.ksr_rtimer_housekeeping(MESSAGE, "timer")
        assert len(kamailio.called("tmx.t_continue")) == 2
        assert "event=housekeeping_failed call_id=broken" in caplog.text

    def test_a_part_that_fails_is_counted_each_time_and_explained_now_and_then(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def broken(_now: float) -> None:
            raise ZeroDivisionError("a bug")

        keeper = page._housekeeping
        clock = iter((0.0, 0.01, 59.0, 61.0))
        monkeypatch.setattr(keeper, "_faults", Faults(lambda: next(clock)))
        monkeypatch.setattr(keeper, "_first", (broken,))
        monkeypatch.setattr(keeper, "_all", (broken,))
        for _ in range(4):
            keeper.tick(time.time())
        found = {(one.metric.name, one.labels): one.value for one in METRICS.all()}
        assert found["gateway_errors_total", ("housekeeping",)] == 4
        assert caplog.text.count("event=housekeeping_failed what=broken") == 4
        assert caplog.text.count("Traceback") == 2

    def test_every_process_gets_its_own_randomness(self, gateway: Gateway) -> None:
        assert gateway.child_init(1) == 0
