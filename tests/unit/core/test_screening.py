"""What a message of a page must look like before anything else reads it."""

from __future__ import annotations

import pytest

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Request, Side
from kemi.core.screening import (
    check_head,
    check_one_message,
    check_response,
    check_whole,
    is_http_response,
    leads_to_page,
    may_be_logged,
    screen,
)
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
        f"{START}\r\nVia: x\0", f"{START}\r\nContent-Length: 1\r\nl: 1", f"{START}\r\nL: x", f"{START}\r\nl: +1",
        f"{START}\r\nContent-Length: 1234567890", f"{START}\r\n\r\r\nVia: x",
        f"{START}\r\n\x0bVia: x", f"{START}\r\n\u00a0folded",
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
        ({"Require": "norefersub, multiple-refer"}, "multiple-refer"),
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


@pytest.mark.conformance("X-15")
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"uri": ""}, id="no Request-URI"),
        pytest.param({"uri": "<sip:bob@x>"}, id="Request-URI in brackets"),
        pytest.param({"uri": "sip:bob@x?Route=%3Csip:y%3E"}, id="header fields in the Request-URI"),
        pytest.param({"uri": "sip:x?Route=y"}, id="header fields behind a domain"),
        pytest.param({"uri": "sip:2001:db8::10"}, id="IPv6 without brackets"),
        pytest.param({"CSeq": "1 OPTIONS"}, id="CSeq of another method"),
        pytest.param({"CSeq": "1\\\\ INVITE"}, id="CSeq without a number"),
        pytest.param({"CSeq": f"{'9' * 5000} INVITE"}, id="CSeq of 5000 digits"),
        pytest.param({"From": "Bell, Alexander <sip:bob@x>;tag=1"}, id="a comma outside quotes"),
        pytest.param({"To": '"Bob <sip:bob@x>'}, id="an open quote"),
        pytest.param({"To": "< sip:bob@x >"}, id="blanks in brackets"),
    ],
)
def test_what_is_malformed_gets_400(changed: dict[str, str]) -> None:
    with pytest.raises(RemoteProtocolError):
        screen(request(**changed))


@pytest.mark.conformance("X-15")
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"uri": "sip:[2001:db8::10]:5060;transport=ws"}, id="IPv6"),
        pytest.param({"uri": "sip:a;b=c?d/e:f@x.y;lr"}, id="an odd user"),
        pytest.param({"CSeq": "2147483647 INVITE"}, id="the largest CSeq"),
        pytest.param({"From": '"Bob \\"B.\\" Smith, Jr." <sip:bob@x> ; tag = 1'}, id="a quoted name"),
        pytest.param({"From": "sip:bob@x;tag=1", "To": "Bob Ångström <tel:+1;phone-context=x>"}, id="plain"),
    ],
)
def test_what_is_well_formed_passes(changed: dict[str, str]) -> None:
    screen(request(**changed))


@pytest.mark.parametrize("name", ["Content-Type", "Content-Disposition"])
def test_what_a_body_is_is_said_once(name: str) -> None:
    twice = {name: ["text/plain", "application/resource-lists+xml"]}
    spoilt = request("MESSAGE")
    spoilt.headers = header_reader(twice)
    with pytest.raises(RemoteProtocolError):
        screen(spoilt)


@pytest.mark.parametrize(("cseq", "contact"), [(1 << 31, "<sip:a@b>"), (1, "sip:a@b?Route=c")])
def test_numbers_and_contacts_have_bounds(cseq: int, contact: str) -> None:
    spoilt = request()
    spoilt.cseq, spoilt.contact = cseq, contact
    with pytest.raises(RemoteProtocolError):
        screen(spoilt)


@pytest.mark.parametrize(
    ("length", "said", "good"),
    [(5, ["5"], True), (9, ["5"], True), (5, [], True), (4, ["5"], False), (5, ["-5"], False)],
)
def test_nothing_is_cut_off(length: int, said: list[str], good: bool) -> None:
    if good:
        check_whole(length, said)
        return
    with pytest.raises(RemoteProtocolError):
        check_whole(length, said)


@pytest.mark.conformance("S-13")
@pytest.mark.parametrize(
    "uri",
    [
        *("sips:bob@x", "http://x", "mailto:a@b", "javascript:x", "soap.beep:x"),
        # a proxy behind us may read these as numbers that our own checks have not seen
        *(
            "urn:+49900123456@x",
            "urn:service:sos@x",
            "urn:service:+49900",
            "urn:service:",
            "urn:service:sos;user=phone",
        ),
    ],
)
def test_other_kinds_of_addresses_get_416(uri: str) -> None:
    with pytest.raises(SipReject) as caught:
        screen(request(uri=uri))
    assert caught.value.status == 416


@pytest.mark.parametrize("uri", ["sip:bob@x", "SIP:bob@x", "tel:+1", "urn:service:sos"])
def test_these_are_called(uri: str) -> None:
    screen(request(uri=uri))


def with_token(**changed: str) -> str:
    """Return a REGISTER with a token as browsers send it, but for the header fields changed."""
    fields = {
        "Via": "SIP/2.0/WSS x.invalid;branch=z9hG4bK1;rport",
        "Max-Forwards": "70",
        "From": '"Alice A." <sip:alice@x>;tag=1',
        "To": "<sip:alice@x>",
        "CSeq": "1 REGISTER",
        "Call-ID": "1",
        "Authorization": "Bearer abc",
        "Content-Length": "0",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return "\r\n".join(["REGISTER sip:x SIP/2.0", *(f"{n}: {v}" for n, v in fields.items()), "", ""])


@pytest.mark.conformance("X-19")
@pytest.mark.parametrize(
    "message",
    [
        "", "\r\n\r\n", "GARBAGE\r\n\r\n", with_token(), with_token(From="sip:alice@x;tag=1"),
        with_token(To='"a, b;c" <sip:alice@x;transport=ws>'), with_token(To="Alice <sip:alice@x>"),
        with_token(Via="SIP/2.0/WSS [2001:db8::1]:443;branch=1;rport;x=\"y z\""),
        with_token(From='"Alice \\"A\\"" <sip:alice@x>;tag=1'), with_token(From="<sip:alice@x>;tag=1;x=\"a\\\"b\""),
        with_token(Via="SIP / 2.0 / WS x;branch=1"), with_token(Subject="folded\r\n on"),
        with_token(Subject="folded\r\n\ton"),
        with_token(Via="SIP/2.0/UDP a;branch=1, SIP/2.0/TCP [2001:db8::5];branch=2 ,SIP/2.0/UDP b:5060"),
        "GET /sip HTTP/1.1\r\nFrom: a@b\r\nCookie: s=eyJhbGciOiJFUzI1NiJ9.x.y\r\nAuthorization: Bearer x\r\n\r\n",
        "SIP/2.0 200 OK Bearer\r\nVia: SIP/2.0/UDP x\r\n\r\n",
        "NOTIFY sip:x SIP/2.0\r\nVia: x\r\nRoute: <sip:k7EyjQ2@x;lr>\r\n\r\n",
    ],
)  # fmt: skip
def test_what_kamailio_may_read(message: str) -> None:
    assert may_be_logged(message)


@pytest.mark.conformance("X-19")
@pytest.mark.parametrize(
    "message",
    [
        "GARBAGE eyJhbGciOiJFUzI1NiJ9.x.y", "GET /sip HTTP/1.1\r\nCook ie: s=eyJ\r\n\r\n",
        "Bearer x", with_token().replace(" SIP/2.0\r\n", " SIP/3.0\r\n", 1),
        with_token().replace("\r\n", "\n"), with_token(Via=""), with_token(Via="SIP/2.0/WSS"),
        with_token(Via="SIP/2.0/WSS x,"), "REGISTER sip:x SIP/2.0\r\nVia: x\r\nX: eyJ\r\n\r\n",
        with_token(Via='SIP/2.0/WSS x;branch="'), with_token(To="<sip:alice@x"), with_token(To='"a <sip:alice@x>'),
        with_token(CSeq="x REGISTER"), with_token(CSeq="1"), with_token(CSeq="1 INVITE"),
        with_token(Via="SIP/2.0/WSS x:;branch=1"), with_token(Via="SIP/2.0/WSS x;branch=1=2"),
        with_token().replace("Call-ID", "Call%ID"), with_token(Content_Length="-1"),
        with_token().replace("CSeq:", "CSeq"), with_token().replace("Call-ID", "Ca l"),
        with_token(v="SIP/2.0/WSS"), with_token(t="<sip:alice@x"), with_token(f="<sip:alice@x"),
        with_token().replace("Content-Length: 0", "l:"),
        with_token(Authorization='Digest username="a"', Via=""), with_token(X_Token="eyJ", Authorization="", Via=""),
        with_token(X="a\0b"), with_token().replace("\r\n", "\r\n\r", 1),
    ],
)  # fmt: skip
def test_what_it_may_not_because_it_would_log_the_credentials(message: str) -> None:
    assert not may_be_logged(message)


@pytest.mark.parametrize("message", ["HTTP/1.1 200 OK\r\n", "\r\n\nhttp/2 200 OK\r\n"])
def test_a_response_over_http(message: str) -> None:
    assert is_http_response(message)


@pytest.mark.parametrize(
    "message", ["", "GET / HTTP/1.1\r\n", "SIP/2.0 200 OK\r\n", "HTTP sip:x SIP/2.0\r\n"]
)
def test_no_response_over_http(message: str) -> None:
    assert not is_http_response(message)


OUR_VIA = ["SIP/2.0/WS ours;branch=z9hG4bK"]


@pytest.mark.parametrize(
    "vias",
    [
        pytest.param([], id="none"),
        pytest.param(["SIP/2.0/WS ours", "SIP/2.0/UDP 203.0.113.1"], id="two"),
        pytest.param(["SIP/2.0/WS ours, SIP/2.0/UDP 203.0.113.1"], id="two in one"),
        pytest.param(["SIP/2.0/WS ours;x=<, SIP/2.0/UDP 203.0.113.1"], id="behind an angle bracket"),
        pytest.param(["SIP/2.0/WS ours;x=<a, SIP/2.0/UDP 203.0.113.1;y=b>"], id="between two"),
        pytest.param(['SIP/2.0/WS ours;x="a\\", SIP/2.0/UDP 203.0.113.1"'], id="behind an escaped quote"),
        pytest.param(['SIP/2.0/WS ours;x="a, SIP/2.0/UDP 203.0.113.1'], id="in an open quote"),
        pytest.param(["SIP/2.0/WS ours;x=(a, SIP/2.0/UDP 203.0.113.1)"], id="in a comment"),
        pytest.param(["SIP/2.0/WS ours,"], id="nothing behind it"),
        pytest.param(["SIP/2.0/WS ours", ""], id="an empty one"),
    ],
)
def test_a_response_that_says_itself_where_it_goes(vias: list[str]) -> None:
    check_response("INVITE", OUR_VIA)
    with pytest.raises(RemoteProtocolError, match="one Via"):
        check_response("INVITE", vias)


def test_no_page_answers_a_register() -> None:
    with pytest.raises(RemoteProtocolError, match="register"):
        check_response("REGISTER", OUR_VIA)


@pytest.mark.parametrize(
    ("vias", "leads"),
    [
        (
            ["SIP/2.0/UDP ours;branch=z9hG4bKa", "SIP/2.0/WSS x.invalid;branch=z9hG4bKb;received=127.0.0.1"],
            True,
        ),
        (["SIP/2.0/UDP ours, SIP/2.0/WS [::1]:9;rport=4000;branch=z9hG4bK~!%*_+`'.-"], True),
        (["SIP/2.0/UDP ours"], False),
        (["SIP/2.0/UDP ours", "SIP/2.0/UDP 203.0.113.1"], False),
        (["SIP/2.0/UDP ours;x=<, SIP/2.0/UDP 203.0.113.1", "SIP/2.0/WSS x.invalid"], False),
        (["SIP/2.0/UDP ours;x=<", "SIP/2.0/WSS x.invalid;x=<, SIP/2.0/UDP 203.0.113.1"], False),
        (["SIP/2.0/UDP ours", 'SIP/2.0/WSS x.invalid;x="a"'], False),
        (['SIP/2.0/UDP ours;x="a, SIP/2.0/WSS x.invalid, b"', "SIP/2.0/UDP 203.0.113.1"], False),
        (["SIP/2.0/UDP ours (a, SIP/2.0/WSS x.invalid, b)", "SIP/2.0/UDP 203.0.113.1"], False),
    ],
)
def test_a_response_that_kamailio_sends_to_a_page(vias: list[str], leads: bool) -> None:
    assert leads_to_page(vias) is leads
