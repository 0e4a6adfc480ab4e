"""Numbers in every writing, and what cannot be called."""

from __future__ import annotations

import phonenumbers
import pytest

from kemi.core.routing.costs import canonical_number
from kemi.core.routing.numbers import (
    MOST_EMERGENCY_DIGITS,
    BadNumber,
    DialPlan,
    check_plan,
    dialled_from_uri,
    is_emergency,
)

GERMAN = DialPlan(country="DE", area_code="30", trunk_prefix="0", short_codes={"115": "+4930115", "600": ""})
AMERICAN = DialPlan(country="US")
OFFICE = DialPlan(country="DE", outside="0", extension_digits=3)


@pytest.mark.parametrize(
    ("uri", "plan", "number"),
    [
        ("tel:+49-30-1234567", GERMAN, "+49301234567"),
        ("TEL:+49(30)1234567", GERMAN, "+49301234567"),
        ("sip:+49301234567@home.example;user=phone", GERMAN, "+49301234567"),
        ("sip:%2B49301234567@home.example", GERMAN, "+49301234567"),
        ("sip:+49301234567;npdi;rn=+49171@home.example;user=phone", GERMAN, "+49301234567"),
        ("tel:1234567;phone-context=+4930", GERMAN, "+49301234567"),
        ("tel:+49(0)301234567", GERMAN, "+49301234567"),
        ("tel:+49(00)301234567", GERMAN, "+49301234567"),
        ("sip:+490301234567@home.example;user=phone", DialPlan(), "+49301234567"),
        ("tel:0301234567;phone-context=+49", GERMAN, "+49301234567"),
        ("sip:0301234567;phone-context=+49@home.example;user=phone", GERMAN, "+49301234567"),
        ("tel:+44(0)7911123456", GERMAN, "+447911123456"),
        ("tel:+550211123456789", GERMAN, "+551123456789"),  # over the carrier 21
        ("tel:+390612345678", GERMAN, "+390612345678"),  # the zero is part of it
        ("tel:+882161234567", GERMAN, "+882161234567"),
        ("tel:0301234567;phone-context=home.example", GERMAN, "+49301234567"),
        ("tel:030 123 45 67;phone-context=home.example", GERMAN, "+49301234567"),
        ("tel:1234567;phone-context=home.example", GERMAN, "+49301234567"),
        ("tel:00441632960001;phone-context=home.example", GERMAN, "+441632960001"),
        ("tel:115;phone-context=home.example", GERMAN, "+4930115"),
        ("sip:600@home.example", GERMAN, "600"),
        ("tel:2125550123;phone-context=home.example", AMERICAN, "+12125550123"),
        ("tel:12125550123;phone-context=home.example", AMERICAN, "+12125550123"),
        ("tel:01149301234567;phone-context=home.example", AMERICAN, "+49301234567"),
        ("sip:0612345678@home.example", DialPlan(country="IT"), "+390612345678"),
        ("sip:123@home.example", OFFICE, "123"),
        ("sip:00301234567@home.example", OFFICE, "+49301234567"),
        ("sip:Alice.B@Home.Example;transport=ws", GERMAN, "sip:Alice.B@home.example"),
        ("sips:alice@home.example", GERMAN, "sip:alice@home.example"),
    ],
)
def test_every_writing_is_one_number(uri: str, plan: DialPlan, number: str) -> None:
    assert dialled_from_uri(uri, plan).number == number


def test_a_number_as_its_country_assigns_it_stays_as_it_is() -> None:
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in phonenumbers.PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert canonical_number(number) == number


@pytest.mark.parametrize(
    ("uri", "plan", "status"),
    [
        ("tel:+4930", GERMAN, 484),
        ("tel:+49", GERMAN, 484),
        ("tel:030;phone-context=home.example", GERMAN, 484),
        ("tel:+999123456789", GERMAN, 404),
        ("tel:+4930123456789012345", GERMAN, 404),
        ("tel:+1212555012345", AMERICAN, 404),
        ("tel:+49x30", GERMAN, 404),
        ("tel:", GERMAN, 404),
        ("tel:*21;phone-context=home.example", GERMAN, 404),
        ("tel:1234567;phone-context=;", DialPlan(), 404),
        ("tel:1234567;phone-context=a b", GERMAN, 404),
        ("sip:1234567@home.example", OFFICE, 404),
        ("sip:home.example", GERMAN, 404),
        ("mailto:alice@home.example", GERMAN, 404),
    ],
)
def test_what_cannot_be_called_is_refused(uri: str, plan: DialPlan, status: int) -> None:
    with pytest.raises(BadNumber) as refused:
        dialled_from_uri(uri, plan)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("uri", "plan", "emergency"),
    [
        ("urn:service:sos", DialPlan(), True),
        ("tel:112;phone-context=home.example", DialPlan(), True),
        ("sip:911@home.example;user=phone", GERMAN, True),
        ("sip:1-1-0@home.example", GERMAN, True),
        ("tel:110;phone-context=home.example", AMERICAN, False),
        ("tel:1121;phone-context=home.example", GERMAN, False),
        ("tel:115;phone-context=home.example", GERMAN, False),
        ("sip:alice@home.example", GERMAN, False),
    ],
)
def test_emergency_numbers_are_known(uri: str, plan: DialPlan, emergency: bool) -> None:
    assert is_emergency(uri, plan) is emergency


def test_portability_is_said_by_the_network_only() -> None:
    uri = "tel:+49301234567;npdi;rn=+491710;isub=12"
    assert dialled_from_uri(uri, GERMAN).parameters == ()
    assert dialled_from_uri(uri, GERMAN, trusted=True).parameters == ("npdi", "rn=+491710")


@pytest.mark.parametrize(
    "plan",
    [
        DialPlan(country="de"),
        DialPlan(country="DE", area_code="30"),
        DialPlan(outside="x"),
        DialPlan(short_codes={"a": ""}),
        DialPlan(short_codes={"115": "somebody"}),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused(plan: DialPlan) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_plan(plan)


def test_no_country_has_an_emergency_number_that_is_too_long_to_be_asked_for() -> None:
    known = [
        phonenumbers.PhoneMetadata.short_metadata_for_region(region)
        for region in phonenumbers.SUPPORTED_SHORT_REGIONS
    ]
    lengths = {
        length
        for one in known
        if one is not None and one.emergency
        for length in one.emergency.possible_length
    }
    assert 3 <= max(lengths) <= MOST_EMERGENCY_DIGITS
