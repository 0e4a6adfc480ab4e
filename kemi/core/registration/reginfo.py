"""What the core reports about a user's registrations (RFC 3680), and what becomes of the bindings here.

A notification about a page's earlier registration, written just before it registered again, may arrive just after;
most cores do not say which REGISTER they mean.  So what a page's own de-registration looks like ends a binding only
once it has stood for a while, and no REGISTER about it is with the core, whose answer the notification may overtake:
until then it is doubtful, and the whole state is asked for when the time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kemi.core.identity import known_as, one_spelling
from kemi.core.messages import uri_from_address
from kemi.core.pace import is_early
from kemi.core.registration.records import Registration, same_contact
from kemi.core.registration.states import Cause

SETTLED_AFTER_S: Final = 5.0
"""How old a registration must be before an end that its page may have caused itself is believed."""
ASKED_AGAIN_AFTER_S: Final = SETTLED_AFTER_S + 0.5
"""When the whole state is asked for after something doubtful."""
CLOCKS_S: Final = 1.0
"""So far ahead a grant may be; one further ahead is older than a clock that was set back."""
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
    withdrawn: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Binding that goes on, and those of its associated identities, as they are written there, that are registered no
    more (TS 24.229 §5.2.3)."""
    resubscribe: bool = False
    """A notification was missed: ask for the whole state (RFC 3680 §5.1)."""
    doubtful: bool = False
    """An end was reported of a binding, or of an identity of one, that is too young to believe it, of one whose page
    may be signing off, or perhaps of the page's other flow: look again when it has settled."""
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


def judge(
    document: Reginfo,
    known_version: int,
    bindings: Mapping[str, Registration],
    now: float,
    is_asked: Callable[[Registration], bool] = lambda _: False,
) -> Verdict:
    """Return what a notification means for the bindings of its subscription; ``known_version`` -1: the first one.

    ``is_asked``: whether a REGISTER about one of them is with the core.

    The first number is the notifier's choice.  An older one is ignored; a partial one that skips numbers is used for
    what it says, and the whole state is asked for.
    """
    if known_version >= 0 and document.version <= known_version:
        return Verdict(version=known_version)
    endings: list[tuple[str, Cause]] = []
    doubtful = False
    shortened: list[tuple[str, int]] = []
    withdrawn: list[tuple[str, tuple[str, ...]]] = []
    for key, binding in bindings.items():
        is_young = is_early(now, binding.granted_at + SETTLED_AFTER_S, SETTLED_AFTER_S + CLOCKS_S)
        cause, left_s = _fate(document, binding)
        if cause is not None:
            if cause in _OWN_DOING and (is_young or is_asked(binding) or _of_another(document, binding)):
                doubtful = True
            else:
                endings.append((key, cause))
            continue
        if left_s is not None:
            shortened.append((key, left_s))
        gone = _withdrawn(document, binding)
        believed = tuple(one for one, why in gone.items() if not (is_young and why in _OWN_DOING))
        doubtful = doubtful or len(believed) < len(gone)
        if believed:
            withdrawn.append((key, believed))
    missed = not document.full and 0 <= known_version < document.version - 1
    return Verdict(
        tuple(endings), tuple(shortened), tuple(withdrawn), missed, doubtful, version=document.version
    )


def without(binding: Registration, identities: tuple[str, ...]) -> Registration | None:
    """Take identities that are registered no more from a binding; None where it has none of them, or no other ones:
    then its end is for the core to tell."""
    left = [one for one in binding.associated_uris if one not in identities]
    if not left or len(left) == len(binding.associated_uris):
        return None
    binding.associated_uris = left
    return binding


def _withdrawn(document: Reginfo, binding: Registration) -> dict[str, Cause]:
    """Return the associated identities whose registration is terminated, and why."""
    found = {}
    for identity in binding.associated_uris:
        reported = _reported(document, uri_from_address(identity))
        if reported is not None and reported.state == "terminated":
            cause, _ = _fate_in(reported, document, binding)
            if cause is not None:
                found[identity] = cause
    return found


def _fate(document: Reginfo, binding: Registration) -> tuple[Cause | None, int | None]:
    """Return why the core ended this binding, or how many seconds it cut it to."""
    registered = _reported(document, binding.owner)
    if registered is not None:
        return _fate_in(registered, document, binding)
    if not document.full:
        # What has not changed is not named, either: only where the registered identity is barred, and so is never
        # named (TS 24.229 §5.4.2.1.2), the default one speaks for its set.
        is_barred = bool(binding.associated_uris) and known_as(binding.owner, binding.associated_uris) is None
        default = _reported(document, binding.default_identity) if is_barred else None
        return (None, None) if default is None else _fate_in(default, document, binding)
    return _fate_of_set(document, binding)


def _fate_of_set(document: Reginfo, binding: Registration) -> tuple[Cause | None, int | None]:
    """Return the same where all that is registered is named, but not the identity of the binding.

    One registration in which its Contact stands lets it live, whoever's it is; a document that names nobody at all
    says nothing.
    """
    contacts = (_contact_in(one, binding) for one in document.registrations)
    active = next((one for one in contacts if one is not None and one.state == "active"), None)
    if active is not None:
        return None, _cut_to(active)
    named = (_reported(document, uri_from_address(one)) for one in binding.associated_uris)
    of_set = next((one for one in named if one is not None), None)
    if of_set is not None:
        return _fate_in(of_set, document, binding)
    return Cause.UNREGISTERED if document.registrations else None, None


def _fate_in(
    reported: ReportedRegistration, document: Reginfo, binding: Registration
) -> tuple[Cause | None, int | None]:
    """Return the same as one registration element has it."""
    contact = _contact_in(reported, binding)
    if contact is not None:
        if _is_older(contact, binding):
            return None, None
        if contact.state == "terminated":
            return _CAUSES.get(contact.event, Cause.UNREGISTERED), None
        return None, _cut_to(contact)
    if reported.state == "terminated":
        # An administrator's end may come without contacts; the events of others' contacts say why, if any does.
        events = {one.event for one in reported.contacts}
        return next((_CAUSES[event] for event in _CAUSES if event in events), Cause.REJECTED), None
    return Cause.UNREGISTERED if document.full else None, None


def _reported(document: Reginfo, identity: str) -> ReportedRegistration | None:
    wanted = one_spelling(identity).lower()
    return next((one for one in document.registrations if one_spelling(one.aor).lower() == wanted), None)


def _contact_in(reported: ReportedRegistration, binding: Registration) -> ReportedContact | None:
    """Return the element that is about this binding: two flows of one page have the same URI, and so has a binding that
    was replaced (RFC 5626 §4.2): that of its Call-ID counts, then one that stands."""
    found = [one for one in reported.contacts if same_contact(one.uri, binding.contact)]
    return min(
        found,
        key=lambda one: (one.call_id != binding.sent.call_id, one.state != "active"),
        default=None,
    )


def _of_another(document: Reginfo, binding: Registration) -> bool:
    """Whether what ended came with another Call-ID, and may be another flow with the same URI: a document that names
    only what has changed leaves out the one that stands."""
    if document.full:
        return False
    found = (_contact_in(one, binding) for one in document.registrations if one.state != "terminated")
    return any(
        one is not None and one.state == "terminated" and one.call_id not in ("", binding.sent.call_id)
        for one in found
    )


def _cut_to(contact: ReportedContact) -> int | None:
    return contact.expires_s if contact.event == "shortened" else None


def _is_older(contact: ReportedContact, binding: Registration) -> bool:
    """Whether this is about an earlier REGISTER of the same page than the one that made the binding."""
    return (
        contact.call_id == binding.sent.call_id
        and contact.cseq is not None
        and contact.cseq < binding.sent.cseq
    )
