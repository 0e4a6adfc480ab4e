"""Who is connected, and as whom."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from kemi.core.registration import Flow, PendingRegistration, Registration
from kemi.core.registration.records import Sent, Unregistered
from kemi.core.registration.states import BindingState, Cause
from kemi.state.flows import FlowStore
from kemi.state.records import RecordTable, taken
from tests.fakes.table import MemoryTable

FLOW = Flow("7", "n0nce", "198.51.100.9", "127.0.0.1:40000")
AGAIN = Flow("8", "other", "198.51.100.9", "127.0.0.1:40001")
ALICE = "sip:alice@ims.example"
CONTACT = '<sip:x@page.invalid;transport=ws>;reg-id=1;+sip.instance="<urn:uuid:1>"'
KEY = f"{ALICE} urn:uuid:1 1"


class Tables(defaultdict[str, MemoryTable]):
    """The node's tables by name."""

    def __init__(self) -> None:
        super().__init__(MemoryTable)

    @property
    def held(self) -> set[str]:
        """Locks that nobody gave back."""
        return {key for table in self.values() for key in table.locked_keys}


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def flows(tables: Tables) -> FlowStore:
    return FlowStore(tables.__getitem__)


def alice(**changes: object) -> Registration:
    found = Registration(
        ALICE, "sip:x@page.invalid;transport=ws", expires_at=100.0, sent=Sent(CONTACT, call_id="reg", cseq=3)
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def registered(flows: FlowStore, flow: Flow = FLOW) -> str:
    flows.open(flow)
    return flows.register(flow.connection_id, alice(), away_until=30.0).connection_id


def assert_replaces(flows: FlowStore, flow: Flow, replaced: str) -> None:
    assert registered(flows, flow) == replaced


class TestConnections:
    """Known from the handshake to the end, under their own number and port."""

    def test_an_open_flow_is_found_until_it_is_lost(self, flows: FlowStore) -> None:
        flows.open(FLOW)
        assert flows.flow("7") == FLOW
        flows.lose("7", away_until=1.0)
        assert flows.flow("7") is None
        flows.lose("7", away_until=1.0)

    def test_a_flow_noted_as_closed_is_gone_although_nobody_worked_on_it_yet(self, flows: FlowStore) -> None:
        registered(flows)
        flows.note_closed("7")
        assert flows.flow("7") is None
        assert flows.registration("7", now=0.0) is None
        assert flows.take_closed() == ["7"]

    @pytest.mark.conformance("R-68")
    def test_a_flow_whose_port_another_one_has_now_is_gone(self, flows: FlowStore) -> None:
        registered(flows)
        flows.open(replace(AGAIN, source=FLOW.source))
        assert flows.flow("7") is None
        assert flows.flow("8") is not None

    def test_the_end_of_the_old_owner_leaves_the_port_to_the_new_one(self, flows: FlowStore) -> None:
        registered(flows)
        flows.open(replace(AGAIN, source=FLOW.source))
        flows.lose("7", away_until=30.0)
        assert flows.flow("8") is not None

    @pytest.mark.conformance("X-04")
    def test_a_connection_counts_as_unregistered_until_it_registers_and_after_it_signed_off(
        self, flows: FlowStore
    ) -> None:
        flows.open(FLOW, now=5.0)
        assert dict(flows.unregistered()) == {"7": Unregistered(5.0, 5.0)}
        flows.register("7", alice(), away_until=30.0)
        assert dict(flows.unregistered()) == {}
        flows.end(KEY, Cause.DEREGISTERED, now=9.0)
        assert dict(flows.unregistered()) == {"7": Unregistered(9.0, 9.0)}
        flows.lose("7", away_until=30.0)
        assert dict(flows.unregistered()) == {}

    @pytest.mark.conformance("X-04")
    def test_one_that_tries_or_was_told_to_wait_is_waited_for(self, flows: FlowStore) -> None:
        flows.open(FLOW, now=5.0)
        flows.wait_from("7", 8.0)
        flows.wait_from("7", 20.0)
        assert dict(flows.unregistered()) == {"7": Unregistered(5.0, 20.0)}
        flows.wait_from("7", 25.0, core_failed=True)
        flows.wait_from("7", 30.0)
        assert dict(flows.unregistered()) == {"7": Unregistered(5.0, 30.0, core_failed=True)}

    def test_a_registered_one_is_not_waited_for_again(self, flows: FlowStore) -> None:
        registered(flows)
        flows.wait_from("7", 8.0)
        assert dict(flows.unregistered()) == {}


class TestBindings:
    """A binding outlives its connection."""

    def test_a_registration_lasts_as_long_as_the_core_said(self, flows: FlowStore) -> None:
        assert registered(flows) == ""
        found = flows.registration("7", now=99.9)
        assert found is not None
        assert found.owner == ALICE
        assert flows.registration("7", now=100.0) is None

    @pytest.mark.conformance("R-65")
    def test_a_lost_connection_leaves_its_binding_away(self, flows: FlowStore) -> None:
        registered(flows)
        left = flows.lose("7", away_until=30.0)
        assert left is not None
        found = flows.binding(KEY)
        assert found is not None
        assert (found.state, found.connection_id, found.former_connection_id, found.away_until) == (
            BindingState.AWAY,
            "",
            "7",
            30.0,
        )
        assert flows.registration("7", now=0.0) is None

    @pytest.mark.conformance("R-65")
    def test_the_page_that_comes_back_has_its_binding_again(self, flows: FlowStore) -> None:
        registered(flows)
        flows.lose("7", away_until=30.0)
        assert registered(flows, AGAIN) == ""
        found = flows.registration("8", now=0.0)
        assert found is not None
        assert (found.state, found.former_connection_id) == (BindingState.REGISTERED, "7")

    @pytest.mark.conformance("B-13")
    def test_the_same_instance_over_a_second_connection_takes_the_place_of_the_first(
        self, flows: FlowStore
    ) -> None:
        registered(flows)
        assert registered(flows, AGAIN) == "7"
        assert flows.registration("7", now=0.0) is None
        assert flows.registration("8", now=0.0) is not None
        assert flows.lose("7", away_until=30.0) is None  # the end of the old one changes nothing

    def test_an_answer_that_comes_after_the_flow_closed_leaves_the_page_away(self, flows: FlowStore) -> None:
        flows.register("7", alice(), away_until=30.0)
        assert flows.registration("7", now=0.0) is None
        found = flows.binding(KEY)
        assert found is not None
        assert (found.state, found.away_until) == (BindingState.AWAY, 30.0)

    def test_an_answer_for_a_connection_that_is_gone_leaves_the_page_where_it_is_now(
        self, flows: FlowStore, tables: Tables
    ) -> None:
        flows.open(FLOW)
        registered(flows, AGAIN)
        flows.note_closed("7")
        flows.take_changed()
        assert flows.register("7", alice(sent=Sent(CONTACT, call_id="late")), away_until=30.0) == ("", "")
        found = flows.registration("8", now=0.0)
        assert found is not None
        assert found.sent.call_id == "reg"
        assert flows.take_changed() == []
        assert tables.held == set()

    @pytest.mark.conformance("R-64")
    def test_an_end_takes_it_away_and_is_noted_once(self, flows: FlowStore, tables: Tables) -> None:
        registered(flows)
        flows.take_changed()
        ended = flows.end(KEY, Cause.DEREGISTERED, now=1.0)
        assert ended is not None
        assert flows.registration("7", now=0.0) is None
        assert flows.binding(KEY) is None
        (noted,) = flows.take_ended()
        assert (noted.cause, noted.registration.state) == (Cause.DEREGISTERED, BindingState.TERMINATED)
        assert noted.registration.connection_id == "7"
        assert flows.take_ended() == []
        assert flows.take_changed() == [KEY]
        assert flows.end(KEY, Cause.DEREGISTERED, now=1.0) is None
        assert tables.held == set()

    def test_an_end_whose_condition_no_longer_holds_does_nothing(self, flows: FlowStore) -> None:
        registered(flows)
        assert flows.end(KEY, Cause.EXPIRED, now=1.0, only_if=lambda found: found.expires_at <= 1.0) is None
        assert flows.registration("7", now=0.0) is not None

    def test_a_page_that_came_back_between_look_and_lock_is_not_ended(
        self, flows: FlowStore, tables: Tables
    ) -> None:
        registered(flows)
        tables["flow"].before("locked", lambda: assert_replaces(flows, AGAIN, "7"))
        assert flows.end(KEY, Cause.LEFT, now=1.0) is None
        assert flows.registration("8", now=0.0) is not None

    def test_another_instance_over_the_same_connection_leaves_the_first(self, flows: FlowStore) -> None:
        registered(flows)
        other = alice(sent=Sent(CONTACT.replace("uuid:1", "uuid:2")))
        flows.register("7", other, away_until=30.0)
        assert flows.binding(KEY) is None
        assert flows.registration("7", now=0.0) == other

    def test_since_when_and_from_where_a_page_is_registered_is_known(self, flows: FlowStore) -> None:
        flows.open(FLOW)
        flows.open(AGAIN)
        flows.register("7", alice(registered_at=10.0), away_until=30.0)
        flows.register("8", alice(registered_at=50.0), away_until=80.0)
        found = flows.registration("8", now=60.0)
        assert found is not None
        assert (found.registered_at, found.client_address) == (10.0, AGAIN.client_address)

    def test_a_page_that_spells_its_identity_in_another_way_is_the_same_page(self, flows: FlowStore) -> None:
        registered(flows)
        flows.register("7", alice(address_of_record=f"{ALICE};a=1"), away_until=30.0)
        found = flows.registration("7", now=0.0)
        assert found is not None
        assert (found.owner, found.key) == (ALICE, KEY)
        assert flows.bindings_of(ALICE) == [KEY]
        assert flows.successor(ALICE, "sip:x@page.invalid", now=0.0) == flows.flow("7")

    def test_the_successor_is_where_the_same_page_registered_again(self, flows: FlowStore) -> None:
        registered(flows)
        flows.lose("7", away_until=30.0)
        assert flows.successor(ALICE, "sip:x@page.invalid;ob", now=0.0) is None
        registered(flows, AGAIN)
        found = flows.successor(ALICE, "sip:x@page.invalid;ob", now=0.0)
        assert found is not None
        assert found.connection_id == "8"
        assert flows.successor(ALICE, "sip:y@page.invalid", now=0.0) is None
        assert flows.successor("sip:bob@ims.example", "sip:x@page.invalid", now=0.0) is None

    def test_the_other_flows_of_a_page(self, flows: FlowStore) -> None:
        registered(flows)
        second = alice(sent=Sent(CONTACT.replace("reg-id=1", "reg-id=2"), call_id="reg-2", cseq=1))
        flows.open(AGAIN)
        flows.register("8", second, away_until=30.0)
        first = flows.binding(KEY)
        assert first is not None
        assert flows.other_flows(first, now=0.0) == {"8"}
        assert flows.other_flows(second, now=0.0) == {"7"}
        flows.lose("7", away_until=30.0)
        assert flows.other_flows(second, now=0.0) == {"7"}
        assert flows.other_flows(second, now=100.0) == set()
        assert flows.other_flows(replace(second, former_connection_id="7"), now=0.0) == set()

    def test_nobody_comes_back_where_no_binding_has_the_contact(self, flows: FlowStore) -> None:
        registered(flows)
        flows.lose("7", away_until=30.0)
        assert flows.state_of(ALICE, "sip:x@page.invalid;ob", now=0.0) is BindingState.AWAY
        assert flows.state_of(ALICE, "sip:y@page.invalid", now=0.0) is None
        assert flows.state_of("sip:bob@ims.example", "sip:x@page.invalid", now=0.0) is None
        assert flows.state_of(ALICE, "sip:x@page.invalid", now=100.0) is None

    def test_bindings_are_found_by_identity(self, flows: FlowStore) -> None:
        flows.open(FLOW)
        flows.register("7", alice(), away_until=30.0)
        assert flows.bindings_of(ALICE) == [KEY]
        assert flows.bindings_of("sip:%61lice@IMS.example;user=phone") == [KEY]
        assert flows.bindings_of("sip:alice") == []

    def test_a_logout_ends_the_bindings_of_its_session_of_before(self, flows: FlowStore) -> None:
        flows.open(FLOW)
        binding = alice()
        binding.grant.session, binding.grant.issued_at = "sid-1", 100.0
        flows.register("7", binding, away_until=30.0)
        for session, at in (("sid", 200.0), ("", 200.0), ("sid-1", 90.0)):
            flows.log_out(session, at, now=201.0)
            assert flows.bindings_of(ALICE) == [KEY]
        flows.log_out("sid-1", 101.0, now=201.0)
        assert flows.bindings_of(ALICE) == []
        (ended,) = flows.take_ended()
        assert ended.cause is Cause.LOGGED_OUT


class TestRestore:
    """A restart of Kamailio: everybody is away, connection numbers begin anew."""

    def test_a_restored_binding_is_away_and_forgets_its_old_connection(self, flows: FlowStore) -> None:
        assert flows.restore(KEY, alice(connection_id="7"), away_until=30.0)
        found = flows.binding(KEY)
        assert found is not None
        assert (found.state, found.connection_id, found.former_connection_id) == (BindingState.AWAY, "", "")

    def test_a_page_that_was_faster_keeps_its_new_binding(self, flows: FlowStore) -> None:
        registered(flows)
        assert not flows.restore(KEY, alice(expires_at=1.0), away_until=30.0)
        assert flows.registration("7", now=50.0) is not None

    def test_a_page_comes_back_to_it_although_the_registrar_knows_its_flow_by_another_number(
        self, flows: FlowStore
    ) -> None:
        """Its calls wait for it there: as a second binding it would leave them to end with the first."""
        flows.restore(KEY, alice(), away_until=30.0)
        flows.open(FLOW)
        flows.register("7", alice(sent=replace(alice().sent, flow_by_identity=True)), away_until=30.0)
        assert [(key, found.state) for key, found in flows.bindings()] == [(KEY, BindingState.REGISTERED)]
        assert flows.take_ended() == []


class TestRegistersUnderWay:
    """A final response is matched once."""

    def test_it_is_taken_once_and_by_its_own_number_only(self, flows: FlowStore) -> None:
        pending = PendingRegistration("7", "sip:x", ALICE)
        flows.expect("reg-1", 3, pending)
        assert flows.expected("reg-1", 4) is None
        assert flows.expected("reg-1", 3) == pending
        assert flows.expected("reg-1", 3) is None

    @pytest.mark.parametrize(
        ("contact_value", "about_it"),
        [
            pytest.param(CONTACT, True, id="its own"),
            pytest.param("*", True, id="all of the identity"),
            pytest.param(CONTACT.replace("uuid:1", "uuid:2"), False, id="another instance"),
        ],
    )
    def test_a_binding_is_asked_about_until_each_register_about_it_is_answered(
        self, flows: FlowStore, contact_value: str, *, about_it: bool
    ) -> None:
        for cseq in (4, 5):
            flows.expect("reg", cseq, PendingRegistration("7", "", ALICE, sent=Sent(contact_value)))
        flows.forget("reg", 4)
        assert flows.is_asked(alice()) is about_it
        flows.forget("reg", 5)
        assert not flows.is_asked(alice())


class TestTables:
    """Records and notes."""

    def test_taking_gives_the_lock_back(self) -> None:
        table = MemoryTable()
        records = RecordTable(table, Flow)
        records.set("7", FLOW)
        assert records.take("7") == FLOW
        assert records.take("7") is None
        assert table.locked_keys == set()

    def test_of_two_takers_one_gets_it(self) -> None:
        table = MemoryTable()
        records = RecordTable(table, Flow)
        records.set("7", FLOW)
        other: list[Flow | None] = []
        table.before("locked", lambda: other.append(records.take("7")))
        assert records.take("7") is None
        assert other == [FLOW]

    def test_a_note_written_while_notes_are_taken_stays_for_the_next_time(self) -> None:
        table = MemoryTable()
        table.set("a", "1")
        table.before("remove", lambda: table.set("b", "1"))
        assert taken(table) == [("a", "1")]
        assert taken(table) == [("b", "1")]
