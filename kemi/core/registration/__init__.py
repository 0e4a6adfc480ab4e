"""A page registers at the IMS core through us (TS 24.229 §5.2.2; TS 24.371 §6): what we add, what we keep, how it ends.

states.py         the life of a binding, as a table, and what its end means
own_requests.py   SUBSCRIBE to a registration's state, REGISTER for a page
outage.py         what keeps a registration whose token nobody can renew
reginfo.py        what the core reports, and what becomes of the bindings
records.py        what is remembered: flows, registrations, the requests under way
token.py          access tokens: what one must say, and what it allows
authorization.py  the page's credentials, cleaned of what only the network may say
contact.py        the page's Contact, how it passes
request.py        how the page's REGISTER goes to the core
reply.py          what the core's answer grants
"""

from kemi.core.registration.records import (
    Flow,
    Grant,
    PendingRegistration,
    Registration,
    RegistrationSettings,
    same_contact,
)
from kemi.core.registration.reply import registration_from_reply
from kemi.core.registration.request import (
    BEARER,
    DIGEST,
    check_register,
    digest_grant,
    is_cut_short,
    register_for_core,
    would_end,
)

__all__ = [
    "BEARER",
    "DIGEST",
    "Flow",
    "Grant",
    "PendingRegistration",
    "Registration",
    "RegistrationSettings",
    "check_register",
    "digest_grant",
    "is_cut_short",
    "register_for_core",
    "registration_from_reply",
    "same_contact",
    "would_end",
]
