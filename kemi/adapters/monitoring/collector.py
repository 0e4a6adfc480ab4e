"""A UDP socket that only sends: beside rtpengine/transport the one place that talks to the network itself."""

from __future__ import annotations

import socket


class Collector:
    """Whoever collects datagrams at an address; never waited for."""

    def __init__(self, address: tuple[str, int]) -> None:
        """``address``: IP address and port."""
        self._address = address
        self._socket: socket.socket | None = None

    def send(self, datagram: bytes) -> None:
        """Send one; raises OSError, also for an earlier one that nobody took."""
        if self._socket is None:  # on first use: after the fork
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
            found = socket.socket(family, socket.SOCK_DGRAM)
            found.setblocking(False)
            found.connect(self._address)
            self._socket = found
        self._socket.send(datagram)
