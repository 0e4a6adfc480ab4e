"""Who is connected, and as whom."""

from __future__ import annotations

from kemi.core.registration import Flow, PendingRegistration, Registration
from kemi.state.flows import FlowStore, RecordTable
from tests.fakes.table import MemoryTable

FLOW = Flow("7", "n0nce", "198.51.100.9", "127.0.0.1:40000")
ALICE = Registration(
    "sip:alice@ims.example", "sip:x@page.invalid", expires_at=100.0, service_route=["<sip:s>"]
)


def store() -> FlowStore:
    return FlowStore(MemoryTable(), MemoryTable(), MemoryTable())


def test_an_open_flow_is_found_until_it_is_closed() -> None:
    flows = store()
    flows.open(FLOW)
    assert flows.flow("7") == FLOW
    flows.close("7")
    assert flows.flow("7") is None
    flows.close("7")


def test_a_registration_lasts_as_long_as_the_core_said() -> None:
    flows = store()
    flows.open(FLOW)
    flows.register("7", ALICE)
    assert flows.registration("7", now=99.9) == ALICE
    assert flows.registration("7", now=100.0) is None


def test_a_registration_goes_with_its_flow() -> None:
    flows = store()
    flows.open(FLOW)
    flows.register("7", ALICE)
    flows.close("7")
    flows.open(Flow("7", "another", "198.51.100.10", "127.0.0.1:40001"))
    assert flows.registration("7", now=0.0) is None


def test_an_answer_that_comes_after_the_flow_closed_registers_nobody() -> None:
    flows = store()
    flows.register("7", ALICE)
    assert flows.registration("7", now=0.0) is None


def test_none_takes_the_registration_away() -> None:
    flows = store()
    flows.open(FLOW)
    flows.register("7", ALICE)
    flows.register("7", None)
    assert flows.registration("7", now=0.0) is None


def test_a_pending_register_is_taken_once_and_by_its_own_number_only() -> None:
    flows = store()
    pending = PendingRegistration("7", "sip:x", "sip:alice@ims.example")
    flows.expect("reg-1", 3, pending)
    assert flows.expected("reg-1", 4) is None
    assert flows.expected("reg-1", 3) == pending
    assert flows.expected("reg-1", 3) is None


def test_taking_gives_the_lock_back() -> None:
    table = MemoryTable()
    records = RecordTable(table, Flow)
    records.set("7", FLOW)
    assert records.take("7") == FLOW
    assert records.take("7") is None
    assert table.locked_keys == set()


def test_of_two_takers_one_gets_it() -> None:
    table = MemoryTable()
    records = RecordTable(table, Flow)
    records.set("7", FLOW)
    other: list[Flow | None] = []
    table.before("locked", lambda: other.append(records.take("7")))
    assert records.take("7") is None
    assert other == [FLOW]
