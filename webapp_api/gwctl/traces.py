"""`calls traces`, `calls trace`, `calls explain`: what a call did, message by message, and why it failed."""

from __future__ import annotations

import click
import msgspec

from kemi.core.explain.judge import explain
from kemi.core.explain.render import ladder_of, verdicts_as_text
from kemi.core.explain.verdict import Gravity, Verdict
from kemi.core.trace.entries import CallTrace
from webapp_api.gwctl.calls import calls
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, ExitCode, command, table, when


class TracedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call whose trace is kept."""

    key: str
    """Names the trace."""
    call_id: str
    impu: str
    direction: str
    """from_page or to_page."""
    peer: str
    gateway: str
    began: str
    answered: str
    """"": never."""
    ended: str
    """"": it is running."""
    by: str
    why: str
    status: int
    failed: bool
    """It failed, or somebody heard nothing; such traces are kept longer."""


class TracedCalls(msgspec.Struct, frozen=True):
    """The latest first."""

    traces: list[TracedCall]
    after: str
    """For the next page: --after; "": there is none."""


class ExplainedCall(msgspec.Struct, frozen=True):
    """A call and the verdicts on it, the gravest first."""

    key: str
    call_id: str
    impu: str
    peer: str
    began: str
    verdicts: list[Verdict]


@command(
    calls,
    "traces",
    TracedCalls,
    "calls traces --failed",
    "calls traces --impu sip:alice@ims.example.com --limit 5 --json",
)
@click.option("--impu", default="", help="Only those of this public identity.")
@click.option("--call-id", default="", help="Only those with this Call-ID.")
@click.option("--failed/--fine", default=None, help="Only those that failed, or only the others.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most."
)
@click.option("--after", default="", help="The next page: `after` of the page before.")
@pass_place
def traces(place: Place, impu: str, call_id: str, failed: bool | None, limit: int, after: str) -> Answer:
    """Show calls whose trace is kept, the latest first: refused ones, too.

    KEY: what `calls trace` and `calls explain` take for this one, where another call has the same Call-ID.
    """
    try:
        heads, following = place.services.traces.list(
            limit, impu=impu, call_id=call_id, failed=failed, after=after
        )
    except ValueError as error:
        raise click.BadParameter("not what a page before has said", param_hint="--after") from error
    found = [
        TracedCall(
            key=head.key,
            call_id=head.call_id,
            impu=head.impu,
            direction=head.direction,
            peer=head.peer,
            gateway=head.node,
            began=when(head.began_at),
            answered=when(head.answered_at),
            ended=when(head.ended_at),
            by=head.by,
            why=head.why,
            status=head.status,
            failed=head.failed,
        )
        for head in heads
    ]
    rows = [
        (
            *(one.began, one.impu, "out" if one.direction == "from_page" else "in", one.peer),
            *("FAILED" if one.failed else "fine", one.why or ("" if one.ended else "running"), one.call_id),
            one.key if one.key != one.call_id else "",
        )
        for one in found
    ]
    columns = ("BEGAN", "IMPU", "DIR", "PEER", "STATE", "WHY", "CALL-ID", "KEY")
    return Answer(TracedCalls(found, following), table(columns, rows, "no traces"))


@command(
    calls,
    "trace",
    CallTrace,
    "calls trace 5f0c2b@page.invalid",
    "calls trace 5f0c2b@page.invalid --bodies | less",
    "calls trace 5f0c2b@page.invalid --json",
)
@click.argument("call_id", metavar="CALL-ID")
@click.option(
    "--bodies", is_flag=True, help="With all messages and session descriptions, before and after the relay."
)
@pass_place
def trace(place: Place, call_id: str, bodies: bool) -> Answer:
    """Show what a call did, as a ladder of page, gateway and core. CALL-ID, or the key of a trace; times in the JSON
    are seconds since the epoch."""
    found = _trace(place, call_id)
    return Answer(found, [ladder_of(found, bodies=bodies).rstrip("\n")])


@command(
    calls,
    "explain",
    ExplainedCall,
    "call explain 5f0c2b@page.invalid",
    "call explain 5f0c2b@page.invalid --ladder",
    "call explain 5f0c2b@page.invalid --json",
)
@click.argument("call_id", metavar="CALL-ID")
@click.option("--ladder", is_flag=True, help="With the ladder of its messages above the verdicts.")
@pass_place
def explain_call(place: Place, call_id: str, ladder: bool) -> Answer:
    """Say why a call failed, or why there is no sound; exit status 1 if there is a cause.

    CALL-ID, or the key of a trace. A call that still runs is judged by what is known so far. docs/explain.md lists all
    verdicts.
    """
    found = _trace(place, call_id)
    verdicts = explain(found)
    document = ExplainedCall(found.key, found.call_id, found.impu, found.peer, when(found.began_at), verdicts)
    lines = [*([ladder_of(found)] if ladder else []), verdicts_as_text(verdicts).rstrip("\n")]
    has_cause = any(one.gravity is Gravity.CAUSE for one in verdicts)
    return Answer(document, lines, ExitCode.WRONG if has_cause else ExitCode.DONE)


def _trace(place: Place, name: str) -> CallTrace:
    found = place.services.traces.get(name)
    if found is None:
        raise click.ClickException(
            f"there is no trace of {name} (any more); `calls traces` shows which are kept"
        )
    return found
