"""What both shells do with a socket: from host and port of a daemon on. Host names are not resolved."""

import functools
import ipaddress
import socket

from rtpengine.ng.errors import NgUnreachable
from rtpengine.pool import NodeAddress


def family_of(address: NodeAddress) -> socket.AddressFamily:
    """Tell the address family of an IP literal; raises ValueError for anything else."""
    return _family_of(address.host)


@functools.lru_cache(maxsize=64)
def _family_of(host: str) -> socket.AddressFamily:
    """Hosts are few, ports of media are not."""
    return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET


def connected_socket(address: NodeAddress) -> socket.socket:
    """Return a socket that never blocks and hears nobody but the daemon; raises NgUnreachable without a route."""
    connection = socket.socket(family_of(address), socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        connection.setblocking(False)
        connection.connect((address.host, address.port))
    except OSError as error:
        connection.close()
        raise unreachable(address, error) from None
    return connection


def unreachable(address: NodeAddress, error: OSError) -> NgUnreachable:
    """Say that the network refused what was sent there."""
    return NgUnreachable(f"{address}: {error.strerror or error}")


def send(connection: socket.socket, datagram: bytes) -> None:
    """Send to the daemon; raises OSError."""
    try:
        connection.send(datagram)
    except ConnectionRefusedError:
        # The network refused an earlier datagram, such as a retransmission: the daemon may be back by now.
        connection.send(datagram)
