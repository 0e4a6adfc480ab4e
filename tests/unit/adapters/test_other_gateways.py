"""Calls that go over to another gateway, or come from one that has died, while Redis is not always well."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kemi.adapters.calls.adoption import GONE_S, SURE_S, Adoption, claimed
from kemi.adapters.calls.snapshots import KeptCall
from kemi.adapters.gateway import Gateway
from kemi.adapters.pages.elsewhere import Elsewhere
from kemi.core.call.events import Due, Event, TimerFired
from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.record import CallRecord
from kemi.core.flow_token import token_from_flow
from kemi.core.registration import Flow, Registration
from kemi.core.registration.states import BindingState
from kemi.settings import settings_from_text
from kemi.state.calls import record_to_text
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import Stored
from kemi.state.trunks import LONGEST_S
from kemi.state.waiting import WaitingStore
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.played import connected_page
from tests.unit.adapters.test_shared_state import World
from tests.unit.core.call.ladder import record_at
from tests.unit.core.registration.bindings import binding
from tests.unit.site import SETTINGS_TEXT


def answered_call(owner: str, contact: str) -> CallRecord:
    """Return the record of a running call whose page is away."""
    record = record_at("confirmed")
    record.owner, record.wic_contact = owner, "sip:alice@ims.example;gr=urn:uuid:1"
    record.registered_contact = contact
    record.connection_id, record.answered_at = "", time.time()
    return record


def kept(record: CallRecord) -> str:
    """Return what Redis keeps of it."""
    return msgspec.json.encode(KeptCall(msgspec.Raw(record_to_text(record).encode()), {})).decode()


class Link:
    """What housekeeping asks of Redis, which takes nothing while it is ``full``, and says nothing while ``silent``."""

    node = "a"

    def __init__(self) -> None:
        self.full = self.silent = False
        self.most_asked = 0
        self.there: dict[str, str] = {}
        self.handed: list[dict[str, str]] = []
        self.left: dict[str, str] = {}
        self.unreadable = ""
        self.ages = {"a": 0.0, "b": 10.0}
        self.forgotten: list[str] = []
        self.after_hand_over: Callable[[], object] = lambda: None

    def bindings_elsewhere(self, keys: list[str]) -> dict[str, dict[str, str]]:
        if self.silent:
            raise RedisUnavailable("Timeout")
        self.most_asked = max(self.most_asked, len(keys))
        return {"b": {key: self.there[key] for key in keys if key in self.there}}

    def hand_over(self, _node: str, calls: dict[str, str]) -> None:
        if self.full:
            raise RedisUnavailable("MISCONF")
        self.handed.append(dict(calls))
        self.after_hand_over()

    def gateways(self, _now: float) -> dict[str, float]:
        return dict(self.ages)

    def forget_gateway(self, node: str) -> None:
        self.forgotten.append(node)
        del self.ages[node]

    def calls_of(self, _node: str) -> dict[str, str]:
        if self.silent:
            raise RedisUnavailable("Timeout")
        return dict(self.left)

    def claim_call(self, _node: str, key: str) -> str | None:
        if key == self.unreadable:
            raise RedisUnavailable("Timeout")
        return self.left.pop(key, None)


SITE = SETTINGS_TEXT.replace("[sip]", '[sip]\npeers = ["192.0.2.2"]', 1)
"""Of several gateways."""


class Leaving:
    """A page with a call that is at another gateway now."""

    def __init__(self, settings: str = SITE) -> None:
        self.world, self.link = World(), Link()
        self.world.flows.open(Flow("7", "n", "192.0.2.1", "127.0.0.1:7"))
        found = binding()
        self.world.flows.register("7", found, 1e12)
        self.key = found.key
        self.world.flows.lose("7", 1e12)
        self.here = self._binding()
        self.call = answered_call(self.here.owner, self.here.contact)
        assert self.world.calls.create(self.call)
        token = token_from_flow("a secret that this gateway is still to get", "3", "n", "192.0.2.2:5060")
        there = replace(
            self.here,
            connection_id="3",
            granted_at=self.here.granted_at + 5,
            sent=replace(self.here.sent, flow_token=token),
        )
        self.link.there[self.key] = msgspec.json.encode(there).decode()
        snapshots: Any = self.world.shared._snapshots
        link: Any = self.link
        self.elsewhere = Elsewhere(
            settings_from_text(settings),
            link,
            self.world.flows,
            self.world.calls,
            snapshots,
            WaitingStore(self.world.tables.__getitem__),
        )
        self.elsewhere.changed(self.key, self.here)

    def _binding(self) -> Registration:
        found = self.world.flows.binding(self.key)
        assert found is not None
        return found

    def look(self, after_s: float) -> list[str]:
        """Housekeeping looks."""
        return self.elsewhere.look(self.here.granted_at + after_s)


@pytest.fixture
def leaving() -> Leaving:
    """The page is found at once."""
    return Leaving()


class TestHandedOver:
    def test_it_is_there_and_here_no_more(self, leaving: Leaving) -> None:
        assert leaving.look(2.0) == [leaving.key]
        assert [list(calls) for calls in leaving.link.handed] == [[leaving.call.key]]
        assert leaving.world.calls.keys() == []

    @pytest.mark.parametrize("trunk", ["", "carrier"])
    def test_where_it_is_and_by_which_trunk_is_known_here(self, leaving: Leaving, trunk: str) -> None:
        def over_a_trunk(record: CallRecord) -> None:
            record.outbound = Outbound([], "+493012345678", trunk=trunk)

        leaving.world.calls.change(leaving.call.key, over_a_trunk)
        leaving.look(2.0)
        store = WaitingStore(leaving.world.tables.__getitem__)
        key = leaving.call.key
        assert (store.has_now(key), store.trunk_of(key)) == ("192.0.2.2:5060", trunk)

    @pytest.mark.parametrize(
        ("there_at", "has_moved"),
        [
            pytest.param(105.0, True, id="after the loss"),
            pytest.param(95.0, False, id="a binding it left there"),
        ],
    )
    def test_a_grant_by_a_clock_that_was_set_back_since_does_not_count(
        self, leaving: Leaving, there_at: float, has_moved: bool
    ) -> None:
        lost_at = 100.0
        here = replace(leaving.here, granted_at=lost_at + 3600.0, away_until=lost_at + 30.0)
        there = replace(here, connection_id="3", granted_at=there_at)
        leaving.link.there[leaving.key] = msgspec.json.encode(there).decode()
        leaving.elsewhere.changed(leaving.key, here)
        assert leaving.elsewhere.look(there_at + 1.0) == [leaving.key] * has_moved

    def test_a_call_on_another_flow_of_the_page_stays(self, leaving: Leaving) -> None:
        flows, sent = leaving.world.flows, leaving.here.sent
        flows.open(Flow("8", "n", "192.0.2.1", "127.0.0.1:8"))
        second = replace(sent, contact_value=sent.contact_value.replace("reg-id=1", "reg-id=2"))
        flows.register("8", binding(sent=second), 1e12)
        leaving.world.calls.change(leaving.call.key, lambda record: setattr(record, "connection_id", "8"))
        assert leaving.look(2.0) == [leaving.key]
        assert (leaving.link.handed, leaving.world.calls.keys()) == ([], [leaving.call.key])

    def test_what_redis_does_not_take_stays_here_until_it_does(self, leaving: Leaving) -> None:
        leaving.link.full = True
        assert leaving.look(2.0) == []
        assert leaving.world.calls.keys() == [leaving.call.key]
        leaving.link.full = False
        assert leaving.look(10.0) == [leaving.key]
        assert (len(leaving.link.handed), leaving.world.calls.keys()) == (1, [])

    def test_what_a_message_changed_meanwhile_goes_after_it(self, leaving: Leaving) -> None:
        def touch(record: CallRecord) -> None:
            record.wic_cseq += 1

        leaving.link.after_hand_over = lambda: leaving.world.calls.change(leaving.call.key, touch)
        leaving.look(2.0)
        first, second = (calls[leaving.call.key] for calls in leaving.link.handed)
        assert first != second


class TestMany:
    """After a mass loss of connections as many pages are away as there were; each may be back at another gateway."""

    MOST = 3

    @pytest.fixture
    def crowd(self, leaving: Leaving, monkeypatch: pytest.MonkeyPatch) -> Leaving:
        """Twice as many as are looked for at once went before the one that is elsewhere, and stay away."""
        monkeypatch.setattr("kemi.adapters.pages.elsewhere.MOST", self.MOST)
        leaving.elsewhere.changed(leaving.key, None)
        absent = replace(leaving.here, away_until=leaving.here.granted_at + 30.0)
        for key in [*(f"stays away {number}" for number in range(2 * self.MOST)), leaving.key]:
            leaving.elsewhere.changed(key, absent)
        return leaving

    def test_all_are_looked_for_once_a_second(self, crowd: Leaving) -> None:
        there, crowd.link.there = crowd.link.there, {}
        after_s = 10.0  # no request waits for them any more
        assert crowd.look(after_s) == []
        crowd.link.there = there
        assert crowd.look(after_s + 0.9) == []
        assert crowd.look(after_s + 1.0) == [crowd.key]

    def test_those_for_whom_requests_wait_take_turns_in_between(self, crowd: Leaving) -> None:
        there, crowd.link.there = crowd.link.there, {}
        assert crowd.look(0.0) == []
        crowd.link.there = there
        assert [crowd.look(0.1 * look) for look in (1, 2, 3)] == [[], [], [crowd.key]]
        assert crowd.link.most_asked == self.MOST


class TestBlind:
    """Without Redis nobody knows where a page is."""

    def test_until_all_absent_pages_have_been_looked_for_again(
        self, leaving: Leaving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kemi.adapters.pages.elsewhere.MOST", 1)
        other = replace(leaving.here, contact="<sip:other@p>")
        leaving.elsewhere.changed("other", other)
        assert not leaving.elsewhere.is_blind
        leaving.link.silent = True
        assert leaving.look(100.0) == []
        assert leaving.elsewhere.is_blind
        leaving.link.silent = False
        assert leaving.look(100.5) == []  # it backs off
        assert leaving.elsewhere.is_blind
        leaving.link.there = {"other": leaving.link.there[leaving.key]}
        assert leaving.look(101.5) == ["other"]
        assert not leaving.elsewhere.is_blind

    def test_a_gateway_alone_never_is(self) -> None:
        leaving = Leaving(SETTINGS_TEXT)
        leaving.link.silent = True
        assert leaving.look(100.0) == []
        assert not leaving.elsewhere.is_blind

    @pytest.mark.parametrize(("settings", "is_given_up"), [(SITE, False), (SETTINGS_TEXT, True)])
    def test_it_ends_nothing_of_a_page_that_may_be_elsewhere(
        self,
        kamailio: FakeKamailio,
        gateway: Gateway,
        settings: str,
        is_given_up: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        page = connected_page(kamailio, type(gateway)(settings_from_text(settings)))
        ((key, binding),) = page._flows.bindings()
        now, call = time.time(), answered_call(binding.owner, binding.contact)
        page._calls.create(call)
        page._schedule.put(call.key, Due.FLOW_RECOVERY, now + 1)
        told: list[Event] = []
        monkeypatch.setattr(page._housekeeping, "_dispatch", lambda _, event: told.append(event))
        page._flows.lose(binding.connection_id, now + 1)
        for after_s in range(5):
            page._housekeeping.tick(now + after_s)
        found = page._flows.binding(key)
        assert found is not None
        assert (found.state is BindingState.ABANDONED) is is_given_up
        assert any(isinstance(event, TimerFired) for event in told) is is_given_up


class TestClaimed:
    def test_calls_that_could_not_be_read_at_first_are_read_next_time(self) -> None:
        page = binding(connection_id="9")
        link: Any = Link()
        adoption = Adoption(link)
        link.left["c1"], link.silent = kept(answered_call(page.owner, page.contact)), True
        with pytest.raises(RedisUnavailable):
            adoption.look(100.0)
        link.silent = False
        assert adoption.look(103.0)
        assert list(claimed(adoption, [page], 103.0)) == ["c1"]
        assert not adoption.look(106.0)

    def test_one_of_the_release_before_is_known_by_where_its_page_is_reached(self) -> None:
        page = binding(connection_id="9")
        call = answered_call(page.owner, "")
        call.wic_contact = page.contact
        link: Any = Link()
        link.left["c1"] = kept(call).replace('"registered_contact":"",', "")
        assert "registered_contact" not in link.left["c1"]
        adoption = Adoption(link)
        adoption.look(100.0)
        assert list(claimed(adoption, [page], 100.0)) == ["c1"]

    def test_one_that_fails_takes_no_other_back(self) -> None:
        page = binding(connection_id="9")
        link: Any = Link()
        adoption = Adoption(link)
        link.left = {key: kept(answered_call(page.owner, page.contact)) for key in ("c1", "c2")}
        link.unreadable = "c2"
        adoption.look(100.0)
        assert list(claimed(adoption, [page], 100.0)) == ["c1"]
        link.unreadable = ""
        assert adoption.look(103.0)
        assert list(claimed(adoption, [page], 103.0)) == ["c2"]


class TestForgotten:
    """A gateway that never comes back, as a machine that was replaced, leaves nothing for good."""

    @pytest.mark.parametrize(
        ("age_s", "is_forgotten"),
        [
            pytest.param(GONE_S + 1, True, id="for two days"),
            pytest.param(GONE_S - 1000, False, id="not for so long yet"),
            pytest.param(math.inf, False, id="nobody knows for how long"),
        ],
    )
    def test_one_that_has_been_silent(self, age_s: float, is_forgotten: bool) -> None:
        link: Any = Link()
        link.ages["b"] = age_s
        adoption = Adoption(link)
        for after_s in (0.0, SURE_S - 1):
            adoption.look(100.0 + after_s)
        assert link.forgotten == []
        for after_s in (SURE_S + 2, SURE_S + 5):
            adoption.look(100.0 + after_s)
        assert link.forgotten == (["b"] if is_forgotten else [])

    def test_one_that_runs_is_not_where_a_clock_has_leapt(self) -> None:
        link: Any = Link()
        adoption = Adoption(link)
        for after_s, age_s in ((0.0, 1.0), (SURE_S, GONE_S + 1), (SURE_S + 3, 1.0), (2 * SURE_S, GONE_S + 1)):
            link.ages["b"] = age_s
            adoption.look(100.0 + after_s)
        assert link.forgotten == []


class TestTakenOver:
    """Nothing is lost with an answer of Redis that comes too late, and nothing comes twice."""

    def test_what_redis_does_not_confirm_is_here(self) -> None:
        world, call = World(), answered_call("sip:a@b", "<sip:x>")
        world.redis.handed_over = {call.key: kept(call)}
        world.redis.lost = "took_over"
        assert self.taken(world, 1.0) == [call.key]
        assert world.calls.knows(call.key)
        assert self.taken(world, 3.0) == []

    def test_it_is_here_once_and_redis_forgets_it_at_last(self) -> None:
        world, call = World(), answered_call("sip:a@b", "<sip:x>")
        world.redis.handed_over = {call.key: kept(call)}
        world.shared.poll(1.0)
        world.redis.down = True
        assert world.shared.take_handed_over(1.0, {}) == [call.key]
        world.calls.forget(call.key)  # it ends meanwhile
        world.redis.down = False
        assert self.taken(world, 3.0) == []
        assert (world.calls.keys(), world.redis.handed_over) == ([], {})

    def test_one_that_comes_back_later_is_another_hand_over(self) -> None:
        world, call = World(), answered_call("sip:a@b", "<sip:x>")
        world.redis.handed_over = {call.key: kept(call)}
        assert self.taken(world, 1.0) == [call.key]
        world.calls.forget(call.key)  # it goes to another gateway, and comes from there
        call.wic_cseq += 1
        world.redis.handed_over = {call.key: kept(call)}
        assert self.taken(world, 3.0) == [call.key]

    def test_a_claim_whose_answer_is_lost_counts(self) -> None:
        world, page = World(), binding(connection_id="9")
        call = answered_call(page.owner, page.contact)
        world.redis.left = {call.key: kept(call)}
        world.redis.lost = "claim_call"
        link: Any = Link()
        link.left, link.claim_call = dict(world.redis.left), world.redis.claim_call
        adoption = Adoption(link)
        assert adoption.look(100.0)
        assert claimed(adoption, [page], 100.0) == {}
        assert self.taken(world, 101.0) == [call.key]
        assert adoption.arrived(call.key)
        assert claimed(adoption, [page], 102.0) == {}
        assert self.taken(world, 102.0) == []

    def test_an_older_state_begins_no_call_of_yesterday(self) -> None:
        world, call = World(), answered_call("sip:a@b", "<sip:x>")
        call.answered_at -= LONGEST_S
        world.redis.content = Stored({}, {}, {call.key: kept(call)})
        world.redis.handed_over = {call.key: kept(call)}
        assert world.shared.restore(1.0, 30.0)
        assert self.taken(world, 2.0) == []
        world.shared.ship(2.0)
        assert (world.calls.keys(), world.redis.records) == ([], {call.key: None})

    @staticmethod
    def taken(world: World, now: float) -> list[str]:
        """Housekeeping asks Redis, and takes what it has."""
        world.shared.poll(now)
        return world.shared.take_handed_over(now, {})
