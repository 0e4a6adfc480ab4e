"""/api/operator/bans: client addresses that are shut out, for accounts with the role of an operator."""

import time
from typing import Annotated

import msgspec
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import BadRequest, Conflict

from kemi.core.bans import LONGEST_S, banned_network
from kemi.core.limits import address_key
from kemi.state.bans import SharedBan
from webapp_api.audit import remark
from webapp_api.bodies import answer, body_of
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_bans", __name__)


class AddressBan(msgspec.Struct, frozen=True, kw_only=True):
    """A banned address.  Times are in seconds since the epoch."""

    address: str
    """An IPv4 address or an IPv6 /64."""
    until: float
    why: str
    """What its pages did last (login, scan, stale, unregistered, malformed, flood, forbidden, web login), or the words
    of an operator."""
    by: str
    """A gateway's name, webapp_api, or who did it by hand."""
    at: float


class Bans(msgspec.Struct, frozen=True, kw_only=True):
    """All bans."""

    bans: list[AddressBan]
    trusted: list[str]
    """Networks that are never banned."""


class BanOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an address is banned, and why."""

    for_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)] = 3600.0
    why: Annotated[str, msgspec.Meta(max_length=200)] = ""


@blueprint.get("/api/operator/bans")
def get_bans() -> Response:
    """Tell which addresses are banned."""
    only_operators(costs=True)
    list_of_bans = services().bans
    found = sorted(list_of_bans.all(time.time()).items())
    return answer(Bans(bans=[_shown(address, ban) for address, ban in found], trusted=list_of_bans.trusted()))


@blueprint.put("/api/operator/bans/<path:address>")
def put_ban(address: str) -> Response:
    """Ban an address, or change its ban."""
    only_operators(costs=True)
    order, kept = body_of(BanOrder), _kept(address)
    remark(f"{kept} for {order.for_s:.0f} s: {order.why}")
    if kept == address_key(request.remote_addr or ""):
        raise Conflict("This is your own address.")
    if services().bans.is_front(kept):
        raise Conflict("This is this machine, or a TLS front (trusted_proxies).")
    if services().bans.is_trusted(kept):
        raise Conflict("This address is in gateway_trusted_networks.")
    now = time.time()
    ban = SharedBan(now + order.for_s, order.why or "operator", str(g.operator), now)
    services().bans.put(kept, ban)
    return answer(_shown(kept, ban))


@blueprint.delete("/api/operator/bans/<path:address>")
def delete_ban(address: str) -> Response:
    """End a ban, if there is one."""
    only_operators(costs=True)
    kept = _kept(address)
    remark(kept)
    services().bans.lift(kept)
    response = Response(status=204)
    response.headers["Cache-Control"] = "no-store"
    return response


def _kept(address: str) -> str:
    try:
        return banned_network(address)
    except ValueError as error:
        raise BadRequest("One IPv4 address, or one IPv6 address or /64, is wanted.") from error


def _shown(address: str, ban: SharedBan) -> AddressBan:
    return AddressBan(address=address, until=ban.until, why=ban.why, by=ban.by, at=ban.at)
