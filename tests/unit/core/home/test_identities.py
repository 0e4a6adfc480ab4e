"""Whom a called address names."""

from __future__ import annotations

import re

import pytest

from kemi.core.errors import SipReject
from kemi.core.home.identities import address_of_record, keys_of, wanted
from kemi.core.routing.numbers import DialPlan

REALM = "ims.example"
GERMANY = DialPlan(
    country="DE", area_code="30", trunk_prefix="0", short_codes={"600": "", "601": "sip:bob@ims.example"}
)


@pytest.mark.parametrize(
    ("identity", "keys"),
    [
        pytest.param("sip:Bob@IMS.example", ["sip:Bob@ims.example"], id="name"),
        pytest.param("tel:+49-30-123", ["tel:+4930123"], id="number"),
        pytest.param("sip:+4930123@ims.example;user=phone", ["sip:+4930123@ims.example", "tel:+4930123"], id="both"),
        pytest.param("sip:600@ims.example", ["sip:600@ims.example"], id="extension"),
        pytest.param("sip:bob@other.example", [], id="another domain"),
        pytest.param("tel:123;phone-context=ims.example", [], id="local number"),
        pytest.param("no uri", [], id="nothing"),
    ],
)  # fmt: skip
def test_what_a_user_is_found_under(identity: str, keys: list[str]) -> None:
    assert keys_of([identity], REALM) == keys


def test_one_key_is_there_once() -> None:
    assert keys_of(["tel:+4930123", "sip:+4930123@ims.example", "tel:+49-30-123"], REALM) == [
        "tel:+4930123",
        "sip:+4930123@ims.example",
    ]


@pytest.mark.parametrize(
    ("uri", "keys"),
    [
        pytest.param("sip:bob@IMS.example;transport=ws", ["sip:bob@ims.example"], id="name"),
        pytest.param(
            "sip:+493012345678@ims.example;user=phone",
            ["sip:+493012345678@ims.example", "tel:+493012345678", "tel:+493012345678"],
            id="number as sip",
        ),
        pytest.param("tel:+49-30-12345678", ["tel:+493012345678", "tel:+493012345678"], id="number"),
        pytest.param(
            "tel:12345678;phone-context=ims.example",
            ["tel:12345678;phone-context=ims.example", "tel:+493012345678"],
            id="local number",
        ),
        pytest.param(
            "sip:600@ims.example;user=phone", ["sip:600@ims.example", "sip:600@ims.example"], id="short code"
        ),
        pytest.param("tel:601;phone-context=ims.example", None, id="short code of a name"),
    ],
)
def test_what_a_called_address_may_mean(uri: str, keys: list[str] | None) -> None:
    found = list(wanted(uri, REALM, GERMANY))
    assert found == keys if keys is not None else found[-1] == "sip:bob@ims.example"


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        pytest.param("sip:bob@other.example", 404, id="another domain"),
        pytest.param("https://ims.example", 404, id="no SIP"),
        pytest.param("tel:+49", 484, id="cut short"),
        pytest.param("urn:service:sos", 404, id="a service"),
    ],
)
def test_what_names_nobody(uri: str, status: int) -> None:
    with pytest.raises(SipReject) as refused:
        list(wanted(uri, REALM, GERMANY))
    assert refused.value.status == status


def test_a_private_identity_becomes_one_name() -> None:
    assert address_of_record("alice@IMS.example") == "sip:alice@ims.example"
    assert address_of_record("a/b?c@ims.example") == "sip:a%2Fb%3Fc@ims.example"


@pytest.mark.parametrize(
    "impi", ["jürgen@ims.example", "a" * 65 + "@x", "%" * 22 + "@x", "a@" + "x" * 129, "a@straße.example"]
)
def test_a_private_identity_that_the_registrar_does_not_take_has_another_name(impi: str) -> None:
    aor = address_of_record(impi)
    assert re.fullmatch(r"sip:[0-9a-f]{64}@digest\.invalid", aor)
    assert aor == address_of_record(impi) != address_of_record("b" + impi)
