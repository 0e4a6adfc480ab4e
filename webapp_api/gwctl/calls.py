"""`calls`: which are running, which were, their end."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from kemi.state.call_history import FinishedCall
from kemi.state.running_calls import LiveLeg
from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, Group, command, table, when


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A running call, as one gateway has it: a page that calls a page is two."""

    key: str
    call_id: str
    impu: str
    """Public identity of the page."""
    direction: str
    """out: the page calls; in: it is called."""
    peer: str
    kinds: list[str]
    state: str
    """none, early or confirmed."""
    since: str
    gateway: str
    node: str
    """Its media relay node."""
    page: LiveLeg
    far: LiveLeg
    """The other side: behind the core, or behind a trunk."""


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """Running calls."""

    calls: list[Call]
    left_out: dict[str, int]
    """Gateway -> how many more it has."""
    silent: list[str]
    """Gateways that did not answer in time."""


class EndedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls every gateway was told to end."""

    call_id: str
    impu: str


class PastCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is over."""

    id: str
    key: str
    call_id: str
    impu: str
    direction: str
    """from_page or to_page."""
    peer: str
    began: str
    answered: str
    """"": never."""
    ended: str
    duration_s: float
    by: str
    why: str
    status: int
    """SIP status of a call that was not answered, else 0."""
    gateway: str
    node: str
    media: dict[str, Any]
    """Medium -> figures of both legs, as /api/operator has them."""


class PastCalls(msgspec.Struct, frozen=True):
    """The latest first."""

    calls: list[PastCall]
    before: str
    """For the next page: --before; "": there is none."""


@click.group(cls=Group)
def calls() -> None:
    """Calls of all gateways: running ones and finished ones, and why one failed."""


@command(
    calls,
    "list",
    Calls,
    "calls list",
    "calls list --impu sip:alice@ims.example.com",
    "calls list --node 192.0.2.1:2223 --json",
)
@click.option("--impu", default="", help="Only those of this public identity.")
@click.option("--gateway", default="", help="Only those of this gateway.")
@click.option("--node", default="", help="Only those whose media is on this relay node.")
@pass_place
def list_calls(place: Place, impu: str, gateway: str, node: str) -> Answer:
    """Show running calls; exit status 3 when a gateway does not answer.

    PAGE and FAR: what that side hears, as MOS/loss in percent/jitter/round trip in ms; - is what nobody has told.
    """
    told = running_calls(place)
    found = [
        call
        for call in told.calls
        if impu in ("", call.impu) and gateway in ("", call.gateway) and node in ("", call.node)
    ]
    rows = [
        (
            *(call.impu, call.direction, call.peer, call.state, ",".join(call.kinds), call.since),
            *(_quality(call.page), _quality(call.far), call.gateway, call.call_id),
        )
        for call in found
    ]
    columns = ("IMPU", "DIR", "PEER", "STATE", "MEDIA", "SINCE", "PAGE", "FAR", "GATEWAY", "CALL-ID")
    remarks = [f"{name} has {number} more calls" for name, number in told.left_out.items()]
    remarks += [f"{name} does not answer" for name in told.silent]
    document = msgspec.structs.replace(told, calls=found)
    return Answer(document, table(columns, rows, "no calls"), 3 if told.silent else 0, remarks)


def _quality(leg: LiveLeg) -> str:
    """Say in one word what a side hears."""
    sound = leg.media.get("audio")
    if sound is None:
        return "-"
    figures = (sound.mos, sound.loss_percent, sound.jitter_ms, sound.round_trip_ms)
    return "/".join("-" if figure is None else f"{figure:.1f}" for figure in figures)


def running_calls(place: Place) -> Calls:
    """Ask all gateways."""
    answers, silent = place.services.running_calls.ask(time.time())
    return Calls(
        calls=[
            Call(
                key=call.key,
                call_id=call.call_id,
                impu=call.owner,
                direction=call.direction,
                peer=call.peer,
                kinds=call.kinds,
                state=call.dialog,
                since=when(call.since),
                gateway=gateway,
                node=call.node,
                page=call.page,
                far=call.far,
            )
            for gateway, answer in answers.items()
            for call in answer.calls
        ],
        left_out={gateway: answer.left_out for gateway, answer in answers.items() if answer.left_out},
        silent=silent,
    )


@command(
    calls,
    "end",
    EndedCalls,
    "calls end --call-id 5f0c2b@page.invalid",
    "calls end --impu sip:bob@ims.example.com",
    note=note_change,
)
@click.option("--impu", default="", help="Every call of this public identity, made or answered.")
@click.option("--call-id", default="", help="The call with this Call-ID.")
@pass_place
def end_calls(place: Place, impu: str, call_id: str) -> Answer:
    """End calls within a second; both sides hear why. Who may go on calling does so: end the session too."""
    if not (impu or call_id):
        raise click.UsageError("say which: --impu or --call-id")
    place.services.commands.end_calls(impu=impu, call_id=call_id, now=time.time())
    whose = f" of {impu}" if impu else ""
    what = f"call {call_id}{whose}" if call_id else f"the calls{whose}"
    return Answer(EndedCalls(call_id=call_id, impu=impu), [f"every node ends {what}"])


@command(
    calls,
    "history",
    PastCalls,
    "calls history",
    "calls history --failed --limit 20",
    "calls history --impu sip:alice@ims.example.com --json",
)
@click.option("--impu", default="", help="Only those of this public identity.")
@click.option("--failed", is_flag=True, help="Only those that were not answered, or that the gateway ended.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most."
)
@click.option("--before", default="", help="Only those that ended before: `before` of the page before.")
@pass_place
def history(place: Place, impu: str, failed: bool, limit: int, before: str) -> Answer:
    """Show calls that are over, the latest first; they are kept for calls_kept_s (a week by default)."""
    until: float | None = None
    if before:
        try:
            until = float(before)
        except ValueError as error:
            raise click.BadParameter(
                "seconds since the epoch, as the page before says", param_hint="--before"
            ) from error
    found: list[FinishedCall] = []
    more = True
    while more and len(found) < limit:
        page = place.services.finished_calls.latest(limit, impu=impu, before=until)
        more = len(page) == limit
        for call in page:
            if len(found) == limit:
                break
            until = call.ended_at
            if not failed or has_failed(call):
                found.append(call)
    past = [_past(call) for call in found]
    rows = [
        (
            *(call.ended, call.impu, "out" if call.direction == "from_page" else "in", call.peer),
            *(
                f"{call.duration_s:.0f} s" if call.answered else call.status or "-",
                call.by,
                call.why,
                call.call_id,
            ),
        )
        for call in past
    ]
    columns = ("ENDED", "IMPU", "DIR", "PEER", "LASTED", "BY", "WHY", "CALL-ID")
    document = PastCalls(past, repr(until) if len(found) == limit and until is not None else "")
    return Answer(document, table(columns, rows, "no finished calls"))


def has_failed(call: FinishedCall) -> bool:
    """Whether nobody talked, or the gateway had to end it; who hung up before an answer has not failed."""
    return call.by == "gateway" or (not call.answered_at and call.by != "page")


def _past(call: FinishedCall) -> PastCall:
    return PastCall(
        id=call.id,
        key=call.key,
        call_id=call.call_id,
        impu=call.impu,
        direction=call.direction,
        peer=call.peer,
        began=when(call.began_at),
        answered=when(call.answered_at),
        ended=when(call.ended_at),
        duration_s=call.duration_s,
        by=call.by,
        why=call.why,
        status=call.status,
        gateway=call.node,
        node=call.relay,
        media=call.media,
    )
