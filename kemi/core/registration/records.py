"""What is remembered of pages and their registrations: plain data, written as JSON by kemi/state."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """What registration needs of the site."""

    realm: str
    visited_network: str
    icscf_uri: str
    flow_secret: str
    ims_host: str
    """``address:port`` of our socket towards the core."""


@dataclass(slots=True)
class Flow:
    """A page's WebSocket connection."""

    connection_id: str
    nonce: str
    client_address: str
    """Where the page really is, as the TLS front says."""
    source: str
    """``address:port`` as Kamailio sees it."""


@dataclass(slots=True)
class PendingRegistration:
    """What we need to understand the core's answer to a REGISTER."""

    connection_id: str
    contact: str
    address_of_record: str


@dataclass(slots=True)
class Registration:
    """A page that the core knows."""

    address_of_record: str
    contact: str
    expires_at: float
    """Seconds since the epoch."""
    service_route: list[str] = field(default_factory=list)
    associated_uris: list[str] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """The identity that owns the flow and its calls."""
        return self.address_of_record

    @property
    def asserted_identity(self) -> list[str]:
        """P-Asserted-Identity values for requests of this page: its default public identity (TS 24.229 §5.2.6.3)."""
        default = self.associated_uris[0] if self.associated_uris else f"<{self.address_of_record}>"
        return [default]


def same_contact(one: str, other: str) -> bool:
    """Whether two Contact URIs name the same page, which draws user and host anew on every load (RFC 7118 §5.2)."""
    return one.partition(";")[0].lower() == other.partition(";")[0].lower()
