"""Whose message it is, by where it came from."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from kemi.core.trunk.trunk import Trunk, hop_parts

DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrunkSources:
    """The addresses of trunks.

    A trunk's messages come from its ``networks``; without any, from the literal addresses of its next hops.  Such an
    address may be the core's or our own, too, as on a machine of everything: then port and UDP have to fit as well.
    """

    def __init__(self, trunks: Iterable[Trunk], others: Iterable[str] = ()) -> None:
        """``others``: addresses of the core and ourselves; names of hosts are passed over."""
        self._networks: list[tuple[Network, Trunk]] = []
        self._hops: dict[Address, list[tuple[int, Trunk]]] = {}
        self._shared = {address for other in others if (address := _address(other)) is not None}
        self._places: dict[str, list[Network]] = {}
        """Trunk -> its networks, or the literal addresses of its next hops."""
        self._names: dict[str, set[str]] = {}
        """Trunk -> names of its next hops, where it has no networks."""
        for trunk in trunks:
            hosts = {hop_parts(uri)[0].lower() for uri in trunk.uris if not trunk.networks}
            addresses = [address for host in hosts if (address := _address(host)) is not None]
            self._places[trunk.name] = [ipaddress.ip_network(one) for one in trunk.networks or addresses]
            self._names[trunk.name] = {host for host in hosts if _address(host) is None}
            self._networks += [(ipaddress.ip_network(network), trunk) for network in trunk.networks]
            for uri in () if trunk.networks else trunk.uris:
                host, port, transport = hop_parts(uri)
                address = _address(host)
                if address is not None:
                    self._hops.setdefault(address, []).append((port or DEFAULT_PORTS[transport], trunk))
        self.trunk_of = lru_cache(maxsize=1024)(self._trunk_of)

    def is_shared(self, address: str) -> bool:
        """Whether an address is the core's or our own, so that it does not tell a trunk from these."""
        return _address(address) in self._shared

    def are_neighbours(self, one: str, other: str) -> bool:
        """Whether two trunks, by their names, are the same, or have an address in common: a carrier's several trunks
        are not told apart by where a message came from."""
        if one == other:
            return True
        if one not in self._places or other not in self._places:  # a trunk of before a restart may be gone
            return False
        share_name = not self._names[one].isdisjoint(self._names[other])
        return share_name or any(
            mine.overlaps(theirs) for mine in self._places[one] for theirs in self._places[other]
        )

    def _trunk_of(self, address: str, port: int, protocol: str) -> Trunk | None:
        """Return the trunk whose message came from there; ``protocol``: udp, tcp or tls."""
        found = _address(address)
        if found is None:
            return None
        for network, trunk in self._networks:
            if found in network:
                return trunk
        hops = self._hops.get(found, [])
        if found in self._shared:
            hops = [hop for hop in hops if hop[0] == port and protocol == "udp"]
        exact = [trunk for of_hop, trunk in hops if of_hop == port]
        return next(iter(exact or [trunk for _, trunk in hops]), None)


def hosts_of(uris: Collection[str]) -> list[str]:
    """Return the hosts of SIP URIs, as they are written."""
    return [uri.partition(":")[2].rpartition("@")[2].partition(";")[0] for uri in uris]


def _address(host: str) -> Address | None:
    text = host.partition("]")[0].lstrip("[") if host.startswith("[") else host
    if text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
