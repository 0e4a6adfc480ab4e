"""/api/operator/calls: running calls of all gateways, and their end; and what gateways counted.

For accounts with the role of an operator.
"""

import logging
import time

import msgspec
from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from kemi.state.call_questions import DIALOGS, DIRECTIONS, CallQuestion, place_from_text, place_to_text
from kemi.state.running_calls import LiveCall
from webapp_api import log_lines, queries
from webapp_api.audit import remark
from webapp_api.bodies import answer, body_of
from webapp_api.gate import stepped_aside
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_calls", __name__)
_AUDIT = logging.getLogger("webapp_api.audit")
_LONGEST_S = 1e9
_OF_CALL = LiveCall.__struct_fields__


class OperatorCall(LiveCall, frozen=True, kw_only=True):
    """A running call, as one gateway has it: a page that calls a page is two."""

    gateway: str


class CallsOfGateway(msgspec.Struct, frozen=True):
    """How many calls a gateway has that fit the filters."""

    gateway: str
    total: int
    at: float
    """When, by its clock, in seconds since the epoch; 0: it does not say."""


class OperatorCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Running calls, the latest first.

    A call that runs from the first page to the last is on one of them, whatever begins or ends meanwhile; what began
    after the first page is on no later one.
    """

    calls: list[OperatorCall]
    total: int
    """How many fit the filters, on all pages."""
    next: str
    """Cursor of what follows, "" at the end."""
    gateways: list[CallsOfGateway]
    silent: list[str]
    """Gateways that did not answer in time: their calls are missing."""


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
    """Tell which calls are running that fit the filters, with both legs and how their media are."""
    only_operators(costs=True)
    now = time.time()
    running, question = services().running_calls, _question(now)
    with stepped_aside():
        found = running.page(now, question)
    calls = [
        OperatorCall(gateway=gateway, **{name: getattr(call, name) for name in _OF_CALL})
        for gateway, call in found.calls
    ]
    gateways = [CallsOfGateway(name, total, at) for name, (total, at) in found.totals.items()]
    return answer(
        OperatorCalls(
            calls=calls,
            total=sum(one.total for one in gateways),
            next=queries.cursor_of(place_to_text(found.following)) if found.following is not None else "",
            gateways=gateways,
            silent=found.silent,
        )
    )


def _question(now: float) -> CallQuestion:
    cursor = queries.cursor()
    try:
        after = place_from_text(cursor) if cursor is not None else None
    except ValueError as error:
        raise BadRequest("cursor is not one of ours.") from error
    impu, older_s = queries.identity(), queries.number("older_s", 0.0, 0.0, _LONGEST_S)
    return CallQuestion(
        impus=(impu,) if impu else (),
        party=queries.text("party"),
        call_id=queries.text("call_id", queries.LONGEST_CALL_ID),
        direction=queries.choice("direction", DIRECTIONS),
        dialog=queries.choice("dialog", DIALOGS),
        gateway=queries.text("gateway"),
        node=queries.text("node"),
        trunk=queries.text("trunk"),
        begun_until=now - older_s if older_s else None,
        after=after,
        limit=queries.limit(),
    )


@blueprint.post("/api/operator/calls/end")
def end_calls() -> Response:
    """End calls, on every gateway, within a second; who asked for it is in the log."""
    operator = only_operators(costs=True)
    order = body_of(EndOrder)
    if bool(order.call_id) == bool(order.impu):
        raise BadRequest("The body names call_id or impu.")
    if not (order.call_id + order.impu).isprintable():
        raise BadRequest("This is no name of a call or of somebody.")
    remark(f"call_id={order.call_id} impu={order.impu}")
    services().commands.end_calls(call_id=order.call_id, impu=order.impu, now=time.time())
    _AUDIT.warning(
        "event=calls_ended operator=%s call_id=%s impu=%s",
        *(operator, log_lines.value(order.call_id), log_lines.value(order.impu)),
    )
    return answer(order, 202)


@blueprint.get("/api/operator/counters")
def get_counters() -> Response:
    """Tell what the gateways counted."""
    only_operators()
    seen = services().relay_nodes.seen(time.time())
    return answer(OperatorCounters([GatewayCounters(name, one.counters) for name, one in seen.items()]))
