"""The page's Contact in REGISTER: passed as it is, but for feature tags and for how long (TS 24.229 §5.1.1.2)."""

from __future__ import annotations

import re
from functools import lru_cache
from zlib import crc32

from kemi.core.decimals import number_or
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.identity import one_spelling
from kemi.core.messages import (
    Request,
    addresses_from_headers,
    parameter,
    parameters,
    uri_from_address,
    with_parameters,
)
from kemi.core.registration.records import Registration, Sent, instance_and_reg_id
from kemi.core.trust import FROM_PAGE_IN_CONTACT, without_parameters

QUOTE = '"'
_CONTACT_URI = re.compile(r"sips?:[^\s<>]+$", re.IGNORECASE)
_REPLACED = "\ufffd"
_MOST_REG_ID = 2**31 - 1


def contact_of(request: Request) -> str:
    """Return the one Contact of a REGISTER as a name-addr, "*", or "" for a query; raise RemoteProtocolError.

    A page has one Contact: further ones would be reached over its connection under the names of others.
    """
    contacts = addresses_from_headers(request.headers("Contact"))
    if len(contacts) > 1:
        raise RemoteProtocolError("one Contact in each REGISTER (RFC 5626 §4.2)")
    if not contacts or contacts[0] == "*":
        return "".join(contacts)
    if not _CONTACT_URI.match(uri_from_address(contacts[0])):
        raise RemoteProtocolError("Contact is not a sip: URI")
    if _REPLACED in contacts[0]:  # it could not be written anew, and so would pass with all it says
        raise RemoteProtocolError("Contact is not UTF-8")
    return contacts[0]


def page_of(request: Request, current: Registration | None) -> str:
    """Return what an access token is bound to: the page's instance, or its Contact's user; "" for a query of a page
    that has registered nothing, by which nobody can tell it.

    Args:
        request: a REGISTER; without a Contact, or with "*", it is of the page that has registered.
        current: the live registration of its connection.

    Raises:
        SipReject: "*" of a page that has registered nothing: it would end the registrations of others (403).
    """
    contact = contact_of(request)
    if contact in ("", "*"):
        if current is not None:
            contact = current.sent.contact_value
        elif contact:
            raise SipReject("this connection has registered nothing that could be removed")
    return page_at(contact)


def page_at(contact: str) -> str:
    """Return what names the page of a Contact: its instance, or its user; "" for no Contact."""
    return parameter(contact, "+sip.instance") or uri_from_address(contact).partition("@")[0]


def with_flow_of(identity: str, contact: str) -> str:
    """Return a Contact whose reg-id (RFC 5626 §4.2) is that of no other identity of the page.

    A registrar that keeps all of a user's identities together finds a contact by instance and reg-id.
    """
    instance, reg_id = instance_and_reg_id(contact)
    if not instance:
        return contact
    own = (crc32(one_spelling(identity).encode()) + number_or(0, reg_id)) % _MOST_REG_ID + 1
    if not reg_id:
        return f"{contact};reg-id={own}"
    return with_parameters(contact, lambda name, _: f";reg-id={own}" if name == "reg-id" else None)


def contact_sent(identity: str, sent: Sent) -> str:
    """Return the Contact of a REGISTER as the registrar got it."""
    return with_flow_of(identity, sent.contact_value) if sent.flow_by_identity else sent.contact_value


def contact_for_core(contact: str, tags: tuple[str, ...], longest_s: int | None) -> str:
    """Return a page's Contact for the core; the same text when there is nothing to change.

    Args:
        contact: as the page wrote it.
        tags: feature tags to add where they are missing, as ``audio`` or ``+g.3gpp.icsi-ref="..."``.
        longest_s: seconds its registration may last, None for any time.
    """
    if not contact or contact == "*":
        return contact
    changed = without_parameters(contact, FROM_PAGE_IN_CONTACT)
    if longest_s is not None:
        changed = _capped(changed, longest_s)
    there = parameters(changed)
    return changed + "".join(added for name, added in _named(tags) if name not in there)


@lru_cache(maxsize=8)
def _named(tags: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of feature tags, and how they are added to a Contact."""
    return tuple((tag.partition("=")[0].lower(), f";{tag}") for tag in tags)


def _capped(contact: str, longest_s: int) -> str:
    def shorter(name: str, value: str) -> str | None:
        return f";expires={capped_expires(value.strip(QUOTE), longest_s)}" if name == "expires" else None

    return with_parameters(contact, shorter)


def capped_expires(text: str, longest_s: int) -> int:
    """Return a lifetime in seconds that is no longer than ``longest_s``; an unreadable one is the longest."""
    return min(number_or(longest_s, text), longest_s)
