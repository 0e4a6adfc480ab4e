"""The lines we write: well-formed whatever stands in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core.headers import (
    ALLOW,
    access_network_info,
    charging_vector,
    explanation,
    quotable,
    towards_ims,
    towards_wic,
    vias_of_response,
)
from kemi.core.messages import Request, Side
from tests.unit.core.call.ladder import CORE_CONTACT, SETTINGS, Call, header_reader, record_at


@given(detail=st.text(max_size=400))
def test_a_warning_is_one_well_formed_line(detail: str) -> None:
    lines = explanation(detail, "ims.example")
    assert len(lines) == (1 if detail else 0)
    for line in lines:
        assert re.fullmatch(r'Warning: 399 ims\.example "[^"\\\r\n]{0,200}"', line)


@given(text=st.text())
def test_quotable_text_needs_no_escapes_and_keeps_its_length(text: str) -> None:
    assert not set(quotable(text)) & set('"\\\r\n\0\t')
    assert len(quotable(text)) == len(text)


def test_readable_text_stays_as_it_is() -> None:
    assert explanation("no common codec: ünïcode", "h") == ('Warning: 399 h "no common codec: ünïcode"',)


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        pytest.param("UPDATE", True, id="UPDATE has Contact and description"),
        pytest.param("INVITE", True, id="INVITE has Contact and description"),
        pytest.param("BYE", False, id="BYE has neither"),
    ],
)
def test_our_own_requests_to_the_page_are_complete(method: str, extra: bool) -> None:
    lines = towards_wic(record_at("confirmed"), SETTINGS, 5, method)
    names = [line.partition(":")[0] for line in lines]
    assert names[:4] == ["From", "To", "Call-ID", "CSeq"]
    assert ("Contact" in names and "Content-Type" in names) is extra
    assert f"CSeq: 5 {method}" in lines


def test_our_own_requests_to_the_core_follow_the_legs_routes() -> None:
    lines = towards_ims(record_at("confirmed"), "core1", 3, "BYE")
    assert lines[:2] == ("Route: <sip:pcscf.ims.example;lr>", "Route: <sip:scscf.ims.example;lr>")
    assert lines[-2] == "CSeq: 3 BYE"
    assert lines[-1].startswith("P-Charging-Vector: icid-value=")
    assert Call.confirmed().record.legs["core1"].contact == CORE_CONTACT


@pytest.mark.conformance("R-24", "S-08")
def test_the_charging_vector_names_who_made_it() -> None:
    assert charging_vector("abc", SETTINGS.ims_host, "ims.example") == (
        'icid-value="abc";icid-generated-at=192.0.2.1;orig-ioi="Type 1ims.example"'
    )


@pytest.mark.conformance("R-25", "S-10")
def test_access_network_information_is_the_sites() -> None:
    assert access_network_info("") == ()
    assert access_network_info("IEEE-802.11;network-provided") == (
        "P-Access-Network-Info: IEEE-802.11;network-provided",
    )


def test_allow_names_what_the_flow_needs() -> None:
    methods = {method.strip() for method in ALLOW.removeprefix("Allow:").split(",")}
    assert {"INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE"} <= methods


@pytest.mark.conformance("S-50")
@pytest.mark.parametrize(
    ("source", "via", "expected"),
    [
        pytest.param("192.0.2.9:5060", "UDP 192.0.2.9;branch=b", "UDP 192.0.2.9;branch=b", id="as it says"),
        pytest.param(
            "192.0.2.9:6000",
            "UDP 192.0.2.9;rport;branch=b",
            "UDP 192.0.2.9;rport=6000;branch=b;received=192.0.2.9",
            id="asks for its port (RFC 3581 §4)",
        ),
        pytest.param(
            "192.0.2.9:6000",
            "UDP core.example:5060;branch=b",
            "UDP core.example:5060;branch=b;received=192.0.2.9",
            id="a name (RFC 3261 §18.2.1)",
        ),
        pytest.param(
            "192.0.2.9:6000",
            "UDP h;received=203.0.113.1;rport=1;branch=b",
            "UDP h;rport=6000;branch=b;received=192.0.2.9",
            id="what it says itself does not count",
        ),
        pytest.param("[2001:db8::1]:5060", "TCP [2001:db8::1]:5060;branch=b", None, id="IPv6"),
        pytest.param(
            "[2001:db8::1]:5060",
            "TCP host;branch=b",
            "TCP host;branch=b;received=2001:db8::1",
            id="IPv6 behind a name",
        ),
    ],
)
def test_responses_find_back_to_where_a_request_came_from(
    source: str, via: str, expected: str | None
) -> None:
    inner = ["SIP/2.0/UDP inner;rport;branch=c", "SIP/2.0/UDP innermost;branch=d"]
    headers = header_reader({"Via": [f"SIP/2.0/{via}, {inner[0]}", inner[1]]})
    request = Request(Side.IMS, "INFO", "c", "f", "t", 1, headers=headers, source=source)
    assert vias_of_response(request) == [f"SIP/2.0/{expected or via}", *inner]
