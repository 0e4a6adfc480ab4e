"""Numbers and tables that nobody should write: each gets a clear answer, and none gets an exception.

What hypothesis tries here a hostile page can write into a Request-URI or Refer-To, and an operator into a file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.errors import SipReject
from kemi.core.routing.lookup import Entry, Query, entries_of, find
from kemi.core.routing.numbers import BadNumber, DialPlan, dialled_from_uri, is_emergency
from kemi.core.routing.patterns import MOST_BEGINNINGS, Pattern, PatternError
from kemi.core.routing.table import ANY, REFUSALS, Route, TableError, Target
from kemi.core.routing.way import way_of
from kemi.state.routing_document import RoutingDocument, check_document, document_from_json

HOME = "home.example"
PLANS = (
    DialPlan(),
    DialPlan(country="DE", area_code="30", trunk_prefix="0", short_codes={"115": "+4930115", "600": ""}),
    DialPlan(country="US"),
    DialPlan(country="DE", outside="0", extension_digits=3),
)
NUMBER = re.compile(r"\+[0-9]{3,15}|[0-9*#]{1,24}|sip:[!-~]+@[!-~]+")

digits = st.text("0123456789", max_size=18)
escapes = st.sampled_from(["%2B", "%30", "%0d%0a", "%00", "%zz", "%", "%C3%A4", "%3B", "%40", "%2523"])
oddities = st.text(max_size=6) | st.sampled_from(
    ["+", "-", ".", "(", ")", " ", "*", "#", "٣", "x", "@", ":", "\0"]
)
parameters = st.sampled_from(
    ["phone-context=", "phone-context=+49", "phone-context=+", "phone-context=+()", f"phone-context={HOME}",
     "phone-context=a b", "phone-context=%00", "phone-context", "isub=1", "ext=%0d", "npdi", "rn=+1", "user=phone", "="]
)  # fmt: skip
numbers = st.lists(digits | escapes | oddities, max_size=6).map("".join)
tails = st.lists(parameters | st.text(max_size=8), max_size=4).map(
    lambda found: "".join(f";{one}" for one in found)
)
uris = st.builds(
    lambda scheme, number, tail, host, more: f"{scheme}{number}{tail}{host}{more}",
    st.sampled_from(["tel:", "sip:", "sips:", "TEL:", "Sip:", "", "urn:", "tel", "sip::"]),
    numbers,
    tails,
    st.sampled_from(["", f"@{HOME}", "@", "@[::1]", "@[", f"@{HOME}:99999", "@a b", "@a>b"]),
    tails,
)
rows = [
    Route("all", "*", Target.CORE),
    Route("users", f"sip:*@{HOME}", Target.CORE),
    Route("premium", "+49900*", Target.REFUSE, status=403, reason="no service numbers"),
    Route("room", "600", Target.CONFERENCE, name="weekly"),
]


class Index:
    """All entries of the rows above."""

    def __init__(self) -> None:
        self._entries = [entry for row in rows for entry in entries_of(row)]

    def entries(self, realm: str, beginnings: Sequence[str]) -> Iterable[Entry]:
        return [
            one for one in self._entries if one.route.realm in (realm, ANY) and one.beginning in beginnings
        ]


@given(uris, st.sampled_from(PLANS))
def test_whatever_is_dialled_is_one_number_or_refused_with_404_or_484(uri: str, plan: DialPlan) -> None:
    is_emergency(uri, plan)
    try:
        dialled = dialled_from_uri(uri, plan)
    except BadNumber as refused:
        assert refused.status in (404, 484)
        assert str(refused) and str(refused).isprintable()
        assert '"' not in str(refused)  # it stands in a Warning
    else:
        assert NUMBER.fullmatch(dialled.number), dialled.number
        assert dialled.parameters == ()


@given(uris, st.sampled_from(PLANS))
def test_a_call_gets_a_way_or_a_status_that_says_why(uri: str, plan: DialPlan) -> None:
    try:
        way = way_of(
            Index(),
            {HOME: plan},
            {"weekly": "sip:weekly@rooms.example"},
            uri,
            realm=HOME,
            user_class="",
            now=0.0,
            spin=0.0,
        )
    except SipReject as refused:
        assert refused.status in {404, 484, *REFUSALS}
        assert str(refused)
    else:
        assert way is None or way.request_uri in (uri, "sip:weekly@rooms.example")


@pytest.mark.parametrize(
    "writing",
    [
        "tel:+49-900-123456",
        "tel:+49%39%30%30123456",
        "TEL:+49900123456;isub=1",
        f"sip:+49900123456@{HOME}",
        f"sip:+49.900.123456@{HOME}",
        f"sip:%2B49900123456@{HOME}",
        f"sip:+49900123456%3Bnpdi@{HOME}",
        f"sip:+49900123456;phone-context=x@{HOME};user=phone",
        "sip:0900123456@elsewhere.example;user=phone",
        "tel:0900123456;phone-context=elsewhere.example",
        "tel:900123456;phone-context=+49",
    ],
)
def test_no_writing_of_a_refused_number_gets_around_its_row(writing: str) -> None:
    plans = {HOME: PLANS[1]}
    with pytest.raises(SipReject) as refused:
        way_of(Index(), plans, {}, writing, realm=HOME, user_class="", now=0.0, spin=0.0)
    assert (refused.value.status, str(refused.value)) == (403, "no service numbers")


@pytest.mark.parametrize(
    ("uri", "status", "why"),
    [
        ("tel:abc", 404, "no telephone number"),
        ("tel:+49x", 404, "after + come digits"),
        ("tel:+" + "1" * 40, 404, "longer than 15 digits"),
        ("tel:" + "1" * 40, 404, "no telephone number"),
        ("tel:+4930", 484, "digits are missing"),
        ("tel:0301234567;phone-context=", 404, "phone-context"),
        ("tel:301234567;phone-context=+()", 404, "phone-context"),
        ("tel:301234567;phone-context=+49;phone-context=" + HOME, 404, "twice"),
        (f"sip:+49301234567;rn=1;rn=2@{HOME}", 404, "twice"),
        (f"sip:@{HOME}", 404, "no sip: address"),
        (f"sip:+49900123456%0d%0a@{HOME}", 404, "no sip: address"),
        (f"sip:a%00b@{HOME}", 404, "no sip: address"),
        (f"sip:a%zz@{HOME}", 404, "no sip: address"),
        ("sip:alice@a>b", 404, "no sip: address"),
        ("http://example.com", 404, "only sip: and tel:"),
    ],
)
def test_each_bad_number_says_why(uri: str, status: int, why: str) -> None:
    with pytest.raises(BadNumber, match=re.escape(why)) as refused:
        dialled_from_uri(uri, PLANS[1])
    assert refused.value.status == status


pieces = st.sampled_from(
    ["+", "49", "X", "*", "#", "[", "]", "[2-5]", "[5-2]", "-", "sip:", "@", HOME, " ", "٣", "\n"]
)


@given(st.lists(pieces | st.text(max_size=3), max_size=12).map("".join) | st.text("X9[]", max_size=2000))
def test_a_pattern_is_refused_or_is_some_plain_beginnings(text: str) -> None:
    try:
        pattern = Pattern(text)
    except PatternError as refused:
        assert str(refused)
    else:
        assert 1 <= len(pattern.beginnings) <= MOST_BEGINNINGS
        assert len(set(pattern.beginnings)) == len(pattern.beginnings)


@given(st.from_regex(r"\+?[0-9]{1,6}\*?", fullmatch=True), st.from_regex(r"\+?[0-9]{1,8}", fullmatch=True))
def test_a_pattern_fits_what_begins_with_it(pattern: str, number: str) -> None:
    class One:
        def entries(self, realm: str, beginnings: Sequence[str]) -> Iterable[Entry]:
            return [
                one for one in entries_of(Route("a", pattern, Target.CORE)) if one.beginning in beginnings
            ]

    fits = number.startswith(pattern[:-1]) if pattern.endswith("*") else number == pattern
    assert bool(find(One(), Query(HOME, "", number, 0.0), 0.0)) is fits


def test_a_long_pattern_is_refused_at_once() -> None:
    began = time.thread_time()
    for text in ("X" * 1_000_000, "[" + "1-2" * 300_000 + "]", "1" * 1_000_000):
        with pytest.raises(PatternError, match="longer than 255"):
            Pattern(text)
    assert time.thread_time() - began < 0.5


# ---------------------------------------------------------------------- documents

GOOD = {
    "routes": [
        {
            "id": "a",
            "number": "+49*",
            "to": "core",
            "hours": {"start": "08:00", "end": "18:00", "days": ["mon"]},
        },
        {"id": "b", "number": "600", "to": "conference", "name": "weekly"},
        {"id": "c", "number": "+49900*", "to": "refuse", "status": 403, "reason": "no"},
        {"id": "d", "number": "601", "to": "user", "name": "sip:bob@home.example"},
        {"id": "e", "number": "+44*", "to": "trunk", "name": "carriers"},
    ],
    "plans": {HOME: {"country": "DE", "short_codes": {"600": ""}}},
    "trunk_groups": {"carriers": ["first"]},
    "conferences": {"weekly": "sip:weekly@rooms.example"},
    "profiles": ["pstn"],
}
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the paths of everything inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in places(part, (*path, key)))]


def replaced(value: object, path: tuple[object, ...], new: object) -> object:
    """Return a document with another value at a path."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: replaced(part, path[1:], new) if key == path[0] else part for key, part in value.items()}
    assert isinstance(value, list)
    return [replaced(part, path[1:], new) if at == path[0] else part for at, part in enumerate(value)]


def taken_or_named(text: bytes | str) -> RoutingDocument | None:
    """Return the document if it is a good one; every other one is refused with reasons that can be read."""
    try:
        document = document_from_json(text)
        check_document(document)
    except TableError as refused:
        assert refused.problems and all(refused.problems)
        return None
    return document


def test_the_good_document_is_good() -> None:
    assert taken_or_named(msgspec.json.encode(GOOD)) is not None


@given(st.sampled_from(places(GOOD)), anything)
def test_a_document_with_anything_in_any_place_is_taken_or_refused_with_reasons(
    place: tuple[object, ...], new: object
) -> None:
    document = taken_or_named(msgspec.json.encode(replaced(GOOD, place, new)))
    if document is not None:  # then it can also be used
        for route in document.routes:
            assert list(entries_of(route))


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_what_is_no_json_is_refused(text: bytes | str) -> None:
    taken_or_named(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"routes": {}}', "Expected `array`"),
        ('{"rows": []}', "unknown field `rows`"),
        ("[" * 100_000, ""),
        ('{"routes": [{"id": "a", "number": "' + "X" * 100_000 + '*", "to": "core"}]}', "longer than 255"),
        ('{"conferences": {"weekly": "sip:w@r\\r\\nRoute: <sip:evil>"}}', "not a sip: URI"),
        ('{"plans": {"a": {"extension_digits": -1}}}', "extension_digits"),
        ('{"plans": {"sip:ims.example": {}}}', "plan of 'sip:ims.example': no domain"),
        ('{"plans": {"*": {}}}', "plan of '*': no domain"),
        ('{"plans": {"ims.example": {}, "IMS.Example": {}}}', "each realm once"),
        ('{"routes": [{"id": "a", "number": "1", "to": "user", "name": "sip:a@b>;x"}]}', "a user is named"),
        (
            '{"routes": [{"id": "a", "number": "1", "to": "core", "hours": {"zone": "../../etc/passwd"}}]}',
            "time zone",
        ),
    ],
)
def test_a_bad_document_is_refused_and_named(text: str, problem: str) -> None:
    with pytest.raises(TableError) as refused:
        check_document(document_from_json(text))
    assert problem in "; ".join(refused.value.problems)


def test_a_document_whose_bytes_are_no_text() -> None:
    with pytest.raises(TableError, match="utf-8"):
        document_from_json(b'{"w\x8brd": 1}')


def test_a_plan_is_found_however_its_realm_is_written() -> None:
    document = document_from_json('{"plans": {"IMS.Example": {"country": "DE"}, "trunk:carrier-a": {}}}')
    check_document(document)
    assert document.plans["ims.example"].country == "DE"
    assert document.plans.keys() == {"ims.example", "trunk:carrier-a"}
