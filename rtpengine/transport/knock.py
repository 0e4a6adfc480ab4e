"""A datagram that makes rtpengine look at sources from now on, on both legs.

Until a port has had its first packet that is not RTCP, rtpengine takes RTCP on it from everybody, whatever the flags
say. What that packet is and whose does not matter: with `endpoint-learning-off` and `strict-source` one of a stranger
does, and is dropped. With `unidirectional` it counts for the other leg, too. So we send one byte, which is neither RTP
(that would begin a stream) nor STUN.
"""

import functools
import socket
from contextlib import suppress

from rtpengine.pool import NodeAddress
from rtpengine.transport.address import family_of

_PACKET = b"\0"
_KIND = int(socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


def knock(port: NodeAddress) -> None:
    """Send it to the relay's port for RTP of the leg without ICE.

    Only where the leg's sources are `MediaSource.SIGNALLED`: by other rules it would be believed, or passed on.
    Raises OSError where the address is out of reach.
    """
    opened = _socket(family_of(port), port.host)
    opened.connect((port.host, port.port))
    with suppress(ConnectionRefusedError):
        opened.send(_PACKET)
        return
    opened.send(_PACKET)  # that was about the port of an earlier knock, where nobody listens any more


@functools.lru_cache(maxsize=64)
def _socket(family: socket.AddressFamily, _host: str) -> socket.socket:
    """Return what this process knocks at an address with; one that a child shares with its parent does as well.

    Opening and closing one each time costs several times what sending does. It is connected, so that nobody else can
    send to it; each address has its own, for a socket keeps the local address of its first connection.
    """
    opened = socket.socket(family, _KIND)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    return opened
