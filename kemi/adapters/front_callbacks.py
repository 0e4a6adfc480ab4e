"""Callbacks of Kamailio about the pages' connections, the control port, and whatever comes and leaves."""

from __future__ import annotations

from kemi.adapters.calls.own_requests import OwnRequests
from kemi.adapters.control.endpoint import Control
from kemi.adapters.doors.border import Border
from kemi.adapters.doors.doors import Doors
from kemi.adapters.guard import guarded, guarded_note
from kemi.adapters.kamailio import ksr
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.adapters.network.home import HomePart
from kemi.adapters.pages.websocket import WebSocketFront


class FrontCallbacks:
    """Hands them to the parts, which whoever inherits has made."""

    _border: Border
    _control: Control
    _home: HomePart
    _front: WebSocketFront
    _doors: Doors
    _own_requests: OwnRequests

    @guarded
    def ksr_xhttp_event(self, _message: object, _event: str) -> None:
        """A request on the control port, or a WebSocket handshake, which only the TLS front may bring us."""
        if self._control.is_meant():
            self._control.answer()
        else:
            self._front.handshake()

    @guarded
    def ksr_received(self, _message: object) -> None:
        """Every message, before Kamailio parses it: what it cannot parse it logs, credentials and all.

        Kamailio closes the connection of a message that is dropped here.
        """
        message = self._border.readable()
        if message is not None:
            NOTES.came(message, muted=self._home.is_meant())

    @guarded
    def ksr_stray_reply_event(self, _message: object, _event: str) -> None:
        """A response whose transaction is over, or never was: Kamailio would send it on by its second Via."""
        self._border.look_at_stray()
        self._own_requests.answered_stray()

    @guarded_note
    def ksr_sent(self, _message: object) -> None:
        """A SIP message leaves, whoever made it (kamailio/params/trace.cfg)."""
        NOTES.sent(ksr.whole())

    @guarded
    def ksr_rtimer_overload(self, _message: object, _event: str) -> None:
        """Twenty times a second, in a process of its own."""
        self._doors.overload_watch.tick()

    @guarded
    def ksr_websocket_event(self, _message: object, event: str) -> None:
        """The WebSocket was closed by a Close frame or for want of a pong."""
        if event == "websocket:closed":
            self._front.closed()

    @guarded
    def ksr_tcp_event(self, _message: object, _event: str) -> None:
        """The connection is gone.  Runs in the TCP main process: only a note for housekeeping is allowed here."""
        self._front.closed()
