"""Tells whether the packet filter will let in the connection that this runs over, when it comes again.

ssh_is_let_in.py SSH_PORT ADMIN_NETWORKS OPEN_TCP_PORTS OWN_ADDRESSES, lists with commas.  Exit status 3, and the
reason on standard output: it will not.  Else 0, and nothing is said, also where nobody knows: a connection that is no
SSH, or that ends elsewhere (a container's).

Run on a node before anything is installed there: Python's standard library only.
"""

from __future__ import annotations

import ipaddress
import os
import sys

SHUT_OUT = 3


def is_in(address: str, network: str) -> bool:
    """Tell whether a network, an address, or a range of nftables has an address; raise ValueError for anything else."""
    client = ipaddress.ip_address(address)
    first, to, last = network.partition("-")
    if not to:
        return client in ipaddress.ip_network(network, strict=False)
    lowest, highest = ipaddress.ip_address(first), ipaddress.ip_address(last)
    return client.version == lowest.version and int(lowest) <= int(client) <= int(highest)


def fault(connection: str, ssh_port: str, admins: list[str], open_ports: list[str], own: list[str]) -> str:
    """Return why sshd's SSH_CONNECTION (client and port, server and port) would be dropped; "": it would not, or nobody
    knows."""
    try:
        client, _, server, port = connection.split()
        client = client.partition("%")[0]
        if (
            server.partition("%")[0] not in own
            or ipaddress.ip_address(client).is_loopback
            or port in open_ports
        ):
            return ""
        if port != ssh_port:
            return f"SSH is on port {port} there, and firewall_ssh_port is {ssh_port}"
        if admins and not any(is_in(client, network) for network in admins):
            return f"this play comes from {client}, which is not in firewall_admin_networks ({', '.join(admins)})"
    except ValueError:
        return ""
    return ""


def main() -> int:
    """Look at the connection of this session."""
    ssh_port, *lists = sys.argv[1:]
    admins, open_ports, own = (text.split(",") if text else [] for text in lists)
    found = fault(os.environ.get("SSH_CONNECTION", ""), ssh_port, admins, open_ports, own)
    print(found)
    return SHUT_OUT if found else 0


if __name__ == "__main__":
    sys.exit(main())
