"""What numbers cost, who may call them, and what makes a good permission."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import phonenumbers
import pytest

from kemi.core.errors import SipReject
from kemi.core.routing.costs import CostClass, Destination, destination_of, parsed_number
from kemi.core.routing.lookup import Entry, Query, entries_of
from kemi.core.routing.numbers import DialPlan, dialled_from_uri
from kemi.core.routing.permissions import (
    NOTHING_SAID,
    CallDenied,
    Permission,
    Why,
    check_permission,
    limits_in_words,
    permission_of,
)
from kemi.core.routing.table import ANY, Route, TableError, Target
from kemi.core.routing.way import CORE_WAY, Way, check_message, emergency_way, way_of
from kemi.state.routing_document import RoutingDocument, check_document, document_from_json

REALM = "home.example"
GERMAN = DialPlan(country="DE", short_codes={"600": ""})
ALL = tuple(CostClass)


@pytest.mark.parametrize(
    ("number", "country", "cost", "where"),
    [
        ("+493012345678", "DE", CostClass.NATIONAL, "DE"),
        ("+493212345678", "DE", CostClass.NATIONAL, "DE"),
        ("+4915112345678", "DE", CostClass.MOBILE, "DE"),
        ("+498001234567", "DE", CostClass.FREE, "DE"),
        ("+491801234567", "DE", CostClass.SHARED_COST, "DE"),
        ("+499001234567", "DE", CostClass.PREMIUM, "DE"),
        ("+4970012345678", "DE", CostClass.PREMIUM, "DE"),
        ("+4990012345678", "DE", CostClass.PREMIUM, "DE"),  # more digits than are needed
        ("+49900123456", "DE", CostClass.PREMIUM, "DE"),
        ("+33123456789", "DE", CostClass.INTERNATIONAL, "FR"),
        ("+33800123456", "DE", CostClass.INTERNATIONAL, "FR"),
        ("+33899123456", "DE", CostClass.PREMIUM, "FR"),
        ("+19002345678", "DE", CostClass.PREMIUM, "US"),
        ("+12125550123", "US", CostClass.NATIONAL, "US"),
        ("+16135550123", "US", CostClass.INTERNATIONAL, "CA"),
        ("+18765230123", "US", CostClass.INTERNATIONAL, "JM"),
        ("+15550100", "US", CostClass.NATIONAL, "US"),
        ("+15550100", "DE", CostClass.INTERNATIONAL, "US"),
        ("+447400123456", "GB", CostClass.MOBILE, "GB"),
        ("+441534456789", "GB", CostClass.INTERNATIONAL, "JE"),
        ("+493012345678", "", CostClass.INTERNATIONAL, "DE"),
        ("+881612345678", "DE", CostClass.SATELLITE, ""),
        ("+870773123456", "DE", CostClass.SATELLITE, ""),
        ("+883510012345", "DE", CostClass.SATELLITE, ""),
        ("+979123456789", "DE", CostClass.PREMIUM, ""),
        ("+80012345678", "DE", CostClass.FREE, ""),
        ("+80812345678", "DE", CostClass.SHARED_COST, ""),
        ("600", "DE", CostClass.INTERNAL, ""),
        ("sip:bob@home.example", "DE", CostClass.INTERNAL, ""),
    ],
)
def test_what_a_number_costs(number: str, country: str, cost: CostClass, where: str) -> None:
    assert destination_of(number, country) == Destination(cost, where)


PARIS, MONACO = "+33123456789", "+37799123456"


def test_what_a_number_costs_does_not_depend_on_how_it_was_dialled() -> None:
    dialled = dialled_from_uri("tel:00336664115;phone-context=home.example", DialPlan(country="CX")).number
    assert parsed_number(dialled) == phonenumbers.parse(dialled, None)
    assert parsed_number(dialled) != phonenumbers.parse(
        "00336664115", "CX"
    )  # the library reads it in two ways


FRENCH_PREMIUM = "+33899123456"
PREMIUM, BERLIN, IRIDIUM = "+499001234567", "+493012345678", "+881612345678"


@pytest.mark.parametrize(
    ("permission", "number", "over_core", "over_trunk"),
    [
        (Permission(), BERLIN, True, True),
        (Permission(), PARIS, True, False),
        (Permission(), PREMIUM, True, False),
        (Permission(), IRIDIUM, True, False),
        (Permission(), "600", True, True),
        (Permission(classes=ALL), IRIDIUM, True, True),
        (Permission(classes=()), BERLIN, False, False),
        (Permission(classes=()), "600", True, True),
        (Permission(classes=(CostClass.NATIONAL,)), BERLIN, True, True),
        (Permission(classes=(CostClass.NATIONAL,)), PARIS, False, False),
        (Permission(allowed=("FR",)), PARIS, True, True),
        (Permission(allowed=("FR",)), MONACO, True, False),
        (Permission(allowed=("FR",)), FRENCH_PREMIUM, True, False),
        (Permission(allowed=("+33899",)), FRENCH_PREMIUM, True, True),
        (Permission(classes=ALL, denied=("FR",)), PARIS, False, False),
        (Permission(classes=ALL, denied=("+331",)), PARIS, False, False),
        (Permission(classes=ALL, denied=("+33",), allowed=("+331",)), PARIS, True, True),
        (Permission(denied=("FR",), allowed=("+331",)), PARIS, True, True),
        (Permission(classes=(), allowed=("+4930",)), BERLIN, True, True),
        (Permission(denied=("60",)), "600", False, False),
        (Permission(classes=(), denied=("+49",)), "sip:bob@home.example", True, True),
    ],
)
def test_who_may_call_whom(permission: Permission, number: str, over_core: bool, over_trunk: bool) -> None:
    for by_trunk, expected in ((False, over_core), (True, over_trunk)):
        try:
            check_permission(permission, number, destination_of(number, "DE"), by_trunk=by_trunk)
        except CallDenied as denied:
            assert (denied.status, denied.reason_phrase) == (403, "Forbidden")
            assert not expected
        else:
            assert expected


def test_a_class_of_its_own_comes_before_the_one_for_everybody() -> None:
    staff, others = Permission(calls=5), Permission(calls=1)
    assert permission_of({"staff": staff, "*": others}, "staff") is staff
    assert permission_of({"staff": staff, "*": others}, "guest") is others
    assert permission_of({"staff": staff}, "guest") is NOTHING_SAID


def test_limits_are_said_in_words() -> None:
    permission = Permission(
        calls=2, calls_per_minute=5, per_minute={CostClass.INTERNATIONAL: 1}, longest_call_s=600
    )
    assert (
        limits_in_words(permission)
        == "2 calls at once, 5 calls a minute, 1 international calls a minute, 600 s for each call"
    )
    assert limits_in_words(Permission()) == ""


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"permissions": {"a b": {}}}', "a class is"),
        ('{"permissions": {"*": {"classes": ["local"]}}}', "Invalid enum value 'local'"),
        ('{"permissions": {"*": {"call": 1}}}', "call: unknown"),
        ('{"permissions": {"*": {"calls": -1}}}', "calls is 0 to"),
        ('{"permissions": {"*": {"calls_per_minute": 1000000}}}', "calls_per_minute is 0 to"),
        ('{"permissions": {"*": {"per_minute": {"premium": 0}}}}', "per_minute"),
        ('{"permissions": {"*": {"longest_call_s": 90000}}}', "longest_call_s"),
        ('{"permissions": {"*": {"allowed": ["de"]}}}', "'de' is neither"),
        ('{"permissions": {"*": {"denied": ["+"]}}}', "'+' is neither"),
        ('{"permissions": {"*": {"denied": ["FR"], "allowed": ["FR"]}}}', "both allowed and denied"),
        ('{"permissions": {"*": {"alarms": {"dear": 1}}}}', "alarms are for"),
        ('{"permissions": {"*": {"class_alarms": {"denied": 0}}}}', "an alarm is raised by"),
        ('{"routes": [{"id": "a", "number": "urn:service:fire", "to": "core"}]}', "urn:service:sos"),
        (
            '{"routes": [{"id": "a", "number": "urn:service:sos", "to": "refuse", "status": 403}]}',
            "emergencies are refused by",
        ),
    ],
)
def test_a_bad_document_is_refused(text: str, names: str) -> None:
    with pytest.raises(TableError) as refused:
        check_document(document_from_json(text))
    assert names in str(refused.value)


def test_a_good_one_is_read() -> None:
    document = document_from_json(
        '{"permissions": {"*": {"classes": ["national", "shared-cost"], "allowed": ["FR", "0900"], "calls": 2,'
        ' "per_minute": {"mobile": 3}, "alarms": {"denied": 5, "international": 9}}}}'
    )
    check_document(document)
    assert document.permissions["*"].classes == (CostClass.NATIONAL, CostClass.SHARED_COST)
    assert document.permissions["*"].per_minute == {CostClass.MOBILE: 3}


# ---------------------------------------------------------------- the table's answer


class Index:
    """Rows in a list."""

    def __init__(self, *rows: Route) -> None:
        check_document(
            RoutingDocument(
                routes=list(rows),
                trunk_groups={"carrier": ["one"]},
                conferences={"weekly": "sip:w@c.example"},
            )
        )
        self._entries = [entry for row in rows for entry in entries_of(row)]

    def entries(self, realm: str, beginnings: Sequence[str]) -> Iterable[Entry]:
        return [
            one for one in self._entries if one.route.realm in (realm, ANY) and one.beginning in beginnings
        ]


def way(uri: str, *rows: Route, user_class: str = "", **permissions: Permission) -> Way | None:
    return way_of(
        Index(*rows),
        {REALM: GERMAN},
        {"weekly": "sip:w@c.example"},
        uri,
        realm=REALM,
        user_class=user_class,
        now=0.0,
        spin=0.0,
        groups={"carrier": ["one"]},
        permissions={name.replace("everybody", "*"): one for name, one in permissions.items()},
    )


CORE, TRUNK = Route("core", "*", Target.CORE), Route("trunk", "+*", Target.TRUNK, name="carrier")


def test_what_leaves_by_a_trunk_is_cheap_unless_somebody_allowed_more() -> None:
    with pytest.raises(CallDenied) as denied:
        way(f"tel:{PARIS}", TRUNK)
    assert (denied.value.why, denied.value.cost) == (Why.CLASS, CostClass.INTERNATIONAL)
    assert way(f"tel:{PARIS}", CORE) == Way(
        "core", f"tel:{PARIS}", "", number=PARIS, cost=CostClass.INTERNATIONAL
    )
    allowed = Permission(allowed=("FR",), calls=3)
    found = way(f"tel:{PARIS}", TRUNK, user_class="staff", staff=allowed)
    assert found is not None
    assert (found.route, found.permission, found.number) == ("trunk", allowed, PARIS)


def test_rows_that_fail_over_to_a_trunk_count_as_one() -> None:
    both = (
        Route("first", "+*", Target.CORE, priority=0),
        Route("second", "+*", Target.TRUNK, name="carrier", priority=1),
    )
    with pytest.raises(CallDenied):
        way(f"tel:{PARIS}", *both)


def test_a_conference_behind_a_dear_number_costs_nothing() -> None:
    room = Route("room", "+49900*", Target.CONFERENCE, name="weekly")
    assert way(f"tel:{PREMIUM}", room, everybody=Permission(classes=())) == Way(
        "room", "sip:w@c.example", "", number=PREMIUM, permission=Permission(classes=())
    )


@pytest.mark.parametrize("name", ["0900123456,1", "+49900123456;x", "0900-1234567%2C5"])
def test_what_a_switch_might_dial_of_a_name_is_a_number(name: str) -> None:
    national = Permission(classes=(CostClass.NATIONAL,))
    with pytest.raises(SipReject):
        way(f"sip:{name}@{REALM}", CORE, everybody=national)
    assert way(f"sip:bob@{REALM}", CORE, everybody=national) is not None
    assert way(f"sip:3com@{REALM}", CORE, everybody=national) is not None


def test_the_row_for_everything_is_for_addresses_too_but_no_trunk_gets_one() -> None:
    everything = Route("trunk", "*", Target.TRUNK, name="carrier")
    assert way(f"sip:bob@{REALM}", CORE) == Way("core", f"sip:bob@{REALM}", "", number=f"sip:bob@{REALM}")
    with pytest.raises(SipReject) as refused:
        way(f"sip:bob@{REALM}", everything)
    assert refused.value.status == 404


def test_a_name_is_nearer_than_its_domain_however_short() -> None:
    rows = Route("domain", "sip:*@b.example", Target.CORE), Route("one", "sip:a@b.example", Target.CORE)
    found = way("sip:a@b.example", *rows, Route("everything", "*", Target.CORE))
    assert found is not None
    assert found.route == "one"
    found = way("sip:c@b.example", *rows, Route("everything", "*", Target.CORE))
    assert found is not None
    assert found.route == "domain"


@pytest.mark.parametrize(
    ("uri", "row"),
    [
        ("urn:service:sos", "sos"),
        ("URN:Service:SOS.police", "police"),
        ("urn:service:sos.fire", "sos"),
        ("tel:112", "sos"),
        (f"sip:110@{REALM};user=phone", "sos"),
    ],
)
def test_an_emergency_goes_by_its_service(uri: str, row: str) -> None:
    rows = (
        Route("sos", "urn:service:sos", Target.TRUNK, name="carrier"),
        Route("police", "urn:service:sos.police", Target.CORE),
        CORE,
    )
    groups, query = {"carrier": ["one", "gone"]}, Query(REALM, "", "", 0.0)
    found = emergency_way(Index(*rows), {}, {}, uri, query, 0.0, groups=groups, places={"one", CORE_WAY})
    assert found is not None
    assert (found.route, found.is_emergency, found.request_uri) == (row, True, uri)
    assert (found.trunks, found.number) == (
        ("one",) if row == "sos" else (),
        "110" if "110" in uri else "112",
    )
    assert emergency_way(Index(CORE), {}, {}, uri, query, 0.0, places={CORE_WAY}) is None


def test_messages_follow_what_is_permitted_not_the_table() -> None:
    assert check_message({}, GERMAN, "", "tel:0900123456") == "+49900123456"
    with pytest.raises(CallDenied):
        check_message({"*": Permission(classes=(CostClass.NATIONAL,))}, GERMAN, "", "tel:09001234567")
    check_message({"*": Permission(classes=())}, GERMAN, "", f"sip:bob@{REALM}")
    assert not check_message({"*": Permission(classes=())}, GERMAN, "", "tel:+4930")


def test_a_message_to_a_service_code_is_for_the_numbers_in_it() -> None:
    code, national = f"sip:*31%230900123456@{REALM}", Permission(classes=(CostClass.NATIONAL,))
    with pytest.raises(CallDenied):
        check_message({"*": national}, GERMAN, "", code)
    assert check_message({}, GERMAN, "", code) == "*31#0900123456"
    assert check_message({"*": national}, GERMAN, "", f"sip:*21*03012345678%23@{REALM}")
