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
from kemi.core.routing.table import Route, TableError, Target
from kemi.core.routing.way import Way, way_of
from kemi.state.route_index import RouteFile

GROUPS = {"two": ["a", "b"], "other": ["c", "b"]}


def way(
    *routes: Route, uri: str = "tel:+493012345678", permissions: Mapping[str, Permission] | None = None
) -> Way | None:
    return way_of(
        RouteFile.in_memory(routes),
        {"ims.example": DialPlan(country="DE")},
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
    with pytest.raises(SipReject):
        way(to(Target.REFUSE), to(Target.TRUNK, "two", 1))


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
    assert [*numbers_in_code("**61*03012345678*11*20#", plan)] == ["+493012345678"]
    for code in ("*98*0301234567#", "*100#", "*99*123#", "03012345678", "sip:a*03012345678@ims.example"):
        assert [*numbers_in_code(code, plan)] == []


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
