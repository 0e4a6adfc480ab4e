"""Whom the gateway asks about a user's registration, over the life of registrations."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from kemi.adapters.kamailio import transactions
from kemi.adapters.pages.subscriptions import AT_MOST_EVERY_S, Notifications, SubscriptionKeeper
from kemi.core.call.actions import SendRequest
from kemi.core.errors import SipReject
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import Registration
from kemi.state.flows import FlowStore
from kemi.state.subscriptions import SubscriptionStore
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import header_reader
from tests.unit.core.registration.bindings import ALICE, SETTINGS, binding

A, B, C = ("<sip:orig@a.ims.example;lr>", "<sip:orig@b.ims.example;lr>", "<sip:orig@c.ims.example;lr>")


class World:
    """Subscriptions, and what was sent for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr("time.time", lambda: self.now)
        monkeypatch.setattr(transactions, "reply_statelessly", lambda *_: None)
        tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self._store = SubscriptionStore(tables.__getitem__)
        self._notifications = Notifications(FlowStore(tables.__getitem__), self._store)
        executor: Any = self
        self._keeper = SubscriptionKeeper(SETTINGS, self._store, executor)
        self.sent: list[SendRequest] = []

    def perform(self, _call_id: str, request: SendRequest) -> None:
        """As the executor does."""
        self.sent.append(request)

    def registered(self, route: str, key: str = "one") -> None:
        """A page registers, or registers again."""
        found: Registration = binding(service_route=[route], core_expires_at=self.now + 600)
        self._keeper.binding_changed(key, found, self.now)
        self.passes(AT_MOST_EVERY_S)

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self._keeper.work(self.now)
        self.now += seconds
        self._keeper.work(self.now)

    def answered(self, by: str, index: int = -1) -> None:
        """The core agrees to a SUBSCRIBE."""
        cseq = int(self.value("CSeq", index).partition(" ")[0])
        from_tag = self.value("From", index).partition(";tag=")[2]
        fields = header_reader({"Expires": ["1200"]})
        reply = Reply(
            Side.IMS,
            "SUBSCRIBE",
            self.value("Call-ID"),
            from_tag,
            by,
            cseq,
            f"<sip:{by}>",
            headers=fields,
            status=200,
        )
        self._notifications.answered(reply)
        self._keeper.work(self.now)

    def unanswered(self, index: int = -1) -> None:
        """Nobody answers a SUBSCRIBE."""
        cseq = int(self.value("CSeq", index).partition(" ")[0])
        self._notifications.unanswered(self.value("Call-ID"), cseq)
        self._keeper.work(self.now)

    def ended(self, reason: str) -> None:
        """The core ends the subscription."""
        own_tag = self.value("From").partition(";tag=")[2]
        fields = header_reader({"Event": ["reg"], "Subscription-State": [f"terminated;reason={reason}"]})
        call_id = self.value("Call-ID")
        self._notifications.notified(Request(Side.IMS, "NOTIFY", call_id, "a", own_tag, 1, headers=fields))
        self._keeper.work(self.now)

    def notify(self, request: Request) -> None:
        """Somebody notifies."""
        self._notifications.notified(request)

    def value(self, name: str, index: int = -1) -> str:
        """Return what a SUBSCRIBE says in a header field, "" for nothing."""
        lines = (line.partition(": ") for line in self.sent[index].headers)
        return next((value for found, _, value in lines if found == name), "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """No subscription yet."""
    return World(monkeypatch)


def test_a_user_who_moves_to_another_node_is_asked_about_there(world: World) -> None:
    world.registered(A)
    world.answered("a")
    world.passes(1_170)
    assert world.value("To") == f"<{ALICE}>;tag=a"
    world.unanswered()  # that node is dead
    world.registered(B)
    assert (world.value("To"), world.value("Route"), world.sent[-1].request_uri) == (f"<{ALICE}>", B, ALICE)
    world.answered("b")
    world.passes(1_170)
    assert world.value("To") == f"<{ALICE}>;tag=b"


def test_one_that_is_dead_is_asked_for_whoever_has_the_user_now(world: World) -> None:
    world.registered(A)
    world.answered("a")
    world.passes(1_170)
    asked = len(world.sent)
    world.unanswered()
    world.passes(29)
    assert len(world.sent) == asked
    world.passes(1)
    assert (world.value("To"), world.value("Route")) == (f"<{ALICE}>", A)


def test_an_answer_from_where_the_user_was_does_not_count(world: World) -> None:
    world.registered(A)
    world.registered(B)
    assert [world.value("Route", index) for index in (0, 1)] == [A, B]
    world.unanswered(0)
    world.answered("a", 0)
    world.answered("b", 1)
    world.passes(1_170)
    assert len(world.sent) == 3
    assert world.value("To") == f"<{ALICE}>;tag=b"


def test_pages_of_a_user_with_routes_of_their_own_do_not_contend(world: World) -> None:
    world.registered(A, "one")
    world.answered("a")
    world.registered(B, "two")
    world.answered("b")
    asked = len(world.sent)
    for _ in range(3):
        world.registered(A, "one")
        world.registered(B, "two")
    world.registered(B, "one")  # follows; nothing new
    assert len(world.sent) == asked
    world.registered(C, "one")
    assert (len(world.sent), world.value("Route")) == (asked + 1, C)


class TestClockSetBack:
    """By an hour: what was due in a while is due in that while, not an hour later."""

    @pytest.fixture
    def back(self, world: World) -> World:
        world.registered(A)
        world.answered("a")
        world.now -= 3_600
        return world

    def test_the_refresh_comes_in_time(self, back: World) -> None:
        back.passes(1_165)
        assert len(back.sent) == 1
        back.passes(10)
        assert (len(back.sent), back.value("To")) == (2, f"<{ALICE}>;tag=a")

    def test_one_that_has_ended_is_asked_for_at_once(self, back: World) -> None:
        back.ended("timeout")
        back.passes(AT_MOST_EVERY_S)
        assert (len(back.sent), back.value("To")) == (2, f"<{ALICE}>")

    def test_one_that_was_refused_is_asked_for_in_a_while(self, world: World) -> None:
        world.registered(A)
        world.unanswered()
        world.now -= 3_600
        world.passes(20)
        assert len(world.sent) == 1
        world.passes(11)
        assert len(world.sent) == 2

    def test_a_registration_by_the_new_clock_asks_for_longer(self, back: World) -> None:
        back.passes(500)
        back.registered(A)
        assert len(back.sent) == 1  # asked for 600 s more than the first one needed
        back.passes(200)
        back.registered(A)
        assert len(back.sent) == 2


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({}, 0, id="the core's"),
        pytest.param({"from_tag": "b"}, 481, id="another notifier"),
        pytest.param({"to_tag": "x"}, 481, id="another dialog"),
        pytest.param({"call_id": "x"}, 481, id="no subscription"),
        pytest.param({"event": "presence"}, 489, id="another event"),
        pytest.param({"body": "<reginfo/>", "content_type": "text/xml"}, 415, id="another type"),
    ],
)
def test_nobody_else_says_how_a_registration_is(world: World, changes: dict[str, str], status: int) -> None:
    world.registered(A)
    world.answered("a")
    said = {
        "call_id": world.value("Call-ID"),
        "from_tag": "a",
        "to_tag": world.value("From").partition(";tag=")[2],
        "event": "reg",
        "body": "",
        "content_type": "",
        **changes,
    }
    fields = header_reader({"Event": [said["event"]], "Subscription-State": ["active"]})
    notify = Request(
        Side.IMS, "NOTIFY", said["call_id"], said["from_tag"], said["to_tag"], 1,
        headers=fields, body=said["body"], content_type=said["content_type"],
    )  # fmt: skip
    if not status:
        world.notify(notify)
        return
    with pytest.raises(SipReject) as refused:
        world.notify(notify)
    assert refused.value.status == status
