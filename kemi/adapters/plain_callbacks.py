"""Callbacks of Kamailio that are one part's business alone."""

from __future__ import annotations

from kemi.adapters import ksr
from kemi.adapters.control import Control
from kemi.adapters.guard import guarded
from kemi.adapters.own_requests import OwnRequests
from kemi.adapters.websocket import WebSocketFront
from kemi.core.messages import Side


class PlainCallbacks:
    """Hands them to the parts, which whoever inherits has made."""

    _control: Control
    _front: WebSocketFront
    _own_requests: OwnRequests

    # ------------------------------------------------------------ requests of our own

    @guarded
    def ksr_tm_event(self, _message: object, _event: str) -> None:
        """tm builds a request of ours; ask for its replies when somebody wants them."""
        self._own_requests.being_sent()

    @guarded
    def ksr_onreply_own_request(self, _message: object) -> None:
        """A response to a request of our own."""
        self._own_requests.answered(ksr.reply())

    @guarded
    def ksr_failure_own_request(self, _message: object) -> None:
        """A request of our own to the core was never answered."""
        self._own_requests.unanswered(Side.IMS)

    @guarded
    def ksr_failure_own_request_to_page(self, _message: object) -> None:
        """The same of one to a page."""
        self._own_requests.unanswered(Side.WIC)

    # ------------------------------------------------------------ HTTP and WebSocket

    @guarded
    def ksr_xhttp_event(self, _message: object, _event: str) -> None:
        """A request on the control port, or a WebSocket handshake, which only the TLS front may bring us."""
        if self._control.is_meant():
            self._control.answer()
        else:
            self._front.handshake()

    @guarded
    def ksr_websocket_event(self, _message: object, event: str) -> None:
        """The WebSocket was closed by a Close frame or for want of a pong."""
        if event == "websocket:closed":
            self._front.closed()

    @guarded
    def ksr_tcp_event(self, _message: object, _event: str) -> None:
        """The connection is gone.  Runs in the TCP main process: only a note for housekeeping is allowed here."""
        self._front.closed()
