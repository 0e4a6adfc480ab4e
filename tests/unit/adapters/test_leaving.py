"""Pages are sent away in turn, no faster than those before them arrive."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from kemi.adapters.pages.leaving import MOST_ON_THEIR_WAY, Leaving
from kemi.core.registration import Flow, Registration
from kemi.core.registration.records import Sent
from kemi.core.registration.states import Cause
from kemi.settings import settings_from_text
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from kemi.state.waiting import PassedOn, Waiting, WaitingStore
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import record_at
from tests.unit.site import SETTINGS_TEXT

PAGES = 100


class Site:
    def __init__(self) -> None:
        tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self.flows = FlowStore(tables.__getitem__)
        self.calls = CallStore(tables["call"], tables["call_of"])
        settings = settings_from_text(SETTINGS_TEXT)
        self.wait_s, self.recovery_s = settings.timers.flow_wait_s, settings.timers.flow_recovery_s
        self.waiting = WaitingStore(tables.__getitem__)
        self.leaving = Leaving(tables["leaving"], self.flows, self.calls, self.waiting, settings.timers)
        for number in range(PAGES):
            flow = Flow(str(number), "n", "198.51.100.9", f"127.0.0.1:{40000 + number}")
            self.flows.open(flow)
            binding = Registration(
                f"sip:u{number}@ims.example", f"sip:x{number}@page.invalid", 1e9, sent=Sent("*")
            )
            self.flows.register(str(number), binding, 0.0)

    def arrives(self, connection_id: str, now: float) -> None:
        binding = self.flows.registration(connection_id, now)
        assert binding is not None
        self.flows.end(binding.key, Cause.MOVED, now)


@pytest.fixture
def site() -> Site:
    return Site()


def test_nobody_is_sent_away_from_a_gateway_in_service(site: Site) -> None:
    assert site.leaving.to_send_away(1000.0) == []


def test_so_many_go_at_once_and_others_when_those_have_arrived(site: Site) -> None:
    site.leaving.leave(True)
    first = site.leaving.to_send_away(1000.0)
    assert len(first) == MOST_ON_THEIR_WAY
    assert site.leaving.to_send_away(1000.2) == []
    for connection_id in first[:10]:
        site.arrives(connection_id, 1000.3)
    second = site.leaving.to_send_away(1000.4)
    assert len(second) == 10
    assert not set(first) & set(second)
    # Those that take too long are no longer counted.
    assert len(site.leaving.to_send_away(1000.5 + site.wait_s)) == MOST_ON_THEIR_WAY


def test_a_page_goes_when_its_call_is_over(site: Site) -> None:
    record = replace(record_at("offered"), connection_id="7")
    site.calls.create(record)
    site.leaving.leave(True)
    gone, now = set(), 1000.0
    for _ in range(20):
        now += site.wait_s + 1
        for connection_id in site.leaving.to_send_away(now):
            gone.add(connection_id)
            site.arrives(connection_id, now)
    assert gone == {str(number) for number in range(PAGES)} - {"7"}
    site.calls.forget(record.key)
    assert site.leaving.to_send_away(now + 2) == ["7"]


def test_pages_on_their_way_count_until_they_have_arrived_or_take_too_long(site: Site) -> None:
    site.leaving.leave(True)
    first, second = site.leaving.to_send_away(1000.0)[:2]
    arrives = site.flows.lose(first, 1000.1 + site.recovery_s)
    site.flows.lose(second, 1000.1 + site.recovery_s)
    assert arrives is not None
    assert site.leaving.counts(1000.2)["pages"] == PAGES
    site.flows.end(arrives.key, Cause.MOVED, 1000.3)
    assert site.leaving.counts(1000.4)["pages"] == PAGES - 1
    assert site.leaving.counts(1000.2 + site.wait_s)["pages"] == PAGES - 2


def test_requests_count_until_they_have_a_final_response(site: Site) -> None:
    site.waiting.wait("z9hG4bK1", Waiting(1, 2, "token", "7", "sip:x7@page.invalid", 1005.0))
    site.waiting.passed_on("z9hG4bK2", PassedOn("192.0.2.12:5060"))
    assert site.leaving.counts(1000.0)["requests"] == 2
    site.waiting.passed_on("z9hG4bK1", PassedOn("192.0.2.12:5060"))
    assert site.leaving.counts(1000.0)["requests"] == 2, "it waits until it goes on"
    site.waiting.waits_no_longer("z9hG4bK1")
    site.waiting.is_over("z9hG4bK2")
    site.waiting.is_over("unknown")
    assert site.leaving.counts(1000.0)["requests"] == 1
    assert site.waiting.knows("z9hG4bK2"), "its response may be repeated"
