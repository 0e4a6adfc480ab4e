"""Reading addresses, parameters and option tags (RFC 3261 §20)."""

from __future__ import annotations

import pytest

from kemi.core.messages import Request, Side, addresses_from_headers, parameter, uri_from_address
from tests.unit.core.call.ladder import header_reader


def message(**facts: object) -> Request:
    request = Request(Side.WIC, "INVITE", "c", "f", "", 1)
    for name, value in facts.items():
        setattr(request, name, value)
    return request


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        pytest.param("<sip:a@b;transport=ws>;expires=1", "sip:a@b;transport=ws", id="name-addr"),
        pytest.param('"A <sip:x@y>" <sip:a@b>', "sip:a@b", id="angle brackets in the name"),
        pytest.param('"A \\" <sip:x@y>" <sip:a@b>', "sip:a@b", id="escaped quote in the name"),
        pytest.param("Alice <sip:a@b>", "sip:a@b", id="name without quotes"),
        pytest.param("sip:a@b;expires=1", "sip:a@b", id="addr-spec: parameters are the header's"),
        pytest.param(" sip:a@b ", "sip:a@b", id="spaces"),
        pytest.param("*", "*", id="all contacts"),
        pytest.param("", "", id="empty"),
        pytest.param("< sip:a@b >", "sip:a@b", id="spaces inside"),
    ],
)
def test_the_uri_of_an_address(value: str, uri: str) -> None:
    assert uri_from_address(value) == uri


@pytest.mark.parametrize(
    ("values", "addresses"),
    [
        pytest.param(["<sip:a>,<sip:b>"], ["<sip:a>", "<sip:b>"], id="two in one field"),
        pytest.param(["<sip:a>", " <sip:b> "], ["<sip:a>", "<sip:b>"], id="two fields"),
        pytest.param(['"A, B" <sip:a>, <sip:b>'], ['"A, B" <sip:a>', "<sip:b>"], id="comma in a name"),
        pytest.param(["<sip:a;x=1,2>, <sip:b>"], ["<sip:a;x=1,2>", "<sip:b>"], id="comma in a URI"),
        pytest.param([], [], id="none"),
        pytest.param(["", " , "], [], id="empty parts"),
        pytest.param(['"A \\", B" <sip:a>,<sip:b>'], ['"A \\", B" <sip:a>', "<sip:b>"], id="escaped quote"),
        pytest.param(['<sip:a>, "B, <sip:b>'], ["<sip:a>", '"B, <sip:b>'], id="a quote that does not end"),
        pytest.param(
            ["<sip:a>, <sip:b, <sip:c>"], ["<sip:a>", "<sip:b, <sip:c>"], id="a bracket that does not end"
        ),
        pytest.param(["," * 20_000 + "<sip:a>"], ["<sip:a>"], id="20,000 commas"),
    ],
)
def test_addresses_are_split_at_the_right_commas(values: list[str], addresses: list[str]) -> None:
    assert addresses_from_headers(values) == addresses


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("<sip:a>;expires=60", "60", id="plain"),
        pytest.param("<sip:a>; Expires = 60 ;x", "60", id="spaces and case"),
        pytest.param('<sip:a>;expires="60"', "60", id="quoted"),
        pytest.param("<sip:a>;expires", "", id="without value"),
        pytest.param("<sip:a;expires=9>", None, id="a URI parameter is another thing"),
        pytest.param("sip:a;expires=60", "60", id="addr-spec"),
        pytest.param("<sip:a>", None, id="absent"),
    ],
)
def test_a_header_parameter(value: str, found: str | None) -> None:
    assert parameter(value, "expires") == found


@pytest.mark.parametrize(
    ("body", "content_type", "has_sdp"),
    [
        pytest.param("v=0", "application/sdp", True, id="plain"),
        pytest.param("v=0", "Application/SDP;charset=utf-8", True, id="case and parameters"),
        pytest.param("v=0", "multipart/mixed", False, id="something else"),
        pytest.param("v=0", "", False, id="no type"),
        pytest.param("", "application/sdp", False, id="no body"),
    ],
)
def test_whether_a_body_is_a_session_description(body: str, content_type: str, has_sdp: bool) -> None:
    assert message(body=body, content_type=content_type).has_sdp is has_sdp


def test_option_tags_are_joined_over_all_fields_in_lower_case() -> None:
    request = message(headers=header_reader({"Supported": ["100rel, Path", " ", "outbound"]}))
    assert request.tokens("Supported") == {"100rel", "path", "outbound"}


def test_a_message_nobody_gave_headers_has_none() -> None:
    assert message().tokens("Require") == set()


def test_headers_are_not_printed_with_a_message() -> None:
    assert "headers" not in repr(message(headers=header_reader({"Authorization": ["secret"]})))
