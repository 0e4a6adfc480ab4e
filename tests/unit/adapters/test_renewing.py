"""A page whose core server is dead registers again: who does, and who is left alone."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from kemi.adapters.pages.renewing import LEAVE_ALONE_S, Renewing
from kemi.core.call.actions import RenewRegistration
from kemi.core.registration import Flow, Registration
from kemi.core.registration.states import BindingState
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import Call

ASKED = RenewRegistration("call-1", "7")


def renewed(binding: Registration, *others: Call, state: BindingState = BindingState.REGISTERED) -> float:
    """Return when the binding is to be renewed then, 0 for never."""
    tables: dict[str, MemoryTable] = {}
    flows = FlowStore(lambda name: tables.setdefault(name, MemoryTable()))
    flows.open(Flow("7", "n", "192.0.2.1", "127.0.0.1:7"))
    flows.register("7", binding, 0.0)

    def in_that_state(found: Registration) -> Registration:
        found.state, found.away_until = state, time.time() + 30
        return found

    flows.change(binding.key, in_that_state)
    calls = CallStore(MemoryTable(), MemoryTable())
    for number, call in enumerate([Call.forwarded(), *others], start=1):
        calls.create(replace(call.record, call_id=f"call-{number}", connection_id="7"))
    Renewing(flows, calls).renew(ASKED)
    found = flows.binding(binding.key)
    return 0.0 if found is None else found.renew_at


def binding(**changes: object) -> Registration:
    now = time.time()
    known = Registration("sip:a@x", "<sip:a@y>", now + 600, granted_at=now - LEAVE_ALONE_S - 1)
    return replace(known, **changes)  # type: ignore[arg-type]


def test_it_is_due_at_once() -> None:
    assert abs(time.time() - renewed(binding())) < 5
    ended = Call.confirmed()
    ended.on(ended.wic_request("BYE"))
    assert renewed(binding(), ended)


@pytest.mark.parametrize("state", [BindingState.AWAY, BindingState.ABANDONED])
def test_not_of_a_page_that_is_away(state: BindingState) -> None:
    assert not renewed(binding(), state=state)


def test_not_again_and_again() -> None:
    """The core may name the same dead server again."""
    assert not renewed(binding(granted_at=time.time() - LEAVE_ALONE_S + 5))


def test_not_under_another_call() -> None:
    assert not renewed(binding(), Call.confirmed())
