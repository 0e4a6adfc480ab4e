"""The door of a worker: what is refused costs little, is told once, and touches nobody else."""

from __future__ import annotations

import json
import time

import pytest

from kemi.adapters.doors.admission import Admission, identity_on
from kemi.adapters.doors.doors import Doors
from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.routing import RouteReader
from kemi.core.errors import OverLimit, SipReject
from kemi.core.messages import Request, Side
from kemi.core.registration import Flow, Grant, PendingRegistration
from kemi.settings import settings_from_text
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import core_reply, invite, page_reply, page_request
from tests.unit.adapters.played import MESSAGE, called
from tests.unit.site import SETTINGS_TEXT

LIMITS = """
[limits]
burst_s = 1
connection = { register = 3, invite = 3, in_call = 3, other = 3 }
identity = { invite = 4 }
address = { register = 5 }
calls_per_identity = 2
failed_logins_identity = 2
failed_logins_address = 3
[policy]
denied_numbers = ["+1900"]
"""
ALICE = "sip:alice@ims.example"


class Door:
    """An admission with flows of its own."""

    def __init__(self, limits: str = LIMITS) -> None:
        self.flows = FlowStore(HtableTable)
        self._flows_of_pages: dict[str, Flow] = {}
        settings = settings_from_text(SETTINGS_TEXT + limits)
        self.admission = Doors(
            settings,
            self.flows,
            CallStore(HtableTable("call"), HtableTable("call_of")),
            RouteReader("", HtableTable("routing")),
            lambda: True,
            lambda: False,
        ).admission

    def page(self, number: int, address: str = "192.0.2.1", *, registered: bool = False) -> str:
        flow = Flow(str(number), "n", address, f"127.0.0.1:{number}")
        flow.binding = f"{ALICE} urn:uuid:{number} 1" if registered else ""
        self.flows.open(flow)
        self._flows_of_pages[flow.connection_id] = flow
        return flow.connection_id

    def ask(self, connection_id: str, method: str = "REGISTER", **fields: str) -> int:
        """Send a request; return the status it is refused with, or 0."""
        request = Request(
            side=Side.WIC,
            method=method,
            call_id=fields.get("call_id", "c"),
            from_tag="f",
            to_tag=fields.get("to_tag", ""),
            cseq=1,
            request_uri=fields.get("uri", "sip:bob@ims.example"),
            to_uri=fields.get("to", ALICE),
            connection_id=connection_id,
        )
        try:
            self.admission.admit(request, identity_on(self._flows_of_pages[connection_id]))
        except (OverLimit, SipReject) as refused:
            return refused.status
        return 0

    def fail(
        self, connection_id: str, status: int = 401, identity: str = ALICE, scheme: str = "digest"
    ) -> None:
        pending = PendingRegistration(connection_id, "sip:x", identity, Grant(scheme), guessed=True)
        self.admission.answered(pending, status, [])


@pytest.fixture
def door(kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch) -> Door:
    """A door before which the clock stands still: rates count in its seconds, and a busy machine takes some."""
    assert kamailio.calls == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    return Door()


def operations(kamailio: FakeKamailio) -> int:
    return sum(name in ("htable.sht_get", "htable.sht_sets") for name, _ in kamailio.calls)


@pytest.mark.conformance("X-10")
class TestRates:
    """Three subjects."""

    def test_a_connection(self, door: Door) -> None:
        page, other = door.page(1), door.page(2, "192.0.2.2")
        assert [door.ask(page) for _ in range(5)] == [0, 0, 0, 503, 503]
        assert door.ask(other) == 0

    def test_an_address(self, door: Door) -> None:
        pages = [door.page(number) for number in range(4)]
        assert [door.ask(page) for page in pages * 2] == [0] * 5 + [503] * 3
        assert door.ask(door.page(9, "192.0.2.9")) == 0

    def test_an_identity(self, door: Door) -> None:
        pages = [door.page(number, f"192.0.2.{number}", registered=True) for number in range(6)]
        door.admission._limits = settings_from_text(
            SETTINGS_TEXT + LIMITS.replace("calls_per_identity = 2", "")
        ).limits
        statuses = [door.ask(page, "INVITE", call_id=page) for page in pages]
        assert statuses == [0] * 4 + [503] * 2

    def test_the_longest_list_comes_in_where_few_requests_do(self, door: Door) -> None:
        page, other = door.page(1), door.page(2)
        assert door.ask(page, "MESSAGE") == 0
        door.admission.admit_list(page, 100)
        assert door.ask(page, "MESSAGE") == 503
        door.admission._limits = settings_from_text(
            SETTINGS_TEXT + LIMITS.replace("other = 3", "other = 1")
        ).limits
        assert door.ask(other, "MESSAGE") == 0
        door.admission.admit_list(other, 100)

    def test_calls_at_once(self, door: Door, kamailio: FakeKamailio) -> None:
        page = door.page(1, registered=True)
        assert [door.ask(page, "INVITE", call_id=f"c{number}") for number in range(3)] == [0, 0, 403]
        (notice,) = kamailio.tables["notice"].values()
        event = json.loads(notice)
        assert (event["type"], event["impu"]) == ("call_refused", ALICE)

    @pytest.mark.parametrize("method", ["ACK", "BYE", "CANCEL"])
    def test_what_ends_a_call_is_not_even_counted(
        self, door: Door, kamailio: FakeKamailio, method: str
    ) -> None:
        page = door.page(1, registered=True)
        kamailio.calls.clear()
        assert [door.ask(page, method, to_tag="t") for _ in range(50)] == [0] * 50
        assert kamailio.calls == []

    def test_what_a_connection_has_too_much_costs_no_table(self, door: Door, kamailio: FakeKamailio) -> None:
        page = door.page(1, registered=True)
        for _ in range(3):
            door.ask(page, "INFO", to_tag="t")
        kamailio.calls.clear()
        assert [door.ask(page, "INFO", to_tag="t") for _ in range(100)] == [503] * 100
        assert operations(kamailio) == 0

    def test_what_passes_costs_two_changes_at_most(self, door: Door, kamailio: FakeKamailio) -> None:
        page = door.page(1, registered=True)
        door.ask(page, "OPTIONS")
        kamailio.calls.clear()
        assert door.ask(page, "INVITE") == 0
        assert len(kamailio.called("htable.sht_sets")) <= 2

    def test_a_line_for_each_flood_and_not_for_each_request(self, door: Door, kamailio: FakeKamailio) -> None:
        page = door.page(1)
        for _ in range(50):
            door.ask(page)
        lines = [line for _, line in kamailio.log if "limit_reached" in line]
        assert len(lines) <= 1

    def test_off_is_off(self, kamailio: FakeKamailio) -> None:
        off = "[limits]\nconnection = {}\nidentity = {}\naddress = {}\ncalls_per_identity = 0\n"
        door = Door(off + "failed_logins_identity = 0\nfailed_logins_address = 0\n")
        page = door.page(1, registered=True)
        for method in ("REGISTER", "INVITE", "OPTIONS"):
            assert [door.ask(page, method) for _ in range(200)] == [0] * 200
        for _ in range(20):
            door.fail(page, 403)
        door.admission.token_refused(page)
        assert door.ask(door.page(2)) == 0
        assert kamailio.tables.get("tally", {}) == {}

    def test_memory_stays_bounded(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Admission, "_MOST_KEPT", 10)
        for number in range(50):
            door.ask(door.page(number, f"192.0.2.{number}"))
        assert len(door.admission._connections) == 10


@pytest.mark.conformance("X-10")
class TestUnrefused:
    """Responses, ACK, CANCEL and BYE, to which nobody says no."""

    RATE = 100
    AT_ONCE = 5 * RATE

    @pytest.fixture
    def still(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The clock stands still."""
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now)

    @pytest.mark.usefixtures("still")
    @pytest.mark.parametrize("method", ["ACK", "BYE", "CANCEL"])
    def test_a_flood_of_requests_goes_unheard(
        self,
        kamailio: FakeKamailio,
        page: Gateway,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        method: str,
    ) -> None:
        heard: list[str] = []
        monkeypatch.setattr(page._border, "admits", heard.append)
        kamailio.replies.clear()
        for _ in range(self.AT_ONCE + 20):
            kamailio.receive(page_request(method, "tag"))
            assert page.ksr_request_route(MESSAGE) == 1
        assert heard == [method] * self.AT_ONCE
        assert kamailio.replies == []
        assert caplog.text.count("event=limit_reached") == 1

    @pytest.mark.usefixtures("still")
    def test_so_does_one_of_responses_and_others_are_not_touched(
        self, kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heard: list[str] = []
        monkeypatch.setattr(page._border, "admits_reply", lambda: heard.append("page"))
        for _ in range(self.AT_ONCE + 20):
            kamailio.receive(page_reply(200, "BYE", "tag"))
            page.ksr_reply_route(MESSAGE)
        assert kamailio.dropped
        assert len(heard) == self.AT_ONCE
        for _ in range(self.AT_ONCE + 20):
            kamailio.receive(core_reply(180))
            page.ksr_reply_route(MESSAGE)
        assert not kamailio.dropped
        assert len(heard) == 2 * self.AT_ONCE + 20
        assert not page._doors.admission.floods("8")

    def test_whoever_goes_on_is_banned(
        self, kamailio: FakeKamailio, caplog: pytest.LogCaptureFixture
    ) -> None:
        door = Door("[limits]\nunrefused = 1\nburst_s = 1\n")
        page = door.page(1)
        assert [door.admission.floods(page) for _ in range(60)] == [False] + [True] * 59
        assert "event=address_banned address=192.0.2.1 why=flood" in caplog.text
        assert list(kamailio.tables["ban"]) == ["192.0.2.1"]

    def test_off_is_off(self, kamailio: FakeKamailio) -> None:
        door = Door("[limits]\nunrefused = 0\n")
        page = door.page(1)
        kamailio.calls.clear()
        assert not any(door.admission.floods(page) for _ in range(2000))
        assert operations(kamailio) <= 1


@pytest.mark.conformance("X-10")
class TestLocks:
    """Wrong passwords lock the identity and the address, bad tokens the address alone."""

    def test_an_identity_everywhere_but_where_it_logged_in(self, door: Door, kamailio: FakeKamailio) -> None:
        home, stranger = door.page(1, "192.0.2.1"), door.page(2, "192.0.2.2")
        door.fail(home, 200)
        for _ in range(2):
            door.fail(stranger)
        assert door.ask(door.page(3, "192.0.2.3")) == 503
        assert door.ask(door.page(4, "192.0.2.1")) == 0
        assert door.ask(door.page(5, "192.0.2.3"), to="sip:bob@ims.example") == 0
        assert door.ask(door.page(6, "192.0.2.3", registered=True)) == 0
        assert any('"login_locked"' in notice for notice in kamailio.tables["notice"].values())

    def test_other_spellings_of_it_too(self, door: Door) -> None:
        stranger = door.page(2, "192.0.2.2")
        door.fail(stranger, identity="sip:%61lice@IMS.example")
        door.fail(stranger)
        assert door.ask(door.page(3, "192.0.2.3"), to="SIP:alice@ims.example") == 503

    def test_an_address(self, door: Door) -> None:
        page = door.page(1, "192.0.2.1")
        for number in range(3):
            door.fail(page, 403, identity=f"sip:u{number}@ims.example")
        assert door.ask(door.page(2, "192.0.2.1"), to="sip:new@ims.example") == 503
        assert door.ask(door.page(3, "192.0.2.1", registered=True)) == 0
        assert door.ask(door.page(4, "192.0.2.4"), to="sip:new@ims.example") == 0

    def test_long_names_of_strangers_fill_no_memory(self, door: Door) -> None:
        long = f"sip:{'a' * 10_000}@ims.example"
        first, second, other = (door.page(number, f"192.0.2.{number}") for number in range(1, 4))
        door.fail(first, 403, long)
        door.fail(second, 403, long)
        door.fail(second, 403, long)
        assert door.ask(other, to=long) == 503  # and counts as one that is short
        assert door.ask(other, to=long.replace("aa@", "ab@")) == 0
        assert all(len(key) < 300 for key, _ in HtableTable("tally").items())
        assert len(door.admission._connections[other].asked) < 300

    def test_bad_tokens_lock_nobody_out_whom_they_name(self, door: Door) -> None:
        page = door.page(1, "192.0.2.1")
        for _ in range(3):
            door.admission.token_refused(page)
        assert door.ask(door.page(2, "192.0.2.1")) == 503
        assert door.ask(door.page(3, "192.0.2.3")) == 0

    def test_users_the_core_does_not_take_with_a_token_neither(self, door: Door) -> None:
        for number in range(5):
            door.fail(door.page(number, f"192.0.2.{number}"), 403, scheme="bearer")
        assert door.ask(door.page(9, "192.0.2.9")) == 0


@pytest.mark.conformance("X-11")
class TestPolicy:
    """The gateway asks before anything is reserved."""

    def test_a_refused_target_reserves_nothing(self, kamailio: FakeKamailio, page: Gateway) -> None:
        message = invite()
        message.first_line = "INVITE TEL:+979-1234 SIP/2.0"
        kamailio.receive(message)
        page.ksr_request_route(MESSAGE)
        (reply,) = kamailio.replies[-1:]
        assert (reply.status, reply.reason_phrase) == (403, "Forbidden")
        assert kamailio.tables.get("call", {}) == {}
        (notice,) = kamailio.tables["notice"].values()
        assert json.loads(notice)["call_id"] == "call-1"

    def test_so_does_a_refused_transfer(self, kamailio: FakeKamailio, page: Gateway) -> None:
        tag = called(kamailio, page)
        kamailio.receive(page_request("REFER", tag, "Refer-To: <tel:+9791234>"))
        page.ksr_request_route(MESSAGE)
        assert kamailio.replies[-1].status == 403
        assert kamailio.relayed == []


def test_notices_say_when_and_who(kamailio: FakeKamailio, door: Door) -> None:
    door.ask(door.page(1, registered=True), "INVITE", uri="tel:+19001")
    (notice,) = kamailio.tables["notice"].values()
    event = json.loads(notice)
    assert event["node"] == "192.0.2.1:5060"
    assert abs(event["at"] - time.time()) < 5
    assert event["why"] == "calls to numbers that begin with +1900 are not allowed here"
