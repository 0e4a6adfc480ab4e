"""What of our own proxy part's REGISTERs is a registration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.errors import SipReject
from kemi.core.home.registering import MOST_PAGES, Kept, admitted, check_room, comes_late
from kemi.core.messages import Request, Side
from kemi.core.registration import Grant, PendingRegistration, Registration
from kemi.core.registration.authorization import empty_digest, protected

ALICE = "sip:alice@ims.example"
VOUCHED = protected(empty_digest("alice@ims.example", "ims.example"), "auth-done")
CONTACT = '<sip:x@page.invalid>;+sip.instance="<urn:uuid:1>";reg-id=1'
PENDING = PendingRegistration(
    "7", "sip:x@page.invalid", ALICE, Grant("bearer", "alice@ims.example", [ALICE, "tel:+4930123"])
)


def register(*authorization: str, contact: str = CONTACT, expires: str = "600", to: str = ALICE) -> Request:
    fields = {"Authorization": list(authorization), "Expires": [expires]}
    return Request(
        Side.IMS,
        "REGISTER",
        "call-1",
        "tag",
        "",
        1,
        contact=contact,
        to_uri=to,
        headers=lambda name: fields.get(name, []),
    )


def test_whom_the_proxy_part_vouches_for_is_in() -> None:
    found = admitted(register(VOUCHED), PENDING)
    assert found.address_of_record == ALICE
    assert found.identities == (ALICE, "tel:+4930123")
    assert found.lines == (f"P-Associated-URI: <{ALICE}>, <tel:+4930123>",)


@pytest.mark.parametrize(
    ("request_", "pending"),
    [
        pytest.param(register(), PENDING, id="nothing said"),
        pytest.param(register(empty_digest("alice@ims.example", "ims.example")), PENDING, id="not vouched for"),
        pytest.param(
            register(protected(empty_digest("alice@ims.example", "ims.example"), "tls-yes")), PENDING, id="digest"
        ),
        pytest.param(register(VOUCHED, VOUCHED), PENDING, id="said twice"),
        pytest.param(
            register(protected(empty_digest("bob@ims.example", "ims.example"), "auth-done")), PENDING, id="another user"
        ),
        pytest.param(register(VOUCHED, to="sip:bob@ims.example"), PENDING, id="another identity"),
        pytest.param(register(VOUCHED), None, id="no page has asked"),
    ],
)  # fmt: skip
def test_who_is_not(request_: Request, pending: PendingRegistration | None) -> None:
    with pytest.raises(SipReject) as refused:
        admitted(request_, pending)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(register(VOUCHED, expires="0"), id="Expires"),
        pytest.param(register(VOUCHED, contact=f"{CONTACT};expires=0"), id="expires of the Contact"),
    ],
)
def test_the_gateway_itself_ends_a_registration(request_: Request) -> None:
    found = admitted(request_, None)
    assert (found.address_of_record, found.identities, found.lines) == (ALICE, (), ())


def kept(page: str, instance: str, *, reg_id: int = 1, call_id: str = "other", cseq: int = 1) -> Kept:
    named = f"<urn:uuid:{instance}>" if instance else ""
    return Kept(f"sip:{page}@page.invalid", named, reg_id, call_id, cseq)


def registration(connection_id: str, granted_at: float) -> Registration:
    return Registration(
        ALICE, "sip:y@page.invalid", 600.0, connection_id=connection_id, granted_at=granted_at
    )


@pytest.mark.parametrize(
    ("there", "is_late"),
    [
        pytest.param([kept("y", "2"), kept("x", "1", call_id="call-1", cseq=0)], False, id="as it was"),
        pytest.param([kept("x", "1")], False, id="we have kept it alive meanwhile"),
        pytest.param([kept("x", "1", call_id="call-1")], True, id="the page has registered again"),
        pytest.param([kept("y", "1")], True, id="and has another Contact"),
        pytest.param([], True, id="gone already"),
    ],
)
def test_our_own_end_of_a_page_is_not_that_of_what_came_after_it(there: list[Kept], is_late: bool) -> None:
    assert comes_late(register(VOUCHED, expires="0"), None, None, there, 12.0) is is_late


@pytest.mark.parametrize(
    ("binding", "expires", "is_late"),
    [
        pytest.param(None, "0", False, id="nobody is there"),
        pytest.param(
            registration("8", 9.0), "0", False, id="it was loaded again, and has not registered since"
        ),
        pytest.param(registration("", 9.0), "0", False, id="its connection of before is lost"),
        pytest.param(
            registration("8", 11.0), "0", True, id="it has registered over another connection since"
        ),
        pytest.param(registration("8", 11.0), "600", False, id="it stays"),
    ],
)
def test_a_pages_own_end_removes_nothing_it_has_registered_since(
    binding: Registration | None, expires: str, is_late: bool
) -> None:
    """Whatever Contact the registrar has of it."""
    pending = replace(PENDING, at=10.0)
    for page in ("x", "y"):
        request = register(VOUCHED, expires=expires)
        assert comes_late(request, pending, binding, [kept(page, "1")], 12.0) is is_late


def test_one_page_too_many() -> None:
    there = [kept(str(number), str(number)) for number in range(2, 2 + MOST_PAGES)]
    check_room(register(VOUCHED), there[1:])
    check_room(register(VOUCHED), [*there[1:], kept("x", "")])
    check_room(register(VOUCHED), [*there[1:], kept("y", "1")])
    check_room(register(VOUCHED, expires="0"), there)
    check_room(register(VOUCHED, contact=""), there)  # it only asks who is there
    with pytest.raises(SipReject):
        check_room(register(VOUCHED), [*there[1:], kept("y", "1", reg_id=2)])
    with pytest.raises(SipReject):
        check_room(register(VOUCHED), there)
