"""/api/operator/calls: running calls of all gateways, and their end; and what gateways counted.

For accounts with the role of an operator.
"""

import logging
import time

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from kemi.state.running_calls import LiveCall
from webapp_api import queries
from webapp_api.audit import remark
from webapp_api.bodies import answer, body_of
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_calls", __name__)
_AUDIT = logging.getLogger("webapp_api.audit")
_LONGEST_NAME = 300


class CallsOfGateway(msgspec.Struct, frozen=True):
    """The running calls of one gateway."""

    gateway: str
    calls: list[LiveCall]
    left_out: int
    """How many more it has."""


class OperatorCalls(msgspec.Struct, frozen=True):
    """Running calls."""

    gateways: list[CallsOfGateway]
    silent: list[str]
    """Gateways that did not answer in time."""


class EndOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls end: the one with a Call-ID, or all of a public identity."""

    call_id: str = ""
    impu: str = ""


class GatewayCounters(msgspec.Struct, frozen=True):
    """What one gateway has counted since its start."""

    gateway: str
    counters: dict[str, int]


class OperatorCounters(msgspec.Struct, frozen=True):
    """What all gateways counted."""

    gateways: list[GatewayCounters]


@blueprint.get("/api/operator/calls")
def get_calls() -> Response:
    """Tell which calls are running, all or those of ?impu=, with both legs and how their media are."""
    only_operators(costs=True)
    impu = queries.text("impu")
    found, silent = services().running_calls.ask(time.time(), [impu] if impu else [])
    gateways = [
        CallsOfGateway(gateway, [call for call in one.calls if impu in ("", call.owner)], one.left_out)
        for gateway, one in found.items()
    ]
    return answer(OperatorCalls(gateways, silent))


@blueprint.post("/api/operator/calls/end")
def end_calls() -> Response:
    """End calls, on every gateway, within a second; who asked for it is in the log."""
    operator = only_operators(costs=True)
    order = body_of(EndOrder)
    if bool(order.call_id) == bool(order.impu):
        raise BadRequest("The body names call_id or impu.")
    if len(order.call_id + order.impu) > _LONGEST_NAME or not (order.call_id + order.impu).isprintable():
        raise BadRequest("This is no name of a call or of somebody.")
    remark(f"call_id={order.call_id} impu={order.impu}")
    services().commands.end_calls(call_id=order.call_id, impu=order.impu, now=time.time())
    _AUDIT.warning(
        "event=calls_ended operator=%s call_id=%s impu=%s", operator, order.call_id or "-", order.impu or "-"
    )
    return answer(order, 202)


@blueprint.get("/api/operator/counters")
def get_counters() -> Response:
    """Tell what the gateways counted."""
    only_operators()
    seen = services().relay_nodes.seen(time.time())
    return answer(OperatorCounters([GatewayCounters(name, one.counters) for name, one in seen.items()]))
