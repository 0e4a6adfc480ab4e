"""/api/operator/pools: identities that guests lease, for accounts with the role of an operator."""

import time
from typing import Literal

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from kemi.state.web.leases import Holding
from webapp_api.audit import remark
from webapp_api.bodies import answer
from webapp_api.identities import Identity
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_pools", __name__)
GUESTS = "guests"
"""The name of the one pool there is."""


class PoolIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """An identity of a pool.  Times are in seconds since the epoch, 0: none."""

    impi: str
    impus: list[str]
    state: Literal["free", "held", "settling"]
    """settling: given back, free when its registration has ended or the time is over."""
    session: str
    """Name of the holder's web session, or of the last one while it settles; "" when it is free."""
    since: float
    """When it was leased."""
    ends_at: float
    """When it is free by itself; each token of the holder moves it."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Identities that have one holder at a time."""

    pool: str
    offered: bool
    """Whether anybody may lease one now."""
    free: int
    identities: list[PoolIdentity]


class Pools(msgspec.Struct, frozen=True, kw_only=True):
    """All pools."""

    pools: list[Pool]


@blueprint.get("/api/operator/pools")
def get_pools() -> Response:
    """Tell who holds which identity."""
    only_operators(costs=True)
    settings = services().settings
    if not settings.identity_pool:
        return answer(Pools(pools=[]))
    held = services().leases.holdings([identity.impi for identity in settings.identity_pool])
    shown = [_shown(identity, held.get(identity.impi)) for identity in settings.identity_pool]
    free = sum(one.state == "free" for one in shown)
    return answer(Pools(pools=[Pool(pool=GUESTS, offered=settings.guest_login, free=free, identities=shown)]))


@blueprint.delete("/api/operator/pools/<pool>/leases/<impi>")
def delete_lease(pool: str, impi: str) -> Response:
    """End a lease: the holder is logged out, and the identity is free once it has settled."""
    only_operators(costs=True)
    identity = next((one for one in services().settings.identity_pool if one.impi == impi), None)
    if pool != GUESTS or identity is None:
        raise NotFound("There is no such identity in a pool.")
    held = services().leases.holdings([impi]).get(impi)
    if held is None:
        raise NotFound("Nobody holds this identity.")
    remark(f"lease of {impi}")
    if not held.settling:
        services().logins.end_sid(held.sid, impi)
        services().leases.give_back(impi, held.sid)  # the session may have ended by itself before
    return answer(_shown(identity, services().leases.holdings([impi]).get(impi)), 202)


def _shown(identity: Identity, held: Holding | None) -> PoolIdentity:
    if held is None:
        return PoolIdentity(
            impi=identity.impi, impus=list(identity.impus), state="free", session="", since=0.0, ends_at=0.0
        )
    return PoolIdentity(
        impi=identity.impi,
        impus=list(identity.impus),
        state="settling" if held.settling else "held",
        session=held.sid,
        since=held.since,
        ends_at=time.time() + held.left_s,
    )
