"""Requests outside calls through all callbacks: one SUBSCRIBE of the core that reaches two pages of a user."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.routing import RouteReader
from kemi.core import page_dialogs
from kemi.core.registration.states import BindingState
from kemi.core.routing.permissions import CallDenied
from kemi.state.flows import FlowStore
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import (
    HANDSHAKE,
    WS_PORT,
    core_reply,
    from_core,
    from_page,
    register,
    registered,
)
from tests.unit.adapters.played import MESSAGE

PAGES = {7: "x", 8: "y"}
"""Connection of each page, and the user part of its Contact."""


@pytest.fixture
def pages(kamailio: FakeKamailio, page: Gateway) -> Gateway:
    """The worker process of two pages of alice, over two connections."""
    kamailio.script("tcpops.tcp_conid_alive", 1)
    registers(kamailio, page, 8, "y")
    kamailio.relayed.clear()
    return page


def registers(
    kamailio: FakeKamailio, gateway: Gateway, connection: int, user: str, instance: str = ""
) -> None:
    """Let a page open a WebSocket and register over it."""
    connected(kamailio, gateway, connection)
    contact = f"sip:{user}@page.invalid;transport=ws>"
    if instance:
        contact += f';+sip.instance="<urn:uuid:{instance}>"'
    for message, run in ((register(), gateway.ksr_request_route), (registered(), gateway.ksr_reply_route)):
        message.headers = [
            (
                name,
                value.replace("reg-1", f"reg-{connection}").replace(
                    "sip:x@page.invalid;transport=ws>", contact
                ),
            )
            for name, value in message.headers
        ]
        if not message.is_reply:
            message.connection_id, message.source = connection, ("127.0.0.1", 39993 + connection)
        kamailio.receive(message)
        run(MESSAGE)


def connected(kamailio: FakeKamailio, page: Gateway, connection: int) -> None:
    """Open another WebSocket."""
    kamailio.receive(
        FakeMessage.from_bytes(
            HANDSHAKE.encode(),
            protocol="tcp",
            source=("127.0.0.1", 39993 + connection),
            connection_id=connection,
            received_port=WS_PORT,
        )
    )
    page.ksr_xhttp_event(MESSAGE, "xhttp:request")


def asked(
    kamailio: FakeKamailio, pages: Gateway, connection: int, to_tag: str = "", target: str = ""
) -> FakeMessage:
    """Let the core subscribe to the page of a connection, or refresh that; return what was sent to the page."""
    token = json.loads(kamailio.tables["flow"][str(connection)])["token"]
    message = from_core(
        f"""SUBSCRIBE {target or f"sip:{PAGES[connection]}@page.invalid;transport=ws"} SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK{connection}{to_tag}
From: <sip:device@ims.example>;tag=device
To: <sip:alice@ims.example>{f";tag={to_tag}" if to_tag else ""}
Call-ID: watch
CSeq: {2 if to_tag else 1} SUBSCRIBE
Max-Forwards: 70
Contact: <sip:device@198.51.100.7:5060>
Record-Route: <sip:one.ims.example;lr>
Record-Route: <sip:two.ims.example;lr>
Event: x
{"" if to_tag else f"Route: <sip:{token}@192.0.2.1:5060;lr>"}
"""
    )
    kamailio.receive(message)
    pages.ksr_request_route(MESSAGE)
    assert kamailio.relayed[-1:] == [message], kamailio.replies
    return message


def answered(kamailio: FakeKamailio, pages: Gateway, connection: int, status: int = 200) -> FakeMessage:
    """Let a page answer the SUBSCRIBE; return what goes to the core."""
    message = from_page(
        f"""SIP/2.0 {status} Whatever
Via: SIP/2.0/WS 127.0.0.1:8080;branch=z9hG4bKours
From: <sip:device@ims.example>;tag=device
To: <sip:alice@ims.example>;tag=page{connection}
Call-ID: watch
CSeq: 1 SUBSCRIBE
Contact: <sip:{PAGES[connection]}@page.invalid;transport=ws>
Expires: 600

""",
        connection_id=connection,
    )
    kamailio.receive(message)
    pages.ksr_reply_route(MESSAGE)
    assert not kamailio.dropped
    return message


def notify(kamailio: FakeKamailio, pages: Gateway, connection: int, over: int) -> FakeMessage:
    """Let a page notify over a connection."""
    message = from_page(
        f"""NOTIFY sip:gateway.invalid SIP/2.0
From: <sip:alice@ims.example>;tag=page{connection}
To: <sip:device@ims.example>;tag=device
Call-ID: watch
CSeq: 1 NOTIFY
Max-Forwards: 70
Contact: <sip:{PAGES[connection]}@page.invalid;transport=ws>
Event: x
Subscription-State: active;expires=600

""",
        connection_id=over,
    )
    kamailio.receive(message)
    pages.ksr_request_route(MESSAGE)
    return message


def notified(kamailio: FakeKamailio, pages: Gateway, connection: int) -> FakeMessage:
    """Let a page notify; return what goes to the core."""
    message = notify(kamailio, pages, connection, connection)
    assert kamailio.relayed[-1:] == [message], kamailio.replies
    return message


def test_nobody_else_is_inside_a_page_s_dialog(kamailio: FakeKamailio, pages: Gateway) -> None:
    """Who knows its Call-ID and tags is not its page for that."""
    asked(kamailio, pages, 7)
    answered(kamailio, pages, 7)
    connected(kamailio, pages, 9)
    for message, run in ((register(), pages.ksr_request_route), (registered(), pages.ksr_reply_route)):
        message.headers = [
            (name, value.replace("alice", "bob").replace("reg-1", "reg-9").replace("sip:x@", "sip:z@"))
            for name, value in message.headers
        ]
        if not message.is_reply:
            message.connection_id, message.source = 9, ("127.0.0.1", 40002)
        kamailio.receive(message)
        run(MESSAGE)
    assert "sip:bob@ims.example" in json.loads(kamailio.tables["flow"]["9"])["binding"]
    kamailio.relayed.clear()
    kamailio.replies.clear()
    notify(kamailio, pages, 7, over=9)
    assert [reply.status for reply in kamailio.replies] == [481]
    assert not kamailio.relayed
    notified(kamailio, pages, 7)


def contact(message: FakeMessage) -> str:
    (value,) = message.sent_values("Contact")
    return value.strip("<>")


def test_forks_of_one_subscribe_are_dialogs_of_their_own(kamailio: FakeKamailio, pages: Gateway) -> None:
    for connection in PAGES:
        asked(kamailio, pages, connection)
    # The page that was asked first answers last, and a page may notify before it answers.
    contacts = {8: contact(notified(kamailio, pages, 8))}
    for connection in (8, 7):
        reply = answered(kamailio, pages, connection)
        assert contacts.setdefault(connection, contact(reply)) == contact(reply)
        assert reply.sent_values("Record-Route") == ["<sip:one.ims.example;lr>", "<sip:two.ims.example;lr>"]
    assert contacts[7] != contacts[8]
    for connection, port in ((7, 40000), (8, 40001)):
        refresh = asked(kamailio, pages, connection, f"page{connection}", contacts[connection])
        assert refresh.variables["$du"] == f"sip:127.0.0.1:{port};transport=ws"
        assert refresh.request_uri == f"sip:{PAGES[connection]}@page.invalid;transport=ws"
        assert contact(notified(kamailio, pages, connection)) == contacts[connection]


def test_the_refusal_of_one_page_leaves_the_dialog_of_the_other(
    kamailio: FakeKamailio, pages: Gateway
) -> None:
    for connection in PAGES:
        asked(kamailio, pages, connection)
    answered(kamailio, pages, 7)
    refused = answered(kamailio, pages, 8, 481)
    assert refused.sent_values("Record-Route") == []
    notified(kamailio, pages, 7)


def redirected(kamailio: FakeKamailio, pages: Gateway, target: str) -> FakeMessage:
    """Let the core write to a page and that answer 302; return what goes to the core."""
    token = json.loads(kamailio.tables["flow"]["7"])["token"]
    asks = f"""MESSAGE sip:x@page.invalid;transport=ws SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKmessage
From: <sip:bob@ims.example>;tag=bob
To: <sip:alice@ims.example>
Call-ID: text
CSeq: 1 MESSAGE
Max-Forwards: 70
Route: <sip:{token}@192.0.2.1:5060;lr>

"""
    kamailio.receive(from_core(asks))
    pages.ksr_request_route(MESSAGE)
    assert kamailio.relayed
    answer = from_page(
        f"""SIP/2.0 302 Moved Temporarily
Via: SIP/2.0/WS 127.0.0.1:8080;branch=z9hG4bKours
From: <sip:bob@ims.example>;tag=bob
To: <sip:alice@ims.example>;tag=page
Call-ID: text
CSeq: 1 MESSAGE
Contact: <{target}>

""",
        connection_id=7,
    )
    kamailio.receive(answer)
    pages.ksr_reply_route(MESSAGE)
    assert not kamailio.dropped
    return answer


@pytest.mark.parametrize(
    ("target", "passes"),
    [
        pytest.param("sip:carol@ims.example", True, id="a colleague"),
        pytest.param("tel:+4930123456", True, id="a number"),
        pytest.param("tel:+8816123456", False, id="a satellite telephone"),
        pytest.param("tel:112", False, id="an emergency"),
        pytest.param("sip:carol@elsewhere.example", False, id="another domain"),
        pytest.param("tel:+4930123456;rn=+4989", False, id="where a number is"),
    ],
)
def test_a_page_sends_a_message_only_where_it_may_write_itself(
    kamailio: FakeKamailio, pages: Gateway, target: str, passes: bool
) -> None:
    answer = redirected(kamailio, pages, target)
    assert answer.sent_values("Contact") == ([f"<{target}>"] if passes else [])
    assert bool(answer.sent_values("Warning")) is not passes


def test_nor_where_its_class_may_not(
    kamailio: FakeKamailio, pages: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denies(*_: object) -> str:
        raise CallDenied("you may not call Berlin")

    monkeypatch.setattr(RouteReader, "check_message", denies)
    answer = redirected(kamailio, pages, "tel:+4930123456")
    assert answer.sent_values("Contact") == []
    assert "you may not call Berlin" in answer.sent_values("Warning")[0]


def test_a_page_that_is_not_registered_again_yet_keeps_its_dialog(
    kamailio: FakeKamailio, pages: Gateway
) -> None:
    asked(kamailio, pages, 7)
    answered(kamailio, pages, 7)
    connected(kamailio, pages, 9)
    kamailio.relayed.clear()
    notify(kamailio, pages, 7, 9)
    assert not kamailio.relayed
    assert (kamailio.replies[-1].status, kamailio.replies[-1].reason_phrase) == (500, "Not Registered Yet")


def subscribes(kamailio: FakeKamailio, gateway: Gateway, connection: int, number: int) -> int:
    """Let a page begin a subscription and the core take it; return the gateway's refusal, or 0."""
    kamailio.relayed.clear()
    asks = from_page(
        f"""SUBSCRIBE sip:bob@ims.example SIP/2.0
From: <sip:alice@ims.example>;tag=page
To: <sip:bob@ims.example>
Call-ID: watch-{number}
CSeq: 1 SUBSCRIBE
Max-Forwards: 70
Contact: <sip:page@page.invalid;transport=ws>
Event: dialog
Expires: 3600

""",
        connection_id=connection,
    )
    kamailio.receive(asks)
    gateway.ksr_request_route(MESSAGE)
    if not kamailio.relayed:
        return kamailio.replies[-1].status
    kamailio.receive(core_reply(200, "bob", method="SUBSCRIBE", call_id=f"watch-{number}"))
    gateway.ksr_reply_route(MESSAGE)
    return 0


def is_told(kamailio: FakeKamailio, gateway: Gateway, number: int) -> int:
    """Let the far end notify in one of them; return the gateway's refusal, or 0."""
    kamailio.relayed.clear()
    kamailio.receive(
        from_core(
            f"""NOTIFY sip:ours@192.0.2.1:5060 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKtold{number}
From: <sip:bob@ims.example>;tag=bob
To: <sip:alice@ims.example>;tag=page
Call-ID: watch-{number}
CSeq: 7 NOTIFY
Max-Forwards: 70
Contact: <sip:bob@198.51.100.7:5080>
Event: dialog
Subscription-State: active;expires=3000

"""
        )
    )
    gateway.ksr_request_route(MESSAGE)
    return 0 if kamailio.relayed else kamailio.replies[-1].status


def test_a_page_that_is_loaded_anew_leaves_nothing_of_before(
    kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It draws another Contact and begins all subscriptions again; who notified the old ones is told that at once."""
    monkeypatch.setattr(page_dialogs, "MOST_DIALOGS", 3)
    for name in ("tcpops.tcp_conid_alive", "websocket.close_conid", "tcpops.tcp_close_connection_id"):
        kamailio.script(name, 1)
    for load, connection in enumerate(range(8, 12)):
        registers(kamailio, page, connection, f"load{load}", "one")
        assert [subscribes(kamailio, page, connection, 10 * load + key) for key in range(3)] == [0, 0, 0]
    assert subscribes(kamailio, page, 11, 39) == 403
    assert [is_told(kamailio, page, 10 * load) for load in range(4)] == [481, 481, 481, 0]


def test_pages_that_did_not_come_back_make_room(
    kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core still has them, and until the room is needed they may come back to what they began."""
    monkeypatch.setattr(page_dialogs, "MOST_DIALOGS", 2)
    kamailio.script("tcpops.tcp_conid_alive", 1)
    flows = FlowStore(HtableTable)
    registers(kamailio, page, 8, "y")
    assert [subscribes(kamailio, page, 7, 1), subscribes(kamailio, page, 8, 2)] == [0, 0]
    flows.note_closed("7")
    binding = flows.lose("7", 0.0)
    assert binding is not None
    assert (is_told(kamailio, page, 1), subscribes(kamailio, page, 8, 3)) == (500, 403)
    flows.change(binding.key, lambda found: replace(found, state=BindingState.ABANDONED))
    assert is_told(kamailio, page, 1) == 480
    assert [subscribes(kamailio, page, 8, 3), subscribes(kamailio, page, 8, 4)] == [0, 403]
    assert [is_told(kamailio, page, number) for number in (1, 2, 3)] == [481, 0, 0]
