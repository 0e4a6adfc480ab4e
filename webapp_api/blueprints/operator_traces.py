"""/api/operator/traces: what calls did, message by message.

For accounts with the role of an operator.
"""

import dataclasses
from typing import Any

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, NotFound

from kemi.core.explain.judge import explain
from kemi.core.explain.verdict import Gravity, Verdict
from kemi.core.trace.entries import CallTrace, What
from kemi.state.traces import TraceHead
from webapp_api import queries
from webapp_api.bodies import answer
from webapp_api.services import only_operators, services

blueprint = Blueprint("operator_traces", __name__)


class TracedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One traced call.  Times are in seconds since the epoch."""

    key: str
    """Names the trace."""
    call_id: str
    """SIP Call-ID."""
    impu: str
    """Public identity of the page; of a call that was refused before that was known, what the caller says."""
    peer: str
    direction: str
    """from_page or to_page."""
    node: str
    """The gateway."""
    began_at: float
    answered_at: float
    """0: never."""
    ended_at: float
    """0: it is running."""
    by: str
    """Who ended it: page, core or gateway."""
    why: str
    status: int
    """SIP status of a call that was not answered, else 0."""
    relay: str
    """The media relay node."""
    failed: bool
    """It failed, or somebody heard nothing; such traces are kept longer."""


class TracedCalls(msgspec.Struct, frozen=True):
    """Traced calls, the latest first."""

    traces: list[TracedCall]
    next: str
    """``after`` of what follows, "" at the end.  A page may have few calls, or none, and others still follow."""


class TraceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened; see kemi/core/trace/entries.py."""

    at: float
    what: What
    leg: str
    incoming: bool
    name: str
    why: str
    values: dict[str, Any]
    text: str
    result: str


class TraceVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Why a call failed or had no sound, in plain words; docs/explain.md has all of them."""

    code: str
    gravity: Gravity
    says: str
    because: list[str]
    """What in the trace shows it."""
    do: str
    """What to do about it, and who; may be empty."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A traced call with everything that is known of it."""

    key: str
    call_id: str
    impu: str
    peer: str
    direction: str
    node: str
    began_at: float
    answered_at: float
    ended_at: float
    by: str
    why: str
    status: int
    relay: str
    media: dict[str, dict[str, Any]]
    """Of audio and video: figures of both legs at the end, or why there are none."""
    left_out: int
    """Entries that were not kept."""
    entries: list[TraceEntry]
    verdicts: list[TraceVerdict]
    """The gravest first; of a running call what is known so far."""


@blueprint.get("/api/operator/traces")
def get_traces() -> Response:
    """Tell which traced calls there are."""
    only_operators(costs=True)
    failed = queries.choice("failed", ("true", "false"))
    try:
        found, following = services().traces.list(
            queries.limit(),
            impu=queries.identity(),
            call_id=queries.text("call_id", queries.LONGEST_CALL_ID),
            failed=None if not failed else failed == "true",
            after=request.args.get("after", ""),
        )
    except ValueError as error:
        raise BadRequest("after is not one of ours.") from error
    return answer(TracedCalls([_traced(head) for head in found], following))


@blueprint.get("/api/operator/trace")
def get_trace() -> Response:
    """Return a trace by its key, or the latest of a Call-ID, of which a path cannot name each: "/x", ".."."""
    only_operators(costs=True)
    return _trace(queries.text("key", queries.LONGEST_CALL_ID))


@blueprint.get("/api/operator/traces/<path:key>")
def get_trace_by_path(key: str) -> Response:
    """Return a trace, as clients of before ask for it."""
    only_operators(costs=True)
    return _trace(key)


def _trace(key: str) -> Response:
    trace = services().traces.get(key)
    if trace is None:
        raise NotFound("No trace has this name (any more).")
    return answer(_document(trace))


def _document(trace: CallTrace) -> Trace:
    fields = {field.name: getattr(trace, field.name) for field in dataclasses.fields(trace)}
    entries = [
        TraceEntry(**{field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)})
        for entry in trace.entries
    ]
    return Trace(**{**fields, "entries": entries, "verdicts": _verdicts(trace)})


def _verdicts(trace: CallTrace) -> list[TraceVerdict]:
    def told(verdict: Verdict) -> TraceVerdict:
        return TraceVerdict(
            code=verdict.code,
            gravity=verdict.gravity,
            says=verdict.says,
            because=list(verdict.because),
            do=verdict.do,
        )

    return [told(verdict) for verdict in explain(trace)]


def _traced(head: TraceHead) -> TracedCall:
    return TracedCall(**{name: getattr(head, name) for name in TracedCall.__struct_fields__})
