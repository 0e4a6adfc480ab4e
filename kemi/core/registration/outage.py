"""What keeps a page registered by an access token while nobody can get a new one, because the shared state is away.

Its token was good when it came, and who has logged in cannot be logged out meanwhile either: so the registration goes
on, here and at the core, in short steps, as long as the page stays on its connection, for ``OUTAGE_S`` at most.
"""

from __future__ import annotations

from typing import Final

from kemi.core.registration.records import PendingRegistration, Registration
from kemi.core.registration.states import BindingState

OUTAGE_S: Final = 3600.0
"""How long after its end a token counts on at most."""
ASKED_S: Final = 600
"""What the core is asked for each time; what it has too much of, is given back by a REGISTER at the end."""
MARGIN_S: Final = 30.0
"""How long before an end something is done about it."""
_STEP_S: Final = 60.0
"""How long the page has for a new token once there are tokens again, less the margin."""


def prolonged(found: Registration, now: float) -> Registration | None:
    """Let a registration that is about to end go on for a step; None where it is not to be, or cannot."""
    until = min(now + _STEP_S, found.grant.expires_at + OUTAGE_S, found.core_expires_at)
    if not _is_kept(found) or found.expires_at > now + MARGIN_S or until <= found.expires_at:
        return None
    found.expires_at = until
    return found


def is_asked_for(found: Registration, now: float) -> bool:
    """Whether the core is to be asked for more time."""
    return (
        _is_kept(found)
        and found.core_expires_at <= now + MARGIN_S
        and found.core_expires_at < found.grant.expires_at + OUTAGE_S
    )


def pending_on_behalf(found: Registration, now: float) -> PendingRegistration:
    """Return what is needed to understand the core's answer to our REGISTER for a page."""
    return PendingRegistration(
        found.connection_id,
        found.contact,
        found.address_of_record,
        found.grant,
        found.sent,
        at=now,
        on_behalf=True,
    )


def kept_by_core(found: Registration, granted: Registration) -> Registration:
    """Note until when the core has a binding now."""
    found.core_expires_at = max(found.core_expires_at, granted.core_expires_at)
    return found


def _is_kept(found: Registration) -> bool:
    return found.grant.scheme == "bearer" and found.state is BindingState.REGISTERED
