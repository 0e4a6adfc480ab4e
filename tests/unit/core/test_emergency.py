"""Emergencies in every writing, and the answer that sends people to another telephone."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from kemi.core.emergency import (
    AlternativeService,
    EmergencySettings,
    check_emergency,
    is_emergency_registration,
    service_of,
    targets_of,
)
from kemi.core.messages import Request, Side
from kemi.core.routing.numbers import DialPlan, emergency_number, emergency_uri, is_emergency

pytestmark = pytest.mark.conformance("S-60")
GERMAN, OFFICE = DialPlan(country="DE"), DialPlan(country="DE", outside="0", extension_digits=3)


def request(method: str, uri: str, *, to_tag: str = "", refer_to: tuple[str, ...] = ()) -> Request:
    return Request(
        Side.WIC, method, "c", "f", to_tag, 1,
        request_uri=uri, headers=lambda name: list(refer_to) if name == "Refer-To" else [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "plan", "emergency"),
    [
        ("urn:service:sos", DialPlan(), True),
        ("URN:SERVICE:SOS.police", DialPlan(), True),
        ("urn:service:sos.country-specific.de.110", DialPlan(), True),
        ("urn:service:%73os", DialPlan(), True),
        ("urn:service:counseling", DialPlan(), False),
        ("urn:nena:service", DialPlan(), False),
        ("tel:112", DialPlan(), True),
        ("tel:1-1-2;phone-context=home.example", DialPlan(), True),
        ("tel:110;phone-context=+49", GERMAN, True),
        ("sip:112:secret@home.example", DialPlan(), True),
        ("sip:112;phone-context=+49@home.example;user=phone", DialPlan(), True),
        ("sip:%31%31%32@home.example", DialPlan(), True),
        ("tel:+49112", DialPlan(), True),
        ("tel:+49110", GERMAN, True),
        ("tel:+49110", DialPlan(), False),
        ("tel:+1911", GERMAN, True),
        ("tel:0112", OFFICE, True),
        ("tel:0110", OFFICE, True),
        ("tel:0112", GERMAN, False),
        ("tel:999;phone-context=home.example", GERMAN, False),
        ("tel:+1121", GERMAN, False),
        ("tel:+491123456", GERMAN, False),
        ("tel:19222", GERMAN, False),
        ("sip:bob@home.example", GERMAN, False),
    ],
)
def test_emergencies_are_known(uri: str, plan: DialPlan, emergency: bool) -> None:
    assert is_emergency(uri, plan) is emergency


def test_the_operator_names_more_numbers() -> None:
    for uri in ("tel:19222", "sip:19222@home.example", "tel:+4919222"):
        assert is_emergency(uri, GERMAN, ["19222"])
    assert not is_emergency("tel:+119222", GERMAN, ["19222"])
    with pytest.raises(ValueError, match="numbers"):
        check_emergency(EmergencySettings(numbers=["+49112"]), has_core=True)


def test_whom_a_request_would_call() -> None:
    assert targets_of(request("INVITE", "tel:112")) == ["tel:112"]
    assert targets_of(request("MESSAGE", "tel:112")) == ["tel:112"]
    assert targets_of(request("INVITE", "tel:112", to_tag="t")) == []
    assert targets_of(request("REGISTER", "sip:home.example")) == []
    refer_to = ("<sip:112@home.example?Replaces=x>, <tel:110>",)
    assert targets_of(request("REFER", "sip:us", to_tag="t", refer_to=refer_to)) == [
        "sip:112@home.example",
        "tel:110",
    ]


@pytest.mark.parametrize(
    ("contact", "emergency"),
    [
        ("<sip:a@b.invalid;transport=ws;sos>", True),
        ("<sip:a@b.invalid;SOS;ob>;reg-id=1", True),
        ("<sip:a@b.invalid>;sos", True),
        ("<sip:sos@b.invalid>", False),
        ("<sip:a@b.invalid;x=sos>", False),
    ],
)
@pytest.mark.conformance("S-62")
def test_registrations_for_emergencies_are_known(contact: str, emergency: bool) -> None:
    assert is_emergency_registration([contact]) is emergency


@pytest.mark.conformance("S-61")
def test_the_answer_says_what_it_is_about() -> None:
    for may_register in (False, True):
        answer = AlternativeService.of("192.0.2.1:5060", may_register=may_register)
        assert (answer.status, answer.reason_phrase) == (380, "Alternative Service")
        assert answer.content_type == "application/3gpp-ims+xml"
        assert answer.lines == ("P-Asserted-Identity: <sip:192.0.2.1:5060>",)
        service = ET.fromstring(answer.body).find("alternative-service")
        assert service is not None
        assert service.findtext("type") == "emergency"
        assert service.findtext("action") == ("emergency-registration" if may_register else None)
    assert service_of("tel:112") == "urn:service:sos"


@pytest.mark.parametrize(
    ("uri", "plan", "number"),
    [
        ("urn:service:sos.police", GERMAN, "112"),
        ("urn:service:sos", DialPlan(), "112"),
        ("urn:service:sos", DialPlan(country="GB"), "112"),
        ("urn:service:sos.fire", DialPlan(country="US"), "911"),
        ("urn:service:sos", DialPlan(country="MX"), "911"),
        ("urn:service:sos", DialPlan(country="NZ"), "111"),
        ("urn:service:sos", DialPlan(country="QA"), "999"),
        ("urn:service:sos", DialPlan(country="AU"), "000"),
        ("urn:service:sos", DialPlan(country="JP"), "112"),
        ("tel:110;phone-context=home.example", GERMAN, "110"),
        ("tel:+49110", GERMAN, "110"),
        ("tel:+1911", GERMAN, "911"),
        ("tel:0110", OFFICE, "110"),
        ("sip:1-1-2@home.example;user=phone", OFFICE, "112"),
    ],
)
def test_what_is_dialled_at_a_trunk(uri: str, plan: DialPlan, number: str) -> None:
    assert emergency_number(uri, plan) == number


@pytest.mark.parametrize(
    ("uri", "plan", "expected"),
    [
        *(
            (uri, OFFICE, uri)
            for uri in (
                "urn:service:sos",
                "URN:service:sos.police",
                "tel:112",
                "tel:0112",
                "tel:+49110",
                "tel:1-1-0;phone-context=home.example",
                "sip:112@home.example",
                "SIP:110@Home.Example;user=phone",
            )
        ),
        *(
            (uri, GERMAN, "sip:112@home.example;user=phone")
            for uri in (
                "sip:112@evil.example",
                "sip:112@evil.example;user=phone",
                "sip:112@home.example.evil.example",
                "sip:112@homeXexample",
                "sip:112@192.0.2.7:5070",
                "sip:112@home.example:5070",
                "sip:112@home.example;maddr=evil.example",
                "sip:112@home.example;user=phone;maddr=evil.example",
                "sip:112:secret@home.example",
                "sip:112;phone-context=+881@home.example;user=phone",
                "sip:%31%31%32@evil.example",
                "sip:+49112@evil.example",
                "sip:112",
                "tel:112;phone-context=evil.example",
                "tel:112;phone-context=+8816",
                "tel:112;isub=1",
                "tel:%31%31%32",
            )
        ),
        ("tel:0110;phone-context=+881", OFFICE, "sip:110@home.example;user=phone"),
        ("sip:+1911@evil.example", GERMAN, "sip:911@home.example;user=phone"),
    ],
)
def test_no_other_host_and_no_other_number_is_made_of_it(uri: str, plan: DialPlan, expected: str) -> None:
    assert is_emergency(uri, plan)
    assert emergency_uri(uri, plan, "home.example") == expected
    assert is_emergency(expected, plan)


def test_a_number_of_the_site_itself_is_whole() -> None:
    uri = "sip:0999@home.example;transport=ws"
    assert emergency_uri(uri, OFFICE, "home.example", ("0999",)) == "sip:0999@home.example;user=phone"
