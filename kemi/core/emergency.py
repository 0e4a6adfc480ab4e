"""Emergency calls of pages: known before anything else is asked, and answered as the operator wants.

Where a page is nobody here knows, and which duties an operator has is for the law of its country to say.  So the
default is the answer of TS 24.229 §5.2.10 that sends people to another telephone; nothing bars a call that may go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self
from urllib.parse import unquote

from kemi.core.errors import SipReject
from kemi.core.messages import Request, addresses_from_headers, parameters, uri_from_address

SOS: Final = "urn:service:sos"
BODY_TYPE: Final = "application/3gpp-ims+xml"
WHY: Final = "emergency calls are not possible from here: use another telephone"
_SERVICE = re.compile(r"urn:service:sos(?:\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9*#]{2,15}", re.ASCII)
_SOS_CONTACT = re.compile(r";\s*sos\s*(?:[;=?]|$)", re.IGNORECASE)
PRIORITY_LINES: Final = ("Priority: emergency", "Resource-Priority: esnet.0")
"""Of a call that a row of the table takes (RFC 3261 §20.26, RFC 7135)."""


def with_priority(lines: Iterable[str]) -> list[str]:
    """Return header lines of a call with PRIORITY_LINES in the place of what its page says."""
    return [*(line for line in lines if not line.startswith("Priority:")), *PRIORITY_LINES]


class EmergencyAction(StrEnum):
    """What becomes of an emergency call."""

    REFUSE = "refuse"
    """380 with the body of TS 24.229 §7.6."""
    CORE = "core"
    """To the IMS core, at no other host than the realm; routing it is the core's (E-CSCF)."""
    ROUTE = "route"
    """As the row of the routing table for urn:service:sos says; where there is none, to the core, or as REFUSE where
    there is no core either."""


@dataclass(frozen=True, slots=True)
class EmergencySettings:
    """What the operator wants."""

    action: EmergencyAction = EmergencyAction.REFUSE
    numbers: list[str] = field(default_factory=list)
    """Beside 112, 911 and those of the country of the realm's dial plan; as they are dialled."""
    registration: bool = False
    """Whether pages may register for emergencies (``;sos`` in Contact)."""


class AlternativeService(SipReject):
    """An emergency call that is not made here (380): the page shall say so, and its user take another telephone."""

    status = 380
    reason_phrase = "Alternative Service"

    @classmethod
    def of(cls, host: str, *, may_register: bool) -> Self:
        """Refuse a call; ``host``: ours in Path, so that a page knows who says so (TS 24.229 §5.2.10).

        No Contact names the service: SIP.js and JsSIP know no URN there and drop the whole response, so that the
        caller would hear nothing for half a minute.
        """
        refusal = cls(WHY, lines=(f"P-Asserted-Identity: <sip:{host}>",))
        refusal.content_type, refusal.body = BODY_TYPE, _body(may_register=may_register)
        return refusal


def check_emergency(settings: EmergencySettings, *, has_core: bool) -> None:
    """Raise ValueError for what cannot be used; ``has_core``: False where the gateway is its own home network."""
    if settings.action is EmergencyAction.CORE and not has_core:
        raise ValueError(
            "emergency.action: refuse, or route with a row for urn:service:sos, without an IMS core"
        )
    for number in settings.numbers:
        if not _NUMBER.fullmatch(number):
            raise ValueError(f"emergency.numbers: {number!r} is not 2 to 15 digits, * and #")


def service_of(uri: str) -> str:
    """Return the service that a URI asks for (RFC 5031 §4.2): that of a number is not told apart."""
    plain = unquote(uri.strip())
    return plain.lower() if _SERVICE.fullmatch(plain) else SOS


def is_service(uri: str) -> bool:
    """Whether a URI is an emergency service, or what somebody could read as one."""
    return unquote(uri.strip()).lower().partition(";")[0].startswith(SOS)


def targets_of(request: Request) -> list[str]:
    """Return whom a page's request would call: nobody inside a dialog, but for whom a REFER names."""
    found = [] if request.to_tag or request.method in ("REGISTER", "ACK", "CANCEL") else [request.request_uri]
    if request.method == "REFER":
        found += [
            uri_from_address(one).partition("?")[0]
            for one in addresses_from_headers(request.headers("Refer-To"))
        ]
    return found


def is_emergency_registration(contacts: Iterable[str]) -> bool:
    """Whether a REGISTER is one for emergencies (TS 24.229 §5.1.6.2)."""
    return any(
        _SOS_CONTACT.search(uri_from_address(one)) or "sos" in parameters(one)
        for one in addresses_from_headers([value for value in contacts if "sos" in value.lower()])
    )


def _body(*, may_register: bool) -> str:
    """Write the body of TS 24.229 §7.6: the action is for who may register here for emergencies."""
    action = "<action>emergency-registration</action>" if may_register else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ims-3gpp version="1"><alternative-service><type>emergency</type>'
        f"<reason>{WHY}</reason>{action}</alternative-service></ims-3gpp>\n"
    )
