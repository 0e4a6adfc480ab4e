"""Brings a call to a stage by playing the messages through the callbacks."""

from __future__ import annotations

from typing import Any

from kemi.adapters.gateway import Gateway
from kemi.state.calls import record_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.messages import handshake, invite, page_reply, page_request, register, registered
from tests.unit.core.call import descriptions as sdp

MESSAGE: Any = object()
"""Kamailio's message object, which nobody uses."""


def connected_page(kamailio: FakeKamailio, gateway: Gateway) -> Gateway:
    """Connect a page and register it."""
    for name in ("websocket.handle_handshake", "tcpops.tcp_enable_closed_event", "tmx.t_suspend"):
        kamailio.script(name, 1)
    kamailio.receive(handshake())
    gateway.ksr_xhttp_event(MESSAGE, "xhttp:request")
    kamailio.receive(register())
    gateway.ksr_request_route(MESSAGE)
    kamailio.receive(registered())
    gateway.ksr_reply_route(MESSAGE)
    kamailio.relayed.clear()
    return gateway


def tag_of(kamailio: FakeKamailio) -> str:
    return record_from_text(kamailio.tables["call"]["call-1"]).gateway_tag


def called(kamailio: FakeKamailio, page: Gateway, uri: str = "sip:bob@ims.example") -> str:
    """Send the INVITE; return our tag."""
    kamailio.receive(invite(uri=uri))
    page.ksr_request_route(MESSAGE)
    return tag_of(kamailio)


def forwarded(kamailio: FakeKamailio, page: Gateway, uri: str = "sip:bob@ims.example") -> str:
    """Bring the call to where the INVITE is at the core; return our tag."""
    tag = called(kamailio, page, uri)
    kamailio.receive(page_request("PRACK", tag, "RAck: 1 1 INVITE"))
    page.ksr_request_route(MESSAGE)
    kamailio.script("tm.t_is_canceled", -1)

    def resume(*_: object) -> int:
        kamailio.receive(invite(uri=uri), transaction=(11, 22))
        return page.ksr_continue_invite(MESSAGE)

    kamailio.script("tmx.t_continue", resume)
    answer = sdp.page_answer(kamailio.requests[-1].body)
    kamailio.receive(page_reply(200, "UPDATE", tag, body=answer))
    page.ksr_onreply_own_request(MESSAGE)
    return tag
