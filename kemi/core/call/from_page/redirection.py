"""The core redirects a page's call (3xx): the page may follow, and then a trunk is told where the call was before.

What a page says of its own call's history is not believed, so this is the only way in which a trunk hears of one.
"""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.identity import canonical
from kemi.core.messages import Reply, addresses_from_headers, readable_uri, uri_from_address
from kemi.core.routing.numbers import BadNumber, DialPlan, dialled_from_uri
from kemi.core.trunk.diversion import diversions_of

_NO_PLAN = DialPlan()


def remembered(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Return what is to be kept of a final response; a trunk's redirections are not followed."""
    if not 300 <= reply.status < 400 or record.trunk is not None:
        return []
    contacts = addresses_from_headers(reply.headers("Contact"))
    uris = [readable_uri(uri_from_address(one), settings.realm) for one in contacts]  # as the page gets them
    targets = tuple((name, parameters) for name, parameters in map(_named, uris) if name)
    if not targets:
        return []
    outbound = record.outbound
    called = outbound.number if outbound is not None else ""
    called = f"tel:{called}" if called.startswith("+") else record.request_uri
    before = outbound.diversions if outbound is not None else ()
    return [act.RememberRedirection(record.owner, tuple(diversions_of(reply, called, before)), targets)]


def name_of(uri: str) -> str:
    """Return how a target is remembered: +E.164, or its address; "" for one that is not called from here."""
    return _named(uri)[0]


def _named(uri: str) -> tuple[str, tuple[str, ...]]:
    """Return that name, and what the core says of where the number is ported to."""
    try:
        dialled = dialled_from_uri(uri, _NO_PLAN, trusted=True)
    except BadNumber:
        return canonical(uri) or "", ()
    return dialled.number, dialled.parameters
