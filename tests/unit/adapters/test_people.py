"""Who the users of a home network of our own are, and that the routing table never sends them by a trunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import msgspec
import pytest

from kemi.adapters.network.own_users import RoutesAtHome
from kemi.adapters.network.people import AGAIN_S, EVERY_S, People, PeopleKeeper
from kemi.adapters.network.routing import route_path
from kemi.core.errors import SipReject
from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import CallDenied, Permission, Why
from kemi.core.routing.table import Route, Target
from kemi.core.routing.way import NoRoute
from kemi.state.continuity import Change
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from kemi.state.route_index import build
from kemi.state.routing_document import RoutingDocument
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


def test_an_identity_of_two_is_told_once(people: People, caplog: pytest.LogCaptureFixture) -> None:
    carol = ("carol@x", ["sip:carol@ims.example", "sip:+4930123@ims.example"])
    keeper = PeopleKeeper(cast("RedisLink", Link(ALICE, BOB, carol)), people, set)
    for turn in range(9):
        keeper.tick(turn * EVERY_S)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["event=identity_of_two identity=tel:+4930123 impi=carol@x other=alice@x"]


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


NUMBER: Final = "tel:+4930123"
CAUTIOUS: Final = Permission(
    classes=(CostClass.FREE,), denied=("+4989", "600", "FR"), calls=1, longest_call_s=60
)


class TestTheTable:
    """What it says of users."""

    @pytest.fixture
    def load(self, people: People, tmp_path: Path) -> Callable[..., RoutesAtHome]:
        """Return the table with these rows, in which guests may call free numbers."""
        people.learn(*ALICE)
        people.learn("desk@x", ["sip:600@ims.example", "tel:+49891"])

        def load(*rows: Route) -> RoutesAtHome:
            document = RoutingDocument(
                permissions={"guest": CAUTIOUS},
                plans={REALM: DialPlan(country="DE", area_code="30", trunk_prefix="0")},
                trunk_groups={"carrier": ["one"]},
            )
            build(route_path(tmp_path, 1), rows, msgspec.json.encode(document).decode())
            return RoutesAtHome(str(tmp_path), MemoryTable(), people)

        return load

    @pytest.mark.parametrize("user_class", ["", "guest"])
    def test_a_user_never_leaves_by_a_trunk(self, load: Callable[..., RoutesAtHome], user_class: str) -> None:
        routes = load(Route("world", "+*", Target.TRUNK, name="carrier"))
        way = routes.way("c", NUMBER, REALM, user_class)
        assert way is not None
        assert (way.request_uri, way.trunks, way.number, way.cost) == (NUMBER, (), "+4930123", "internal")
        assert way.permission.calls == (1 if user_class else 0)
        outside = routes.way("c", "tel:+49301234567", REALM, "")
        assert outside is not None
        assert outside.trunks == ("one",)
        with pytest.raises(CallDenied, match="national"):
            routes.way("c", "tel:+49301234567", REALM, "guest")

    @pytest.mark.parametrize("uri", ["sip:alice@ims.example", NUMBER, "sip:030123@ims.example"])
    def test_a_user_needs_no_row_and_the_limits_of_the_caller_count(
        self, load: Callable[..., RoutesAtHome], uri: str
    ) -> None:
        routes = load(Route("far", "+1*", Target.TRUNK, name="carrier"))
        way = routes.way("c", uri, REALM, "guest")
        assert way is not None
        assert (way.request_uri, way.trunks, way.cost) == (uri, (), "internal")
        assert way.permission == CAUTIOUS
        with pytest.raises(NoRoute):
            routes.way("c", "sip:nobody@ims.example", REALM, "")
        with pytest.raises(NoRoute):
            routes.way("c", "sip:alice@other.example", REALM, "")

    @pytest.mark.parametrize("uri", ["tel:+49891", "sip:600@ims.example"])
    def test_beginnings_that_are_denied_are_those_of_users_too(
        self, load: Callable[..., RoutesAtHome], uri: str
    ) -> None:
        for routes in (load(), load(Route("world", "+*", Target.TRUNK, name="carrier"))):
            with pytest.raises(CallDenied) as denied:
                routes.way("c", uri, REALM, "guest")
            assert denied.value.why is Why.NUMBER
            with pytest.raises(CallDenied, match="begin with"):
                routes.check_message(uri, REALM, "guest")
            assert routes.way("c", uri, REALM, "") is not None

    def test_a_name_is_no_country(self, load: Callable[..., RoutesAtHome], people: People) -> None:
        people.learn("one@x", ["sip:FR1234@ims.example"])
        for routes in (load(), load(Route("world", "+*", Target.TRUNK, name="carrier"))):
            assert routes.way("c", "sip:FR1234@ims.example", REALM, "guest") is not None
            assert routes.check_message("sip:FR1234@ims.example", REALM, "guest") == ""

    def test_who_may_call_a_user_may_write_there(self, load: Callable[..., RoutesAtHome]) -> None:
        routes = load()
        assert routes.check_message(NUMBER, REALM, "guest") == "+4930123"
        assert routes.check_message("sip:alice@ims.example", REALM, "guest") == ""
        with pytest.raises(CallDenied, match="national"):
            routes.check_message("tel:+49301234567", REALM, "guest")

    def test_what_is_refused_stays_refused(self, load: Callable[..., RoutesAtHome]) -> None:
        routes = load(Route("no", "*", Target.REFUSE, status=403, reason="not you"))
        with pytest.raises(SipReject, match="not you"):
            routes.way("c", "sip:alice@ims.example", REALM, "")

    @pytest.mark.parametrize(
        "uri",
        [
            "sip:alic%65@ims.example",
            "sip:alice@ims.example:5060",
            "sip:alice@ims.example.",
            "sip:alice@ims.example;user=phone",
            "sip:%61lice@IMS.example;user=phone",
        ],
    )
    def test_no_spelling_of_a_user_gets_past_a_refusal(
        self, load: Callable[..., RoutesAtHome], uri: str
    ) -> None:
        routes = load(
            Route("no", "sip:alice@ims.example", Target.REFUSE, status=403, reason="not you"),
            Route("users", "sip:*@ims.example", Target.CORE),
        )
        with pytest.raises(SipReject, match="not you"):
            routes.way("c", uri, REALM, "")

    def test_a_user_s_address_stays_as_it_was_written(self, load: Callable[..., RoutesAtHome]) -> None:
        uri = "sip:%61lice@ims.example;user=phone"
        routes = load(Route("users", "sip:*@ims.example", Target.CORE))
        way = routes.way("c", uri, REALM, "")
        assert way is not None
        assert (way.route, way.request_uri) == ("users", uri)

    def test_without_a_table_there_is_nothing_to_say(self, people: People) -> None:
        people.learn(*ALICE)
        assert RoutesAtHome("", MemoryTable(), people).way("c", NUMBER, REALM, "guest") is None
