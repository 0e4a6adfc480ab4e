"""A datagram that makes rtpengine look at sources from now on, on both legs.

Until a port has had its first packet that is not RTCP, rtpengine takes RTCP on it from everybody, whatever the flags
say. What that packet is and whose does not matter: with `endpoint-learning-off` and `strict-source` one of a stranger
does, and is dropped. With `unidirectional` it counts for the other leg, too. So we send one byte, which is neither RTP
(that would begin a stream) nor STUN.
"""

import functools
import socket

from rtpengine.pool import NodeAddress
from rtpengine.transport.address import family_of

_PACKET = b"\0"
_KIND = int(socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


def knock(port: NodeAddress) -> None:
    """Send it to the relay's port for RTP of the leg without ICE.

    Only where the leg's sources are `MediaSource.SIGNALLED`: by other rules it would be believed, or passed on.
    Raises OSError where the address is out of reach.
    """
    _socket(family_of(port)).sendto(_PACKET, (port.host, port.port))


@functools.cache
def _socket(family: socket.AddressFamily) -> socket.socket:
    """Return what this process knocks with; one that a child shares with its parent does as well.

    Opening and closing one each time costs several times what sending does. Nothing is ever read from it, so next to
    nothing is kept of what strangers send there.
    """
    opened = socket.socket(family, _KIND)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    return opened
