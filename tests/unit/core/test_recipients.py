"""Whom a list in a body names, however it is written."""

from __future__ import annotations

import gzip

import pytest

from kemi.core.bodies import Body
from kemi.core.errors import GatewayError, RemoteProtocolError
from kemi.core.recipients import lists_of, recipients_of

TYPE = "application/resource-lists+xml"
MIXED = 'multipart/mixed;boundary="x"'
PREMIUM = "tel:+979123456789"
ENTRY = f'<entry uri="{PREMIUM}"/>'
LIST = f'<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list>{ENTRY}</list></resource-lists>'
GOOD = LIST.replace(PREMIUM, "sip:bob@home.example")


def body(content: str | bytes, content_type: str = TYPE, encoding: str = "", disposition: str = "") -> Body:
    return Body(
        content.encode() if isinstance(content, str) else content, content_type, disposition, encoding
    )


def part(content: str, *fields: str) -> str:
    return "\r\n".join(("--x", *fields, "", content, ""))


def refused_with(wanted: Body) -> int:
    with pytest.raises(GatewayError) as refused:
        recipients_of(wanted)
    return refused.value.status


def test_entries_are_found_in_every_writing() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?><resource-lists xmlns:cp="x"><list>
      <entry uri="tel:&#43;49900" cp:copyControl="to"/><entry
      uri = 'sip:bob@home.example' /><entry-ref ref="sip:more@home.example"/></list></resource-lists>"""
    assert recipients_of(body(text)) == ["tel:+49900", "sip:bob@home.example", "sip:more@home.example"]
    mixed = f"--x\r\nContent-Type: {TYPE}\r\n\r\n{text}\r\n--x--\r\n"
    assert recipients_of(body(mixed, MIXED)) == recipients_of(body(text))
    assert recipients_of(body(b"\xef\xbb\xbf" + text.encode())) == recipients_of(body(text))


def test_a_list_that_is_elsewhere_is_one_of_them() -> None:
    """Whoever judges them refuses it: nobody knows whom it names."""
    external = '<resource-lists><list><external anchor="http://evil.example/a"/></list></resource-lists>'
    assert recipients_of(body(external)) == ["http://evil.example/a"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        ('<a uri="tel:+49900"/>', "text/xml"),
        ("my recipient-list, and resource-lists", "text/plain"),
        ("From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nrecipient-list", "message/cpim"),
        ('<presence><tuple id="a"><contact>tel:+49900</contact></tuple></presence>', "application/pidf+xml"),
        (part("v=0", "Content-Type: application/sdp") + part("<x/>", "Content-Type: text/xml"), MIXED),
        ("--x\nContent-Type: text/plain\n\nhi\n--x--\n", MIXED),
    ],
)
def test_other_bodies_have_none(content: str, content_type: str) -> None:
    assert recipients_of(body(content, content_type)) == []


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ('<!DOCTYPE a [<!ENTITY x "tel:+49900">]><resource-lists><entry uri="&x;"/></resource-lists>', ""),
        ("<resource-lists/>".encode("utf-16"), ""),
        ('<?xml version="1.0" encoding="UTF-7"?><resource-lists/>', ""),
        ("<resource-lists/>", "gzip"),
    ],
)
def test_what_hides_them_is_refused(content: str | bytes, encoding: str) -> None:
    assert refused_with(body(content, TYPE, encoding)) == 415


@pytest.mark.parametrize(
    "before",
    [
        '<!-- uri="http: -->',
        '<!-- uri="sip:bob@home.example;x= -->',
        '<entry uri="sip:bob@home.example"><display-name>uri="http:</display-name></entry>',
        '<entry x=\'uri="http:\' uri="sip:bob@home.example"/>',
        '<![CDATA[ ref="http: ]]>',
        '<?a uri="http:?>',
    ],
)
def test_nothing_before_an_entry_hides_it(before: str) -> None:
    wanted = body(LIST.replace(ENTRY, before + ENTRY))
    if before.startswith(("<!", "<?")):
        assert refused_with(wanted) == 415
    else:
        assert PREMIUM in recipients_of(wanted)


@pytest.mark.parametrize(
    "content",
    [
        '<?xml version="1.0" encoding="cp037"?>'.encode("cp037") + LIST.encode("cp037"),
        LIST + LIST,
        LIST[:-1],
        b"<a uri='\xff'/>",
        "",
        LIST.replace("tel:", "&tel;"),
    ],
)
def test_what_is_no_xml_is_no_list(content: str | bytes) -> None:
    assert refused_with(body(content)) == 400


HIDDEN = part("hi", "Content-Type: text/plain")
END = "--x--\r\n"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (part(f"hi\n--x\nContent-Type: {TYPE}\n\n{LIST}\n", "Content-Type: text/plain") + END, MIXED),
        (part(f"hi --x\r\nContent-Type: {TYPE}\r\n\r\n{LIST}", "Content-Type: text/plain") + END, MIXED),
        (
            part(f"--y\r\nContent-Type: {TYPE}\r\n\r\n{LIST}\r\n--y--", "Content-Type: text/plain") + END,
            "multipart/mixed;boundary=y;a=<b>;boundary=x",
        ),
        (HIDDEN + END + part(LIST, f"Content-Type: {TYPE}"), MIXED),
        (part(LIST, f"Content-Type: {TYPE}") + END, "multipart / mixed;boundary=x"),
        (part(LIST, "Content-Type: text/xml", "Content-Disposition: recipient-list") + END, MIXED),
        (part(LIST, f"Content-Type: {TYPE};charset=utf-7") + END, MIXED),
        (part("", 'Content-Type: multipart/mixed;boundary="y"', "Content-Encoding: gzip") + END, MIXED),
        (
            f"Content-Type: {TYPE}\r\n\r\n",
            'message/external-body;access-type="URL";URL="http://evil.example/a"',
        ),
        (LIST, f"{TYPE};charset=utf-7"),
        (LIST, f"{TYPE};charset=utf-7;a=<b>"),
    ],
)
def test_a_list_that_others_might_find_is_refused(content: str, content_type: str) -> None:
    assert refused_with(body(content, content_type)) == 415


def test_parts_that_are_encoded_together_are_refused() -> None:
    packed = gzip.compress((part(LIST, f"Content-Type: {TYPE}") + END).encode())
    assert refused_with(body(packed, MIXED, "gzip")) == 415


def test_a_part_that_is_read_as_a_list_hides_none() -> None:
    before = f"X: a\n--x\nContent-Type: {TYPE}\n\n{LIST}\n--x"
    assert refused_with(body(part(GOOD, before, f"Content-Type: {TYPE}") + END, MIXED)) == 400
    inner = f"\n--x\nContent-Type: {TYPE}\n\n{LIST}\n--x--\n"
    assert (
        refused_with(body(part(f"<a><![CDATA[{inner}]]></a>", f"Content-Type: {TYPE}") + END, MIXED)) == 415
    )
    assert refused_with(body(part(f"<a><?b {inner}?></a>", f"Content-Type: {TYPE}") + END, MIXED)) == 415
    shown = body(part(f"<a>{inner}</a>", f"Content-Type: {TYPE}") + END, MIXED)
    assert recipients_of(shown) == [PREMIUM]


def test_what_its_disposition_calls_a_list_is_one() -> None:
    assert refused_with(body(LIST, "application/xml", disposition="recipient-list")) == 415
    assert recipients_of(body(LIST, disposition="recipient-list")) == [PREMIUM]


def test_only_the_list_has_to_be_plain() -> None:
    parts = f"--x\r\nContent-Type: image/png\r\n\r\n\0<!ENTITY\r\n--x\r\nContent-Type: {TYPE}"
    assert recipients_of(body(f"{parts}\r\n\r\n{LIST}\r\n--x--\r\n", MIXED)) == [PREMIUM]
    encoded = f"{parts}\r\nContent-Transfer-Encoding: base64\r\n\r\nPHJlc291cmNl\r\n--x--\r\n"
    assert refused_with(body(encoded, MIXED)) == 415


@pytest.mark.parametrize(
    "inside", ['<entry uri="sip:a@b"/>' * 101, "<a>" * 16 + "</a>" * 16, "<a/>" * 1000, "a" * 65_536]
)
def test_there_is_an_end(inside: str) -> None:
    assert refused_with(body(f"<resource-lists>{inside}</resource-lists>")) == 403


def test_lists_are_found_without_being_read() -> None:
    assert len(lists_of(body("<", TYPE))) == 1
    with pytest.raises(RemoteProtocolError):
        recipients_of(body("<", TYPE))
