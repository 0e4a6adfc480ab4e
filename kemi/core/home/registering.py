"""REGISTER at the home part: what our own proxy part vouches for is a registration (TS 24.371 §6, "auth-done")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kemi.core.decimals import number_or
from kemi.core.errors import SipReject
from kemi.core.home.identities import address_of_record
from kemi.core.identity import known_as
from kemi.core.messages import Request, parameter, uri_from_address
from kemi.core.registration import PendingRegistration, Registration, reply
from kemi.core.registration.authorization import AUTH_DONE, digest_parameter
from kemi.core.registration.token import NO_PASSWORDS

MOST_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class Admitted:
    """A REGISTER that may be carried out."""

    impi: str
    address_of_record: str
    """What the contacts are kept under."""
    identities: tuple[str, ...]
    """The user's public identities, the default one first; none where only an end was asked for."""
    lines: tuple[str, ...]
    """Header lines of the 200."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A contact that the registrar has."""

    uri: str
    instance: str
    """"" for a page that names none."""
    reg_id: int
    call_id: str
    cseq: int
    """Of the REGISTER it comes from."""


def admitted(request: Request, pending: PendingRegistration | None) -> Admitted:
    """Return what a REGISTER of our own proxy part may do; raise SipReject (403).

    ``pending``: what the proxy part has checked of the page's REGISTER; None for its own, which only ends a binding.
    """
    values = request.headers("Authorization")
    if len(values) != 1 or digest_parameter(values[0], "integrity-protected") != AUTH_DONE:
        raise SipReject(NO_PASSWORDS)
    impi = digest_parameter(values[0], "username")
    if pending is None:
        if not _only_ends(request):
            raise SipReject("no page has asked for this")
        return Admitted(impi, address_of_record(impi), (), ())
    grant = pending.grant
    if grant.impi != impi or known_as(request.to_uri, grant.impus) is None:
        raise SipReject("the identity is another user's")
    lines = (f"P-Associated-URI: {', '.join(f'<{identity}>' for identity in grant.impus)}",)
    return Admitted(impi, address_of_record(impi), tuple(grant.impus), lines)


def check_room(request: Request, there: Sequence[Kept]) -> None:
    """Raise SipReject (480) for one page too many; ``there``: those that are registered.

    All of them ring at once, and a fork has an end.  A query adds none (RFC 3261 §10.2.3).
    """
    if not request.contact or len(there) < MOST_PAGES or _only_ends(request):
        return
    contact, instance = uri_from_address(request.contact), parameter(request.contact, "+sip.instance") or ""
    flow = instance, number_or(0, parameter(request.contact, "reg-id") or "")
    if not any(
        one.uri == contact or (instance and flow == (one.instance.strip('"'), one.reg_id)) for one in there
    ):
        raise SipReject(
            f"this user has {MOST_PAGES} pages already",
            status=480,
            reason_phrase="Temporarily Unavailable",
        )


def comes_late(
    request: Request,
    pending: PendingRegistration | None,
    binding: Registration | None,
    there: Sequence[Kept],
    now: float,
) -> bool:
    """Whether a de-registration is for what is there no more (RFC 3261 §10.3 step 7).

    Kamailio's registrar finds a page by its instance and reg-id, and then compares neither Contact nor CSeq: it would
    remove what the page has registered meanwhile.  A page's own request with an older CSeq is left to it to refuse.

    ``pending``: as for ``admitted``; ``binding``: what the proxy part has of the same page.  A page that was loaded
    anew may sign off before it registers: another Contact alone does not make its request a late one.
    """
    if pending is not None:
        return binding is not None and _only_ends(request) and reply.comes_late(pending, binding, now)
    contact = uri_from_address(request.contact)
    return not any(
        one.uri == contact and (one.call_id != request.call_id or one.cseq < request.cseq) for one in there
    )


def _only_ends(request: Request) -> bool:
    expires = parameter(request.contact, "expires") if request.contact != "*" else None
    if expires is None:
        expires = "".join(request.headers("Expires")).strip()
    return expires == "0"
