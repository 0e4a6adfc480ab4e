"""/api/operator/registrations: who is registered on which gateway node, for accounts with the role of an operator."""

import time

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from kemi.core.messages import uri_from_address
from kemi.state.web.registrations import Registered
from webapp_api import queries
from webapp_api.audit import remark
from webapp_api.bodies import answer
from webapp_api.listeners import spelt
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_registrations", __name__)


class OperatorRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """One page that is registered.  Times are in seconds since the epoch."""

    id: str
    impu: str
    """The identity that it registered."""
    impi: str
    impus: list[str]
    """All that came with it (P-Associated-URI)."""
    gateway: str
    state: str
    """registered, away (its connection is gone, it may come back) or abandoned."""
    contact: str
    connection: str
    """Number of its WebSocket at the gateway; "" while it is away."""
    address: str
    """Client address; "" when not known."""
    user_agent: str
    scheme: str
    """bearer or digest."""
    session: str
    """Name of the web session whose token it used; "" for none."""
    since: float
    """When it registered first; 0: not known."""
    refreshed_at: float
    expires_at: float


class OperatorRegistrations(msgspec.Struct, frozen=True, kw_only=True):
    """Pages that are registered, by identity."""

    registrations: list[OperatorRegistration]
    total: int
    """How many fit the filters, on all pages."""
    next: str
    """Cursor of what follows, "" at the end."""


@blueprint.get("/api/operator/registrations")
def get_registrations() -> Response:
    """Tell who is registered."""
    only_operators(costs=True)
    impu, node = spelt(queries.identity()), queries.text("node")
    shown = [
        _shown(found)
        for found in services().registrations.all(time.time(), node)
        if not impu or impu in map(spelt, _names(found))
    ]
    shown.sort(key=_order)
    page, following = queries.page_of(shown, _order)
    return answer(OperatorRegistrations(registrations=page, total=len(shown), next=following))


@blueprint.delete("/api/operator/registrations/<registration>")
def delete_registration(registration: str) -> Response:
    """End a registration and its calls, within a second; with it the web session its token came from, as a logout does.

    One without a web session (SIP password) may be made again by its page.
    """
    only_operators(costs=True)
    found = services().registrations.get(registration, time.time())
    if found is None:
        raise NotFound("There is no such registration.")
    binding = found.binding
    remark(f"registration of {binding.address_of_record} at {found.node}")
    if binding.grant.session:
        services().logins.end_sid(binding.grant.session, binding.impi)
    else:
        services().commands.end_registration(found.key, time.time())
    return answer(_shown(found), 202)


def _order(shown: OperatorRegistration) -> str:
    return f"{shown.impu} {shown.id}"


def _names(found: Registered) -> list[str]:
    binding = found.binding
    return [binding.address_of_record, *map(uri_from_address, binding.associated_uris)]


def _shown(found: Registered) -> OperatorRegistration:
    binding = found.binding
    return OperatorRegistration(
        id=found.id,
        impu=binding.address_of_record,
        impi=binding.impi,
        impus=_names(found)[1:],
        gateway=found.node,
        state=binding.state.value,
        contact=binding.contact,
        connection=binding.connection_id,
        address=binding.client_address,
        user_agent=binding.user_agent,
        scheme=binding.grant.scheme,
        session=binding.grant.session,
        since=binding.registered_at,
        refreshed_at=binding.granted_at,
        expires_at=binding.expires_at,
    )
