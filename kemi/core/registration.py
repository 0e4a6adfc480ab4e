"""A page registers at the IMS core through us (TS 24.229 §5.2.2): what we add, what we keep.

Authentication is end to end between page and core; we add the Path that leads back to the page's own connection and
remember what the core's 200 says, because pages ignore Service-Route and P-Associated-URI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kemi.core.call.actions import MessageEdits
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.flow_token import token_from_flow
from kemi.core.headers import UNTRUSTED_FROM_WIC
from kemi.core.messages import Reply, Request, addresses_from_headers, parameter, uri_from_address

_WORD = r"[\w.!%*+`'~/-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*("(?:[^"\\\r\n]|\\[^\r\n])*"|{_WORD})\s*(?:,|$)', re.ASCII)
_TRUSTED_PARAMETERS = frozenset({"integrity-protected", "ck", "ik"})
"""Digest parameters that only a P-CSCF or the core may write (TS 24.229 §7.2A)."""
_TRUSTED_ANYWHERE = re.compile(r"""integrity-protected|(?:^|[\s,;"'])(?:ck|ik)\s*=""", re.IGNORECASE)
"""The same, as a parser might find them that does not care for quotes, commas or the scheme."""


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


def register_edits(request: Request, flow: Flow, settings: RegistrationSettings) -> MessageEdits:
    """Return how the page's REGISTER goes to the core."""
    token = token_from_flow(settings.flow_secret, flow.connection_id, flow.nonce)
    authorization = [clean_authorization(value) for value in request.headers("Authorization")]
    if not authorization:
        authorization = [empty_authorization(request.to_uri, settings.realm)]
    insert = [
        f"Path: <sip:{token}@{settings.ims_host};lr;ob>",
        "Require: path",
        *(f"Authorization: {value}" for value in authorization),
        f'P-Visited-Network-ID: "{settings.visited_network}"',
        f'P-Charging-Vector: icid-value="{token[:14]}{request.cseq}";'
        f'icid-generated-at={settings.ims_host.rpartition(":")[0]};orig-ioi="{settings.realm}"',
    ]
    if "path" not in request.tokens("Supported"):
        insert.append("Supported: path")
    return MessageEdits(
        next_hop=settings.icscf_uri,
        remove=("Path", "Route", "Authorization", *UNTRUSTED_FROM_WIC),
        insert=tuple(insert),
    )


def pending_from_request(request: Request) -> PendingRegistration:
    """Return what must be remembered until the core answers this REGISTER."""
    if request.from_uri != request.to_uri:
        raise SipReject("third-party registration is not allowed", reason_phrase="Forbidden")
    contacts = addresses_from_headers(request.headers("Contact"))
    contact = uri_from_address(contacts[0]) if contacts else ""
    return PendingRegistration(request.connection_id, contact, request.to_uri)


def same_contact(one: str, other: str) -> bool:
    """Whether two Contact URIs name the same page, which draws user and host anew on every load (RFC 7118 §5.2)."""
    return one.partition(";")[0].lower() == other.partition(";")[0].lower()


def empty_authorization(public_identity: str, realm: str) -> str:
    """Return the Authorization of a page that sent none: without it a core may guess the user (TS 24.229 §5.4.1.1)."""
    user = public_identity.partition(":")[2] or public_identity
    return f'Digest username="{user}", realm="{realm}", nonce="", uri="sip:{realm}", response=""'


def clean_authorization(value: str) -> str:
    """Return a page's credentials without what only trusted nodes may claim; raise RemoteProtocolError if unreadable.

    A page's own ``integrity-protected="auth-done"`` would let it in without a password, so the value is taken apart
    and written anew; whatever does not parse is refused rather than passed.
    """
    scheme, *others = value.split(maxsplit=1) or [""]
    if scheme.lower() != "digest":
        return _without_trusted(" ".join(value.split()))
    rest = "".join(others).rstrip()
    kept: list[str] = []
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise RemoteProtocolError("Authorization is malformed")
        position = match.end()
        name, text = match.groups()
        if name.lower() not in _TRUSTED_PARAMETERS:
            kept.append(f"{name}={text}")
    return _without_trusted("Digest " + ", ".join(kept))


def _without_trusted(credentials: str) -> str:
    if _TRUSTED_ANYWHERE.search(credentials):
        raise RemoteProtocolError("Authorization claims what only the network may say")
    return credentials


def registration_from_reply(pending: PendingRegistration, reply: Reply, now: float) -> Registration | None:
    """Return the registration a 200 confirms, or None when it says that this page is not registered (any more)."""
    expires = _granted_expires(pending.contact, reply)
    if expires <= 0:
        return None
    return Registration(
        address_of_record=pending.address_of_record,
        contact=pending.contact,
        expires_at=now + expires,
        service_route=addresses_from_headers(reply.headers("Service-Route")),
        associated_uris=addresses_from_headers(reply.headers("P-Associated-URI")),
    )


def _granted_expires(contact: str, reply: Reply) -> int:
    """Find this page's own binding among all the core lists (RFC 3261 §10.3 step 8)."""
    common = "".join(reply.headers("Expires")).strip()
    for address in addresses_from_headers(reply.headers("Contact")):
        if uri_from_address(address) == contact:
            text = parameter(address, "expires") or common
            return int(text) if text.isdecimal() else 0
    return 0
