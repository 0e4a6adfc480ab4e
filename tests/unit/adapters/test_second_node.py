"""A new call whose node fails goes to another one, once if it is waited for; a call that has a node stays there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from kemi.adapters.relay import relay_nodes
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call import actions as act
from kemi.core.call.events import AnsweredAhead, IncomingReserved, MediaMoved, MediaReserved, MediaStays
from kemi.core.errors import MediaUnavailable
from kemi.settings import MediaNode, settings_from_text
from kemi.state.nodes import NodeReport, NodeStore
from rtpengine.ng.errors import NgError, NgErrorReply, NgTimeout, NgUnknownCall, NgUnreachable
from rtpengine.pool import NodeAddress
from rtpengine.sessions import IMS_TAG
from tests.unit.adapters.test_media import ANSWERS
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.sdp.test_address_family import audio
from tests.unit.site import SETTINGS_TEXT

A, B, C = (f"192.0.2.{number}:2223" for number in (9, 10, 11))
AUDIO = act.MediumRequest("audio", sdp.chromium("audio-sendonly"), True)
RESERVE = act.ReserveMedia("call-1", A, "split", (AUDIO,), begins=True)
TOWARDS_PAGE = act.ReserveIncoming(
    "call-1", A, {"audio": sdp.relay_offer("audio")}, act.MessageEdits(), begins=True
)
AHEAD = act.AnswerAhead("call-1", A, {"audio": sdp.relay_offer("audio")}, begins=True)


@dataclass
class Daemons:
    """Three nodes; each says what it was asked, and fails as told."""

    failures: dict[str, NgError] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    thrown: list[str] = field(default_factory=list)
    slow: set[str] = field(default_factory=set)
    """Answer only who does not give up."""
    knows_no_call: set[str] = field(default_factory=set)
    towards_core: dict[str, str] = field(default_factory=dict)
    """Node -> its address there, as a query tells it."""

    def client(self, address: NodeAddress, *, give_up: Callable[[], bool], **_: object) -> OneDaemon:
        """Return the client of a node."""
        return OneDaemon(self, str(address), give_up)


@dataclass
class OneDaemon:
    """Stands where UdpClient stands."""

    all: Daemons
    node: str
    give_up: Callable[[], bool]

    def request(self, command: Any) -> object:
        """Answer, or fail."""
        self.all.said.append((self.node, command.command))
        if self.node in self.all.failures:
            raise self.all.failures[self.node]
        if self.node in self.all.knows_no_call and command.command == "query":
            raise NgUnknownCall("query", "Unknown call-id")
        if self.node in self.all.slow and self.give_up():
            raise NgUnreachable(self.node)
        if self.node in self.all.towards_core and command.command == "query":
            stream = SimpleNamespace(local_address=self.all.towards_core[self.node])
            return SimpleNamespace(tags={IMS_TAG: SimpleNamespace(streams=lambda: [stream])})
        return ANSWERS.get(command.command, lambda _: None)(command)

    def request_all(self, commands: tuple[Any, ...]) -> list[object]:
        """Answer all."""
        return [self.request(command) for command in commands]

    def send_only(self, commands: tuple[Any, ...]) -> None:
        """Record what nobody waits for."""
        self.all.thrown += [f"{self.node} {command.command} {command.call_id}" for command in commands]


@pytest.fixture
def daemons(monkeypatch: pytest.MonkeyPatch) -> Daemons:
    found = Daemons()
    monkeypatch.setattr(relay_nodes, "UdpClient", found.client)
    return found


@pytest.fixture
def relay(daemons: Daemons, store: NodeStore) -> MediaRelay:
    assert not daemons.said
    nodes = [MediaNode(f"192.0.2.{number}", 2223) for number in (9, 10, 11)]
    return MediaRelay(replace(settings_from_text(SETTINGS_TEXT).media, nodes=nodes), store)


BEGINS = [
    pytest.param(MediaRelay.reserve, RESERVE, MediaReserved, id="of a page"),
    pytest.param(MediaRelay.reserve_incoming, TOWARDS_PAGE, IncomingReserved, id="towards a page"),
    pytest.param(MediaRelay.answer_ahead, AHEAD, AnsweredAhead, id="with preconditions"),
]


@pytest.mark.parametrize(("ask", "action", "event"), BEGINS)
@pytest.mark.parametrize(
    "error", [NgTimeout("offer", 1.0), NgErrorReply("offer", "no ports")], ids=["silent", "full"]
)
def test_another_node_takes_a_new_call(
    daemons: Daemons,
    relay: MediaRelay,
    ask: Callable[[MediaRelay, Any], Any],
    action: act.Reservation,
    event: type,
    error: NgError,
) -> None:
    daemons.failures[A] = error
    found = ask(relay, action)
    assert isinstance(found, event)
    assert found.node in (B, C)  # type: ignore[attr-defined]
    assert {node for node, _ in daemons.said} == {A, found.node}  # type: ignore[attr-defined]
    if isinstance(error, NgTimeout):  # should it wake up, it is told to forget the call
        assert daemons.thrown == [f"{A} delete call-1"]
        assert [command for node, command in daemons.said if node == A] == ["offer"]


def test_two_nodes_are_enough(daemons: Daemons, relay: MediaRelay) -> None:
    """Whoever calls waits two deadlines at most."""
    daemons.failures = dict.fromkeys((A, B, C), NgTimeout("offer", 1.0))
    with pytest.raises(MediaUnavailable, match="does not answer"):
        relay.reserve(RESERVE)
    assert len(daemons.said) == 2
    assert len({node for node, _ in daemons.said}) == 2


@pytest.mark.parametrize(("ask", "action", "event"), BEGINS)
def test_who_refuses_is_not_waited_for_so_the_third_one_is_asked(
    daemons: Daemons,
    relay: MediaRelay,
    store: NodeStore,
    ask: Callable[[MediaRelay, Any], Any],
    action: act.Reservation,
    event: type,
) -> None:
    """The two with the fewest calls have no ports."""
    store.report([NodeReport(A, "up", 500), NodeReport(B, "up", 500), NodeReport(C, "up", 900)], time.time())
    daemons.failures = dict.fromkeys((A, B), NgErrorReply("offer", "no ports"))
    for node in (A, ""):
        found = ask(relay, replace(action, node=node))
        assert isinstance(found, event)
        assert found.node == C  # type: ignore[attr-defined]


@pytest.mark.parametrize("refuses", [A, B, C])
def test_one_that_refuses_beside_two_that_are_silent(
    daemons: Daemons, relay: MediaRelay, refuses: str
) -> None:
    daemons.failures = dict.fromkeys((A, B, C), NgTimeout("offer", 1.0))
    daemons.failures[refuses] = NgErrorReply("offer", "no ports")
    with pytest.raises(MediaUnavailable, match="does not answer"):
        relay.reserve(RESERVE)
    assert {node for node, command in daemons.said if command == "offer"} >= {A, B, C} - {refuses}


def test_where_all_refuse_each_is_asked_once(daemons: Daemons, relay: MediaRelay) -> None:
    daemons.failures = dict.fromkeys((A, B, C), NgErrorReply("offer", "no ports"))
    with pytest.raises(MediaUnavailable, match="no ports"):
        relay.reserve(RESERVE)
    offers = [node for node, command in daemons.said if command == "offer"]
    assert sorted(offers) == sorted((A, B, C))


def test_a_call_that_has_a_node_stays_there(daemons: Daemons, relay: MediaRelay) -> None:
    daemons.failures[A] = NgTimeout("offer", 1.0)
    with pytest.raises(MediaUnavailable):
        relay.reserve(replace(RESERVE, begins=False))
    assert {node for node, _ in daemons.said} == {A}


def report(store: NodeStore, **states: str) -> None:
    """Let the agent say what it knows of each node."""
    names = {"a": A, "b": B, "c": C}
    store.report([NodeReport(names[name], state) for name, state in states.items()], time.time())


@pytest.mark.parametrize("state", ["up", "suspect"])
def test_a_call_that_begins_leaves_a_slow_node_for_a_steady_one(
    daemons: Daemons, relay: MediaRelay, store: NodeStore, state: str
) -> None:
    report(store, a=state, b="suspect", c="up")
    daemons.slow = {A}
    assert relay.reserve(RESERVE).node == C
    assert daemons.thrown == [f"{A} delete call-1"]


def test_the_calls_that_a_slow_node_has_go_on_asking_it(
    daemons: Daemons, relay: MediaRelay, store: NodeStore
) -> None:
    """It was left by a call that began; nobody has seen it fail."""
    report(store, a="up", b="up", c="up")
    daemons.slow = {A}
    relay.reserve(RESERVE)
    daemons.slow.clear()
    (view,) = store.view([A], time.time())
    assert (view.slow, view.broken) == (True, False)
    assert relay.reserve(replace(RESERVE, call_id="call-2", begins=False)).node == A


def test_the_next_call_does_not_even_ask_it(daemons: Daemons, relay: MediaRelay, store: NodeStore) -> None:
    report(store, a="up", b="down", c="up")
    daemons.slow = {A}
    relay.reserve(RESERVE)
    daemons.said.clear()
    for number in range(20):
        assert relay.reserve(replace(RESERVE, call_id=f"call-{number}", node="")).node == C
    assert {node for node, _ in daemons.said} == {C}


@pytest.mark.parametrize(
    ("states", "begins"),
    [
        pytest.param({"a": "suspect", "b": "suspect", "c": "down"}, True, id="no other is steady"),
        pytest.param({"a": "suspect", "b": "up", "c": "up"}, False, id="the call has media there"),
    ],
)
def test_otherwise_a_slow_node_is_waited_for(
    daemons: Daemons, relay: MediaRelay, store: NodeStore, states: dict[str, str], begins: bool
) -> None:
    report(store, **states)
    daemons.slow = {A}
    assert relay.reserve(replace(RESERVE, begins=begins)).node == A


@pytest.mark.parametrize(
    "states",
    [
        pytest.param({"a": "up", "b": "up"}, id="all up"),
        pytest.param({"a": "up", "b": "suspect"}, id="late by a ping"),
        pytest.param({"a": "down", "b": "suspect"}, id="late by a ping, the other one down"),
    ],
)
def test_a_node_without_weight_is_no_reason_to_leave_another_one(
    daemons: Daemons, store: NodeStore, states: dict[str, str]
) -> None:
    """Neither when the node is chosen, nor while it is waited for."""
    nodes = [MediaNode("192.0.2.9", 2223, weight=0), MediaNode("192.0.2.10", 2223)]
    relay = MediaRelay(replace(settings_from_text(SETTINGS_TEXT).media, nodes=nodes), store)
    report(store, **states)
    daemons.slow = {B}
    assert relay.reserve(replace(RESERVE, node="")).node == B


CHANGE = act.MediumChange("audio", sdp.chromium("audio-sendrecv"), sdp.relay_offer("audio"), None)
MOVE = act.MoveMedia("call-1", A, (CHANGE,), may_stay=True)


class TestMoving:
    """The node of a running call was taken for dead."""

    def test_one_that_is_back_with_the_call_is_asked_whether_it_has_it(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore
    ) -> None:
        report(store, a="returning", b="up", c="up")
        assert relay.move(MOVE) == MediaStays()
        assert daemons.said == [(A, "query")]

    def test_one_that_is_dead_is_not_asked(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore
    ) -> None:
        report(store, a="down", b="up", c="up")
        event = relay.move(MOVE)
        assert isinstance(event, MediaMoved)
        assert {node for node, _ in daemons.said} == {event.node} != {A}

    def test_two_that_refuse_it_do_not_end_it(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore
    ) -> None:
        full = [NodeReport(A, "up", 500), NodeReport(B, "up", 500), NodeReport(C, "up", 900)]
        store.report(full, time.time())
        daemons.failures = dict.fromkeys((A, B), NgErrorReply("offer", "no ports"))
        event = relay.move(replace(MOVE, lost="192.0.2.12:2223", may_stay=False))
        assert isinstance(event, MediaMoved)
        assert event.node == C

    def test_one_that_was_started_again_takes_it_only_if_no_other_does(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore
    ) -> None:
        daemons.knows_no_call.add(A)
        report(store, a="up", b="up", c="down")
        event = relay.move(MOVE)
        assert isinstance(event, MediaMoved)
        assert event.node == B
        report(store, a="up", b="down", c="down")
        event = relay.move(MOVE)
        assert isinstance(event, MediaMoved)
        assert event.node == A

    @pytest.mark.parametrize("state", ["down", "returning"])
    def test_not_before_it_takes_calls(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore, state: str
    ) -> None:
        daemons.knows_no_call.add(A)
        report(store, a=state, b="down", c="down")
        with pytest.raises(MediaUnavailable, match="no media relay is available"):
            relay.move(MOVE)

    def test_without_an_agent_a_silent_one_is_not_asked_twice(
        self, daemons: Daemons, relay: MediaRelay
    ) -> None:
        daemons.failures = dict.fromkeys((A, B, C), NgTimeout("offer", 1.0))
        with pytest.raises(MediaUnavailable):
            relay.move(MOVE)
        assert [node for node, _ in daemons.said].count(A) == 1

    def test_a_call_of_which_it_may_know_too_little_is_made_anew(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore
    ) -> None:
        report(store, a="up", b="down", c="down")
        event = relay.move(replace(MOVE, may_stay=False))
        assert isinstance(event, MediaMoved)
        assert event.node == A

    @pytest.mark.parametrize("has_ipv6", [True, False])
    def test_a_far_end_with_ipv6_goes_to_no_node_with_ipv4_alone(
        self, daemons: Daemons, relay: MediaRelay, store: NodeStore, has_ipv6: bool
    ) -> None:
        """That one would send what the page says to a stranger."""
        counted = [
            NodeReport(A, "down"),
            NodeReport(B, "up", 1),
            NodeReport(C, "up" if has_ipv6 else "down", 9),
        ]
        store.report(counted, time.time())
        daemons.towards_core = {B: "192.0.2.10", C: "2001:db8::11"}
        action = replace(MOVE, media=(replace(CHANGE, ims_line=audio("IP6 2001:db8::5")),))
        if has_ipv6:
            event = relay.move(action)
            assert isinstance(event, MediaMoved)
            assert event.node == C
        else:  # it may come back
            with pytest.raises(MediaUnavailable, match="the media relay an IP4 address"):
                relay.move(action)
        asked = [command for node, command in daemons.said if node == B]
        assert asked[asked.index("query") :] == ["query", "delete"]
