"""Where a daemon listens: turns host and port into what a socket needs. Host names are not resolved."""

import ipaddress
import socket

from rtpengine.pool import NodeAddress


def family_of(address: NodeAddress) -> socket.AddressFamily:
    """Tell the address family of an IP literal; raises ValueError for anything else."""
    version = ipaddress.ip_address(address.host).version
    return socket.AF_INET6 if version == 6 else socket.AF_INET
