"""application/reginfo+xml (RFC 3680 §5) into plain data, by a parser that expands nothing and fetches nothing."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kemi.core.decimals import is_number, number_or
from kemi.core.errors import RemoteProtocolError
from kemi.core.registration.reginfo import Reginfo, ReportedContact, ReportedRegistration

MAX_BYTES: Final = 65_536
_NAMESPACE: Final = "{urn:ietf:params:xml:ns:reginfo}"


def reginfo_from_text(text: str) -> Reginfo:
    """Return what the document says; raise RemoteProtocolError (400) when it is none, too large, or has a DTD.

    Elements and attributes of other namespaces (3GPP's extRegInfo, RFC 5628's gruuinfo) are passed over.
    """
    if len(text.encode()) > MAX_BYTES:
        raise RemoteProtocolError(f"reginfo of more than {MAX_BYTES} bytes")
    try:
        root = fromstring(text.encode(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise RemoteProtocolError(f"no reginfo document: {type(error).__name__}") from error
    if root.tag != f"{_NAMESPACE}reginfo":
        raise RemoteProtocolError("the document element is not reginfo")
    version = root.get("version", "")
    if not is_number(version):
        raise RemoteProtocolError("reginfo without a version number")
    registrations = root.findall(f"{_NAMESPACE}registration")
    return Reginfo(
        int(version), root.get("state") == "full", tuple(_registration(element) for element in registrations)
    )


def _registration(element: Element) -> ReportedRegistration:
    contacts = element.findall(f"{_NAMESPACE}contact")
    return ReportedRegistration(
        aor=element.get("aor", ""),
        state=element.get("state", ""),
        contacts=tuple(_contact(contact) for contact in contacts),
    )


def _contact(element: Element) -> ReportedContact:
    return ReportedContact(
        uri=(element.findtext(f"{_NAMESPACE}uri") or "").strip(),
        state=element.get("state", ""),
        event=element.get("event", ""),
        expires_s=_number(element.get("expires")),
        call_id=element.get("callid", ""),
        cseq=_number(element.get("cseq")),
    )


def _number(text: str | None) -> int | None:
    return None if text is None else number_or(None, text)
