"""A message's place in a trace, however it is written."""

from __future__ import annotations

import pytest

from kemi.core.trace.reading import Facts, facts_of, parties_of

PLAIN = (
    "INVITE sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/WSS x.invalid;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n"
    'From: "Al; tag=x" <sip:alice@ims.example;tag=no>;tag=a1\r\nTo: <sip:bob@ims.example>\r\nCall-ID: c1@h\r\n'
    "CSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"
)
FACTS = Facts(
    name="INVITE",
    method="INVITE",
    status=0,
    call_id="c1@h",
    cseq=7,
    own_tag="",
    is_of_page=True,
)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\r\n", "\n"),
        PLAIN.replace("Via:", "v :").replace("From:", "f:").replace("To:", "t:").replace("Call-ID:", "i:"),
        PLAIN.replace("CSeq: 7 INVITE", "cseq:\t7   INVITE").replace("Call-ID: ", "CALL-ID:"),
        PLAIN.replace(";tag=a1", "\r\n ;tag=a1").replace("SIP/2.0/WSS", "SIP / 2.0 / ws"),
    ],
)  # fmt: skip
def test_requests(text: str) -> None:
    facts = facts_of(text)
    assert facts == FACTS
    assert (facts.from_tag, facts.to_tag) == ("a1", "")
    assert parties_of(text) == ("sip:alice@ims.example;tag=no", "sip:bob@ims.example")
    assert facts.begins


def test_responses_and_our_own_tag() -> None:
    text = PLAIN.replace("INVITE sip:bob@ims.example SIP/2.0", "SIP/2.0 183 Session Progress").replace(
        "WSS", "UDP"
    )
    facts = facts_of(text.replace("To: <sip:bob@ims.example>", "To: <sip:bob@ims.example>;tag=gw-in-77dc"))
    assert facts is not None
    assert (facts.name, facts.status, facts.method) == ("183 Session Progress", 183, "INVITE")
    assert (facts.own_tag, facts.is_of_page, facts.begins) == ("gw-in-77dc", False, False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET / HTTP/1.1\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        PLAIN.replace("Call-ID: c1@h\r\n", ""),
        PLAIN.replace("7 INVITE", "x INVITE"),
    ],
)  # fmt: skip
def test_what_is_no_message_of_a_call(text: str) -> None:
    assert facts_of(text) is None
