"""Call records: the JSON round trip, and changes under the lock."""

from __future__ import annotations

import json

import pytest

from kemi.core.call.record import SCHEMA, CallRecord, Leg, Outstanding, Rejection
from kemi.core.call.states import Dialog, Media, OfferAnswer
from kemi.core.errors import LocalProtocolError
from kemi.state.calls import CallStore, record_from_text, record_to_text
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import record_at

STAGES = ["offered", "answered_early", "updating", "forwarded", "ringing", "confirmed"]


class TestText:
    """What one worker writes another one reads."""

    @pytest.mark.parametrize("stage", STAGES)
    def test_a_record_survives_the_round_trip_at_every_stage(self, stage: str) -> None:
        record = record_at(stage)
        assert record_from_text(record_to_text(record)) == record

    def test_types_are_those_that_were_written(self) -> None:
        record = record_at("confirmed")
        record.reliable["2"] = ("core1", 70)
        record.outstanding["5"] = Outstanding("core2", 900, ["SIP/2.0/UDP core"])
        record.rejection = Rejection(488, "Not Acceptable Here", "why")
        decoded = record_from_text(record_to_text(record))
        assert decoded.reliable == {"2": ("core1", 70)}
        assert type(decoded.reliable["2"]) is tuple
        assert type(decoded.transaction) is tuple
        assert type(decoded.legs["core1"]) is Leg
        assert type(decoded.rejection) is Rejection
        assert (type(decoded.dialog), type(decoded.media_state)) == (Dialog, Media)
        assert type(decoded.ims_offer_answer) is OfferAnswer

    def test_the_order_of_forks_is_kept_because_the_newest_counts(self) -> None:
        record = record_at("forwarded")
        record.legs = {"z": Leg("sip:z"), "a": Leg("sip:a"), "m": Leg("sip:m")}
        assert record_from_text(record_to_text(record)).current_tag == "m"

    def test_a_record_of_a_full_call_stays_below_the_pv_buffer(self) -> None:
        assert max(len(record_to_text(record_at(stage))) for stage in STAGES) < 65536

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("{", id="torn"),
            pytest.param("[]", id="no object"),
            pytest.param("{}", id="fields missing"),
        ],
    )
    def test_unreadable_text_is_our_own_bug(self, text: str) -> None:
        with pytest.raises(LocalProtocolError, match="unreadable"):
            record_from_text(text)

    @pytest.mark.parametrize("schema", [0, SCHEMA + 1])
    def test_another_schema_is_refused(self, schema: int) -> None:
        fields = json.loads(record_to_text(record_at("offered"))) | {"schema": schema}
        with pytest.raises(LocalProtocolError, match=f"schema {schema}"):
            record_from_text(json.dumps(fields))

    def test_an_unknown_state_is_refused(self) -> None:
        fields = json.loads(record_to_text(record_at("offered"))) | {"dialog": "limbo"}
        with pytest.raises(LocalProtocolError):
            record_from_text(json.dumps(fields))


class TestStore:
    """kemi/state/calls on a table."""

    def test_a_call_id_can_be_taken_only_once(self) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        record = record_at("offered")
        assert store.create(record)
        assert not store.create(record)
        assert store.get(record.call_id) == record

    def test_an_unknown_call_is_none(self) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        assert store.get("x") is None
        assert store.change("x", lambda record: record) is None

    def test_a_change_is_written_under_the_lock_and_the_lock_is_given_back(self) -> None:
        table = MemoryTable()
        store = CallStore(table, MemoryTable())
        store.create(record_at("offered"))

        def step(record: CallRecord) -> str:
            assert table.locked_keys == {"call-1"}
            record.doomed = "why"
            return "done"

        assert store.change("call-1", step) == "done"
        assert table.locked_keys == set()
        found = store.get("call-1")
        assert found is not None
        assert found.doomed == "why"

    def test_nothing_is_written_when_nothing_changed(self) -> None:
        table = MemoryTable()
        store = CallStore(table, MemoryTable())
        store.create(record_at("offered"))
        writes = table.writes
        store.change("call-1", lambda record: record.doomed)
        assert table.writes == writes

    def test_an_error_leaves_the_record_as_it_was_and_the_lock_free(self) -> None:
        table = MemoryTable()
        store = CallStore(table, MemoryTable())
        store.create(record_at("offered"))

        def step(record: CallRecord) -> None:
            record.doomed = "half-way"
            raise LocalProtocolError("no transition")

        with pytest.raises(LocalProtocolError):
            store.change("call-1", step)
        found = store.get("call-1")
        assert found is not None
        assert found.doomed == ""
        assert store.change("call-1", lambda record: record.doomed) == ""
        assert table.locked_keys == set()

    def test_what_another_process_wrote_meanwhile_is_read(self) -> None:
        table = MemoryTable()
        store, other = CallStore(table, MemoryTable()), CallStore(table, MemoryTable())
        store.create(record_at("offered"))

        def step(record: CallRecord) -> str:
            seen, record.doomed = record.doomed, f"{record.doomed}!"
            return seen

        assert [store.change("call-1", step) for store in (store, store, other, other, store)] == [
            "",
            "!",
            "!!",
            "!!!",
            "!!!!",
        ]

    def test_a_look_sees_what_another_process_wrote(self) -> None:
        table = MemoryTable()
        store, other = CallStore(table, MemoryTable()), CallStore(table, MemoryTable())
        store.create(record_at("offered"))

        def doom(record: CallRecord) -> None:
            record.doomed += "!"

        for change in (store.change, other.change):
            change("call-1", doom)
            found, copy = store.seen("call-1"), store.get("call-1")
            assert found is not None
            assert found == copy
        found = store.seen("call-1")
        assert found is not None
        assert found.doomed == "!!"
        assert store.seen("call-2") is None

    def test_only_so_many_are_kept(self) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        for number in range(200):
            record = record_at("offered")
            record.call_id = f"call-{number}"
            store.create(record)
        for number in range(200):
            assert store.change(f"call-{number}", lambda record: record.call_id) == f"call-{number}"

    def test_what_another_process_wrote_before_the_lock_is_seen(self) -> None:
        table = MemoryTable()
        store = CallStore(table, MemoryTable())
        store.create(record_at("offered"))
        table.before("locked", lambda: store.forget("call-1"))
        assert store.change("call-1", lambda record: record) is None

    @pytest.mark.parametrize(
        ("stage", "dialog", "answered_at", "runs"),
        [
            pytest.param("ringing", Dialog.EARLY, 0.0, False, id="not answered"),
            pytest.param("confirmed", Dialog.CONFIRMED, 1795760571.0, True, id="answered"),
            pytest.param("confirmed", Dialog.TERMINATED, 1795760571.0, False, id="over"),
        ],
    )
    def test_only_of_an_answered_call_that_is_not_over_there_is_a_text_to_keep(
        self, stage: str, dialog: Dialog, answered_at: float, runs: bool
    ) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        record = record_at(stage)
        record.dialog, record.answered_at = dialog, answered_at
        store.create(record)
        kept = store.answered_text(record.key)
        assert kept == (record_to_text(record) if runs else None)
        assert store.answered_text("nobody") is None

    def test_forgetting_twice_is_fine(self) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        store.create(record_at("offered"))
        store.forget("call-1")
        store.forget("call-1")
        assert store.get("call-1") is None

    @pytest.mark.parametrize(
        ("registered", "named", "is_found"),
        [
            pytest.param(
                "sip:x@page.invalid;transport=ws", "sip:alice@ims.example;gr=urn:uuid:1", True, id="GRUU"
            ),
            pytest.param("sip:y@page.invalid", "sip:x@page.invalid", False, id="another page"),
            pytest.param("", "sip:x@page.invalid", True, id="of the release before"),
        ],
    )
    def test_calls_are_found_by_the_contact_their_page_registered(
        self, registered: str, named: str, is_found: bool
    ) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        record = record_at("confirmed")
        record.registered_contact, record.wic_contact, record.connection_id = registered, named, ""
        store.create(record)
        found = store.of_page(record.owner, set(), "sip:x@page.invalid;transport=ws", set())
        assert found == [record.key] * is_found

    @pytest.mark.parametrize(
        ("connection_ids", "others", "is_found"),
        [({"8"}, {"7"}, False), ({"7"}, {"8"}, True), ({"8"}, set(), True)],
    )
    def test_a_call_on_another_flow_of_the_page_is_not_meant(
        self, connection_ids: set[str], others: set[str], is_found: bool
    ) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        record = record_at("confirmed")
        record.connection_id = "7"
        store.create(record)
        found = store.of_page(record.owner, connection_ids, record.contact_of_binding, others)
        assert found == [record.key] * is_found

    def test_a_record_of_the_release_before_can_be_read(self) -> None:
        fields = json.loads(record_to_text(record_at("confirmed")))
        del fields["registered_contact"]
        record = record_from_text(json.dumps(fields))
        assert record.contact_of_binding == record.wic_contact

    def test_calls_are_found_by_their_pages_connection(self) -> None:
        store = CallStore(MemoryTable(), MemoryTable())
        for call_id, connection_id in (("a", "7"), ("b", "8"), ("c", "7")):
            record = record_at("offered")
            record.call_id, record.connection_id = call_id, connection_id
            store.create(record)
        assert store.on_connections({"7", "9"}) == ["a", "c"]
