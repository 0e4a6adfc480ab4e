"""Header field values: what pages, the core and trunks write into them."""

from __future__ import annotations

from collections.abc import Callable

from kemi.core.causes import answered_elsewhere
from kemi.core.dialog_ids import NAMING_FIELDS, DialogName, translated
from kemi.core.emergency import is_emergency_registration, is_service
from kemi.core.headers import vias_of_response
from kemi.core.identity import asserted_identity, canonical, check_from, known_as, target_for_core
from kemi.core.messages import (
    Request,
    Side,
    address_parts,
    addresses_from_headers,
    parameters,
    uri_from_address,
    with_parameters,
    with_tag,
)
from kemi.core.policy import CallPolicy, TargetRules
from kemi.core.registration.authorization import (
    challenge_for_page,
    clean_digest,
    credentials_from_headers,
    digest_parameter,
)
from kemi.core.registration.contact import capped_expires, contact_for_core, contact_of
from kemi.core.routing.numbers import DialPlan, dialled_from_uri, is_emergency
from kemi.core.screening import check_branch, check_one_message, check_response, check_whole, screen
from kemi.core.trunk.causes import for_page, for_trunk, of_response, status_from_reasons
from kemi.core.trunk.digest import challenge_from_values
from kemi.core.trunk.diversion import history_from_diversion
from kemi.core.trunk.incoming import routes_left, user_of
from kemi.core.trust import (
    FROM_PAGE_IN_CONTACT,
    UNTRUSTED_PARAMETERS,
    has_routing_parameters,
    private_headers,
    restricts_caller,
    warnings_for_page,
    without_parameters,
    without_routing_parameters,
)
from tests.fuzz.target import Target, refused, text_of

ALICE = "sip:alice@ims.example"
_RULES = TargetRules(CallPolicy(denied_numbers=["+900"], domains=["friend.example"]), "ims.example")
_PLAN = DialPlan(country="DE", area_code="30", trunk_prefix="0", short_codes={"115": "+4930115"})


def request_of(value: str) -> Request:
    """Return a page's request in which every header field, and every URI, is this."""
    return Request(
        Side.WIC, "REFER", "c", "f", "", 1, contact=value, request_uri=value, from_uri=value, to_uri=value,
        source="192.0.2.1:5060", headers=lambda _name: [value],
    )  # fmt: skip


def addresses(data: bytes) -> None:
    """Lists of addresses, their URIs and parameters."""
    value = text_of(data)
    found = addresses_from_headers([value])
    assert addresses_from_headers(found) == found
    assert all(one == one.strip() and one for one in found)
    head, rest = address_parts(value)
    assert head + rest == value
    assert with_parameters(value, lambda _name, _value: None) == value
    parameters(value)
    uri_from_address(value)
    tagged = with_tag(value, "t0")
    assert tagged.endswith(";tag=t0")
    if '"' not in value and "<" not in value:  # whose ends may be missing
        assert with_tag(tagged, "t0") == tagged
    without_parameters(value, UNTRUSTED_PARAMETERS)
    plain = without_routing_parameters(value)
    assert plain == value or not has_routing_parameters(plain) or has_routing_parameters(value)
    warnings_for_page([value], "h")
    vias_of_response(request_of(value))


def identities(data: bytes) -> None:
    """Who somebody is, and whom somebody calls."""
    value = text_of(data)
    known = canonical(value)
    assert known is None or canonical(known) is not None or "%" in value
    known_as(value, [ALICE])
    refused(lambda: check_from(value, [ALICE]))
    refused(lambda: asserted_identity([value], value, [f"<{ALICE}>"], from_counts=True))
    target_for_core(value, "ims.example")
    is_service(value)
    is_emergency(value, _PLAN)
    refused(lambda: dialled_from_uri(value, _PLAN))
    refused(lambda: dialled_from_uri(value, _PLAN, trusted=True))
    refused(lambda: dialled_from_uri(value, _PLAN, realm="ims.example"))
    refused(lambda: _RULES.check_uri(value))
    refused(lambda: _RULES.check(request_of(value)))
    user_of(value)


def credentials(data: bytes) -> None:
    """Authorization of pages, challenges of cores and trunks."""
    value = text_of(data)
    for scheme in ("", "Digest ", "Bearer "):
        refused(lambda scheme=scheme: credentials_from_headers([scheme + value]))  # type: ignore[misc]
    digest = f"Digest {value}"
    if not refused(lambda: clean_digest(digest)):
        assert "integrity-protected" not in clean_digest(digest).lower()
        digest_parameter(clean_digest(digest), "username")
    challenge_for_page(value)
    refused(lambda: challenge_from_values([value, f"Digest {value}"]))


def registrations(data: bytes) -> None:
    """REGISTER of a page."""
    value = text_of(data)
    request = request_of(value)
    if not refused(lambda: contact_of(request)):
        contact = contact_of(request)
        passed = contact_for_core(contact, ("audio", '+g.3gpp.icsi-ref="x"'), 60)
        assert "\r" not in passed or "\r" in value
        assert '"' in value or not FROM_PAGE_IN_CONTACT & parameters(passed).keys()
    is_emergency_registration([value])
    assert 0 <= capped_expires(value, 60) <= 60


def fields(data: bytes) -> None:
    """Header fields that we read, each by itself."""
    value = text_of(data)
    answered_elsewhere([value])
    status_from_reasons([value])
    for_page([value])
    for_trunk([value])
    of_response(480, [value], [value])
    history_from_diversion([value], ALICE)
    routes_left([value], ["192.0.2.1:5060"])
    private_headers(lambda _name: [value])
    restricts_caller(lambda _name: [value])
    for name in NAMING_FIELDS:
        translated(name, value, _tags)
    for check in _CHECKS:
        refused(lambda check=check: check(value))  # type: ignore[misc]


def _tags(name: DialogName) -> dict[str, str]:
    return {tag: f"other-{number}" for number, tag in enumerate(name.tags)}


_CHECKS: tuple[Callable[[str], None], ...] = (
    check_branch,
    lambda value: check_response("INVITE", [value]),
    lambda value: check_one_message(5, [value], has_content_type=False),
    lambda value: check_whole(5, [value]),
    lambda value: screen(request_of(value)),
)

_PIECES = (
    b",", b";", b'"', b"<", b">", b"\\", b"=", b"%3b", b"%00", b" ", b"\t", b"sip:", b"tel:+49", b"@", b":", b"?",
    b"tag=", b";tag=x", b"<sip:a@b>", b'"A" ', b"expires=60", b"Digest ", b'realm="x"', b"nonce=", b"\xff", b"[::1]",
    b"user=phone", b"ims.example", b"alice", b"SIP;cause=200", b"Q.850;cause=16", b"0" * 40, b"\xd9\xa3", b"\r\n ",
)  # fmt: skip

TARGETS = (
    Target("addresses", addresses, _PIECES),
    Target("identities", identities, _PIECES),
    Target("credentials", credentials, (*_PIECES, b'username="a"', b"integrity-protected", b", ")),
    Target("registrations", registrations, (*_PIECES, b"+sip.instance", b"reg-id=1", b"+g.3gpp.smsip")),
    Target(
        "fields", fields, (*_PIECES, b"Replaces=", b"from-tag=", b"to-tag=", b"SIP/2.0/UDP h;branch=z9hG4bK")
    ),
)
