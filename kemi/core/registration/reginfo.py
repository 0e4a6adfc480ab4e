"""What the core reports about a user's registrations (RFC 3680), and what becomes of the bindings here.

A notification about a page's earlier registration, written just before it registered again, may arrive just after;
most cores do not say which REGISTER they mean.  So what a page's own de-registration looks like ends a binding only
once it has stood for a while: until then it is doubtful, and the whole state is asked for when the time is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kemi.core.identity import one_spelling
from kemi.core.registration.records import Registration, same_contact
from kemi.core.registration.states import Cause

SETTLED_AFTER_S: Final = 5.0
"""How old a registration must be before an end that its page may have caused itself is believed."""
_OWN_DOING: Final = frozenset({Cause.UNREGISTERED, Cause.CORE_EXPIRED})


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
    doubtful: bool = False
    """An end was reported of a binding that is too young to believe it: look again when it has settled."""
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
    doubtful = False
    shortened: list[tuple[str, int]] = []
    for key, binding in bindings.items():
        cause, left_s = _fate(document, binding)
        if cause in _OWN_DOING and now - binding.granted_at <= SETTLED_AFTER_S:
            doubtful = True
        elif cause is not None:
            endings.append((key, cause))
        elif left_s is not None:
            shortened.append((key, left_s))
    missed = not document.full and 0 <= known_version < document.version - 1
    return Verdict(tuple(endings), tuple(shortened), missed, doubtful, document.version)


def _fate(document: Reginfo, binding: Registration) -> tuple[Cause | None, int | None]:
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
    if document.full and reported.state == "active":
        return Cause.UNREGISTERED, None
    return None, None


def _same_identity(aor: str, binding: Registration) -> bool:
    return one_spelling(aor).lower() == binding.owner.lower()


def _is_older(contact: ReportedContact, binding: Registration) -> bool:
    """Whether this is about an earlier REGISTER of the same page than the one that made the binding."""
    return (
        contact.call_id == binding.sent.call_id
        and contact.cseq is not None
        and contact.cseq < binding.sent.cseq
    )
