"""Requests that went to another gateway: how long they are known."""

from __future__ import annotations

from collections import defaultdict

from kemi.state.waiting import OVER_KEPT_S, PassedOn, WaitingStore
from tests.fakes.table import MemoryTable


def test_what_is_over_is_not_kept_for_as_long_as_what_rings() -> None:
    tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
    store = WaitingStore(lambda name: tables[name])
    store.passed_on("an INVITE", PassedOn("192.0.2.1:5060"))
    store.passed_on("an ACK", PassedOn("192.0.2.1:5060", is_over=True))
    assert tables["passed_on"].seconds == {"an ACK": OVER_KEPT_S}
    assert store.in_hand() == 1
    store.is_over("an INVITE")
    assert tables["passed_on"].seconds == dict.fromkeys(("an ACK", "an INVITE"), OVER_KEPT_S)
    assert store.in_hand() == 0
