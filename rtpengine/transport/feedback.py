"""The socket that RTCP of our own comes from (see rtpengine.key_frames)."""

import socket
from types import TracebackType
from typing import Self

from rtpengine.pool import NodeAddress
from rtpengine.transport.address import family_of


class FeedbackSocket:
    """Sends to one port of a relay; use as a context manager. Nothing is received.

    Raises OSError where the relay's address is out of reach.
    """

    def __init__(self, relay: NodeAddress) -> None:
        self._socket = socket.socket(family_of(relay), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._socket.connect((relay.host, relay.port))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def local(self) -> NodeAddress:
        """The address that the relay sees."""
        host, port, *_ = self._socket.getsockname()
        return NodeAddress(host, port)

    def send(self, packet: bytes) -> None:
        """Send one datagram."""
        self._socket.send(packet)
