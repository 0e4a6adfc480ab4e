"""Messages as they come in from the page and from the core, as bytes on the wire."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes.sip import FakeMessage
from tests.unit.core.call import descriptions as sdp

PAGE = ("127.0.0.1", 40000)
CORE = ("198.51.100.7", 5060)
WS_PORT = 8080
HANDSHAKE = """GET /sip HTTP/1.1
Host: page.example
Origin: https://page.example
X-Forwarded-For: 198.51.100.9
Upgrade: websocket
"""


def from_page(text: str, *, connection_id: int = 7) -> FakeMessage:
    """Return a message of the page with connection id 7."""
    return FakeMessage.from_bytes(
        text.encode(), protocol="ws", source=PAGE, connection_id=connection_id, received_port=WS_PORT
    )


def from_core(text: str) -> FakeMessage:
    """Return a message of the core."""
    return FakeMessage.from_bytes(text.encode(), protocol="udp", source=CORE)


def handshake(text: str = HANDSHAKE, *, source: tuple[str, int] = PAGE) -> FakeMessage:
    """Return a WebSocket handshake from the TLS front."""
    return FakeMessage.from_bytes(
        text.encode(), protocol="tcp", source=source, connection_id=7, received_port=WS_PORT
    )


def register(extra: str = "", expires: int = 600) -> FakeMessage:
    """Return the page's REGISTER."""
    return from_page(
        f"""REGISTER sip:ims.example SIP/2.0
From: <sip:alice@ims.example>;tag=r
To: <sip:alice@ims.example>
Call-ID: reg-1
CSeq: 3 REGISTER
Contact: <sip:x@page.invalid;transport=ws>;expires={expires}
Supported: path, outbound
{extra}
"""
    )


def registered(status: int = 200, *, came: Callable[[str], FakeMessage] = from_core) -> FakeMessage:
    """Return the core's final response to it; ``came``: from the core, or from where it would be a lie."""
    return came(
        f"""SIP/2.0 {status} Whatever
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours
From: <sip:alice@ims.example>;tag=r
To: <sip:alice@ims.example>;tag=s
Call-ID: reg-1
CSeq: 3 REGISTER
Contact: <sip:x@page.invalid;transport=ws>;expires=600
Service-Route: <sip:orig@scscf.ims.example;lr>
P-Associated-URI: <sip:alice@ims.example>
P-Charging-Vector: icid-value=x
"""
    )


def invite(
    *,
    connection_id: int = 7,
    call_id: str = "call-1",
    cseq: int = 1,
    uri: str = "sip:bob@ims.example",
    extra: str = "",
) -> FakeMessage:
    """Return the page's INVITE with a one-way offer; ``extra``: header lines."""
    return from_page(
        f"""INVITE {uri} SIP/2.0
From: <sip:alice@ims.example>;tag=page
To: <sip:bob@ims.example>
Call-ID: {call_id}
CSeq: {cseq} INVITE
Max-Forwards: 70
{extra}Contact: <sip:x@page.invalid;transport=ws>
Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE
Supported: 100rel
P-Asserted-Identity: <sip:president@ims.example>
Content-Type: application/sdp

{sdp.chromium("audio-sendonly")}""",
        connection_id=connection_id,
    )


def page_request(method: str, gateway_tag: str, extra: str = "", *, cseq: int = 2) -> FakeMessage:
    """Return a request of the page inside the dialog."""
    return from_page(
        f"""{method} sip:gateway@ims.example SIP/2.0
From: <sip:alice@ims.example>;tag=page
To: <sip:bob@ims.example>;tag={gateway_tag}
Call-ID: call-1
CSeq: {cseq} {method}
{extra}
"""
    )


def page_reply(status: int, method: str, gateway_tag: str, extra: str = "", body: str = "") -> FakeMessage:
    """Return the page's response to a request of ours."""
    content = "Content-Type: application/sdp\n" if body else ""
    return from_page(
        f"""SIP/2.0 {status} Whatever
From: <sip:bob@ims.example>;tag={gateway_tag}
To: <sip:alice@ims.example>;tag=page
Call-ID: call-1
CSeq: 1 {method}
{extra}{content}
{body}"""
    )


def core_reply(
    status: int, tag: str = "core1", *, method: str = "INVITE", call_id: str = "call-1", body: str = ""
) -> FakeMessage:
    """Return the core's response to the forwarded INVITE."""
    content = "Content-Type: application/sdp\n" if body else ""
    return from_core(
        f"""SIP/2.0 {status} Whatever
From: <sip:alice@ims.example>;tag=page
To: <sip:bob@ims.example>;tag={tag}
Call-ID: {call_id}
CSeq: 1 {method}
Contact: <sip:bob@198.51.100.7:5080>
Record-Route: <sip:scscf.ims.example;lr>
{content}
{body}"""
    )


def core_request(method: str, tag: str) -> FakeMessage:
    """Return a request of the core inside the dialog of a call to the page."""
    return from_core(
        f"""{method} sip:{tag}@192.0.2.1:5060 SIP/2.0
From: <sip:bob@ims.example>;tag=caller
To: <sip:alice@ims.example>;tag={tag}
Call-ID: call-in
CSeq: {5 if method == "ACK" else 6} {method}

"""
    )
