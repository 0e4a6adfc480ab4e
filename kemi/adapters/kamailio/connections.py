"""Pages' WebSocket connections in Kamailio: accepted, ended, and whether they still stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import KSR

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


def accept_handshake() -> bool:
    """Answer the WebSocket handshake with 101 and ask to be told when the connection ends."""
    if KSR.websocket.handle_handshake() <= 0:
        return False
    KSR.tcpops.tcp_enable_closed_event()
    return True


def close_connection(connection_id: str, code: int, reason: str) -> bool:
    """Send a Close frame to a WebSocket and end its connection; False when it is gone already.

    Kamailio itself waits for the page's Close frame and then another five seconds.  A page whose Close frame comes
    between our two steps still has to end the connection itself, as browsers do two seconds later.
    """
    if KSR.websocket.close_conid(code, reason, int(connection_id)) <= 0:
        return False
    return KSR.tcpops.tcp_close_connection_id(int(connection_id)) > 0


def end_connection(connection_id: str) -> None:
    """End a TCP connection at once."""
    if connection_id.isdecimal():
        KSR.tcpops.tcp_close_connection_id(int(connection_id))


def connection_stands(connection_id: str) -> bool:
    """Whether this very connection still exists; until it has ended, nobody else has its port."""
    return connection_id.isdecimal() and KSR.tcpops.tcp_conid_alive(int(connection_id)) > 0


def http_reply(
    status: int, reason_phrase: str, body: str = "", content_type: str = TEXT, lines: Iterable[str] = ()
) -> None:
    """Answer an HTTP request."""
    for line in lines:
        KSR.hdr.append_to_reply(f"{line}\r\n")
    KSR.xhttp.xhttp_reply(status, reason_phrase, content_type, body)
