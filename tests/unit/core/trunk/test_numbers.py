"""Numbers in a trunk's form, and whose number a caller shows."""

from __future__ import annotations

import phonenumbers
import pytest

from kemi.core.routing.costs import canonical_number
from kemi.core.trunk.numbers import (
    Shown,
    caller_number,
    number_of,
    prefix_abroad,
    shown,
    trunk_uri,
    written,
)
from kemi.core.trunk.trunk import NumberForm, Trunk

ALICE = "+493012345678"


def trunk(form: NumberForm = NumberForm.PLUS, country: str = "", caller: str = "") -> Trunk:
    return Trunk(
        "one", ["sip:192.0.2.1:5080"], domain="carrier.example", numbers=form, country=country, caller=caller
    )


@pytest.mark.parametrize(
    ("form", "country", "number", "expected"),
    [
        (NumberForm.PLUS, "", ALICE, ALICE),
        (NumberForm.DIGITS, "", ALICE, "493012345678"),
        (NumberForm.NATIONAL, "DE", ALICE, "03012345678"),
        (NumberForm.NATIONAL, "DE", "+4915112345678", "015112345678"),
        (NumberForm.NATIONAL, "DE", "+442079460000", "00442079460000"),
        (NumberForm.NATIONAL, "GB", "+442079460000", "02079460000"),
        (NumberForm.NATIONAL, "GB", ALICE, "00493012345678"),
        (NumberForm.NATIONAL, "US", "+12015550123", "2015550123"),
        (NumberForm.NATIONAL, "US", ALICE, "011493012345678"),
        (NumberForm.NATIONAL, "IT", "+390650000000", "0650000000"),
        (NumberForm.NATIONAL, "BR", ALICE, "00493012345678"),
        (NumberForm.NATIONAL, "DE", "115", "115"),
        (NumberForm.DIGITS, "", "*21#", "*21#"),
    ],
)
def test_a_number_in_the_form_of_a_trunk(form: NumberForm, country: str, number: str, expected: str) -> None:
    assert written(number, trunk(form, country)) == expected


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_number_abroad_has_a_prefix_in_every_country(country: str) -> None:
    number = "+442079460000" if phonenumbers.country_code_for_region(country) == 49 else ALICE
    digits = written(number, trunk(NumberForm.NATIONAL, country))
    assert digits.isdecimal()
    assert digits.endswith(number[1:])
    assert digits != number[1:]


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("US", "+10116834002"),
        ("GB", "+44006834002"),
        ("IT", "+39006834002"),
        ("IT", "+3900216612345"),
        ("CZ", "+42000493012345"),
        ("SG", "+650106834002"),
        ("SG", "+6500493012345"),
        ("HK", "+85200112345678"),
        ("AU", "+61001167412345"),
        ("KR", "+820079812345678"),
    ],
)
def test_a_number_of_the_own_country_leads_to_no_other_one(country: str, number: str) -> None:
    of_abroad = f"{prefix_abroad(country)}{number[1:]}"
    assert written(number, trunk(NumberForm.NATIONAL, country)) == of_abroad


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_what_a_trunk_reads_is_the_number_that_was_dialled(country: str) -> None:
    code = phonenumbers.country_code_for_region(country)
    prefixes = ("00", "010", "011", "0011", "001", "810", "99", "119", "171", prefix_abroad(country))
    foreign = ("6834002", "12015550123", "493012345")
    for national in (prefix + number for prefix in prefixes for number in foreign):
        number = canonical_number(f"+{code}{national}")
        digits = written(number, trunk(NumberForm.NATIONAL, country))
        abroad = prefix_abroad(country)
        if digits.startswith(abroad):
            assert digits == f"{abroad}{number[1:]}"
        else:
            read = phonenumbers.parse(digits, country)
            assert phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164) == number


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_numbers_of_subscribers_are_in_national_form(country: str) -> None:
    for kind in phonenumbers.PhoneNumberType.values():
        example = phonenumbers.example_number_for_type(country, kind)
        if example is not None:
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            digits = written(number, trunk(NumberForm.NATIONAL, country))
            assert not digits.startswith(f"{prefix_abroad(country)}{number[1:]}")


def test_portability_goes_with_the_number() -> None:
    uri = trunk_uri(ALICE, trunk(), ("npdi", "rn=+49301"))
    assert uri == f"sip:{ALICE};npdi;rn=+49301@carrier.example;user=phone"


def test_a_code_is_escaped_where_a_uri_has_no_such_sign() -> None:
    assert trunk_uri("*31#", trunk()) == "sip:*31%23@carrier.example;user=phone"


@pytest.mark.parametrize(
    ("identity", "number"),
    [
        ("<tel:+49-30-123456>", "+4930123456"),
        ('"Alice" <sip:+4930123456@ims.example;user=phone>', "+4930123456"),
        ("<sip:alice@ims.example>", ""),
        ("<tel:123;phone-context=ims.example>", ""),
        ("<sip:+49alice@ims.example>", ""),
    ],
)
def test_the_number_of_an_identity(identity: str, number: str) -> None:
    assert number_of(identity) == number


def test_a_caller_shows_what_is_asserted_for_it_else_its_first_number() -> None:
    owned = ["<sip:alice@ims.example>", "<tel:+493>", "<tel:+4930222>", "<tel:+4930333>"]
    assert caller_number(["<tel:+4930333>"], owned) == "+4930333"
    assert caller_number(["<sip:alice@ims.example>"], owned) == "+4930222"  # +493 is no number
    assert caller_number(["<sip:alice@ims.example>"], owned[:1]) == ""


def test_who_calls_is_shown_or_not() -> None:
    uri = f"sip:{ALICE}@carrier.example;user=phone"
    assert shown(ALICE, trunk(), withheld=False) == Shown(f"<{uri}>", (f"P-Asserted-Identity: <{uri}>",))
    withheld = shown(ALICE, trunk(), withheld=True)
    assert withheld.from_value == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert withheld.lines == (f"P-Asserted-Identity: <{uri}>", "Privacy: id")
    nobody = shown("", trunk(), withheld=False)
    assert (nobody.from_value, nobody.lines) == (withheld.from_value, ())
    own = shown("", trunk(NumberForm.NATIONAL, "DE", caller=ALICE), withheld=False)
    assert own.from_value == "<sip:03012345678@carrier.example;user=phone>"
