"""How a page's REGISTER goes to the core (TS 24.229 §5.2.2.1).

Authentication is end to end between page and core; we add the Path that leads back to the page's own connection.
"""

from __future__ import annotations

from kemi.core.call.actions import MessageEdits
from kemi.core.errors import SipReject
from kemi.core.flow_token import token_from_flow
from kemi.core.headers import UNTRUSTED_FROM_WIC
from kemi.core.messages import Request, addresses_from_headers, uri_from_address
from kemi.core.registration.authorization import clean_authorization, empty_authorization
from kemi.core.registration.records import Flow, PendingRegistration, RegistrationSettings


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
