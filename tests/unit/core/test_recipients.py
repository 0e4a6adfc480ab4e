"""Whom a list in a body names, however it is written."""

from __future__ import annotations

import pytest

from kemi.core.bodies import Body
from kemi.core.errors import SipReject
from kemi.core.recipients import recipients_of

TYPE = "application/resource-lists+xml"


def body(content: str | bytes, content_type: str = TYPE, encoding: str = "") -> Body:
    return Body(content.encode() if isinstance(content, str) else content, content_type, "", encoding)


def test_entries_are_found_in_every_writing() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?><resource-lists xmlns:cp="x"><list>
      <entry uri="tel:&#43;49900" cp:copyControl="to"/><entry
      uri = 'sip:bob@home.example' /><entry-ref ref="sip:more@home.example"/></list></resource-lists>"""
    assert recipients_of(body(text)) == ["tel:+49900", "sip:bob@home.example", "sip:more@home.example"]
    mixed = f"--x\r\nContent-Type: {TYPE}\r\n\r\n{text}\r\n--x--\r\n"
    assert recipients_of(body(mixed, 'multipart/mixed;boundary="x"')) == recipients_of(body(text))


def test_other_bodies_have_none() -> None:
    assert recipients_of(body('<a uri="tel:+49900"/>', "text/xml")) == []


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
    with pytest.raises(SipReject) as refused:
        recipients_of(body(content, TYPE, encoding))
    assert refused.value.status == 415


def test_only_the_list_has_to_be_plain() -> None:
    text = '<resource-lists><entry uri="tel:+49900"/></resource-lists>'
    parts = f"--x\r\nContent-Type: image/png\r\n\r\n\0<!ENTITY\r\n--x\r\nContent-Type: {TYPE}"
    multipart = 'multipart/mixed;boundary="x"'
    assert recipients_of(body(f"{parts}\r\n\r\n{text}\r\n--x--\r\n", multipart)) == ["tel:+49900"]
    encoded = f"{parts}\r\nContent-Transfer-Encoding: base64\r\n\r\nPHJlc291cmNl\r\n--x--\r\n"
    with pytest.raises(SipReject):
        recipients_of(body(encoded, multipart))


def test_there_is_an_end() -> None:
    with pytest.raises(SipReject):
        recipients_of(body('<resource-lists><entry uri="sip:a@b"/>' * 101))
