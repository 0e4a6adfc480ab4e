"""The KEMI twin of native.cfg: INVITE, 180, 200, ACK and BYE from WebSocket to UDP in Python.

Knows the shortest call path there is. Must not do anything native.cfg does not do: the two are
compared line by line.
"""

from __future__ import annotations

from typing import Any

import KSR

# The stub lists the functions of the modules the gateway loads; rr is loaded by the twins only.
RR: Any = KSR.rr  # type: ignore[attr-defined]
CALLEE = "sip:127.0.0.1:CALLEE_PORT"
SEND_SOCKET = "udp:127.0.0.1:SIP_PORT"


class PlainProxy:
    """Callbacks of one worker."""

    def child_init(self, rank: int) -> int:
        """Nothing to prepare."""
        return 0

    def ksr_request_route(self, msg: Any) -> int:
        """Relay a request."""
        if KSR.maxfwd.process_maxfwd(10) < 0:
            KSR.sl.send_reply(483, "Too Many Hops")
            return 1
        KSR.force_rport()
        if KSR.is_CANCEL():
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        if KSR.siputils.has_totag() > 0:
            return self._in_dialog()
        KSR.tm.t_check_trans()
        if KSR.is_INVITE():
            RR.record_route()
        KSR.pv.sets("$du", CALLEE)
        KSR.corex.set_send_socket(SEND_SOCKET)
        if KSR.tm.t_relay() < 0:
            KSR.sl.sl_reply_error()
        return 1

    def _in_dialog(self) -> int:
        if RR.loose_route() > 0:
            KSR.tm.t_relay()
            return 1
        if KSR.is_ACK():
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        KSR.sl.send_reply(404, "Not Found")
        return 1

    def ksr_reply_route(self, msg: Any) -> int:
        """Let replies pass."""
        if int(KSR.pv.get("$rs") or 0) < 100:
            KSR.set_drop()
        return 1

    def ksr_xhttp_event(self, msg: Any, event: str) -> int:
        """Upgrade to WebSocket."""
        if "websocket" in str(KSR.pv.get("$hdr(Upgrade)")):
            KSR.websocket.handle_handshake()
            return 1
        KSR.xhttp.xhttp_reply(404, "Not Found", "", "")
        return 1


def mod_init() -> PlainProxy:
    """Return the handler object of the workers."""
    return PlainProxy()
