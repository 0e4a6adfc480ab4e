"""Header field lines we write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from kemi.core.errors import WarnCode
from kemi.core.messages import (
    Reply,
    Request,
    addresses_from_headers,
    parameter,
    readable_uri,
    with_parameters,
)

if TYPE_CHECKING:
    from kemi.core.call.record import CallRecord
    from kemi.core.call.settings import CallSettings

MMTEL_ICSI: Final = "urn:urn-7:3gpp-service.ims.icsi.mmtel"
"""The multimedia telephony service (TS 24.173 §5.1)."""
MMTEL_ICSI_TAG: Final = MMTEL_ICSI.replace(":", "%3A")
"""The same as the value of a feature tag (TS 24.229 §7.9.2)."""
PAGE_GONE: Final = 'Reason: SIP;cause=503;text="the page is gone"'
"""Of the BYE or CANCEL we send for a page whose connection is gone (TS 24.229 §5.2.8.1)."""
_SENT_BY = re.compile(r"SIP\s*/\s*2\.0\s*/\s*\w+\s+(\[[^\]]*\]|[^\s:;]+)", re.IGNORECASE)
"""A Via up to its host, which is group 1."""
ALLOW: Final = (
    "Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, MESSAGE, OPTIONS, REFER, NOTIFY, SUBSCRIBE"
)


class Cause(Protocol):
    """Why something was refused: an error, or what a record keeps of one."""

    @property
    def detail(self) -> str:
        """For a person; may be empty."""

    @property
    def warn_code(self) -> int:
        """For a program."""


def explanation(detail: str, host: str, warn_code: int = WarnCode.MISCELLANEOUS) -> tuple[str, ...]:
    """Return a Warning line (RFC 3261 §20.43) that tells a person what was wrong; () without a detail."""
    if not detail:
        return ()
    return (f'Warning: {warn_code:d} {host} "{quotable(detail)[:200]}"',)


def explanation_of(cause: Cause, host: str) -> tuple[str, ...]:
    """Return the Warning line of an error or a rejection."""
    return explanation(cause.detail, host, cause.warn_code)


def quotable(text: str) -> str:
    """Return text that may stand between quotation marks in a header field: one line, nothing to be escaped."""
    printable = text
    if not text.isprintable():
        printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.replace("\\", "/").replace('"', "'")


def charging_vector(icid: str, ims_host: str, network: str) -> str:
    """Return the P-Charging-Vector of what begins here (RFC 7315 §5.6; "Type 1": TS 24.229 table 7.2A.5A).

    Args:
        icid: globally unique charging identifier.
        ims_host: ``address:port`` of our socket towards the core.
        network: name of our network.
    """
    host = ims_host.rpartition(":")[0]
    return f'icid-value="{icid}";icid-generated-at={host};orig-ioi="Type 1{network}"'


def access_network_info(configured: str) -> tuple[str, ...]:
    """Return the P-Access-Network-Info line: what the site says, never the page (TS 24.229 §7.2A.4)."""
    return (f"P-Access-Network-Info: {configured}",) if configured else ()


def towards_wic(
    record: CallRecord, settings: CallSettings, cseq: int, method: str, *, describes: bool = True
) -> tuple[str, ...]:
    """Return the dialog header lines of a request of our own to the page: we are the callee.

    ``describes``: the body, of an INVITE or UPDATE, is a session description.
    """
    lines = [
        f"From: <{readable_uri(record.target_uri, settings.realm)}>;tag={record.gateway_tag}",
        f"To: <{readable_uri(record.wic_uri, settings.realm)}>;tag={record.wic_tag}",
        f"Call-ID: {record.call_id}",
        f"CSeq: {cseq} {method}",
    ]
    if method in ("UPDATE", "INVITE"):
        lines += [contact_of_far_end(record, settings), ALLOW]
        if describes:
            lines.append("Content-Type: application/sdp")
    return tuple(lines)


def contact_of_far_end(record: CallRecord, settings: CallSettings) -> str:
    """Return the Contact line of what we write to the page ourselves: our address, a conference's own."""
    leg = record.legs.get(record.current_tag)
    return f"Contact: {(leg.focus if leg is not None else '') or f'<{settings.wic_contact}>'}"


def cancel_of_invite(record: CallRecord) -> tuple[str, ...]:
    """Return the header lines of the page's own CANCEL (RFC 3261 §9.1): its topmost Via is what names the INVITE."""
    return (
        f"Via: {record.invite_via}",
        "Max-Forwards: 70",
        f"From: <{record.wic_uri}>;tag={record.wic_tag}",
        f"To: <{record.target_uri}>",
        f"Call-ID: {record.call_id}",
        f"CSeq: {record.invite_cseq} CANCEL",
    )


def cancel_of_core(record: CallRecord) -> tuple[str, ...]:
    """Return the header lines of the core's own CANCEL of its INVITE towards a page."""
    return (
        f"Via: {record.invite_via}",
        "Max-Forwards: 70",
        f"From: <{record.target_uri}>;tag={record.current_tag}",
        f"To: <{record.wic_uri}>",
        f"Call-ID: {record.call_id}",
        f"CSeq: {record.invite_cseq} CANCEL",
    )


def towards_ims(record: CallRecord, tag: str, cseq: int, method: str) -> tuple[str, ...]:
    """Return the dialog header lines of a request of our own to the core's leg ``tag``: we are the caller."""
    trunk = record.trunk
    local, remote = f"<{record.wic_uri}>", f"<{record.target_uri}>"
    if trunk is not None:
        local, remote = trunk.from_value, trunk.to_value
    return (
        *(f"Route: {route}" for route in record.legs[tag].route_set),
        f"From: {local};tag={record.ims_tag}",
        f"To: {remote};tag={tag}",
        f"Call-ID: {record.call_id}",
        f"CSeq: {cseq} {method}",
        *([f"P-Charging-Vector: {record.charging_vector}"] if record.charging_vector and not trunk else []),
    )


def response_of_ims(reply: Reply, detail: str) -> tuple[str, ...]:
    """Return the header lines of a refusal that takes the place of the core's ``reply``, with its reason."""
    kept = ("Via", "From", "To", "Call-ID", "CSeq")
    warning = explanation(detail, "gateway") if detail else ()
    return (*(f"{name}: {value}" for name in kept for value in reply.headers(name)), *warning)


def vias_of_response(request: Request) -> list[str]:
    """Return the Via values of every response to a request (RFC 3261 §18.2.1, RFC 3581 §4)."""
    vias = addresses_from_headers(request.headers("Via"))
    if not vias:
        return []
    topmost, *others = vias
    address, _, port = request.source.rpartition(":")
    wanted = parameter(topmost, "rport") is not None
    written = {"rport": f";rport={port}", "received": ""}
    topmost = with_parameters(topmost, lambda name, _value: written.get(name))
    sent_by = _SENT_BY.match(topmost)
    if wanted or sent_by is None or sent_by.group(1) != address:
        topmost += f";received={address.strip('[]')}"
    return [topmost, *others]


def response_of_wic(record: CallRecord, via: str) -> tuple[str, ...]:
    """Return the header lines of a response to our INVITE as the page would send it; ``via`` names that INVITE."""
    return (
        f"Via: {via}",
        f"From: <{record.target_uri}>;tag={record.gateway_tag}",
        f"To: <{record.wic_uri}>;tag={record.wic_tag or 'gone'}",
        f"Call-ID: {record.call_id}",
        f"CSeq: {record.invite_cseq} INVITE",
    )
