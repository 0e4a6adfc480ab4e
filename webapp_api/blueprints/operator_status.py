"""/api/operator/status: how the site is and what is wrong with it, for accounts with the role of an operator."""

import time

import msgspec
from flask import Blueprint, Response

from webapp_api.bodies import answer
from webapp_api.gate import stepped_aside
from webapp_api.services import only_operators, services
from webapp_api.site_status import Gateway, site_status

blueprint = Blueprint("operator_status", __name__)


class OperatorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The site at a moment, as `gwctl status` judges it."""

    at: float
    """Seconds since the epoch."""
    gateways: list[Gateway]
    """Also those that are silent, for a day."""
    registrations: int
    calls: int | None
    """Of the gateways that say; null: nobody could be asked, or nobody has answered."""
    counted_at: dict[str, float]
    """Gateway -> when it counted its calls, by its clock, in seconds since the epoch; 0: it does not say."""
    wrong: list[str]
    """What is wrong, in words; empty: all is well."""


@blueprint.get("/api/operator/status")
def get_status() -> Response:
    """Tell how the site is, and what is wrong with it."""
    only_operators(costs=True)
    now = time.time()
    found = site_status(services(), now, stepped_aside())
    totals = {} if found.running is None else found.running.totals
    return answer(
        OperatorStatus(
            at=now,
            gateways=found.gateways,
            registrations=found.registrations,
            calls=found.calls,
            counted_at={name: at for name, (_, at) in totals.items()},
            wrong=found.wrong,
        )
    )
