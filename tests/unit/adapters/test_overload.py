"""The gate of a worker while there is a limit: new work hears 503 and costs nothing else, all other work goes on."""

from __future__ import annotations

import time

import pytest

from kemi.adapters.doors.admission import identity_on
from kemi.adapters.doors.doors import Doors
from kemi.adapters.doors.overload import overload_store
from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio import ksr
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.routing import RouteReader
from kemi.core.overload import Work
from kemi.core.registration import Flow
from kemi.settings import settings_from_text
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import from_core, from_page, handshake, invite, page_request, register
from tests.unit.adapters.played import MESSAGE
from tests.unit.site import SETTINGS_TEXT

NOBODY, EVERYBODY = 0.0, 1000.0


class Gate:
    """A gate with flows of its own."""

    def __init__(
        self, kamailio: FakeKamailio, extra: str = "", *, is_of_core: bool = True, is_of_trunk: bool = False
    ) -> None:
        self.kamailio = kamailio
        self.flows = FlowStore(HtableTable)
        self.store = overload_store()
        self._doors = Doors(
            settings_from_text(SETTINGS_TEXT + extra),
            self.flows,
            CallStore(HtableTable("call"), HtableTable("call_of")),
            RouteReader("", HtableTable("routing")),
            lambda: is_of_core,
            lambda: is_of_trunk,
        )

    def page(self, *, registered: bool) -> None:
        flow = Flow("7", "n", "192.0.2.1", "127.0.0.1:40000")
        flow.binding = "sip:alice@ims.example urn:uuid:1 1" if registered else ""
        self.flows.open(flow)

    def limit(self, calls: float | None = None, logins: float | None = None) -> None:
        self.store.set_limit(Work.CALLS, calls)
        self.store.set_limit(Work.LOGINS, logins)
        self._doors.overload._read.clear()  # it is believed for a moment

    def count(self) -> None:
        """Count an INVITE of the page, as is done for what goes on."""
        self._doors.admission.admit(ksr.request(), identity_on(self.flows.opened("7")))

    def refuses(self, message: FakeMessage) -> bool:
        self.kamailio.receive(message)
        return self._doors.overload.refuses(message.method)


@pytest.fixture
def gate(kamailio: FakeKamailio) -> Gate:
    kamailio.script("tm.t_check_trans", -1)
    return Gate(kamailio)


def core_invite(extra: str = "", *, branch: str = "z9hG4bK1", to_tag: str = "") -> FakeMessage:
    return from_core(
        f"""INVITE sip:alice@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7;branch={branch}
From: <sip:bob@ims.example>;tag=b
To: <sip:alice@ims.example>{to_tag}
Call-ID: in-1
CSeq: 1 INVITE
{extra}
"""
    )


class TestPages:
    """What a page may begin."""

    def test_without_a_limit_one_table_is_asked(self, gate: Gate, kamailio: FakeKamailio) -> None:
        kamailio.calls.clear()
        assert not gate.refuses(invite())
        assert sum(name == "htable.sht_get" for name, _ in kamailio.calls) == 1

    def test_a_call_too_many_hears_when_to_come_back(self, gate: Gate, kamailio: FakeKamailio) -> None:
        gate.page(registered=True)
        gate.limit(calls=NOBODY)
        assert gate.refuses(invite())
        (reply,) = kamailio.replies
        assert (reply.status, reply.stateful) == (503, False)
        (again,) = [line for line in reply.headers if line.startswith("Retry-After: ")]
        assert 5 <= int(again.partition(": ")[2]) <= 15
        assert kamailio.tables["metric"] == {"gateway_overload_refused_total\x1fINVITE": "1"}
        assert gate.store.refused_at(Work.CALLS) > 0

    def test_within_the_limit_it_goes_on(self, gate: Gate) -> None:
        gate.page(registered=True)
        gate.limit(calls=EVERYBODY)
        assert [gate.refuses(invite()) for _ in range(3)] == [False] * 3

    @pytest.mark.parametrize("method", ["INVITE", "BYE", "PRACK", "UPDATE", "INFO", "REFER"])
    def test_what_is_inside_a_call_goes_on(self, gate: Gate, method: str) -> None:
        gate.limit(calls=NOBODY)
        assert not gate.refuses(page_request(method, "tag"))

    @pytest.mark.parametrize("uri", ["sip:112@ims.example", "tel:112", "urn:service:sos.fire", "tel:911"])
    def test_a_call_for_help_goes_on(self, gate: Gate, uri: str) -> None:
        gate.limit(calls=NOBODY)
        message = from_page(
            f"""INVITE {uri} SIP/2.0
From: <sip:alice@ims.example>;tag=page
To: <{uri}>
Call-ID: c
CSeq: 1 INVITE
"""
        )
        assert not gate.refuses(message)

    def test_what_a_page_says_of_itself_does_not_count(self, gate: Gate) -> None:
        gate.page(registered=True)
        gate.limit(calls=NOBODY)
        message = from_page(
            """INVITE sip:bob@ims.example SIP/2.0
From: <sip:alice@ims.example>;tag=page
To: <sip:bob@ims.example>
Call-ID: c
CSeq: 1 INVITE
Resource-Priority: esnet.0
Priority: emergency
"""
        )
        assert gate.refuses(message)

    def test_a_page_that_asks_too_fast_takes_no_places_of_others(self, kamailio: FakeKamailio) -> None:
        limits = (
            "\n[limits]\nburst_s = 1\nconnection = { invite = 2, in_call = 0, other = 0, register = 0 }\n"
        )
        gate = Gate(kamailio, limits)
        gate.page(registered=True)
        gate.limit(calls=EVERYBODY)
        for _ in range(2):
            assert not gate.refuses(invite())
            gate.count()
        before = dict(kamailio.tables["overload"])
        assert gate.refuses(invite())
        assert kamailio.tables["overload"]["calls bucket"] == before["calls bucket"]


class TestLogins:
    """Whose REGISTER waits."""

    def test_a_new_page_comes_back_later(self, gate: Gate, kamailio: FakeKamailio) -> None:
        gate.page(registered=False)
        gate.limit(logins=NOBODY)
        assert gate.refuses(register())
        (reply,) = kamailio.replies
        assert reply.status == 503
        told_s = int(next(line for line in reply.headers if line.startswith("Retry-After")).split()[1])
        ((_, waiting),) = gate.flows.unregistered()  # and its connection stands until then
        assert waiting.waited_from == pytest.approx(time.time() + told_s, abs=1.0)

    def test_a_refresh_goes_on(self, gate: Gate) -> None:
        gate.page(registered=True)
        gate.limit(logins=NOBODY)
        assert not gate.refuses(register())

    def test_an_answer_to_a_challenge_goes_on(self, gate: Gate) -> None:
        gate.page(registered=False)
        gate.limit(logins=NOBODY)
        assert not gate.refuses(register('Authorization: Digest username="a", response="1"'))

    def test_a_page_that_comes_back_goes_on(self, gate: Gate, kamailio: FakeKamailio) -> None:
        gate.page(registered=False)
        gate.limit(logins=NOBODY)
        kamailio.tables["registration"] = {
            "sip:alice@ims.example sip:x@page.invalid": "{}",
        }
        assert not gate.refuses(register())

    def test_calls_and_logins_are_limited_apart(self, gate: Gate) -> None:
        gate.page(registered=False)
        gate.limit(calls=NOBODY)
        assert not gate.refuses(register())


class TestCore:
    """What comes from the network."""

    def test_a_call_too_many_may_look_for_another_way(self, gate: Gate, kamailio: FakeKamailio) -> None:
        gate.limit(calls=NOBODY)
        assert gate.refuses(core_invite())
        (reply,) = kamailio.replies
        assert reply.status == 503
        assert not any(line.startswith("Retry-After") for line in reply.headers)

    @pytest.mark.parametrize(
        "extra", ["Resource-Priority: ets.0", "Priority: emergency", "Priority: psap-callback"]
    )
    def test_an_urgent_one_goes_on(self, gate: Gate, extra: str) -> None:
        gate.limit(calls=NOBODY)
        assert not gate.refuses(core_invite(extra))

    @pytest.mark.parametrize("extra", ["Resource-Priority: ets.0", "Priority: psap-callback"])
    def test_what_a_trunk_says_of_itself_does_not_count(self, kamailio: FakeKamailio, extra: str) -> None:
        gate = Gate(kamailio, is_of_trunk=True)
        gate.limit(calls=NOBODY)
        assert gate.refuses(core_invite(extra))

    def test_what_is_sent_again_hears_the_same_again(self, gate: Gate, kamailio: FakeKamailio) -> None:
        gate.limit(calls=NOBODY)
        assert gate.refuses(core_invite())
        gate.limit(calls=EVERYBODY)
        assert gate.refuses(core_invite())
        assert not gate.refuses(core_invite(branch="z9hG4bK2"))

    def test_what_was_let_in_before_is_not_refused_when_it_is_sent_again(
        self, gate: Gate, kamailio: FakeKamailio
    ) -> None:
        gate.limit(calls=NOBODY)
        kamailio.script("tm.t_check_trans", 0)
        assert not gate.refuses(core_invite())

    @pytest.mark.parametrize("branch", ["1", ""])
    def test_tm_is_asked_of_no_request_without_a_branch(
        self, gate: Gate, kamailio: FakeKamailio, branch: str
    ) -> None:
        """Kamailio 5.6.3 ended by SIGSEGV; the border refuses it."""
        gate.limit(calls=NOBODY)
        assert not gate.refuses(core_invite(branch=branch))
        assert kamailio.called("tm.t_check_trans") == []

    def test_a_stranger_takes_no_places(self, kamailio: FakeKamailio) -> None:
        gate = Gate(kamailio, is_of_core=False)
        gate.limit(calls=NOBODY)
        assert not gate.refuses(core_invite())

    def test_a_reinvite_goes_on(self, gate: Gate) -> None:
        gate.limit(calls=NOBODY)
        assert not gate.refuses(core_invite(to_tag=";tag=x"))


def test_without_memory_no_page_connects(kamailio: FakeKamailio, gateway: Gateway) -> None:
    overload_store().set_full(True)
    kamailio.receive(handshake())
    gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
    assert kamailio.http_replies[0][0] == 503
    assert kamailio.tables.get("flow", {}) == {}


def test_a_refused_call_is_not_even_looked_at(kamailio: FakeKamailio, gateway: Gateway) -> None:
    overload_store().set_limit(Work.CALLS, NOBODY)
    kamailio.receive(invite())
    gateway.ksr_request_route(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [503]
    assert kamailio.called("tm.t_newtran") == []
    assert kamailio.tables.get("call", {}) == {}
