"""Which binding a REGISTER is about, and whether its connection may speak for it."""

from __future__ import annotations

import re

from kemi.core.errors import SipReject
from kemi.core.flow_token import token_from_flow
from kemi.core.messages import Request, addresses_from_headers
from kemi.core.registration.records import Flow, PendingRegistration, Registration, RegistrationSettings, Sent

_USERNAME = re.compile(r'\busername\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def complete(
    pending: PendingRegistration, request: Request, flow: Flow, settings: RegistrationSettings
) -> PendingRegistration:
    """Note on ``pending`` how this REGISTER went out, so that we can repeat it for the page; return it."""
    values = addresses_from_headers(request.headers("Contact"))
    names = [_USERNAME.search(value) for value in request.headers("Authorization")]
    pending.sent = Sent(
        contact_value=values[0] if values else "",
        call_id=request.call_id,
        cseq=request.cseq,
        from_tag=request.from_tag,
        flow_token=token_from_flow(settings.flow_secret, flow.connection_id, flow.nonce),
        impi=pending.grant.impi or next((name.group(1) for name in names if name), ""),
    )
    if pending.sent.contact_value == "*":
        pending.contact = ""
    return pending


def check_owner(pending: PendingRegistration, current: Registration | None) -> None:
    """Raise SipReject (403) when the connection is registered as somebody else.

    One connection, one identity (RFC 7118 §A.2): the core may still send the first one's calls down this connection,
    and they must not reach the second one.
    """
    if current is not None and current.address_of_record.lower() != pending.address_of_record.lower():
        raise SipReject("this connection is registered as another identity: de-register that one first")
