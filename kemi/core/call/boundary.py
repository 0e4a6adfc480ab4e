"""What of a page's call passes the trust boundary, and what we say to the core in its place (TS 24.229 §5.2.6.3).

The tables are in kemi/core/trust.py, the identities in kemi/core/identity.py; here they become header lines of a call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kemi.core import headers, trust
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.edits import MessageEdits
from kemi.core.identity import Asserted, asserted_identity, check_from
from kemi.core.messages import (
    Message,
    Reply,
    Request,
    address_parts,
    addresses_from_headers,
    is_tel,
    parameter,
    readable_uri,
    uri_from_address,
    with_parameters,
    with_tag,
)
from kemi.core.registration import Registration
from kemi.core.registration.authorization import challenge_without_body, credentials_from_headers

NOT_OF_PAGES: Final = frozenset({"timer", "precondition"})
"""Extensions that end at the gateway, on each side for itself."""
_CHALLENGE_FIELDS: Final = ("WWW-Authenticate", "Proxy-Authenticate")
RELIABLE: Final = frozenset({"100rel"})
"""Reliable provisional responses (RFC 3262); of the INVITE that begins a call alone."""
ICSI_REF = f'+g.3gpp.icsi-ref="{headers.MMTEL_ICSI_TAG}"'


def identity_of_caller(request: Request, registration: Registration, settings: CallSettings) -> Asserted:
    """Return what is asserted for a page's INVITE; raise SipReject (403) for an identity that is not its own."""
    identities = registration.identities
    check_from(request.from_uri, [*identities, registration.address_of_record])
    return asserted_identity(
        request.headers("P-Preferred-Identity"),
        request.from_uri,
        identities,
        from_counts=settings.from_counts,
    )


def caller_lines(request: Request) -> list[str]:
    """Return header lines of the forwarded INVITE that its request decides: service, priority, and credentials for the
    core."""
    wanted = addresses_from_headers(request.headers("Accept-Contact"))
    lines = [f"P-Preferred-Service: {headers.MMTEL_ICSI}"]
    if not any(parameter(value, "+g.3gpp.icsi-ref") for value in wanted):
        lines.append(f"Accept-Contact: *;{ICSI_REF}")
    return [*lines, *trust.priority_lines(request.headers), *extensions(request), *credential_lines(request)]


def extensions(request: Request, *, in_dialog: bool = False) -> list[str]:
    """Return what we support and require towards the core for a page: its extensions, and those we keep for it.

    Reliable responses end here as well: a page that requires them gets ours, and may call who has none.  Provisional
    responses to a change of a session end at the gateway, so nobody would acknowledge a reliable one (RFC 3262 §3):
    inside a dialog nobody is promised that.
    """
    not_passed = NOT_OF_PAGES | RELIABLE
    ours = frozenset({"timer"}) if in_dialog else RELIABLE | {"timer"}
    supported = request.tokens("Supported") - not_passed | ours
    required = request.tokens("Require") - not_passed
    return [
        f"Supported: {', '.join(sorted(supported))}",
        *([f"Require: {', '.join(sorted(required))}"] if required else []),
        headers.ALLOW,
    ]


def remote_identity(message: Message) -> str:
    """Return whom a message of the core asserts to the page, "" for nobody (RFC 3325 §9.1), and for who does not want
    to be known (TS 24.607 §4.5.2)."""
    if trust.withholds_identity(message.headers) or "P-Asserted-Identity" in trust.private_headers(
        message.headers
    ):
        return ""
    asserted = addresses_from_headers(message.headers("P-Asserted-Identity"))
    return " ".join(uri_from_address(value) for value in asserted)


def required_of_page(
    reply: Reply, remove: tuple[str, ...], insert: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take out of a response what only we are required to support; gives names to remove and lines to add."""
    required = reply.tokens("Require")
    if not required & NOT_OF_PAGES:
        return remove, insert
    left = ", ".join(sorted(required - NOT_OF_PAGES))
    return (*remove, "Require"), (*insert, *([f"Require: {left}"] if left else []))


def credential_lines(request: Request) -> list[str]:
    """Return the page's digest credentials for the core, cleaned; an access token ends here."""
    return [
        f"{name}: {value}"
        for name in ("Authorization", "Proxy-Authorization")
        for value in credentials_from_headers(request.headers(name)).digests
    ]


def not_passed(record: CallRecord) -> tuple[str, ...]:
    """Return the header fields of a page's request that go nowhere; what is left of them is written anew."""
    return trust.FROM_PAGE if record.trunk is None else (*trust.FROM_PAGE, *trust.NOT_FOR_TRUNKS)


def as_of_page(record: CallRecord, edits: MessageEdits) -> MessageEdits:
    """Give a response of a trunk From and To as the page wrote them; what the trunk asks, it asks us."""
    if record.trunk is None:
        return edits
    return replace(
        edits,
        from_value=f"<{record.wic_uri}>;tag={record.wic_tag}",
        to_value=f"<{record.target_uri}>;tag={record.gateway_tag}",
        to_tag=None,
        remove=(*edits.remove, *_CHALLENGE_FIELDS),
        insert=tuple(line for line in edits.insert if line.partition(":")[0] not in _CHALLENGE_FIELDS),
    )


def every_request(record: CallRecord, settings: CallSettings) -> list[str]:
    """Return the header lines of every request of a page's call towards the core (RFC 7315 §5.4, §5.6)."""
    return [*charging_line(record), *access_network_line(record, settings)]


def access_network_line(record: CallRecord, settings: CallSettings) -> tuple[str, ...]:
    """Return what the core is told of the page's access; a trunk is told nothing."""
    return headers.access_network_info(settings.access_network_info) if record.trunk is None else ()


def charging_line(record: CallRecord) -> list[str]:
    """Return the charging vector of this dialog, the same in all its messages (TS 24.229 §4.5.2)."""
    known = record.trunk is None and record.charging_vector
    return [f"P-Charging-Vector: {record.charging_vector}"] if known else []


def contact_for_core(record: CallRecord, settings: CallSettings) -> str:
    """Return our Contact line towards the core, with the service's feature tags (TS 24.173 §5.2); to a trunk with the
    transport it is reached by."""
    if record.trunk is not None:
        return f"Contact: <sip:{record.gateway_tag}@{settings.host_towards(record.trunk.transport)}>"
    media = "".join(f";{medium.kind}" for medium in record.media)
    return f"Contact: <sip:{record.gateway_tag}@{settings.ims_host}>;{ICSI_REF}{media}"


def contact_for_page(message: Message, settings: CallSettings) -> str:
    """Return the Contact line of a message of the core on its way to the page: our address, the sender's features.

    A conference is known by its Contact (``isfocus``, RFC 4579 §5.2; TS 24.147 §5.3.1.3): it is whom the page refers
    others to, and stays.
    """
    features = address_parts(with_parameters(message.contact, _kept_from_core))[1]
    return f"Contact: {focus_of(message) or f'<{settings.wic_contact}>{features}'}"


def focus_of(message: Message) -> str:
    """Return the Contact of a conference as the page is told it, "" where a message of the core is of none."""
    value = message.contact
    if parameter(value, "isfocus") is None:
        return ""
    return f"<{uri_from_address(value)}>{address_parts(with_parameters(value, _kept_from_core))[1]}"


def _kept_from_core(name: str, _value: str) -> str | None:
    kept = name in trust.FEATURE_TAGS or (name.startswith("+") and name not in trust.WITHHELD_FEATURES)
    return None if kept else ""


def from_for_core(request: Request) -> str | None:
    """Return From without parameters that only the network may set, None when there are none."""
    value = "".join(request.headers("From"))
    cleaned = trust.without_parameters(value, trust.UNTRUSTED_PARAMETERS)
    return None if cleaned == value else cleaned


def from_in_dialog(record: CallRecord, request: Request) -> str | None:
    """Return From of a page's request inside its dialog: who it is there was decided when that began (RFC 3261
    §12.2.1.1), whatever it writes.  None when it is so already."""
    value = f"<{record.wic_uri}>;tag={record.ims_tag}"
    return None if request.headers("From") == [value] else value


def readable(message: Message, edits: MessageEdits, settings: CallSettings) -> MessageEdits:
    """Give a message to a page a From, To and Refer-To that it can read.

    SIP.js and JsSIP know no tel URI there and drop the whole message, unanswered; a number is the same as a SIP URI
    with ``user=phone`` (RFC 3261 §19.1.6).  What comes back for the core is `as_core_wrote`.
    """
    if edits.from_value is None and (value := _readable(message, "From", edits.from_tag, settings)):
        edits = replace(edits, from_value=value, from_tag=None)
    if edits.to_value is None and (value := _readable(message, "To", edits.to_tag, settings)):
        edits = replace(edits, to_value=value, to_tag=None)
    if message.method == "REFER" and (value := _readable(message, "Refer-To", None, settings)):
        edits = replace(
            edits, remove=(*edits.remove, "Refer-To"), insert=(*edits.insert, f"Refer-To: {value}")
        )
    return edits


def _readable(message: Message, name: str, tag: str | None, settings: CallSettings) -> str:
    value = "".join(message.headers(name))
    if "tel:" not in value.lower() or not is_tel(uri_from_address(value)):
        return ""
    value = _with_readable_uri(value, settings)
    return value if tag is None else with_tag(value, tag)


def _with_readable_uri(value: str, settings: CallSettings) -> str:
    """Return the address of a number with a URI that a page can read, and what else it says."""
    address, parameters = address_parts(value)
    shown = address.rpartition("<")[0]
    return f"{shown}<{readable_uri(uri_from_address(value), settings.realm)}>{parameters}"


def readable_targets(
    reply: Reply, remove: tuple[str, ...], insert: tuple[str, ...], settings: CallSettings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give a refusal, as a redirection, targets that a page can read; gives names to remove and lines to add.

    One Contact that SIP.js and JsSIP cannot read costs the page the whole response (`readable`): a number becomes a
    SIP URI, and what nobody can call from here, as the service of a 380 (TS 24.229 §5.2.10), is left out.
    """
    targets = addresses_from_headers(reply.headers("Contact"))
    if all(_is_sip(uri_from_address(one)) for one in targets):
        return remove, insert
    shown = [
        _with_readable_uri(one, settings)
        for one in targets
        if _is_sip(uri_from_address(one)) or is_tel(uri_from_address(one))
    ]
    return (*remove, "Contact"), (*insert, *(f"Contact: {one}" for one in shown))


def _is_sip(uri: str) -> bool:
    return uri.lower().startswith(("sip:", "sips:"))


def as_core_wrote(record: CallRecord, edits: MessageEdits) -> MessageEdits:
    """Give a page's response to the core's request From and To as the core had them, before `readable`."""
    if record.trunk is not None:
        return edits
    if edits.from_tag and is_tel(record.target_uri):
        edits = replace(edits, from_value=f"<{record.target_uri}>;tag={edits.from_tag}", from_tag=None)
    if edits.to_tag and is_tel(record.wic_uri):
        edits = replace(edits, to_value=f"<{record.wic_uri}>;tag={edits.to_tag}", to_tag=None)
    return edits


def towards_page(message: Message, settings: CallSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names to remove from a message of the core on its way to the page, and lines to add."""
    remove, insert = trust.withheld_from_page(message), _challenges(message)
    if insert:
        remove += _CHALLENGE_FIELDS
    warnings = message.headers("Warning")
    if warnings:
        remove, insert = (*remove, "Warning"), (*insert, *trust.warnings_for_page(warnings, settings.realm))
    return remove, insert


def _challenges(message: Message) -> tuple[str, ...]:
    """Return the challenges of a response to what has a body of ours, where they ask for a hash of it beside others."""
    if not isinstance(message, Reply) or message.status not in (401, 407):
        return ()
    if message.method not in ("INVITE", "UPDATE"):
        return ()
    asked = [(name, value) for name in _CHALLENGE_FIELDS for value in message.headers(name)]
    passed = [(name, challenge_without_body(value)) for name, value in asked]
    return () if passed == asked else tuple(f"{name}: {value}" for name, value in passed)
