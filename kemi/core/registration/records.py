"""What is remembered of pages and their registrations: plain data, written as JSON by kemi/state."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from kemi.core.identity import address_known_as, one_spelling
from kemi.core.messages import parameter, parameters, uri_from_address
from kemi.core.registration.states import BindingState

ONE_WAY_STREAMS = "+g.one-way-streams"
"""Feature tag in the Contact of a page that wants its calls with a line for each direction."""


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """What registration needs of the site."""

    realm: str
    visited_network: str
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
    reg_event: bool = True
    """Whether the core is asked to tell of registrations; false where the home network is our own, which ends none."""
    flow_by_identity: bool = False
    """Whether to the registrar each identity of a page is a flow of its own: ours keeps all of a user's together."""


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
    binding: str = ""
    """Key of the binding registered over it, or ""."""
    token: str = ""
    """What our Path says of it (kemi/core/flow_token.py)."""


MOST_PATIENCE: Final = 6
"""Times that a connection may use up the time for its registration by trying, and by waiting as long as it was told."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """How long a connection has been without a registration.  Times in seconds since the epoch."""

    since: float
    waited_from: float
    """When its last REGISTER came, or when it was told to send the next one: so long it was not its own fault."""
    core_failed: bool = False
    """Whether the core did not answer it, or could not: it may come back."""

    def is_overdue(self, patience_s: float, now: float) -> bool:
        """Whether it is to be closed."""
        return now - self.waited_from >= patience_s or now - self.since >= MOST_PATIENCE * patience_s


CLOCKS_APART_S: Final = 1.0
"""How far the clocks of who issues tokens and of who tells of a logout may be apart for it to end all that were issued
before.  The price: what is issued so soon after it, is ended, too."""


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
    user_class: str = ""
    """Claim user_class: whose rows of the routing table count beside those for all."""
    token_hash: str = ""
    """Of the token as it was sent: who sends the same one again has proven nothing new, and needs not to."""
    issuer: str = ""
    """Claim iss."""
    issued_at: float = 0.0
    """Claim iat, or when the token came if that was earlier: an issuer's clock may be ahead.  0: written by a release
    that did not tell."""

    def is_ended_by(self, session: str, ended_at: float) -> bool:
        """Whether the end of a web session, in seconds since the epoch, ends this, too.

        A provider may call a person's next login by the same name (claim sid), so the name alone does not tell.
        """
        return self.session == session and self.issued_at <= ended_at + CLOCKS_APART_S


@dataclass(slots=True)
class Sent:
    """How a page's REGISTER went to the core: what a later one on its behalf must repeat (RFC 3261 §10.2.4)."""

    contact_value: str = ""
    """Its Contact with all parameters, its reg-id as the page says it; "*" for every contact of the identity; "" for a
    query."""
    call_id: str = ""
    cseq: int = 0
    from_tag: str = ""
    flow_token: str = ""
    """User part of our Path."""
    flow_by_identity: bool = False
    """Whether the registrar got the Contact with another reg-id (``contact_sent``): what the page itself says stays
    what its binding is known by."""


@dataclass(slots=True)
class PendingRegistration:
    """What we need to understand the core's answer to a REGISTER."""

    connection_id: str
    contact: str
    address_of_record: str
    grant: Grant = field(default_factory=Grant)
    sent: Sent = field(default_factory=Sent)
    guessed: bool = False
    """It answered a challenge, so that another one means a wrong password."""
    user_agent: str = ""
    at: float = 0.0
    """When it went to the core, in seconds since the epoch."""
    retry_after_s: int = 0
    """When the core, refusing, wants it again; 0: it does not say."""
    on_behalf: bool = False
    """It is ours, for a page that cannot send one."""

    @property
    def key(self) -> str:
        """Key of the binding it is about."""
        return binding_key(self.address_of_record, self.sent.contact_value, self.contact)


@dataclass(slots=True)
class Charging:
    """What the core said about charging, for this registration's later requests (RFC 7315 §4.6, §4.5)."""

    icid: str = ""
    term_ioi: str = ""
    function_addresses: str = ""


@dataclass(slots=True)
class Registration:
    """A page that the core knows."""

    address_of_record: str
    contact: str
    expires_at: float
    """Seconds since the epoch; never later than the token's end."""
    service_route: list[str] = field(default_factory=list)
    associated_uris: list[str] = field(default_factory=list)
    grant: Grant = field(default_factory=Grant)
    connection_id: str = ""
    """The connection it is reached by; "" while the page is away."""
    former_connection_id: str = ""
    """The connection of before, where calls may still be."""
    state: BindingState = BindingState.REGISTERED
    away_until: float = 0.0
    """When an absent page is given up, seconds since the epoch."""
    granted_at: float = 0.0
    """When the core said yes last, seconds since the epoch."""
    core_expires_at: float = 0.0
    """When it runs out at the core: later than ``expires_at`` where the token ends first."""
    renew_at: float = 0.0
    """When the page must be made to register again because the core shortened its time; 0: never."""
    sent: Sent = field(default_factory=Sent)
    charging: Charging = field(default_factory=Charging)
    registered_at: float = 0.0
    """When the core said yes first, seconds since the epoch."""
    client_address: str = ""
    """Where the page was when it registered last."""
    user_agent: str = ""
    """What the page calls itself; for people, nothing is decided from it."""

    @property
    def key(self) -> str:
        """Key of its binding."""
        return binding_key(self.address_of_record, self.sent.contact_value, self.contact)

    @property
    def impi(self) -> str:
        """Private identity."""
        return self.grant.impi or self.address_of_record.partition(":")[2]

    @property
    def owner(self) -> str:
        """The identity that owns the flow and its calls, however the page spells it."""
        return one_spelling(self.address_of_record)

    @property
    def default_identity(self) -> str:
        """The default public identity, as a URI (TS 24.229 §5.2.2.1)."""
        return uri_from_address(self.associated_uris[0]) if self.associated_uris else self.address_of_record

    @property
    def identities(self) -> list[str]:
        """Public identities that may be asserted for this page, as name-addrs, the default one first.

        Those of the core that the access token names too, if one was used; the registered one may be barred, and
        counts only when the core names none.
        """
        granted = self.grant.impus
        named = [uri for uri in self.associated_uris if not granted or address_known_as(uri, granted)]
        return named or [f"<{self.address_of_record}>"]

    @property
    def one_way_streams(self) -> bool:
        """Whether calls towards this page have a line for each direction of a medium."""
        return parameter(self.sent.contact_value, ONE_WAY_STREAMS) is not None

    @property
    def due_at(self) -> float:
        """When something must be done about it although nothing happens, seconds since the epoch."""
        if self.state is BindingState.AWAY:
            return min(self.away_until, self.expires_at)
        if self.state is BindingState.REGISTERED and self.renew_at:
            return min(self.renew_at, self.expires_at)
        return self.expires_at

    def awaited_until(self, recovery_s: float, wait_s: float) -> float:
        """Return until when requests wait for it while it is away, seconds since the epoch.

        recovery_s: how long its calls wait; wait_s: how long requests do.
        """
        return self.away_until - recovery_s + wait_s


@lru_cache(maxsize=256)
def binding_key(address_of_record: str, contact_value: str, contact: str) -> str:
    """Return what tells one binding from another: identity and instance with reg-id (RFC 5626 §6), else Contact.

    The only place where this key is built.  Spaces part it: no URI and no URN has one, and an escaped one stays so.
    """
    identity = one_spelling(address_of_record).replace(" ", "%20")
    instance, reg_id = instance_and_reg_id(contact_value)
    if instance:
        return f"{identity} {instance} {reg_id}"
    return f"{identity} {''.join(contact.partition(';')[0].lower().split())}"


def instance_and_reg_id(contact_value: str) -> tuple[str, str]:
    """Return what tells one flow of a Contact from another (RFC 5626 §4.2), in one spelling; "" for what it lacks."""
    found = parameters(contact_value)
    instance = found.get("+sip.instance", "").strip("<>").lower()
    return "".join(instance.split()), "".join(found.get("reg-id", "").split())


def same_contact(one: str, other: str) -> bool:
    """Whether two Contact URIs name the same page, which draws user and host anew on every load (RFC 7118 §5.2)."""
    return one.partition(";")[0].lower() == other.partition(";")[0].lower()
