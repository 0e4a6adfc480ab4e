"""Whole messages: what is looked at before Kamailio parses them, what a trace keeps of them, and their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from xml.etree import ElementTree

from kemi.core.bodies import Body, describe, exchanged, parts_of, takes_parts, written_out
from kemi.core.dialog_ids import mentions_dialog
from kemi.core.dtmf import DIGITS, LEAST_MS, MOST_DIGITS, MOST_MS, TYPES, key_presses_from_body
from kemi.core.header_fields import fields_from_head
from kemi.core.messages import Request, Side
from kemi.core.recipients import recipients_of
from kemi.core.screening import check_head, may_be_logged
from kemi.core.trace.reading import facts_of, parties_of
from kemi.core.trace.redaction import redact_sdp, redact_sip
from kemi.core.trunk.incoming import names_not_believed
from tests.fuzz.target import Target, refused, text_of

_SECRET = "eyJhbGciOiJFUzI1NiJ9.c2VjcmV0.c2VjcmV0"
_NAMES = ("Authorization", "P-Asserted-Identity", "Refer-To", "Via")


def messages(data: bytes) -> None:
    """Anything that comes in as a message."""
    text = text_of(data)
    head = text.partition("\r\n\r\n")[0]
    refused(lambda: check_head(head))
    may_be_logged(text)
    facts = facts_of(text)
    if facts is not None:
        assert facts.call_id and facts.cseq >= 0
        assert (facts.from_tag, facts.to_tag, facts.begins) is not None
    parties_of(text)
    mentions_dialog(head)
    names_not_believed(head)
    if refused(lambda: fields_from_head(head)):
        return
    fields = fields_from_head(head)
    for (
        name
    ) in _NAMES:  # whoever writes it so that anybody could read it as this field does not get it through
        assert (name in fields.present(_NAMES)) >= (f"\n{name}:" in head)
        assert bool(fields.values(name)) >= (f"\n{name}:" in head)


_ROUNDS = 6


def secrets(data: bytes) -> None:
    """A token in a message does not survive redaction, whatever is around it."""
    text = text_of(data)
    masked = redact_sip(text)
    for _ in range(
        _ROUNDS
    ):  # what was left of a challenge with a broken quote may go, too, a piece at a time
        masked, before = redact_sip(masked), masked
    assert masked == before
    redact_sdp(text)
    head, mark, rest = text.partition("\r\n")
    kept = redact_sip(f"{head}{mark}Authorization: Bearer {_SECRET}\r\n{rest}") if mark else ""
    assert _SECRET not in kept


def bodies(data: bytes) -> None:
    """A body: the first line is its Content-Type, and what is behind the second its Content-Disposition."""
    first, _, rest = data.partition(b"\n")
    second, _, content = rest.partition(b"\n")
    body = Body(content, text_of(first).strip(), text_of(second).strip())
    message = Request(Side.WIC, "INVITE", "c", "f", "t", 1)
    readable = not refused(lambda: describe(message, body))
    refused(lambda: list(parts_of(body)))
    refused(lambda: recipients_of(body))
    takes_parts([body.content_type], body.disposition)
    for sdp in ("", "v=0\r\ns=new\r\n"):
        change = exchanged(body, sdp, parts=readable)
        written_out(body, change)
        for old, _new in change.exchanges:
            assert content.count(old.encode()) >= 1


def recipient_lists(data: bytes) -> None:
    """A body, the first line its Content-Type: whom other readers find in its lists is known, or it is refused."""
    first, _, content = data.partition(b"\n")
    content_type = text_of(first).strip()
    body = Body(content, content_type)
    if (
        "\r" in content_type
        or content_type.lower().startswith("message")
        or refused(lambda: recipients_of(body))
    ):
        return
    found = recipients_of(body)
    whole = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\n\n" + content)
    for part in whole.walk():
        if not part.is_multipart() and part.get_content_type() == "application/resource-lists+xml":
            assert set(_named(part.get_payload(decode=True))) <= set(found)


def _named(content: object) -> Iterator[str]:
    assert isinstance(content, bytes)
    with suppress(ElementTree.ParseError, ValueError, LookupError):
        for element in ElementTree.fromstring(content).iter():
            for name, value in element.items():
                if name.rpartition("}")[2] in ("uri", "ref", "anchor"):
                    yield value


def key_presses(data: bytes) -> None:
    """The body of an INFO."""
    text = text_of(data)
    for kind in TYPES:
        if not refused(lambda kind=kind: key_presses_from_body(kind, text)):  # type: ignore[misc]
            found = key_presses_from_body(kind, text)
            assert re.fullmatch(f"[{re.escape(DIGITS)}]{{1,{MOST_DIGITS}}}", found.digits)
            assert LEAST_MS <= found.duration_ms <= MOST_MS


_LINES = (
    b"\r\n", b"\n", b"\0", b"\t", b" ", b"INVITE sip:a@b SIP/2.0\r\n", b"SIP/2.0 200 OK\r\n", b"Via: SIP/2.0/WSS h",
    b";branch=z9hG4bK1", b"From: ", b"f:", b"To: ", b"<sip:a@b>;tag=1", b"Call-ID: ", b"i:", b"CSeq: 1 INVITE",
    b"Content-Length: ", b"l : ", b"Authorization: Digest ", b"Bearer ", b"eyJ", b"Content-Type: application/sdp",
    b"v=0\r\n", b"a=crypto:1 AES inline:", b"<", b'"', b"sip:a:b", b"@", b"password=", b"X-", b": ", b"\xff\xfe",
    b"MESSAGE", b"p-access-network-info: x;", b"\xc4\xb0",
)  # fmt: skip
_PARTS = (
    b"multipart/mixed;boundary=b\n", b"multipart/alternative;boundary=b\n", b"application/sdp\n", b"\n", b"--b\r\n",
    b"--b--\r\n", b"--c\r\n", b"Content-Type: application/sdp\r\n", b"\r\n", b"v=0\r\n", b"early-session",
    b"Content-Disposition: session;handling=required\r\n", b"application/resource-lists+xml", b'<entry uri="sip:a@b"/>',
    b"Content-Type: multipart/mixed;boundary=c\r\n", b"<!DOCTYPE", b"Content-Encoding: gzip\r\n", b"\0", b"\xff",
)  # fmt: skip
_LISTS = (
    b"application/resource-lists+xml\n", b"multipart/mixed;boundary=b\n", b"multipart/mixed;a=<b>;boundary=b\n",
    b"--b\r\n", b"--b\n", b"--b--\r\n", b"Content-Type: application/resource-lists+xml\r\n", b"\r\n", b"\n",
    b"<a>", b"</a>", b'<entry uri="sip:a@b"/>', b'<entry uri="sip:c@d"/>', b'uri="', b"'", b'"', b"<", b">", b"<!--",
    b"-->", b"<![CDATA[", b"]]>", b"<?a ", b"?>", b'<?xml version="1.0" encoding="cp037"?>', b"&#43;", b"&x;", b" b=",
    b'<!DOCTYPE a [<!ENTITY x "sip:a@b">]>', b"Content-Disposition: recipient-list\r\n",
    b"Content-Type: text/plain\r\n", b"Content-Transfer-Encoding: base64\r\n", b"\xef\xbb\xbf", b"\xff", b"\0",
    b"<external anchor='http://a'/>",
)  # fmt: skip
_KEYS = (
    b"Signal=",
    b"Duration=",
    b"5",
    b"*",
    b"\r\n",
    b"160",
    b"ms",
    b"SubsequentDigit: ",
    b"9" * 5000,
    b"\xd9\xa3",
)

TARGETS = (
    Target("messages", messages, _LINES),
    Target("secrets", secrets, _LINES),
    Target("bodies", bodies, _PARTS),
    Target("recipient_lists", recipient_lists, _LISTS),
    Target("key_presses", key_presses, _KEYS),
)
