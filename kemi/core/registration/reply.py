"""What the core's answer to a REGISTER grants: kept here, because pages ignore Service-Route and P-Associated-URI."""

from __future__ import annotations

import re

from kemi.core.decimals import number_or
from kemi.core.messages import Reply, addresses_from_headers, parameter, parameters, uri_from_address
from kemi.core.registration.contact import contact_sent
from kemi.core.registration.records import Charging, PendingRegistration, Registration, instance_and_reg_id

_EXPIRES = re.compile(r';\s*expires\s*=\s*(?:"[^"]*"|[^;]*)', re.IGNORECASE)


def registration_from_reply(pending: PendingRegistration, reply: Reply, now: float) -> Registration | None:
    """Return the registration a 200 confirms, or None when it says that this page is not registered (any more)."""
    expires = _granted_expires(pending, reply)
    if expires <= 0:
        return None
    core_expires_at = now + expires
    return Registration(
        address_of_record=pending.address_of_record,
        contact=pending.contact,
        expires_at=min(core_expires_at, pending.grant.expires_at or core_expires_at),
        service_route=addresses_from_headers(reply.headers("Service-Route")),
        associated_uris=addresses_from_headers(reply.headers("P-Associated-URI")),
        grant=pending.grant,
        connection_id=pending.connection_id,
        granted_at=now,
        core_expires_at=core_expires_at,
        sent=pending.sent,
        charging=_charging(reply),
        registered_at=now,
        user_agent=pending.user_agent,
    )


def is_query(pending: PendingRegistration) -> bool:
    """Whether the REGISTER only asked for the bindings (RFC 3261 §10.2.3): its answer changes nothing."""
    return not pending.contact and not is_wildcard(pending)


def is_wildcard(pending: PendingRegistration) -> bool:
    """Whether the REGISTER removes every contact of the identity (RFC 3261 §10.2.2)."""
    return pending.sent.contact_value == "*"


def comes_late(pending: PendingRegistration, binding: Registration, now: float) -> bool:
    """Whether the answer to a REGISTER comes after the same page has registered over another connection.

    One granted later than ``now`` is older than a clock that was set back.
    """
    connection_id = binding.connection_id or binding.former_connection_id
    is_newer = pending.at < binding.granted_at <= now
    return is_newer and connection_id not in ("", pending.connection_id)


def shown_contacts(
    pending: PendingRegistration, reply: Reply, granted: Registration, now: float
) -> list[str]:
    """Return the Contact values the page gets where its time is shorter than the core's (RFC 8898 §2.1.1), else []."""
    if granted.expires_at >= granted.core_expires_at:
        return []
    shown = []
    ours = _own_binding(pending, reply)
    for address in addresses_from_headers(reply.headers("Contact")):
        if address == ours:
            shown.append(f"{_without_expires(address)};expires={max(0, int(granted.expires_at - now))}")
        else:
            shown.append(address)
    return shown


def _without_expires(address: str) -> str:
    head, bracket, tail = address.partition(">") if "<" in address else ("", "", address)
    return head + bracket + _EXPIRES.sub("", tail)


def _own_binding(pending: PendingRegistration, reply: Reply) -> str | None:
    """Find this page's own binding among all the core lists (RFC 3261 §10.3 step 8): by URI, else by instance and
    reg-id, because a registrar may still list the Contact of an earlier load of the same page.

    The flows of one page have the same URI (RFC 5626 §4.2): it is enough only where one side does not name its flow.
    """
    own = instance_and_reg_id(contact_sent(pending.address_of_record, pending.sent))
    same_uri = same_flow = None
    for address in addresses_from_headers(reply.headers("Contact")):
        flow = instance_and_reg_id(address)
        is_own = bool(own[0]) and flow == own
        if uri_from_address(address) == pending.contact:
            if is_own:
                return address
            if not all((*own, *flow)):
                same_uri = same_uri or address
        elif is_own:
            same_flow = same_flow or address
    return same_uri or same_flow


def _granted_expires(pending: PendingRegistration, reply: Reply) -> int:
    ours = _own_binding(pending, reply) if pending.contact else None
    if ours is None:
        return 0
    text = parameter(ours, "expires") or "".join(reply.headers("Expires")).strip()
    return number_or(0, text)


def _charging(reply: Reply) -> Charging:
    vector = parameters(f"<>;{';'.join(reply.headers('P-Charging-Vector'))}")
    return Charging(
        icid=vector.get("icid-value", ""),
        term_ioi=vector.get("term-ioi", ""),
        function_addresses=",".join(reply.headers("P-Charging-Function-Addresses")),
    )
