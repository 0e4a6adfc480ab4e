"""What a page's call has to remember that may leave by trunks."""

from __future__ import annotations

from dataclasses import dataclass, field

from kemi.core.trunk.diversion import Diversion
from kemi.core.trunk.trunk import transport_of


@dataclass(slots=True)
class Asked:
    """A trunk asked who we are: that is answered with each request that follows (RFC 7616 §3.3, §3.6)."""

    values: list[str]
    """Its challenges, as they came."""
    by_proxy: bool
    """407 and Proxy-Authenticate, not 401 and WWW-Authenticate."""
    count: int = 0
    """How many requests had credentials for it."""


@dataclass(slots=True)
class SaidInInvite:
    """What our answer in an INVITE was made of, which its ACK repeats; made anew then, so that nobody keeps it."""

    cseq: int
    """Ours."""
    uri: str
    asked: Asked
    """As it was then."""


@dataclass(slots=True)
class Outbound:
    """The way of a call, and where on it the call is."""

    left: list[str]
    """Trunks still to be tried, in order; "" among them is the home network."""
    number: str
    """Who is called: +E.164, or a local number as it was dialled."""
    parameters: list[str] = field(default_factory=list)
    """Portability and carrier parameters for the trunk's Request-URI."""
    diversions: list[Diversion] = field(default_factory=list)
    """Whom the call was for before the core sent the caller here, the oldest first."""
    caller: str = ""
    """+E.164 of the caller, one of its own identities; "": it has none."""
    is_emergency: bool = False
    """No limit of a trunk counts."""
    withheld: bool = False
    """The caller does not want to be known (RFC 3323)."""
    trunk: str = ""
    """Where the call is; "": the home network, or nowhere yet."""
    hops: list[str] = field(default_factory=list)
    """Next hops of that trunk: the one the INVITE is at, then those that are left."""
    from_value: str = ""
    """From and To towards it, without tags."""
    to_value: str = ""
    asked: Asked | None = None
    answered: int = 0
    """How often its INVITE was sent again with credentials."""
    in_invite: SaidInInvite | None = None
    """Of the newest INVITE that had credentials."""
    answered_cseq: int = 0
    """Our CSeq of the newest other request that was sent again so."""
    reasons: list[str] = field(default_factory=list)
    """Reason values of its final response."""
    sent: bool = False
    """The INVITE has been somewhere already."""

    @property
    def transport(self) -> str:
        """Transport of the next hop the call is at: udp, tcp or tls."""
        return transport_of(self.hops[0]) if self.hops else "udp"
