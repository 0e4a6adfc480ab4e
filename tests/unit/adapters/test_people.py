"""Who the users of a home network of our own are, and that the routing table never sends them by a trunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from kemi.adapters.network.own_users import RoutesAtHome
from kemi.adapters.network.people import AGAIN_S, EVERY_S, People, PeopleKeeper
from kemi.adapters.network.routing import RouteReader
from kemi.core.errors import SipReject
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.way import NoRoute, Way
from kemi.state.continuity import Change
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from tests.fakes.table import MemoryTable

REALM = "ims.example"
ALICE, BOB = ("alice@x", ["sip:alice@ims.example", "tel:+4930123"]), ("bob@x", ["sip:bob@ims.example"])
Accounts = Sequence[tuple[str, list[str]]]


class Link:
    """Redis as the keeper asks it: one account at a time."""

    def __init__(self, *accounts: tuple[str, list[str]]) -> None:
        self.accounts = list(accounts)
        self.is_down = self.is_another = False

    def take_change(self) -> Change:
        another, self.is_another = self.is_another, False
        return Change(connected=another)

    def account_identities(self, cursor: int) -> tuple[int, Accounts]:
        if self.is_down:
            raise RedisUnavailable("down")
        following = cursor + 1
        return (following if following < len(self.accounts) else 0), self.accounts[cursor:following]


@pytest.fixture
def people() -> People:
    return People(MemoryTable(), REALM)


def known(people: People) -> list[str]:
    names = ("sip:alice@ims.example", "tel:+4930123", "sip:bob@ims.example", "sip:guest@ims.example")
    return [name for name in names if people.find(name, DialPlan()) is not None]


def test_accounts_come_and_go_and_who_only_registered_stays(people: People) -> None:
    link = Link(ALICE, BOB)
    keeper = PeopleKeeper(cast("RedisLink", link), people, set)
    people.learn("guest@x", ["sip:guest@ims.example"])
    keeper.tick(0.0)
    assert known(people) == ["sip:alice@ims.example", "tel:+4930123", "sip:guest@ims.example"]
    keeper.tick(0.1)
    assert people.find("sip:bob@ims.example", DialPlan()) == ("sip:bob@ims.example", "bob@x")
    link.accounts.remove(ALICE)
    keeper.tick(0.2)
    assert "sip:alice@ims.example" in known(people), "not asked again yet"
    keeper.tick(0.1 + EVERY_S)
    assert known(people) == ["sip:bob@ims.example", "sip:guest@ims.example"]


def test_nobody_is_forgotten_while_redis_is_away(people: People) -> None:
    link = Link(ALICE, BOB)
    keeper = PeopleKeeper(cast("RedisLink", link), people, set)
    keeper.tick(0.0)
    keeper.tick(0.1)
    link.is_down = True
    keeper.tick(0.2 + EVERY_S)
    link.is_down = False
    link.accounts = [ALICE]
    keeper.tick(0.3 + EVERY_S)
    assert "sip:bob@ims.example" in known(people)
    keeper.tick(0.3 + EVERY_S + AGAIN_S)
    assert known(people) == ["sip:alice@ims.example", "tel:+4930123"]


def test_who_is_registered_can_be_called_after_redis_came_back_empty(people: People) -> None:
    link, registered = Link(ALICE, BOB), {"bob@x"}
    keeper = PeopleKeeper(cast("RedisLink", link), people, lambda: registered)
    keeper.tick(0.0)
    keeper.tick(0.1)
    link.accounts = []
    keeper.tick(0.2 + EVERY_S)
    assert known(people) == ["sip:bob@ims.example"], "and alice is nobody any more"
    registered.clear()
    keeper.tick(0.3 + 2 * EVERY_S)
    assert known(people) == []


def test_a_round_begins_anew_at_another_server(people: People) -> None:
    """Each has its own order, and its own idea of a cursor."""
    link = Link(ALICE, BOB)
    keeper = PeopleKeeper(cast("RedisLink", link), people, set)
    for at in (0.0, 0.1, 0.2 + EVERY_S):
        keeper.tick(at)
    link.accounts, link.is_another = [BOB, ALICE], True
    for at in (0.3, 0.4, 0.5):
        keeper.tick(at + EVERY_S)
        assert known(people) == ["sip:alice@ims.example", "tel:+4930123", "sip:bob@ims.example"]


BY_TRUNK = Way("row", "tel:+4930123", "", ("one",), "+4930123")


class TestTheTable:
    """What it says of users."""

    @pytest.fixture
    def routes(self, people: People, tmp_path: Path) -> RoutesAtHome:
        people.learn(*ALICE)
        return RoutesAtHome(str(tmp_path), MemoryTable(), people)

    @staticmethod
    def says(monkeypatch: pytest.MonkeyPatch, way: Way | SipReject) -> None:
        def answer(*_: object) -> Way:
            if isinstance(way, SipReject):
                raise way
            return way

        monkeypatch.setattr(RouteReader, "way", answer)

    def test_a_user_never_leaves_by_a_trunk(
        self, monkeypatch: pytest.MonkeyPatch, routes: RoutesAtHome
    ) -> None:
        self.says(monkeypatch, BY_TRUNK)
        assert routes.way("c", "tel:+4930123", REALM, "") == Way("row", "tel:+4930123", "")
        assert routes.way("c", "tel:+49301234567", REALM, "") == BY_TRUNK

    def test_a_user_needs_no_row(self, monkeypatch: pytest.MonkeyPatch, routes: RoutesAtHome) -> None:
        self.says(monkeypatch, NoRoute("no route"))
        assert routes.way("c", "sip:alice@ims.example", REALM, "") is None
        with pytest.raises(NoRoute):
            routes.way("c", "sip:nobody@ims.example", REALM, "")
        with pytest.raises(NoRoute):
            routes.way("c", "sip:alice@other.example", REALM, "")

    def test_what_is_refused_stays_refused(
        self, monkeypatch: pytest.MonkeyPatch, routes: RoutesAtHome
    ) -> None:
        self.says(monkeypatch, SipReject("not you"))
        with pytest.raises(SipReject, match="not you"):
            routes.way("c", "sip:alice@ims.example", REALM, "")
