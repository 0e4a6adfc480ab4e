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
class Grant:
    """What a page's credentials allow: with digest the core decides, with an access token we do (TS 24.371 §6)."""

    scheme: str = "digest"
    """"digest" or "bearer"."""
    impi: str = ""
    """Private identity the credentials name."""
    impus: list[str] = field(default_factory=list)
    """Public identities the token names, the default one first; empty with digest."""
    expires_at: float = 0.0
    """End of the token, seconds since the epoch; 0 with digest."""
    session: str = ""
    """Web session the token came from (claim sid)."""
    token_id: str = ""
    """Claim jti."""


@dataclass(slots=True)
class PendingRegistration:
    """What we need to understand the core's answer to a REGISTER."""

    connection_id: str
    contact: str
    address_of_record: str
    grant: Grant = field(default_factory=Grant)


@dataclass(slots=True)
class Registration:
    """A page that the core knows."""

    address_of_record: str
    contact: str
    expires_at: float
    """Seconds since the epoch."""
    service_route: list[str] = field(default_factory=list)
    associated_uris: list[str] = field(default_factory=list)
    grant: Grant = field(default_factory=Grant)

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
