"""The page's connection: its handshake, which only the TLS front may bring, and its end."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

from kemi.adapters.doors.bans import BANS
from kemi.adapters.kamailio import connections, ksr
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS
from kemi.core.flow_token import token_from_flow
from kemi.core.metrics import catalogue as series
from kemi.core.registration import Flow
from kemi.core.trust import is_on_this_machine
from kemi.settings import Settings
from kemi.state.flows import FlowStore

NO_ROOM: Final = 503
BANNED_FIELD: Final = "X-Banned"
"""Seconds that are left; the TLS front keeps it to itself (ansible/roles/haproxy)."""


class WebSocketFront:
    """The WebSocket part of a worker process."""

    def __init__(
        self,
        settings: Settings,
        flows: FlowStore,
        is_leaving: Callable[[], bool],
        is_full: Callable[[], bool],
    ) -> None:
        """``is_leaving``: whether this gateway takes no new pages any more; ``is_full``: whether it has no memory for
        another one."""
        self._settings = settings
        self._flows = flows
        self._is_leaving, self._is_full = is_leaving, is_full

    def handshake(self) -> None:
        """Accept or refuse the current HTTP request."""
        refusal = self._refusal()
        if refusal is not None:
            status, reason_phrase, detail = refusal
            again = ("Retry-After: 10",) if status == NO_ROOM else ()
            connections.http_reply(status, reason_phrase, detail, lines=again)
            log_event(logging.INFO, "handshake_refused", status=status, detail=detail, source=ksr.source())
            return
        if self._is_banned(ksr.headers("X-Forwarded-For")[0]):
            return
        sip, connection_id, nonce = self._settings.sip, ksr.connection_id(), secrets.token_hex(8)
        flow = Flow(
            connection_id=connection_id,
            nonce=nonce,
            client_address=ksr.headers("X-Forwarded-For")[0],
            source=ksr.source(),
            origin=ksr.headers("Origin")[0],
            token=token_from_flow(
                self._settings.flow_secret, connection_id, nonce, f"{sip.address}:{sip.port}"
            ),
        )
        self._flows.open(flow, time.time())
        if not connections.accept_handshake():
            self._flows.close(flow.connection_id)

    @staticmethod
    def _is_banned(client_address: str) -> bool:
        """Refuse a banned address; the header field tells the TLS front to refuse it from now on."""
        ban = BANS.ban_of(client_address)
        if ban is None:
            return False
        lines = [f"{BANNED_FIELD}: {max(1, round(ban.until - time.time()))}"]
        connections.http_reply(403, "Forbidden", "not now", lines=lines)
        METRICS.count(series.BANS_MET)
        log_event(logging.INFO, "handshake_banned", address=client_address)
        return True

    def _refusal(self) -> tuple[int, str, str] | None:
        sip = self._settings.sip
        if ksr.received_port() != sip.ws_port or not is_on_this_machine(ksr.source_address(), sip.ws_address):
            return 403, "Forbidden", "connections come through the TLS front only"
        if ksr.text("$hu").partition("?")[0] != "/sip":
            return 404, "Not Found", "SIP over WebSocket is at /sip"
        forwarded = ksr.headers("X-Forwarded-For")
        if len(forwarded) != 1 or not forwarded[0] or "," in forwarded[0]:
            return 400, "Bad Request", "exactly one client address is expected from the TLS front"
        origin = ksr.headers("Origin")
        if len(origin) != 1 or origin[0] not in self._settings.origins:
            return 403, "Forbidden", "this web origin is not allowed"
        if self._is_leaving():
            return NO_ROOM, "Service Unavailable", "this gateway is going out of service"
        if self._is_full():
            return NO_ROOM, "Service Unavailable", "no memory for another connection"
        return None

    def closed(self) -> None:
        """The current event's connection is gone.  May run in the TCP main process: only a note is allowed here."""
        self._flows.note_closed(ksr.connection_id())
