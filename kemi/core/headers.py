"""Header field lines we write, and those we never let through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kemi.core.messages import Message, addresses_from_headers, uri_from_address

if TYPE_CHECKING:
    from kemi.core.call.record import CallRecord
    from kemi.core.call.settings import CallSettings

ALLOW: Final = "Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, MESSAGE, OPTIONS, REFER, NOTIFY"

UNTRUSTED_FROM_WIC: Final = (
    # A page is outside the trust domain (RFC 3325 §7; TS 24.229 §4.4): what only the network may say is taken away.
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "P-Access-Network-Info",
    "P-Associated-URI",
    "P-Called-Party-ID",
    "P-Charging-Function-Addresses",
    "P-Charging-Vector",
    "P-Profile-Key",
    "P-Served-User",
    "P-Visited-Network-ID",
    "P-Private-Network-Indication",
    "Resource-Priority",
    "Feature-Caps",
    "Service-Route",
)


NETWORK_ONLY: Final = (
    # What the core says to other trusted nodes is not for a page (TS 24.229 §4.4, §5.2.6.4).
    "P-Charging-Vector",
    "P-Charging-Function-Addresses",
    "P-Access-Network-Info",
    "P-Visited-Network-ID",
    "P-Served-User",
    "P-Profile-Key",
    "P-Private-Network-Indication",
    "Feature-Caps",
    "Resource-Priority",
    "Restoration-Info",
    "Relayed-Charge",
    "Service-Interact-Info",
    "Attestation-Info",
    "Origination-Id",
)


def hidden_from_wic(message: Message) -> tuple[str, ...]:
    """Return the header fields of a request of the core that its page must not see (RFC 3323 §4.2, RFC 3325 §7)."""
    wishes = {wish.strip() for value in message.tokens("Privacy") for wish in value.split(";")}
    return (*NETWORK_ONLY, "P-Asserted-Identity") if "id" in wishes else NETWORK_ONLY


def identity_of_wic(reply: Message, identities: Sequence[str]) -> str:
    """Return the P-Asserted-Identity of a called page's response: the one it prefers, if it is one of its own, else
    the one that was called (TS 24.229 §5.2.6.4)."""
    preferred = [
        uri_from_address(value) for value in addresses_from_headers(reply.headers("P-Preferred-Identity"))
    ]
    return next((uri for uri in preferred if uri in identities), identities[0] if identities else "")


def explanation(detail: str, host: str) -> tuple[str, ...]:
    """Return a Warning line (RFC 3261 §20.43, code 399) that tells a person what was wrong; () without a detail."""
    if not detail:
        return ()
    return (f'Warning: 399 {host} "{quotable(detail)[:200]}"',)


def quotable(text: str) -> str:
    """Return text that may stand between quotation marks in a header field: one line, nothing to be escaped."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.replace("\\", "/").replace('"', "'")


def charging_vector(icid: str, settings: CallSettings) -> str:
    """Return the P-Charging-Vector of a new session (RFC 7315 §5.6): ``icid`` is globally unique."""
    host = settings.ims_host.rpartition(":")[0]
    return f'P-Charging-Vector: icid-value="{icid}";icid-generated-at={host};orig-ioi="{settings.realm}"'


def towards_wic(record: CallRecord, settings: CallSettings, cseq: int, method: str) -> tuple[str, ...]:
    """Return the dialog header lines of a request of our own to the page: we are the callee."""
    lines = [
        f"From: <{record.target_uri}>;tag={record.gateway_tag}",
        f"To: <{record.wic_uri}>;tag={record.wic_tag}",
        f"Call-ID: {record.call_id}",
        f"CSeq: {cseq} {method}",
    ]
    if method in ("UPDATE", "INVITE"):
        lines += [f"Contact: <{settings.wic_contact}>", ALLOW, "Content-Type: application/sdp"]
    return tuple(lines)


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


def towards_ims(record: CallRecord, tag: str, cseq: int, method: str) -> tuple[str, ...]:
    """Return the dialog header lines of a request of our own to the core's leg ``tag``: we are the caller."""
    return (
        *(f"Route: {route}" for route in record.legs[tag].route_set),
        f"From: <{record.wic_uri}>;tag={record.ims_tag}",
        f"To: <{record.target_uri}>;tag={tag}",
        f"Call-ID: {record.call_id}",
        f"CSeq: {cseq} {method}",
    )


def response_of_wic(record: CallRecord, vias: Sequence[str]) -> tuple[str, ...]:
    """Return the header lines of a response to our INVITE as the page would send it."""
    return (
        *(f"Via: {via}" for via in vias),
        f"From: <{record.target_uri}>;tag={record.gateway_tag}",
        f"To: <{record.wic_uri}>;tag={record.wic_tag or 'gone'}",
        f"Call-ID: {record.call_id}",
        f"CSeq: {record.invite_cseq} INVITE",
    )
