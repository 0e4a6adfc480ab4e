"""Which row wins, in what order the others are tried, and what is said about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from kemi.core.routing.lookup import Entry, Query, entries_of, explain, find
from kemi.core.routing.numbers import DialPlan, dialled_from_uri
from kemi.core.routing.table import ANY, Hours, Route, RoutingTable, TableError, Target, check_table

GROUPS = frozenset({"carrier"})
NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC).timestamp()  # a Thursday


class Index:
    """Entries in a list."""

    def __init__(self, *rows: Route) -> None:
        check_table(RoutingTable(rows, GROUPS, frozenset({"weekly"}), frozenset({"narrow"})))
        self._entries = [entry for row in rows for entry in entries_of(row)]

    def entries(self, realm: str, beginnings: Sequence[str]) -> Iterable[Entry]:
        realms = (realm, ANY)
        return [one for one in self._entries if one.route.realm in realms and one.beginning in beginnings]


def row(identifier: str, number: str, /, **more: object) -> Route:
    return Route(identifier, number, **({"to": Target.CORE} | more))  # type: ignore[arg-type]


def found(
    table: Index, number: str, *, realm: str = "a.example", user_class: str = "", now: float = NOON
) -> list[str]:
    return [route.id for route in find(table, Query(realm, user_class, number, now), 0.0)]


def test_the_longest_number_wins() -> None:
    table = Index(row("all", "*"), row("germany", "+49*"), row("berlin", "+4930*"), row("one", "+49301234"))
    assert found(table, "+49301234") == ["one"]
    assert found(table, "+493012345") == ["berlin"]
    assert found(table, "+4989123") == ["germany"]
    assert found(table, "115") == ["all"]


def test_of_equal_length_the_whole_number_wins_then_what_leaves_fewer_digits_open() -> None:
    table = Index(
        row("open", "+49XX*"), row("half", "+493[0-4]*"), row("whole", "+4930"), row("prefix", "+4930*")
    )
    assert found(table, "+4930") == ["whole"]
    assert found(table, "+49301") == ["prefix"]
    assert found(table, "+49311") == ["half"]
    assert found(table, "+49391") == ["open"]


def test_the_realms_own_rows_come_before_those_for_all() -> None:
    table = Index(row("everybody", "+4930*"), row("own", "+49*", realm="a.example"))
    assert found(table, "+49301") == ["own"]
    assert found(table, "+49301", realm="b.example") == ["everybody"]


def test_a_row_for_the_users_class_comes_before_one_for_all() -> None:
    table = Index(row("all", "+4930*"), row("guests", "+49*", user_class="guest"))
    assert found(table, "+49301", user_class="guest") == ["guests"]
    assert found(table, "+49301", user_class="staff") == ["all"]


def test_a_row_of_another_class_does_not_hide_a_shorter_one() -> None:
    table = Index(row("all", "+49*"), row("staff", "+4930*", user_class="staff"))
    assert found(table, "+49301", user_class="guest") == ["all"]


def test_addresses_are_routed_by_name_and_by_domain() -> None:
    table = Index(
        row("room", "sip:*@conf.example", to=Target.CONFERENCE, name="weekly"), row("one", "sip:a@b.example")
    )
    assert found(table, "sip:team@conf.example") == ["room"]
    assert found(table, "sip:a@b.example") == ["one"]
    assert found(table, "sip:c@b.example") == []


@pytest.mark.parametrize(
    "uri",
    [
        "sip:bos%73@b.example",
        "sip:%62%6F%73%73@B.example",
        "sip:boss@b.example:5060",
        "sip:boss@b.example.",
        "sip:boss@b.example.:5061;transport=tcp",
        "sip:boss:secret@b.example",
    ],
)
def test_no_spelling_of_an_address_gets_past_its_row(uri: str) -> None:
    table = Index(row("boss", "sip:boss@b.example"), row("others", "sip:*@b.example"), row("all", "*"))
    assert found(table, dialled_from_uri(uri, DialPlan()).number) == ["boss"]
    assert found(table, "sip:Boss@b.example:5060") == ["others"]


@pytest.mark.parametrize("name", ["a%3Bb", "a;b", "%61;b"])
def test_a_row_s_own_spelling_does_not_matter(name: str) -> None:
    table = Index(row("a", f"sip:{name}@b.example"), row("v6", "sip:x#1@[2001:db8::1]"))
    assert found(table, "sip:a%3bb@b.example") == found(table, "sip:a;b@b.example") == ["a"]
    assert found(table, "sip:x%231@[2001:db8::1]:5070") == found(table, "sip:x#1@[2001:db8::1]") == ["v6"]


def test_a_user_called_star_is_not_everybody() -> None:
    table = Index(row("star", "sip:%2A@b.example"), row("all", "sip:*@c.example"))
    assert found(table, "sip:bob@b.example") == []
    assert found(table, "sip:%2a@b.example") == ["star"]
    assert found(table, "sip:%2a@c.example") == found(table, "sip:bob@c.example") == ["all"]


def test_nothing_known_of_a_number_is_no_row() -> None:
    assert found(Index(row("germany", "+49*")), "+441") == []


@pytest.mark.parametrize(
    ("hours", "at", "counts"),
    [
        (Hours("08:00", "18:00"), "2026-11-26T08:00+00:00", True),
        (Hours("08:00", "18:00"), "2026-11-26T18:00+00:00", False),
        (Hours("08:00", "18:00", zone="America/New_York"), "2026-11-26T12:59+00:00", False),
        (Hours("08:00", "18:00", zone="America/New_York"), "2026-11-26T13:00+00:00", True),
        (Hours("08:00", "18:00", zone="America/New_York"), "2026-07-23T12:00+00:00", True),
        (Hours(days=("sat", "sun")), "2026-11-26T12:00+00:00", False),
        (Hours(days=("sat", "sun")), "2026-11-28T12:00+00:00", True),
        (Hours("22:00", "06:00", ("fri",)), "2026-11-27T23:00+00:00", True),
        (Hours("22:00", "06:00", ("fri",)), "2026-11-28T05:59+00:00", True),
        (Hours("22:00", "06:00", ("fri",)), "2026-11-28T23:00+00:00", False),
        (Hours("22:00", "06:00", ("fri",)), "2026-11-27T05:00+00:00", False),
    ],
)
def test_a_row_counts_in_its_hours(hours: Hours, at: str, counts: bool) -> None:
    table = Index(row("day", "+49*", hours=hours), row("else", "*"))
    assert found(table, "+491", now=datetime.fromisoformat(at).timestamp()) == ["day" if counts else "else"]


def test_rows_of_one_number_are_tried_by_priority_then_by_weight() -> None:
    table = Index(
        row("last", "+49*", priority=9),
        row("light", "+49*", weight=1),
        row("heavy", "+49*", weight=3),
        row("never", "+49*", weight=0),
    )
    spins = [number / 1000 for number in range(1000)]
    orders = [[one.id for one in find(table, Query("a", "", "+491", NOON), spin)] for spin in spins]
    first = Counter(order[0] for order in orders)
    assert first["heavy"] == pytest.approx(750, abs=2)
    assert first["light"] == pytest.approx(250, abs=2)
    assert all(len(set(order)) == 4 and order[-1] == "last" for order in orders)


def test_explain_says_why_each_row_that_fits_the_number_wins_or_does_not() -> None:
    table = Index(
        row("trunk", "+4930*", to=Target.TRUNK, name="carrier"),
        row("second", "+4930*", to=Target.TRUNK, name="carrier", priority=1),
        row("night", "+4930*", hours=Hours("22:00", "06:00")),
        row("staff", "+4930*", user_class="staff"),
        row("germany", "+49*"),
        row("other", "+49*", realm="b.example"),
        row("elsewhere", "+44*"),
    )
    query = Query("a.example", "guest", "+49301", NOON)
    assert [(one.route.id, one.why) for one in explain(table, query, 0.0)] == [
        ("trunk", "wins"),
        ("second", "is tried when the 1 before it fail"),
        ("night", "not at this time"),
        ("staff", "only for the class staff"),
        ("germany", "trunk is nearer to the number"),
    ]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row("a b", "*"), "id is"),
        (row("a", ""), "no pattern"),
        (row("a", "+"), "no pattern"),
        (row("a", "+49(30)*"), "no pattern"),
        (row("a", "+49[5-3]*"), "runs backwards"),
        (row("a", "+49XXXX1*"), "10000 beginnings"),
        (row("a", "sip:*"), "sip:NAME@DOMAIN"),
        (row("a", "*", realm="A.Example"), "realm"),
        (row("a", "*", user_class="a b"), "user_class"),
        (row("a", "*", weight=1001), "weight"),
        (row("a", "*", profile="wide"), "media profile"),
        (row("a", "*", to=Target.TRUNK, name="gone"), "no trunk 'gone'"),
        (row("a", "*", to=Target.CONFERENCE, name="gone"), "no conference 'gone'"),
        (row("a", "*", name="carrier"), "core has no name"),
        (row("a", "*", to=Target.USER, name="alice"), "sip: URI"),
        (row("a", "*", to=Target.REFUSE), "status"),
        (row("a", "*", to=Target.REFUSE, status=200), "status"),
        (row("a", "*", to=Target.REFUSE, status=403, reason='"'), "reason"),
        (row("a", "*", status=403), "only a refusal"),
        (row("a", "*", hours=Hours("8:00")), "HH:MM"),
        (row("a", "*", hours=Hours("08:00", "08:00")), "start when they end"),
        (row("a", "*", hours=Hours(days=("montag",))), "days"),
        (row("a", "*", hours=Hours(zone="Mars/Base")), "time zone"),
    ],
)
def test_a_bad_row_is_named(bad: Route, problem: str) -> None:
    with pytest.raises(TableError) as refused:
        Index(row("good", "*"), bad)
    assert refused.value.problems
    assert problem in refused.value.problems[0]
    assert repr(bad.id) in refused.value.problems[0]


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(TableError, match="two of this name"):
        Index(row("a", "+49*"), row("a", "+44*"))
