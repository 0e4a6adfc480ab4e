"""What the core reports about a user's registrations (RFC 3680), and what becomes of the bindings here.

Only what a notification says explicitly ends a binding, or its absence from a full list after a while: a notification
written just before a page registered may arrive just after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kemi.core.registration.records import Registration, same_contact
from kemi.core.registration.states import Cause

SETTLED_AFTER_S: Final = 5.0
"""How old a registration must be before its absence from a full list means anything."""


@dataclass(frozen=True, slots=True)
class ReportedContact:
    """One contact element."""

    uri: str
    state: str
    """"active" or "terminated"."""
    event: str
    """"registered", "created", "refreshed", "shortened", "expired", "deactivated", "probation", "unregistered" or
    "rejected"."""
    expires_s: int | None = None
    call_id: str = ""
    cseq: int | None = None


@dataclass(frozen=True, slots=True)
class ReportedRegistration:
    """One registration element: an address of record."""

    aor: str
    state: str
    """"init", "active" or "terminated"."""
    contacts: tuple[ReportedContact, ...] = ()


@dataclass(frozen=True, slots=True)
class Reginfo:
    """One application/reginfo+xml document."""

    version: int
    full: bool
    registrations: tuple[ReportedRegistration, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a notification means here.  Keys are those of bindings."""

    endings: tuple[tuple[str, Cause], ...] = ()
    shortened: tuple[tuple[str, int], ...] = ()
    """Binding and the seconds left to it."""
    resubscribe: bool = False
    """A notification was missed: ask for the whole state (RFC 3680 §5.1)."""
    version: int = -1
    """Version known now."""


_CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "rejected": Cause.REJECTED,
        "deactivated": Cause.DEACTIVATED,
        "probation": Cause.PROBATION,
        "unregistered": Cause.UNREGISTERED,
        "expired": Cause.CORE_EXPIRED,
    }
)


def judge(document: Reginfo, known_version: int, bindings: Mapping[str, Registration], now: float) -> Verdict:
    """Return what a notification means for the bindings of its subscription; ``known_version`` -1: the first one.

    The first number is the notifier's choice.  An older one is ignored; a partial one that skips numbers is used for
    what it says, and the whole state is asked for.
    """
    if known_version >= 0 and document.version <= known_version:
        return Verdict(version=known_version)
    endings: list[tuple[str, Cause]] = []
    shortened: list[tuple[str, int]] = []
    for key, binding in bindings.items():
        cause, left_s = _fate(document, binding, now)
        if cause is not None:
            endings.append((key, cause))
        elif left_s is not None:
            shortened.append((key, left_s))
    missed = not document.full and document.version > known_version + 1
    return Verdict(tuple(endings), tuple(shortened), missed, document.version)


def _fate(document: Reginfo, binding: Registration, now: float) -> tuple[Cause | None, int | None]:
    """Return why the core ended this binding, or how many seconds it cut it to."""
    reported = next((one for one in document.registrations if _same_identity(one.aor, binding)), None)
    if reported is None:
        return None, None
    contact = next((one for one in reported.contacts if same_contact(one.uri, binding.contact)), None)
    if contact is not None:
        if _is_older(contact, binding):
            return None, None
        if contact.state == "terminated":
            return _CAUSES.get(contact.event, Cause.UNREGISTERED), None
        if contact.event == "shortened" and contact.expires_s is not None:
            return None, contact.expires_s
        return None, None
    if reported.state == "terminated":
        # An administrator's end may come without contacts; the events of others' contacts say why, if any does.
        events = {one.event for one in reported.contacts}
        return next((_CAUSES[event] for event in _CAUSES if event in events), Cause.REJECTED), None
    if document.full and reported.state == "active" and now - binding.granted_at > SETTLED_AFTER_S:
        return Cause.UNREGISTERED, None
    return None, None


def _same_identity(aor: str, binding: Registration) -> bool:
    return aor.lower() == binding.address_of_record.lower()


def _is_older(contact: ReportedContact, binding: Registration) -> bool:
    """Whether this is about an earlier REGISTER of the same page than the one that made the binding."""
    return (
        contact.call_id == binding.sent.call_id
        and contact.cseq is not None
        and contact.cseq < binding.sent.cseq
    )
