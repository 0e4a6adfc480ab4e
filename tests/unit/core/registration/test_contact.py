"""The Contact of a page with several identities, where the registrar keeps those of a user together."""

from __future__ import annotations

import pytest

from kemi.core.messages import parameters, uri_from_address
from kemi.core.registration.contact import with_flow_of
from tests.unit.core.registration.bindings import ALICE, CONTACT, OURS

NUMBER = "sip:+4930123@ims.example"


def reg_id(identity: str, contact: str = CONTACT) -> int:
    """Return what the registrar is told."""
    return int(parameters(with_flow_of(identity, contact))["reg-id"])


def test_each_identity_and_each_flow_has_one_of_its_own() -> None:
    second = CONTACT.replace("reg-id=1", "reg-id=2")
    without = CONTACT.replace(";reg-id=1", "")
    found = {reg_id(one, contact) for one in (ALICE, NUMBER) for contact in (CONTACT, second, without)}
    assert len(found) == 6
    assert all(0 < one < 2**31 for one in found)


def test_it_is_the_same_each_time_and_however_the_identity_is_spelled() -> None:
    assert reg_id("sip:%61lice@IMS.example;user=phone") == reg_id(ALICE)


def test_nothing_else_changes() -> None:
    changed = with_flow_of(ALICE, CONTACT)
    assert uri_from_address(changed) == OURS
    assert {**parameters(changed), "reg-id": "1"} == parameters(CONTACT)


@pytest.mark.parametrize("contact", ["", "*", f"<{OURS}>;expires=60"])
def test_what_names_no_instance_stays(contact: str) -> None:
    assert with_flow_of(ALICE, contact) == contact
