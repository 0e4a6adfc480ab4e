"""What an operator says of a home network of our own: where its part listens."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class HomeSettings:
    """The socket of the home part: UDP, for our own proxy part alone."""

    address: str
    port: int

    @property
    def uri(self) -> str:
        """The entry point of the home network."""
        return f"sip:{self.address}:{self.port}"


def check_home(
    home: HomeSettings, used: Collection[int], entry_points: Sequence[str], schemes: Sequence[str]
) -> None:
    """Raise ValueError, which names the key, unless the gateway can be its own home network.

    Args:
        home: what is to be checked.
        used: ports that have another use.
        entry_points, schemes: of the site (``icscf_uris``, ``registration.schemes``).
    """
    try:
        loopback = ipaddress.ip_address(home.address.strip("[]")).is_loopback
    except ValueError as error:
        raise ValueError(f"home.address: {error}") from error
    if not loopback:
        raise ValueError("home.address: a loopback address, for nobody but the gateway itself")
    if not 1 <= home.port <= MAX_PORT or home.port in used:
        raise ValueError(f"home.port: 1 to {MAX_PORT}, and no port that has another use")
    if list(entry_points) != [home.uri]:
        raise ValueError(f"icscf_uris: [{home.uri!r}], for the gateway is its own home network")
    if list(schemes) != ["bearer"]:
        raise ValueError(
            "registration.schemes: [bearer] without an IMS core, for nobody could check a password"
        )
