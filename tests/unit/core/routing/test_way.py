"""Where a call may go that has trunks on its way, and which tables cannot be used for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from kemi.core.errors import SipReject
from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import BadNumber, DialPlan, numbers_in_code
from kemi.core.routing.offers import OneOffer
from kemi.core.routing.permissions import CallDenied, Permission
from kemi.core.routing.table import RefusedByRow, Route, TableError, Target
from kemi.core.routing.way import Way, way_of
from kemi.state.route_index import RouteFile

GERMAN: Final = DialPlan(country="DE")
GROUPS = {"two": ["a", "b"], "other": ["c", "b"]}


def way(
    *routes: Route,
    uri: str = "tel:+493012345678",
    permissions: Mapping[str, Permission] | None = None,
    plan: DialPlan = GERMAN,
) -> Way | None:
    return way_of(
        RouteFile.in_memory(routes),
        {"ims.example": plan},
        {"room": "sip:room@conference.example"},
        uri,
        groups=GROUPS,
        realm="ims.example",
        user_class="",
        now=0.0,
        spin=0.0,
        permissions=permissions,
    )


def to(target: Target, name: str = "", priority: int = 0, number: str = "+49*") -> Route:
    status = 403 if target is Target.REFUSE else 0
    return Route(f"r{priority}", number, target, name=name, priority=priority, status=status)


def test_the_trunks_of_all_rows_in_order_each_once() -> None:
    found = way(to(Target.TRUNK, "two"), to(Target.TRUNK, "other", 1))
    assert found is not None
    assert (found.trunks, found.number) == (("a", "b", "c"), "+493012345678")
    assert found.request_uri == "tel:+493012345678"  # should the core come after all


def test_the_core_before_or_after_trunks() -> None:
    found = way(to(Target.TRUNK, "two"), to(Target.CORE, priority=1))
    assert found is not None and found.trunks == ("a", "b", "")
    found = way(to(Target.CORE), to(Target.TRUNK, "two", 1))
    assert found is not None and found.trunks == ("", "a", "b")
    found = way(to(Target.CORE))
    assert found is not None and found.trunks == ()


def test_what_is_no_place_to_try_ends_the_list() -> None:
    found = way(to(Target.TRUNK, "two"), to(Target.REFUSE, priority=1), to(Target.TRUNK, "other", 2))
    assert found is not None and found.trunks == ("a", "b")
    with pytest.raises(RefusedByRow) as refused:
        way(to(Target.REFUSE), to(Target.TRUNK, "two", 1))
    assert refused.value.route == "r0"


DIVERT: Final = "sip:*21*03012345678%23@ims.example;user=phone"


@pytest.mark.parametrize("uri", [DIVERT, "tel:*21*03012345678%23;phone-context=ims.example"])
def test_a_service_code_goes_where_a_row_for_such_codes_says(uri: str) -> None:
    everything, codes = to(Target.CORE, number="*"), to(Target.CORE, priority=1, number="*21*")
    found = way(everything, codes, uri=uri)
    assert found is not None
    assert (found.route, found.request_uri, found.number) == ("r1", uri, "*21*03012345678#")
    with pytest.raises(SipReject) as refused:
        way(everything, to(Target.REFUSE, priority=1, number="*21*"), uri=uri)
    assert refused.value.status == 403
    for rows in ([everything], [], [to(Target.CORE, number="*31*")]):
        with pytest.raises(BadNumber, match="no such service code"):
            way(*rows, uri=uri)


@pytest.mark.parametrize(
    ("permission", "uri", "is_allowed"),
    [
        (Permission(classes=(CostClass.NATIONAL,)), DIVERT, True),
        (Permission(classes=(CostClass.FREE,)), DIVERT, False),
        (Permission(denied=("+4930",)), DIVERT, False),
        (Permission(classes=(CostClass.NATIONAL,)), "sip:*21*00441632960001%23@ims.example", False),
        (Permission(classes=()), "sip:*21%23@ims.example", True),
    ],
)
def test_of_the_numbers_in_a_service_code_the_permission_counts(
    permission: Permission, uri: str, is_allowed: bool
) -> None:
    codes = to(Target.CORE, number="*21**")
    permissions = {"*": permission}
    if is_allowed:
        assert way(codes, to(Target.CORE, number="*21#"), uri=uri, permissions=permissions) is not None
    else:
        with pytest.raises(CallDenied):
            way(codes, uri=uri, permissions=permissions)


def test_the_numbers_in_a_service_code() -> None:
    plan = DialPlan(country="DE", short_codes={"*98*0301234567#": ""})
    found = [("03012345678", ("+493012345678",))]
    assert [*numbers_in_code("**61*03012345678*11*20#", plan)] == found
    assert [*numbers_in_code("sip:**61*03012345678*11*25%23,1@ims.example", plan)] == found
    assert [*numbers_in_code("*21*+4930#*31#5", plan)] == [("+4930", ())]
    for code in ("*98*0301234567#", "*100#", "*99*123#", "03012345678", "sip:a*03012345678@ims.example"):
        assert [*numbers_in_code(code, plan)] == []
    assert [*numbers_in_code("*21*1234#", DialPlan(extension_digits=9))] == []
    line = DialPlan(country="DE", outside="9")
    assert [*numbers_in_code("*31#0900123456", line)] == [("0900123456", ("+49900123456",))]
    readings = ("+49900123456", "+4990900123456")
    assert [*numbers_in_code("*31#90900123456", line)] == [("90900123456", readings)]


PLANS: Final = {
    "country": GERMAN,
    "line": DialPlan(country="DE", outside="9"),
    "none": DialPlan(),
}
DEAR_CODES: Final = [
    "*31%230900123456",
    "*21*0900123456%23",
    "*21*0049900123456%23",
    "*21*+49900123456%23",
    "**61*0049900123456*11*25%23",
]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("code", DEAR_CODES)
@pytest.mark.parametrize("target", [Target.CORE, Target.TRUNK])
def test_no_service_code_calls_whom_its_caller_may_not(plan: str, code: str, target: Target) -> None:
    rows = [
        to(target, "two" if target is Target.TRUNK else "", number=number, priority=priority)
        for priority, number in enumerate(("*31#*", "*21*", "**61*"))
    ]
    rows.append(to(Target.CORE, priority=3, number="*"))  # a code longer than any number is an address
    classes = Permission(classes=(CostClass.INTERNAL, CostClass.NATIONAL))
    is_read = plan != "none" or "+" in code
    for permission in (classes, Permission(denied=("+49900",) if is_read else ("0900", "0049900"))):
        for uri in (f"sip:{code}@ims.example", f"sip:{code}@ims.example;user=phone"):
            if "user=phone" in uri and (len(code) > 24 or "+" in code):
                continue  # no telephone number
            with pytest.raises(CallDenied):
                way(*rows, uri=uri, plan=PLANS[plan], permissions={"*": permission})


@pytest.mark.parametrize("plan", ["country", "line"])
@pytest.mark.parametrize(
    "code", ["*21*03012345678%23", "*21*+493012345678%23", "**61*00493012345678*11*25%23"]
)
def test_a_service_code_calls_whom_its_caller_may(plan: str, code: str) -> None:
    rows = [to(Target.CORE, number=number) for number in ("*21*", "**61*", "*")]
    permission = Permission(classes=(CostClass.NATIONAL,))
    found = way(*rows, uri=f"sip:{code}@ims.example", plan=PLANS[plan], permissions={"*": permission})
    assert found is not None and found.cost is CostClass.NATIONAL


def test_a_number_that_cannot_be_read_is_called_by_whom_its_beginning_is_allowed() -> None:
    uri, row = "sip:*21*7012%23@ims.example", to(Target.TRUNK, "two", number="*21*")
    with pytest.raises(CallDenied, match="cannot be told"):
        way(row, uri=uri, plan=DialPlan())
    assert way(to(Target.CORE, number="*21*"), uri=uri, plan=DialPlan()) is not None
    for classes in (None, (CostClass.NATIONAL,)):
        allowed = Permission(classes=classes, allowed=("70",))
        assert way(row, uri=uri, plan=DialPlan(), permissions={"*": allowed}) is not None


def test_a_service_code_costs_what_the_dearest_number_in_it_does() -> None:
    codes = to(Target.CORE, number="*31#*")
    for uri, cost in (
        ("sip:*31%230900123456@ims.example", CostClass.PREMIUM),
        ("sip:*31%2303012345678*21*0900123456@ims.example", CostClass.PREMIUM),
        ("sip:*31%23@ims.example", CostClass.INTERNAL),
    ):
        found = way(codes, to(Target.CORE, number="*31#"), to(Target.CORE, number="*"), uri=uri)
        assert found is not None and found.cost is cost


PARTNER: Final = Route("partner", "sip:*@partner.example", Target.CORE)


@pytest.mark.parametrize("user", ["0301234567", "+49301234567", "1000", "030-1234567"])
def test_digits_at_another_domain_are_its_user(user: str) -> None:
    plan = DialPlan(country="DE", extension_digits=4)
    rows = [PARTNER, to(Target.TRUNK, "two"), to(Target.USER, "sip:reception@ims.example", 1, number="1000")]
    uri = f"sip:{user}@Partner.Example:5060;transport=tcp"
    found = way(*rows, uri=uri, plan=plan)
    assert found is not None
    assert (found.route, found.request_uri, found.trunks) == ("partner", uri, ())
    assert found.number == f"sip:{user}@partner.example:5060"
    with pytest.raises(SipReject, match="no route"):
        way(*rows[1:], uri=uri, plan=plan)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:0301234567@ims.example",
        "sips:0301234567@IMS.example.:5061",
        "sip:0301234567@gw.ims.example",
        "sip:0301234567@partner.example;user=phone",
        "sip:+49301234567@partner.example;User=Phone",
        "sip:0301234567@192.0.2.1:5060",
        "sip:0301234567@[2001:db8::1]",
        "tel:0301234567;phone-context=partner.example",
    ],
)
def test_other_digits_are_a_number(uri: str) -> None:
    found = way(PARTNER, to(Target.TRUNK, "two"), uri=uri)
    assert found is not None and (found.number, found.trunks) == ("+49301234567", ("a", "b"))


@pytest.mark.parametrize("user", ["0900123456", "+49900123456", "900123456;phone-context=+49"])
def test_digits_at_another_domain_are_barred_like_the_number(user: str) -> None:
    uri, everything = f"sip:{user}@elsewhere.example", to(Target.CORE, number="*")
    premium = Route("premium", "+49900*", Target.REFUSE, status=403)
    found = way(everything, uri=uri)
    assert found is not None
    assert (found.trunks, found.cost, found.as_number) == ((), CostClass.PREMIUM, "+49900123456")
    for permission in (Permission(classes=(CostClass.NATIONAL,)), Permission(denied=("+49900",))):
        with pytest.raises(CallDenied):
            way(everything, uri=uri, permissions={"*": permission})
    with pytest.raises(RefusedByRow) as refused:
        way(everything, premium, uri=uri)
    assert refused.value.route == "premium"
    own = Route("own", "sip:*@elsewhere.example", Target.CORE)
    found = way(everything, premium, own, uri=uri)  # the operator has named that domain
    assert found is not None and found.route == "own"


@pytest.mark.parametrize(
    ("user", "refuses", "plan"),
    [
        ("*21*0301234567%23", "*21*", GERMAN),
        ("*21*0301234567%23", "**", GERMAN),
        ("1000", "1XXX", DialPlan(country="DE", extension_digits=4)),
        ("777", "777", DialPlan(country="DE", short_codes={"777": ""})),
        ("778", "sip:hotline@ims.example", DialPlan(short_codes={"778": "sip:hotline@ims.example"})),
        ("0900123456", "0900*", DialPlan(extension_digits=15)),
    ],
)
def test_so_are_codes_and_local_numbers(user: str, refuses: str, plan: DialPlan) -> None:
    uri, everything = f"sip:{user}@elsewhere.example", to(Target.CORE, number="*")
    refused = Route("refused", refuses, Target.REFUSE, status=403)
    with pytest.raises(RefusedByRow) as error:
        way(everything, refused, uri=uri, plan=plan)
    assert error.value.route == "refused"
    own = Route("own", "sip:*@elsewhere.example", Target.CORE)
    found = way(everything, refused, own, uri=uri, plan=plan)
    assert found is not None and found.route == "own"


def test_a_code_at_another_domain_is_not_for_the_row_for_everything() -> None:
    uri, everything = "sip:*21*0301234567%23@elsewhere.example", to(Target.CORE, number="*")
    with pytest.raises(BadNumber, match="no such service code"):
        way(everything, uri=uri)
    for row in (
        Route("own", "sip:*@elsewhere.example", Target.CORE),
        Route("codes", "*21*", Target.CORE),
    ):
        found = way(everything, row, uri=uri)
        assert found is not None
        assert (found.number, found.trunks) == (uri, ())


def test_names_are_no_business_of_a_trunk() -> None:
    with pytest.raises(SipReject, match="numbers only") as refused:
        way(to(Target.TRUNK, "two", number="sip:*@ims.example"), uri="sip:bob@ims.example")
    assert refused.value.status == 404


def test_a_group_of_different_media_profiles_is_refused() -> None:
    with pytest.raises(TableError, match=r"'two'.*different media profiles: safe, the default"):
        OneOffer(GROUPS, {"a": "", "b": "safe", "c": "safe"})


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        pytest.param(
            [Route("x", "+49*", Target.TRUNK, name="safe"), Route("y", "+49*", Target.CORE)],
            "row 'y'",
            id="core",
        ),
        pytest.param(
            [Route("x", "+49*", Target.TRUNK, name="safe"), Route("y", "+49*", Target.CORE, profile="safe")],
            "",
            id="core with it",
        ),
        pytest.param(
            [Route("x", "+49*", Target.TRUNK, name="safe"), Route("y", "+4930*", Target.CORE)],
            "",
            id="other number",
        ),
        pytest.param(
            [Route("x", "+49*", Target.TRUNK, name="safe"), Route("y", "+49*", Target.TRUNK, name="plain")],
            "row 'y'",
            id="trunks",
        ),
        pytest.param(
            [
                Route("x", "+49*", Target.TRUNK, name="safe", profile="z"),
                Route("y", "+49*", Target.TRUNK, name="plain", profile="z"),
            ],
            "",
            id="said by the rows",
        ),
    ],
)
def test_rows_for_one_number_have_one_media_profile(rows: list[Route], problem: str) -> None:
    offers = OneOffer({"safe": ["a"], "plain": ["b"]}, {"a": "safe", "b": ""})
    if not problem:
        assert list(offers.checked(rows)) == rows
        return
    with pytest.raises(TableError, match=problem):
        list(offers.checked(rows))
