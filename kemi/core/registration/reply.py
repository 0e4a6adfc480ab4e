"""What the core's answer to a REGISTER grants: kept here, because pages ignore Service-Route and P-Associated-URI."""

from __future__ import annotations

from kemi.core.messages import Reply, addresses_from_headers, parameter, uri_from_address
from kemi.core.registration.records import PendingRegistration, Registration


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
        grant=pending.grant,
    )


def _granted_expires(contact: str, reply: Reply) -> int:
    """Find this page's own binding among all the core lists (RFC 3261 §10.3 step 8)."""
    common = "".join(reply.headers("Expires")).strip()
    for address in addresses_from_headers(reply.headers("Contact")):
        if uri_from_address(address) == contact:
            text = parameter(address, "expires") or common
            return int(text) if text.isdecimal() else 0
    return 0
