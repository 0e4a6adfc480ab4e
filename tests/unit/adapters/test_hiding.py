"""A refusal that waits, so that nobody sees by its time who is known."""

from __future__ import annotations

from kemi.adapters.doors.hiding import GUARD_S, DueRefusals, Refusal
from kemi.adapters.kamailio.htable import HtableTable
from kemi.state.records import RecordTable
from tests.fakes.ksr import FakeKamailio


def test_one_that_is_not_suspended_yet_is_answered_at_the_next_tick(kamailio: FakeKamailio) -> None:
    RecordTable(HtableTable("refusal"), Refusal).set("branch", Refusal(1, 2, 100.0))
    kamailio.script("tmx.t_continue", -2)
    DueRefusals().due_refusals(100.01)
    assert kamailio.tables["refusal"]
    kamailio.script("tmx.t_continue", 1)
    DueRefusals().due_refusals(100.02)
    assert not kamailio.tables["refusal"]


def test_one_that_its_guard_has_answered_is_forgotten(kamailio: FakeKamailio) -> None:
    RecordTable(HtableTable("refusal"), Refusal).set("branch", Refusal(1, 2, 100.0))
    kamailio.script("tmx.t_continue", -1)
    DueRefusals().due_refusals(100.1 + GUARD_S)
    assert not kamailio.tables["refusal"]
