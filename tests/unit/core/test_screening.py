"""What a message of a page must look like before anything else reads it."""

from __future__ import annotations

import pytest

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Request, Side
from kemi.core.screening import check_head, check_one_message, screen
from tests.unit.core.call.ladder import header_reader

START = "INVITE sip:bob@x SIP/2.0"


@pytest.mark.conformance("X-08")
@pytest.mark.parametrize(
    "lines",
    [
        ["Via: SIP/2.0/WSS x", "Subject:"],
        ["v:x", "v  :\t x"],
        ["Subject: folded", " on", "\tand on", " : with a colon"],
        ["X-Umlaut: ü"],
        ["a!b%c*d_e+f`g'h~i.j: x"],
    ],
)
def test_a_head_by_the_book(lines: list[str]) -> None:
    check_head("\r\n".join([START, *lines]))


@pytest.mark.conformance("X-08", "X-07")
@pytest.mark.parametrize(
    "head",
    [
        f"{START}\nVia: x", f"{START}\r\nVia: x\nP-Asserted-Identity: y", f"{START}\r\nVia: x\rTo: y",
        f"{START}\r\nVia", f"{START}\r\nVia\r\n : x", f"{START}\r\n: x", f"{START}\r\nÜ: x", f"{START}\r\nA B: x",
        f"{START}\r\nVia: x\0", f"{START}\r\n\r\r\nVia: x", f"{START}\r\n\x0bVia: x", f"{START}\r\n\u00a0folded",
    ],
)  # fmt: skip
def test_a_head_that_parsers_read_in_two_ways(head: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        check_head(head)
    assert caught.value.status == 400


@pytest.mark.conformance("X-06")
@pytest.mark.parametrize(
    ("length", "said", "typed", "good"),
    [
        (0, ["0"], False, True),
        (0, [], False, True),
        (5, ["5"], True, True),
        (5, [], True, True),
        (5, ["05"], True, True),
        (5, [], False, False),
        (5, ["0"], True, False),
        (5, ["6"], True, False),
        (5, ["5", "5"], True, False),
        (5, ["5, 5"], True, False),
        (5, ["+5"], True, False),
        (5, ["٥"], True, False),
        (0, [""], False, False),
    ],
)
def test_one_message_and_no_more(length: int, said: list[str], typed: bool, good: bool) -> None:
    if good:
        check_one_message(length, said, has_content_type=typed)
        return
    with pytest.raises(RemoteProtocolError):
        check_one_message(length, said, has_content_type=typed)


def request(method: str = "INVITE", uri: str = "sip:bob@x", **headers: str) -> Request:
    fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return Request(Side.WIC, method, "c", "a", "", 1, headers=header_reader(fields), request_uri=uri)


@pytest.mark.conformance("S-12", "R-26")
@pytest.mark.parametrize(
    ("headers", "unsupported"),
    [
        ({"Proxy_Require": "sec-agree"}, "sec-agree"),
        ({"Require": "100rel, sec-agree"}, "sec-agree"),
        ({"Proxy_Require": "foo, Bar"}, "bar, foo"),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "BYE"])
def test_extensions_asked_of_us_get_420(method: str, headers: dict[str, str], unsupported: str) -> None:
    with pytest.raises(SipReject) as caught:
        screen(request(method, **headers))
    assert (caught.value.status, caught.value.lines) == (420, (f"Unsupported: {unsupported}",))


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_what_cannot_be_refused_is_not(method: str) -> None:
    screen(request(method, Proxy_Require="foo"))


def test_what_is_required_of_the_far_end_passes() -> None:
    screen(request(Require="100rel", Supported="sec-agree"))


def test_an_option_tag_that_is_none_does_not_get_into_our_answer() -> None:
    with pytest.raises(RemoteProtocolError):
        screen(request(Proxy_Require='foo"bar'))


@pytest.mark.conformance("S-13")
@pytest.mark.parametrize("uri", ["sips:bob@x", "http://x", "mailto:a@b", "javascript:x", ""])
def test_other_kinds_of_addresses_get_416(uri: str) -> None:
    with pytest.raises(SipReject) as caught:
        screen(request(uri=uri))
    assert caught.value.status == 416


@pytest.mark.parametrize("uri", ["sip:bob@x", "SIP:bob@x", "tel:+1", "urn:service:sos"])
def test_these_are_called(uri: str) -> None:
    screen(request(uri=uri))
