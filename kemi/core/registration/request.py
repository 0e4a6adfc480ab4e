"""How a page's REGISTER goes to the core (TS 24.229 §5.2.2.1): who may send it, and how it changes on its way.

With digest, page and core authenticate each other and we only pass it on; with an access token we have done it, and
tell the core so as the trusted node that we are (TS 33.203 annex U).
"""

from __future__ import annotations

from dataclasses import dataclass

from kemi.core.decimals import number_or
from kemi.core.edits import MessageEdits
from kemi.core.errors import SipReject
from kemi.core.headers import access_network_info, charging_vector
from kemi.core.identity import canonical, known_as
from kemi.core.messages import Request, parameter, uri_from_address
from kemi.core.registration.authorization import (
    AUTH_DONE,
    Credentials,
    digest_parameter,
    digest_protection,
    empty_digest,
    impi_from_impu,
    protected,
)
from kemi.core.registration.contact import capped_expires, contact_for_core, contact_of, contact_sent
from kemi.core.registration.records import (
    Flow,
    Grant,
    PendingRegistration,
    Registration,
    RegistrationSettings,
    Sent,
)
from kemi.core.trust import FROM_PAGE

DIGEST, BEARER = "digest", "bearer"
LONGEST_USER_AGENT = 200


@dataclass(frozen=True, slots=True)
class Register:
    """A page's REGISTER that may go to the core."""

    pending: PendingRegistration
    edits: MessageEdits


def check_register(request: Request, current: Registration | None, settings: RegistrationSettings) -> None:
    """Refuse what no credentials could make right; raise SipReject (403).

    Args:
        request: the page's REGISTER.
        current: the live registration of its connection.
    """
    if _domain(request.request_uri) != settings.realm.lower():
        raise SipReject(f"this gateway registers at sip:{settings.realm} only")
    identity = canonical(request.to_uri)
    if canonical(request.from_uri) != identity:
        raise SipReject("third-party registration is not allowed")
    if identity is None:
        raise SipReject("To is not a public identity")
    if current is not None and canonical(current.address_of_record) != identity:
        raise SipReject("another identity is registered over this connection")


def _domain(uri: str) -> str:
    """Return the host of a Request-URI that is a domain, "" for any other."""
    scheme, _, rest = uri.partition(":")
    host, _, port = rest.partition(";")[0].partition("?")[0].lower().partition(":")
    return host if scheme.lower() == "sip" and "@" not in host and not port else ""


def digest_grant(request: Request, credentials: Credentials) -> Grant:
    """Return what a page with a digest, or none yet, asks for: the core will decide."""
    if credentials.digests:
        return Grant(DIGEST, impi=digest_parameter(credentials.digests[0], "username"))
    return Grant(DIGEST, impi=impi_from_impu(request.to_uri))


def register_for_core(
    request: Request,
    flow: Flow,
    grant: Grant,
    credentials: Credentials,
    current: Registration | None,
    settings: RegistrationSettings,
    *,
    icid: str,
    now: float,
) -> Register:
    """Return how the page's REGISTER goes to the core; raise SipReject (403) for an identity that is not granted.

    Args:
        request: the page's REGISTER, checked by ``check_register``.
        flow: the connection it came over.
        grant: what its credentials allow.
        credentials: what it carried.
        current: the live registration of this connection.
        icid: a new, globally unique charging identifier.
        now: seconds since the epoch.
    """
    if grant.impus and known_as(request.to_uri, grant.impus) is None:
        raise SipReject("the access token does not name this identity")
    contact = contact_of(request)
    longest_s = max(0, int(grant.expires_at - now)) if grant.scheme == BEARER else None
    sent = Sent(
        contact_for_core(contact, settings.contact_tags, longest_s),
        request.call_id,
        request.cseq,
        request.from_tag,
        flow.token,
        flow_by_identity=settings.flow_by_identity,
    )
    passed = contact_sent(request.to_uri, sent)
    remove: tuple[str, ...] = ("Route", *FROM_PAGE)
    insert = [
        f"Path: <sip:{flow.token}@{settings.ims_host};lr{';ob' if _is_outbound(contact) else ''}>",
        "Require: path",
        *(f"Authorization: {value}" for value in _authorization(grant, credentials, current, settings)),
        f'P-Visited-Network-ID: "{settings.visited_network}"',
        f"P-Charging-Vector: {charging_vector(icid, settings.ims_host, settings.visited_network)}",
        *access_network_info(settings.access_network_info),
    ]
    if "path" not in request.tokens("Supported"):
        insert.append("Supported: path")
    if passed != contact:
        remove += ("Contact",)
        insert.append(f"Contact: {passed}")
    if longest_s is not None:
        expires = "".join(request.headers("Expires")).strip()
        remove += ("Expires",)
        insert.append(f"Expires: {capped_expires(expires, longest_s)}")
    return Register(
        PendingRegistration(
            request.connection_id,
            uri_from_address(contact) if contact and contact != "*" else "",
            request.to_uri,
            grant,
            sent,
            guessed=any(digest_parameter(digest, "response") for digest in credentials.digests),
            at=now,
            user_agent="".join(request.headers("User-Agent"))[:LONGEST_USER_AGENT],
        ),
        MessageEdits(
            request_uri=f"sip:{settings.realm}",
            remove=remove,
            insert=tuple(insert),
        ),
    )


def would_end(request: Request, grant: Grant, now: float) -> bool:
    """Whether a REGISTER of a page that wants to stay would remove it: nothing is left of its access token."""
    contact = contact_of(request)
    wanted = parameter(contact, "expires") or "".join(request.headers("Expires")).strip()
    return bool(contact) and wanted != "0" and grant.scheme == BEARER and grant.expires_at < now + 1


def is_cut_short(request: Request, pending: PendingRegistration) -> bool:
    """Whether the core was asked for less time than the page wants, because its access token ends first."""
    if pending.grant.scheme != BEARER:
        return False
    wanted = parameter(contact_of(request), "expires") or "".join(request.headers("Expires")).strip()
    left_s = int(pending.grant.expires_at - pending.at)
    return number_or(left_s + 1, wanted) > left_s


def _is_outbound(contact: str) -> bool:
    """Whether a page asks for a flow of its own (RFC 5626 §4.2)."""
    return bool(parameter(contact, "reg-id") and parameter(contact, "+sip.instance"))


def _authorization(
    grant: Grant, credentials: Credentials, current: Registration | None, settings: RegistrationSettings
) -> list[str]:
    if grant.scheme == BEARER:
        return [protected(empty_digest(grant.impi, settings.realm), AUTH_DONE)]
    if not credentials.digests:
        return [empty_digest(grant.impi, settings.realm)]
    values = []
    for digest in credentials.digests:
        username = digest_parameter(digest, "username")
        bound = (
            current is not None and current.grant.scheme == DIGEST and current.grant.impi == username != ""
        )
        vouched = digest_protection(digest, settings.digest_protection, bound=bound)
        values.append(protected(digest, vouched) if vouched else digest)
    return values
