"""Redis as housekeeping uses it: shipping, commands, keys, outages, restart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any, Final, cast

import pytest

from kemi.adapters.calls.history import CallNotes
from kemi.adapters.calls.snapshots import CallSnapshots
from kemi.adapters.pages.tokens import TokenUse
from kemi.adapters.shared_state import AT_ONCE, BACK_OFF_S, CALLS_AT_ONCE, POLL_S, TRIM_S, SharedState
from kemi.adapters.trunks.room import TrunkRoom, running
from kemi.core.registration import Flow
from kemi.core.registration.contact import page_at
from kemi.core.registration.own_requests import Subscription
from kemi.core.registration.records import Grant, Sent
from kemi.core.registration.states import BindingState
from kemi.core.registration.token import TokenRefused
from kemi.state.call_history import FinishedCall
from kemi.state.calls import CallStore
from kemi.state.commands import Logout
from kemi.state.continuity import NOTHING, Change
from kemi.state.counters import Counters
from kemi.state.flows import FlowStore
from kemi.state.nodes import NodeStore
from kemi.state.redis_link import RedisLink, Stored
from kemi.state.schedule import Schedule
from kemi.state.subscriptions import SubscriptionStore
from kemi.state.tallies import TallyStore
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TracePortion
from kemi.state.trunks import TrunkStore
from tests.fakes.table import MemoryTable
from tests.unit.adapters.scripted_redis import ISSUER, ScriptedRedis
from tests.unit.core.registration.bindings import ALICE, binding


class World:
    """The shared state and all it touches."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self.flows = FlowStore(self.tables.__getitem__)
        self.subscriptions = SubscriptionStore(self.tables.__getitem__)
        self.redis = ScriptedRedis()
        link: Any = self.redis
        self.nodes = NodeStore(self.tables.__getitem__)
        self.calls = CallStore(self.tables["call"], self.tables["call_of"], self.tables["changed_call"])
        self.trunks = TrunkStore(self.tables.__getitem__)
        self.room = TrunkRoom(
            TallyStore(self.tables["tally"]), self.tables["trunk_elsewhere"], running(self.calls, self.trunks)
        )
        self.shared = SharedState(
            link,
            self.flows,
            self.subscriptions,
            issuers=(ISSUER,),
            key_sets=self.tables["jwks"],
            revoked=self.tables["revoked"],
            restored=TokenUse(self.tables["token"], self.tables["revoked"]).restore,
            notices=self.tables["notice"],
            nodes=self.nodes,
            view=lambda _: [],
            counters=Counters(self.tables["counter"]),
            snapshots=CallSnapshots(
                self.calls,
                self.tables["changed_call"],
                Schedule(self.tables.__getitem__),
                self.trunks,
                self.room,
                CallNotes(self.tables["statistics"], self.tables["finished"]),
            ),
        )

    def register(self, number: int = 7) -> str:
        flow = Flow(str(number), "n", "a", f"127.0.0.1:{number}")
        self.flows.open(flow)
        contact = f'<sip:x@p>;+sip.instance="<urn:uuid:{number}>"'
        found = binding(sent=Sent(contact))
        self.flows.register(flow.connection_id, found, away_until=30.0)
        return found.key


def finished_call(identifier: str) -> FinishedCall:
    return FinishedCall(
        id=identifier,
        key="k",
        call_id="c",
        impu="sip:alice@ims.example",
        peer="sip:bob@ims.example",
        direction="from_page",
        began_at=1.0,
        answered_at=2.0,
        ended_at=3.0,
        duration_s=1.0,
        by="page",
        why="BYE",
        status=0,
        relay="192.0.2.1:2223",
        node="n",
        media={},
    )


@pytest.fixture
def world() -> World:
    return World()


class TestShipping:
    """What changed goes out, once."""

    def test_a_binding_and_its_end(self, world: World) -> None:
        key = world.register()
        world.shared.note([key], [], ["event"])
        world.shared.ship(0.0)
        assert '"sip:alice@ims.example"' in world.redis.registrations[key]
        assert world.redis.events == ["event"]
        world.shared.ship(0.1)
        assert world.redis.calls == ["ship"]
        world.tables["registration"].remove(key)
        world.shared.note([key], [], [])
        world.shared.ship(0.2)
        assert world.redis.registrations == {}

    def test_a_storm_goes_out_in_parts(self, world: World) -> None:
        keys = [world.register(number) for number in range(AT_ONCE + 10)]
        world.shared.note(keys, [], [])
        world.shared.ship(0.0)
        assert len(world.redis.registrations) == AT_ONCE
        world.shared.ship(0.1)
        assert len(world.redis.registrations) == AT_ONCE + 10


class TestOutage:
    """Short waits, one line, everything afterwards."""

    def test_no_finished_call_is_lost_in_a_minute_without_redis(self, world: World) -> None:
        world.redis.down = True
        for second in range(60):
            world.shared.finished(finished_call(f"{second}-{number}") for number in range(60))
            world.shared.ship(float(second))
        world.redis.down = False
        for number in range(60 * 60 // CALLS_AT_ONCE):
            world.shared.ship(60.0 + number / 10)
        assert world.redis.finished == [f"{second}-{number}" for second in range(60) for number in range(60)]

    def test_it_is_asked_rarely_and_told_of_once(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = world.register()
        world.redis.down = True
        for tick in range(30):
            world.shared.note([key], [], [f"event {tick}"])
            world.shared.poll(tick / 10)
            world.shared.ship(tick / 10)
        assert len(world.redis.calls) <= 3 / BACK_OFF_S + 1
        assert caplog.text.count("event=redis_unavailable") == 1
        world.redis.down = False
        for tick in range(30, 60):
            world.shared.poll(tick / 10)
            world.shared.ship(tick / 10)
        assert caplog.text.count("event=redis_back") == 1
        assert list(world.redis.registrations) == [key]
        assert world.redis.events == [f"event {tick}" for tick in range(30)]

    def test_a_redis_that_comes_back_empty_gets_everything_again(self, world: World) -> None:
        key = world.register()
        world.shared.note([key], [], [])
        world.shared.ship(0.0)
        world.redis.down = True
        world.shared.poll(1.0)
        world.redis.registrations.clear()
        world.redis.down = False
        world.shared.poll(3.0)
        world.shared.ship(3.0)
        assert list(world.redis.registrations) == [key]

    def test_what_an_older_state_has_too_much_is_removed(self, world: World) -> None:
        key = world.register()
        assert world.shared.restore(0.0, 30.0)
        world.shared.note([key], [], [])
        world.shared.ship(0.0)
        self.away(world, 1.0)
        world.redis.registrations["ended"] = world.redis.subscriptions["ended"] = "{}"
        world.redis.records.update({"ended": "{}", "trunk ended": "{}"})
        world.shared.ship(3.0)
        world.shared.poll(3.0)
        world.shared.ship(3.1)
        assert (list(world.redis.registrations), world.redis.subscriptions) == ([key], {})
        assert world.redis.records == {"ended": None, "trunk ended": None}
        world.shared.poll(4.0)
        assert world.redis.calls.count("names") == 1

    @pytest.mark.parametrize("change", [Change(connected=True), Change(lost=True)])
    def test_another_redis_without_an_error_is_one_that_came_back(self, world: World, change: Change) -> None:
        key = world.register()
        assert world.shared.restore(0.0, 30.0)
        world.shared.note([key], [], [])
        world.shared.ship(0.0)
        world.redis.registrations = {"ended": "{}"}
        world.shared.poll(1.0)
        world.shared.ship(1.0)
        assert (list(world.redis.registrations), world.shared.returns) == (["ended"], 0)
        world.redis.change = change
        world.shared.poll(2.0)
        world.shared.ship(2.0)
        assert (list(world.redis.registrations), world.shared.returns) == ([key], 1)

    def test_what_is_to_be_taken_over_is_nothing_too_much(self, world: World) -> None:
        world.redis.down = True
        assert not world.shared.restore(0.0, 30.0)
        world.redis.down = False
        fresh = binding(expires_at=200.0)
        world.redis.content = Stored({"fresh": fresh}, {})
        world.redis.registrations = {"fresh": "{}"}
        world.shared.note((), (), ["event"])
        world.shared.ship(3.0)
        world.shared.poll(3.0)
        assert "names" not in world.redis.calls
        assert world.shared.restore(3.0, 33.0)
        world.shared.poll(4.0)
        world.shared.ship(4.0)
        assert list(world.redis.registrations) == ["fresh"]

    @staticmethod
    def away(world: World, now: float) -> None:
        world.redis.down = True
        world.shared.poll(now)
        world.redis.down = False


class TestFull:
    """A Redis that takes nothing more is heard, and is not hammered."""

    RINGS: Final = TraceRings(1, 1, 1, 1)

    def test_commands_are_heard_and_what_waits_is_written_afterwards(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = world.register()
        world.redis.full = True
        world.shared.note([key], [], ["event"])
        heard = []
        for tick in range(30):
            world.shared.ship(tick / 10)
            if tick == 10:
                world.redis.commands = [Logout("sid-1", 7.0)]
            heard += world.shared.poll(tick / 10)
            world.shared.ship_nodes(tick / 10)
        assert heard == [Logout("sid-1", 7.0)]
        assert world.redis.calls.count("ship") + world.redis.calls.count("ship_nodes") <= 3 / BACK_OFF_S
        assert world.redis.calls.count("exchange") == 3 / POLL_S
        assert not world.shared.is_up
        assert caplog.text.count("event=redis_refuses") == 1
        world.redis.full = False
        world.shared.ship(5.0)
        assert (list(world.redis.registrations), world.redis.events) == ([key], ["event"])
        assert not world.shared.is_up
        world.shared.ship_nodes(5.0)
        assert world.shared.is_up
        assert world.shared.returns == 0

    def test_traces_are_trimmed_whatever_else_it_takes(self, world: World) -> None:
        world.redis.full = True
        portions = cast("list[TracePortion]", ["portion"])
        for now in (0.0, 0.5, 2.0):
            assert not world.shared.ship_traces(portions, self.RINGS, now, trim=True)
        assert world.redis.calls == [
            "trim_traces",
            "ship_traces",
            "trim_traces",
            "trim_traces",
            "ship_traces",
        ]
        world.redis.full = False
        assert world.shared.ship_traces(portions, self.RINGS, 4.0, trim=False)
        assert world.redis.traces == portions


class TestHearing:
    """Commands and keys."""

    def test_a_logout_is_revoked_returned_and_confirmed(self, world: World) -> None:
        world.redis.commands = [Logout("sid-1", 7.0)]
        assert world.shared.poll(0.0) == [Logout("sid-1", 7.0)]
        assert world.tables["revoked"].entries == {"sid-1": "7.000"}
        assert world.redis.confirmed == 0  # not before it was carried out
        world.shared.ship(0.0)
        assert world.redis.confirmed == 1
        world.shared.ship(0.1)
        assert world.redis.confirmed == 1

    def test_of_two_logouts_of_one_name_the_later_counts(self, world: World) -> None:
        for at, last in ((7.0, "7.000"), (9.0, "9.000"), (7.0, "9.000")):  # a start has them read once more
            world.redis.commands = [Logout("sid-1", at)]
            world.shared.poll(at * 10)
            world.shared.poll(at * 10 + 1)
            assert world.tables["revoked"].entries == {"sid-1": last}

    def test_it_is_asked_twice_a_second(self, world: World) -> None:
        for tick in range(10):
            world.shared.poll(tick / 10)
        assert len(world.redis.calls) == round(1 / POLL_S)

    @pytest.mark.conformance("X-12")
    def test_keys_are_written_when_they_change_with_a_version(self, world: World) -> None:
        for at, text in ((0.0, "one"), (1.0, "one"), (2.0, "two")):
            world.redis.key_sets = {ISSUER: text}
            world.shared.poll(at)
        assert world.tables["jwks"].entries == {ISSUER: "two", "version": "2"}
        assert world.tables["jwks"].writes == 4
        world.redis.key_sets = {}  # lost there: the last ones stay good
        world.shared.poll(3.0)
        assert world.tables["jwks"].entries[ISSUER] == "two"


class TestRestart:
    """What this node kept is there again."""

    def test_bindings_are_away_and_what_ran_out_is_dropped_everywhere(self, world: World) -> None:
        fresh, old = binding(expires_at=200.0), binding(expires_at=50.0, sent=Sent())
        world.redis.content = Stored(
            {"fresh": fresh, "old": old},
            {
                "a": Subscription("a", ALICE, "t", expires_at=900.0),
                "b": Subscription("b", ALICE, "t"),
            },
        )
        world.redis.registrations = {"old": "x"}
        assert world.shared.restore(100.0, 130.0)
        found = world.flows.binding("fresh")
        assert found is not None
        assert (found.state, found.away_until, found.connection_id) == (BindingState.AWAY, 130.0, "")
        assert world.flows.binding("old") is None
        assert [one.call_id for one in world.subscriptions.all()] == ["a"]
        world.shared.ship(100.0)
        assert world.redis.registrations == {}

    def test_keys_and_ended_sessions_are_known_at_the_start_and_commands_still_carried_out(
        self, world: World
    ) -> None:
        at_start = ScriptedRedis()
        for link in (at_start, world.redis):  # either one reads the stream for itself
            link.commands, link.key_sets = [Logout("ended", 7.0)], {ISSUER: "keys"}
        assert world.shared.restore(0.0, 30.0, cast(RedisLink, at_start))
        assert world.tables["jwks"].entries[ISSUER] == "keys"
        assert world.tables["revoked"].entries == {"ended": "7.000"}
        assert at_start.confirmed == 0
        assert world.shared.poll(0.5) == [Logout("ended", 7.0)]

    @pytest.mark.conformance("X-12")
    def test_a_token_still_belongs_to_its_page(self, world: World) -> None:
        grant = Grant("bearer", "alice@ims.example", [ALICE], 500.0, token_id="1", issuer=ISSUER)
        sent = Sent('<sip:x@p>;+sip.instance="<urn:uuid:7>"')
        world.redis.content = Stored({"alice": binding(expires_at=200.0, grant=grant, sent=sent)}, {})
        assert world.shared.restore(100.0, 130.0)
        use = TokenUse(world.tables["token"], world.tables["revoked"])
        with pytest.raises(TokenRefused):
            use.claim(ISSUER, "1", "thief")
        use.claim(ISSUER, "1", page_at(sent.contact_value))

    def test_it_happens_once(self, world: World) -> None:
        assert world.shared.restore(0.0, 30.0)
        assert world.shared.restore(1.0, 31.0)
        assert world.redis.calls == ["stored"]

    def test_without_redis_later(self, world: World) -> None:
        key = world.register()
        world.redis.down = True
        assert not world.shared.restore(0.0, 30.0)
        assert not world.shared.restore(0.1, 30.0)  # not asked again so soon
        assert world.redis.calls == ["stored"]
        world.redis.down = False
        world.redis.content = Stored({key: replace(binding(), expires_at=999.0)}, {})
        assert world.shared.restore(5.0, 35.0)
        found = world.flows.binding(key)
        assert found is not None
        assert found.state is BindingState.REGISTERED  # who came meanwhile is not sent away


class TestNodes:
    """Drained relay nodes: Redis has them for all gateways, the table for this one."""

    def test_what_another_gateway_or_the_web_api_drains_is_drained_here(self) -> None:
        world = World()
        world.redis.drained = {"192.0.2.1:2223"}
        world.shared.poll(1.0)
        assert world.nodes.drained() == {"192.0.2.1:2223"}
        world.redis.drained = set()
        world.shared.poll(1.0 + POLL_S)
        assert world.nodes.drained() == set()

    def test_what_is_drained_here_is_shipped_before_redis_counts_again(self) -> None:
        world = World()
        world.nodes.drain("192.0.2.1:2223", True)
        world.redis.down = True
        world.shared.ship_nodes(1.0)
        world.redis.down = False
        world.shared.poll(1.0 + BACK_OFF_S)
        assert world.nodes.drained() == {"192.0.2.1:2223"}
        world.shared.ship_nodes(1.0 + BACK_OFF_S)
        assert world.redis.drained == {"192.0.2.1:2223"}
        world.shared.poll(5.0)
        assert world.nodes.drained() == {"192.0.2.1:2223"}

    @pytest.mark.parametrize("change", [NOTHING, Change(connected=True)])
    def test_what_was_given_free_elsewhere_meanwhile_is_not_drained_again(self, change: Change) -> None:
        world = World()
        world.nodes.drain("192.0.2.1:2223", True)
        world.shared.ship_nodes(1.0)
        world.redis.down = True
        world.shared.poll(2.0)
        world.redis.down, world.redis.drained, world.redis.change = False, set(), change
        world.shared.ship(4.0)
        world.shared.ship_nodes(4.0)
        world.shared.poll(4.0)
        world.shared.ship_nodes(7.0)
        assert world.redis.drained == world.nodes.drained() == set()

    def test_a_redis_that_came_back_empty_learns_them_again(self) -> None:
        world = World()
        world.nodes.drain("192.0.2.1:2223", True)
        world.shared.ship_nodes(1.0)
        world.redis.down = True
        world.shared.poll(2.0)
        world.redis.down, world.redis.drained, world.redis.change = False, set(), Change(lost=True)
        world.shared.ship_nodes(4.0)
        world.shared.ship_nodes(4.1)
        world.shared.poll(5.0)
        assert world.redis.drained == world.nodes.drained() == {"192.0.2.1:2223"}


def test_redis_is_asked_now_and_then_whether_it_has_room(world: World) -> None:
    for now in (10.0, 10.5, 10.0 + TRIM_S):
        world.shared.trim_calls(now)
    assert (world.redis.calls.count("trim_calls"), world.shared.memory) == (2, 0.5)
    world.redis.down = True
    world.shared.trim_calls(10.0 + 2 * TRIM_S)
    assert not world.shared.is_up
