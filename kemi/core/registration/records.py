"""What is remembered of pages and their registrations: plain data, written as JSON by kemi/state."""

from __future__ import annotations

from dataclasses import dataclass, field

from kemi.core.identity import known_as
from kemi.core.messages import uri_from_address


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """What registration needs of the site."""

    realm: str
    visited_network: str
    icscf_uri: str
    flow_secret: str
    ims_host: str
    """``address:port`` of our socket towards the core."""
    schemes: tuple[str, ...] = ("digest",)
    """How pages may prove who they are: "digest", "bearer"."""
    digest_protection: str = "tls"
    """What we vouch for beside a page's digest: "tls", "ip-assoc", or "" for nothing."""
    contact_tags: tuple[str, ...] = ()
    """Feature tags added to a Contact that lacks them."""
    access_network_info: str = ""
    """P-Access-Network-Info of all pages, "" for none."""


@dataclass(slots=True)
class Flow:
    """A page's WebSocket connection."""

    connection_id: str
    nonce: str
    client_address: str
    """Where the page really is, as the TLS front says."""
    source: str
    """``address:port`` as Kamailio sees it."""
    origin: str = ""
    """Web origin of the page, from its handshake."""


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
    def identities(self) -> list[str]:
        """Public identities that may be asserted for this page, as name-addrs, the default one first.

        Those of the core that the access token names too, if one was used; the registered one may be barred, and
        counts only when the core names none.
        """
        granted = self.grant.impus
        named = [
            uri for uri in self.associated_uris if not granted or known_as(uri_from_address(uri), granted)
        ]
        return named or [f"<{self.address_of_record}>"]


def same_contact(one: str, other: str) -> bool:
    """Whether two Contact URIs name the same page, which draws user and host anew on every load (RFC 7118 §5.2)."""
    return one.partition(";")[0].lower() == other.partition(";")[0].lower()
