"""Tells which trunks' addresses are in none of the networks whose media the relay's packet filter takes.

Reads [gateway_trunks, rtpengine_core_networks] as JSON on standard input, for trunks have passwords.  Prints a line for
each trunk of which no network, and no literal address of a next hop, is let in.  Of one that is known by name alone
nothing is said.

Where a carrier's media comes from, only the carrier knows: often from elsewhere than its SIP.

Run on a node before anything is installed there: Python's standard library only.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from typing import Any

Range = tuple[int, int, int]
"""IP version, first and last address."""
_HOST = re.compile(r"sips?:(?:[^@;]*@)?([0-9.]+)(?=[:;]|$)")


def as_range(text: str) -> Range:
    """Return what a network, an address or a range of nftables has; raise ValueError for anything else."""
    first, to, last = text.partition("-")
    if to:
        lowest, highest = ipaddress.ip_address(first), ipaddress.ip_address(last)
        return lowest.version, int(lowest), int(highest)
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), int(network.broadcast_address)


def sources(trunk: dict[str, Any]) -> list[str]:
    """Return the networks of a trunk, or the literal addresses of its next hops."""
    hosts = (_HOST.match(uri) for uri in trunk.get("uris", ()))
    return trunk.get("networks") or [host[1] for host in hosts if host]


def overlap(one: Range, other: Range) -> bool:
    """Tell whether two ranges have an address in common."""
    return one[0] == other[0] and one[1] <= other[2] and other[1] <= one[2]


def shut_out(trunks: list[dict[str, Any]], networks: list[str]) -> list[tuple[str, list[str]]]:
    """Return names and addresses of the trunks that are in none of the networks; none where no networks are named."""
    let_in = [as_range(network) for network in networks]
    return [
        (trunk["name"], own)
        for trunk in trunks
        if let_in
        and (own := sources(trunk))
        and not any(overlap(as_range(source), network) for source in own for network in let_in)
    ]


def main() -> int:
    """Say it; what is no network, and no trunk, is for others to complain of."""
    try:
        found = shut_out(*json.load(sys.stdin))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0
    for name, own in found:
        print(f"{name} ({', '.join(own)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
