"""The trust boundary between pages and the network, as tables (TS 24.229 §4.4; RFC 3325 §7).

A page is outside the trust domain.  ``FROM_PAGE`` is what it may not say, ``TOWARDS_PAGE`` what the network keeps to
itself.  Header names are written as in their RFC; they are matched without regard to case, folding or compact form.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from kemi.core.messages import HeaderReader, Message, addresses_from_headers, parameter

CHARGING: Final = (
    "P-Charge-Info", "P-DCS-Billing-Info", "P-DCS-LAES", "P-DCS-OSPS", "P-DCS-Redirect", "P-DCS-Trace-Party-ID",
)  # fmt: skip
"""Who pays, who is traced and who listens in (RFC 8496, RFC 5503): between networks that trust each other, and nobody
else's to say or to read."""

FROM_PAGE: Final = (
    # who somebody is: the network asserts it (RFC 3325, RFC 8224, TS 24.229 §4.4)
    "P-Asserted-Identity", "P-Preferred-Identity", "P-Associated-URI", "P-Called-Party-ID", "P-Served-User",
    "P-Profile-Key", "P-User-Database", "Remote-Party-ID", "Identity", "Identity-Info", "Additional-Identity",
    "Attestation-Info", "Origination-Id", "History-Info", "Diversion",
    # what service and priority a request gets (RFC 6050, RFC 4412)
    "P-Asserted-Service", "P-Preferred-Service", "Resource-Priority", "Alert-Info", "P-Early-Media",
    "P-Media-Authorization", "Priority-Share", "Priority-Verstat", "Restoration-Info", "Service-Interact-Info",
    # where it came from and who pays (RFC 7315)
    *CHARGING,
    "P-Access-Network-Info", "P-Visited-Network-ID", "P-Charging-Vector", "P-Charging-Function-Addresses",
    "P-Private-Network-Indication", "Cellular-Network-Info", "Relayed-Charge", "Response-Source",
    # how it travels, and what follows it (RFC 3261 §16.6, RFC 3327, RFC 3608, RFC 6809): a page's Route is never
    # followed either, see the call's steps
    "Path", "Service-Route", "Record-Route", "Feature-Caps",
    # access security by IPsec (RFC 3329): a page has TLS instead
    "Security-Client", "Security-Server", "Security-Verify",
    # credentials: what may pass of them is written anew (kemi/core/registration/authorization.py)
    "Authorization", "Proxy-Authorization",
    # session timers end at the gateway on each side (RFC 4028, kemi/core/call/lifetime/session_timer.py)
    "Session-Expires", "Min-SE",
)  # fmt: skip
"""Taken from everything that a page sends."""

NOT_FOR_TRUNKS: Final = (
    "Privacy", "Accept-Contact", "Reject-Contact", "Request-Disposition",
    "P-*", "X-*",
)  # fmt: skip
"""Taken from what goes to a trunk beside that: services of the home network, privacy, which is said anew, and whatever
else a carrier may have agreed on with networks it trusts, as whom it charges."""

TOWARDS_PAGE: Final = (
    "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Access-Network-Info", "P-Visited-Network-ID",
    "P-Served-User", "P-Profile-Key", "P-User-Database", "P-Private-Network-Indication", "P-Early-Media",
    "P-Asserted-Service", "Additional-Identity", "Restoration-Info", "Relayed-Charge", "Service-Interact-Info",
    "Cellular-Network-Info", "Attestation-Info", "Origination-Id", "Resource-Priority", "Priority-Share",
    "Response-Source", "Session-Expires", "Min-SE", "P-Preferred-Identity", "Identity", "Identity-Info", *CHARGING,
)  # fmt: skip
"""Taken from everything that goes to a page.  Identity names the caller, and "div" whom a call was for before, whatever
Privacy asks for (RFC 8224, RFC 8946); what the network has found out by it, a page reads in ``verstat``."""

TOPOLOGY: Final = ("Record-Route", "Service-Route", "Server")
"""Addresses and names of the core.  We keep the Service-Route and apply it ourselves, so that a page has no use of it;
Contact is replaced where a dialog is made; the Via of its requests stays with us (``CallRecord.outstanding``)."""

URGENT: Final = frozenset({"emergency", "psap-callback"})
"""Values of Priority that let a request come before others in a network (RFC 7090): of no page and no trunk."""
_PRIORITY: Final = re.compile(r"[\w.!%*+`'~-]+", re.ASCII)

FROM_PAGE_IN_CONTACT: Final = frozenset(
    {
        "+g.3gpp.mid-call", "+g.3gpp.srvcc-alerting", "+g.3gpp.ps2cs-srvcc-orig-pre-alerting", "+g.3gpp.accesstype",
    }
)  # fmt: skip
"""Feature tags of services that this gateway does not have (TS 24.237 §C, TS 24.229 §7.9)."""

FEATURE_TAGS: Final = frozenset(
    {
        "actor", "application", "audio", "automata", "class", "control", "data", "description", "duplex", "events",
        "extensions", "isfocus", "language", "methods", "mobility", "priority", "schemes", "text", "type", "video",
    }
)  # fmt: skip
"""What a Contact says of its owner without a plus sign (RFC 3840 §9)."""
WITHHELD_FEATURES: Final = frozenset({"+sip.instance"})
"""Which device it is, a page need not know (RFC 5627 §10.2)."""

UNTRUSTED_PARAMETERS: Final = frozenset({"verstat", "cpc", "oli", "iotl"})
"""Parameters of an address that only the network may set (TS 24.229 §7.2A.12, §7.2A.20; RFC 7549; RFC 8588)."""

ROUTING_PARAMETERS: Final = frozenset(
    {"npdi", "rn", "rn-context", "cic", "cic-context", "cpc", "oli", "tgrp", "trunk-context", "verstat"}
)
"""Parameters of a number that only the network may set: where a ported number is, over which carrier or trunk, who
calls (RFC 4694 §6, RFC 4904, TS 24.229 §7.2A.12).  With one of them a page would be led, and charged, elsewhere than
the number says."""

_ROUTING = re.compile(rf";\s*(?:{'|'.join(sorted(ROUTING_PARAMETERS))})\s*(?:[=;@?]|$)", re.IGNORECASE)
_ESCAPED_SEMICOLON = re.compile("%3b", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([\w.!%*+`\'~-]+)(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^;>?,@"\s]*))?', re.ASCII)
_DISPLAY_NAME = re.compile(r'(?:\s*"(?:[^"\\]|\\.)*"\s*|[^"<,;]*)(?=<)')
_PRIVATE_ENTRY = re.compile(r"[?&]\s*privacy\s*=(?!\s*none\b)", re.IGNORECASE)
"""An entry of History-Info that asks for privacy by itself (RFC 7044 §10.1.2)."""
_PRIVATE_DIVERSION = re.compile(r';\s*privacy\s*(?:=(?!\s*"?off\b)|[;,>]|$)', re.IGNORECASE)
"""The same of Diversion (RFC 5806 §4)."""
_PRIVATE_PARTY = re.compile(r';\s*privacy\s*(?:=(?!\s*"?(?:off|none)\b)|[;,>]|$)', re.IGNORECASE)
"""The same of Remote-Party-ID as many switches write it."""
_PRIVATE: Final = (
    ("History-Info", _PRIVATE_ENTRY),
    ("Diversion", _PRIVATE_DIVERSION),
    ("Remote-Party-ID", _PRIVATE_PARTY),
)
_WARNING = re.compile(r'\s*(\d{3})\s+\S+\s+("(?:[^"\\]|\\.)*")\s*')


def withheld_from_page(message: Message) -> tuple[str, ...]:
    """Return the header fields of a message of the core that its page does not get (RFC 3323, RFC 3325 §9.1)."""
    return (*TOWARDS_PAGE, *TOPOLOGY, *private_headers(message.headers))


def privacy_of(headers: HeaderReader) -> set[str]:
    """Return what the sender asks for in Privacy, in lower case (RFC 3323 §4.2: one after the other with ";")."""
    words = (word.strip().lower() for value in headers("Privacy") for word in re.split("[;,]", value))
    return set(filter(None, words))


def withholds_identity(headers: HeaderReader) -> bool:
    """Whether who sent a message does not want to be known to whom it goes (RFC 3323 §4.2, RFC 3325 §9.3)."""
    return not privacy_of(headers).isdisjoint({"id", "user", "header"})


def restricts_caller(headers: HeaderReader) -> bool:
    """Whether Remote-Party-ID asks not to show the caller, whom an entry in a request is about unless it says."""
    return any(
        (parameter(entry, "party") or "calling").lower() == "calling"
        and _PRIVATE_PARTY.search(unquote(entry))
        for entry in addresses_from_headers(headers("Remote-Party-ID"))
    )


def private_headers(headers: HeaderReader) -> tuple[str, ...]:
    """Return what the sender's Privacy forbids to show outside the trust domain, and whom it was for before."""
    asked = privacy_of(headers)
    hidden: tuple[str, ...] = ()
    if "id" in asked:
        hidden += ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
    whole = not asked.isdisjoint({"history", "id", "header"})
    if whole:
        hidden += ("Identity", "Identity-Info")
    for name, private in _PRIVATE:
        everywhere = whole and name != "Remote-Party-ID"
        if everywhere or any(private.search(unquote(value)) for value in headers(name)):
            hidden += (name,)
    return hidden


def warnings_for_page(values: Iterable[str], host: str) -> tuple[str, ...]:
    """Return the core's warnings with ``host`` in the place of the node that wrote them (RFC 3261 §20.43)."""
    return tuple(
        f"Warning: {match.group(1)} {host} {match.group(2)}"
        for value in values
        if (match := _WARNING.fullmatch(value))
    )


def without_parameters(address: str, names: frozenset[str]) -> str:
    """Return a name-addr or addr-spec without these parameters, inside and outside the angle brackets."""
    plain = unquote(address).lower()
    if not any(name in plain for name in names):
        return address
    display_name = _DISPLAY_NAME.match(address)
    start = display_name.end() if display_name else 0

    def kept(parameter: re.Match[str]) -> str:
        name, _, _ = unquote(parameter.group(1)).lower().partition("=")  # "=" may be escaped, too
        return "" if name in names else parameter.group(0)

    return address[:start] + _PARAMETER.sub(kept, address[start:])


def priority_lines(headers: HeaderReader) -> tuple[str, ...]:
    """Return what a page or a trunk says in Priority that is for whom it calls, as lines; the field itself is taken
    away (RFC 3261 §20.26)."""
    values = [value.strip() for value in headers("Priority")]
    passing = [value for value in values if _PRIORITY.fullmatch(value) and value.lower() not in URGENT]
    return tuple(f"Priority: {value}" for value in passing)


class CoreNetworks:
    """Whose SIP we take on the side of the core (TS 33.210): the networks given, or everybody when none are."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self.contains = lru_cache(maxsize=1024)(self._contains)

    def _contains(self, address: str) -> bool:
        if not self._networks:
            return True
        try:
            found = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def without_routing_parameters(uri: str) -> str:
    """Return a page's URI without what only the network may say of a number, also where ``;`` is written as ``%3B``."""
    if not _ROUTING.search(unquote(uri)):
        return uri
    return without_parameters(_ESCAPED_SEMICOLON.sub(";", uri), ROUTING_PARAMETERS)


def has_routing_parameters(uri: str) -> bool:
    """Whether a URI says what only the network may say of a number."""
    return _ROUTING.search(unquote(uri)) is not None


def is_on_this_machine(source: str, own: str) -> bool:
    """Whether who connects to an address of ours is here: on loopback the TLS front has an address of its own."""
    return source == own or (source.startswith("127.") and own.startswith("127."))
