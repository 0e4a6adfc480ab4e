"""A binding and the messages around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kemi.core.registration import Grant, Registration, RegistrationSettings
from kemi.core.registration.records import Sent

ALICE = "sip:alice@ims.example"
OURS = "sip:x@page.invalid;transport=ws"
CONTACT = f'<{OURS}>;reg-id=1;+sip.instance="<urn:uuid:1>";expires=600'
SETTINGS = RegistrationSettings(
    realm="ims.example",
    visited_network="visited.example",
    ims_host="192.0.2.1:5060",
)
TOKEN = Grant("bearer", "alice-1@ims.example", [ALICE], 500.0, "sid-1", "jti-1")


def binding(**changes: Any) -> Registration:
    """Return alice's binding, granted at 0, with changes."""
    found = Registration(
        ALICE,
        OURS,
        expires_at=600.0,
        service_route=["<sip:orig@scscf.ims.example;lr>"],
        associated_uris=[f'"Alice" <{ALICE}>'],
        connection_id="7",
        core_expires_at=600.0,
        sent=Sent(CONTACT, "reg-1", 3, "page-tag", "t0ken"),
    )
    return replace(found, **changes)
