"""What comes in at all, before anything reads it.

Whoever is neither the core nor a trunk gets no answer on the side of the core: not even that somebody is here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from kemi.adapters.doors.bans import BANS
from kemi.adapters.kamailio import connections, ksr
from kemi.adapters.kamailio.facts import FACTS
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS
from kemi.core.errors import GatewayError, RemoteProtocolError, SipReject
from kemi.core.messages import Side
from kemi.core.metrics import catalogue as series
from kemi.core.screening import (
    check_branch,
    check_head,
    check_one_message,
    check_response,
    check_whole,
    is_http_response,
    leads_to_page,
    may_be_logged,
)
from kemi.core.trust import CoreNetworks
from kemi.settings import Settings

TOLD_EVERY_S: Final = 10.0


class Border:
    """The sides of this node: pages on one socket, the core on the other."""

    def __init__(self, settings: Settings, is_of_trunk: Callable[[], bool]) -> None:
        """``is_of_trunk``: whether a trunk has sent the current message."""
        self._is_of_trunk = is_of_trunk
        self._no_sip = {settings.sip.ws_port, settings.control.port}
        self._own = f"{settings.sip.address}:{settings.sip.port}"
        self._core_networks = CoreNetworks(_networks(settings))
        self._watching = CoreNetworks(settings.bans.trusted) if settings.bans.trusted else None
        self._told_at = 0.0

    @staticmethod
    def readable() -> str | None:
        """Return the message that came in if Kamailio may read it; None: it is dropped, with which Kamailio ends its
        connection."""
        message = ksr.received()
        if message is not None and may_be_logged(message) and not is_http_response(message):
            return message
        ksr.drop()
        BANS.unreadable()
        log_event(logging.INFO, "message_unreadable")
        return None

    def admits(self, method: str) -> bool:
        """Whether this is a message of a page, or of the core, and not of a stranger, who gets no answer.

        Raise SipReject or RemoteProtocolError unless it is one well-formed message.  ``method`` is "" for responses.
        """
        if ksr.side() is Side.WIC:
            check_head(ksr.head())
            check_one_message(
                ksr.body_length(),
                ksr.headers("Content-Length"),
                has_content_type=bool(ksr.headers("Content-Type")),
            )
        elif ksr.received_port() in self._no_sip:
            raise SipReject("SIP comes in WebSocket messages here, or not at all")
        elif not (self.is_of_core() or self._watches(method)):
            self._ignore()
            return False
        else:
            # Not the rest of a page's checks: the core is not held to the grammar where nothing hangs on it.
            check_whole(ksr.body_length(), ksr.headers("Content-Length"))
        if method:  # not before: a stranger would hear that somebody is here
            check_branch(ksr.branch())
        return True

    def admits_reply(self) -> bool:
        """The same for a response; one that is not admitted is dropped."""
        FACTS.is_led_back = False
        try:
            if self.admits(""):
                if ksr.side() is Side.WIC:
                    check_response(ksr.method(), ksr.headers("Via"))
                elif ksr.method() == "REGISTER" and self._is_ours():
                    raise RemoteProtocolError("no REGISTER of ours goes to ourselves")
                return True
        except GatewayError:
            ksr.drop()
            raise
        ksr.drop()
        return False

    def _is_ours(self) -> bool:
        """Whether we have sent the current message ourselves."""
        return ksr.source_address() in self._own and ksr.source() == self._own

    def look_at_stray(self) -> None:
        """Drop the current response, of which tm knows no transaction, unless it may go where its second Via says.

        A page's may with the Vias we have kept for it, and a trunk's 2xx to a page: they are repeated for longer than
        transactions stay (RFC 3261 §13.3.1.4).  With any other way a page or a trunk would choose whom we send it to.
        """
        if ksr.side() is Side.WIC:
            may_pass = FACTS.is_led_back
        elif self._is_of_trunk():
            is_answer = ksr.method() == "INVITE" and 200 <= ksr.status() < 300
            may_pass = is_answer and leads_to_page(ksr.headers("Via"))
        else:
            return
        if not may_pass:
            ksr.drop()
            log_event(logging.INFO, "stray_response", call_id=ksr.call_id(), source=ksr.source())

    def _watches(self, method: str) -> bool:
        """Whether somebody whom the site trusts asks how we are."""
        watching = self._watching
        return method == "OPTIONS" and watching is not None and watching.contains(ksr.source_address())

    def _ignore(self) -> None:
        METRICS.count(series.STRANGERS)
        source, now = ksr.source(), time.monotonic()
        if now - self._told_at >= TOLD_EVERY_S or not self._told_at:
            self._told_at = now
            log_event(logging.WARNING, "stranger_ignored", source=source, protocol=ksr.text("$pr"))
        if ksr.text("$pr") != "udp":
            connections.end_connection(ksr.connection_id())

    def is_of_core(self) -> bool:
        """Whether the sender of the current message, which is no page's, is a node of the core or a trunk."""
        return self.is_of_home_network() or self._is_of_trunk()

    def is_of_home_network(self) -> bool:
        """The same without trunks, which know no users of ours."""
        return self._core_networks.contains(ksr.source_address())


def _networks(settings: Settings) -> list[str]:
    """Return whose SIP is taken on the side of the core, beside that of trunks; none means everybody's."""
    networks, home = settings.sip.core_networks, settings.home
    # Ours, too: we cancel by a message to ourselves, and calls may lead back here, at the core's or a user's wish.
    site = [settings.sip.address, *settings.sip.peers]
    if home is not None:
        return [*networks, *site, home.address]
    return [*networks, *site] if networks else []
