"""A caller is refused past a page that never said a word, unless Kamailio could take another call for this one."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from kemi.adapters.calls.executor import Executor
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.record_key import INCOMING_TAG
from kemi.settings import settings_from_text
from kemi.state.calls import CallStore
from kemi.state.schedule import Schedule
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.core.call.ladder import record_at
from tests.unit.site import SETTINGS_TEXT

REFUSAL = act.RefuseUnheard("call-1", 7, 430, "Flow Failed")


@pytest.fixture
def executor(kamailio: FakeKamailio, relay: ScriptedRelay) -> Executor:
    return Executor(
        settings_from_text(SETTINGS_TEXT),
        CallStore(HtableTable("call"), HtableTable("call_of")),
        Schedule(HtableTable),
        cast("MediaRelay", relay),
        EntryPoints(settings_from_text(SETTINGS_TEXT), HtableTable),
        lambda connection_id: True,
        lambda _action: None,
    )


@pytest.mark.parametrize(
    ("found", "event"),
    [pytest.param(1, ev.WicFailed(430), id="refused"), pytest.param(-1, None, id="answered meanwhile")],
)
def test_the_only_call_with_its_call_id(
    kamailio: FakeKamailio, executor: Executor, found: int, event: ev.Event | None
) -> None:
    CallStore(HtableTable("call"), HtableTable("call_of")).create(record_at("offered"))
    kamailio.script("tmx.t_reply_callid", found)
    assert executor.perform("c", REFUSAL) == event
    assert kamailio.called("tmx.t_reply_callid") == [("call-1", "7", 430, "Flow Failed")]


def test_one_of_two_legs_is_left_to_its_timer(kamailio: FakeKamailio, executor: Executor) -> None:
    first, second = record_at("offered"), record_at("offered")
    second.gateway_tag = f"{INCOMING_TAG}2"
    calls = CallStore(HtableTable("call"), HtableTable("call_of"))
    assert calls.create(first)
    assert calls.create(second)
    assert executor.perform("c", REFUSAL) is None
    assert kamailio.called("tmx.t_reply_callid") == []


def test_a_call_id_that_tm_has_no_room_for_is_left_to_its_timer(
    kamailio: FakeKamailio, executor: Executor
) -> None:
    """tests/integration/calls/test_incoming_refused.py shows what became of it."""
    record = record_at("offered")
    record.call_id = "x" * 1001
    assert CallStore(HtableTable("call"), HtableTable("call_of")).create(record)
    assert executor.perform("c", replace(REFUSAL, sip_call_id=record.call_id)) is None
    assert kamailio.called("tmx.t_reply_callid") == []
