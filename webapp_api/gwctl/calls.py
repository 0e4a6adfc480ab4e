"""`calls`: which are running, which were, their end."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from kemi.state.call_history import FinishedCall, is_asked_about
from kemi.state.call_questions import DIALOGS, DIRECTIONS, CallQuestion, place_from_text, place_to_text
from kemi.state.running_calls import MOST_CALLS, LiveLeg
from kemi.state.web.client import StateRefused
from webapp_api.gwctl.audit import note_change
from webapp_api.gwctl.place import Place, pass_place
from webapp_api.gwctl.program import Answer, ExitCode, Group, command, table, when


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
    """Running calls, the latest first."""

    calls: list[Call]
    totals: dict[str, int]
    """Gateway -> how many it has that fit the options, on all pages."""
    next: str
    """For the next page: --cursor; "": there is none."""
    silent: list[str]
    """Gateways that did not answer in time."""


class EndedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls every gateway was told to end."""

    call_id: str
    impu: str
    calls: int | None
    """How many there were at the gateways that answered, a page that calls a page counts twice; None: nobody could be
    asked."""
    silent: list[str]
    """Gateways that did not answer in time."""


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
    "calls list --party +4930123",
    "calls list --trunk acme --state confirmed --older-than 3600",
    "calls list --node 192.0.2.1:2223 --limit 1000 --json",
)
@click.option("--impu", default="", help="Only those of this public identity, in any spelling.")
@click.option("--party", default="", help="Only those with this in the identity or number of either side.")
@click.option("--call-id", default="", help="Only those with this Call-ID.")
@click.option("--direction", type=click.Choice(DIRECTIONS), default=None, help="out: the page calls.")
@click.option("--state", type=click.Choice(DIALOGS), default=None, help="Of the dialog with the page.")
@click.option("--gateway", default="", help="Only those of this gateway.")
@click.option("--node", default="", help="Only those whose media is on this relay node.")
@click.option("--trunk", default="", help="Only those over this trunk.")
@click.option(
    "--older-than", type=click.FloatRange(0), default=0.0, help="Only those that began so many seconds ago."
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_CALLS),
    default=100,
    show_default=True,
    help="How many at most.",
)
@click.option("--cursor", default="", help="Go on where a page ended: its `next`.")
@pass_place
def list_calls(
    place: Place,
    impu: str,
    party: str,
    call_id: str,
    direction: str | None,
    state: str | None,
    gateway: str,
    node: str,
    trunk: str,
    older_than: float,
    limit: int,
    cursor: str,
) -> Answer:
    """Show running calls, the latest first; exit status 3 when a gateway does not answer.

    PAGE and FAR: what that side hears, as MOS/loss in percent/jitter/round trip in ms; - is what nobody has told.
    """
    now = time.time()
    try:
        after = place_from_text(cursor) if cursor else None
    except ValueError as error:
        raise click.BadParameter("`next` of the page before", param_hint="--cursor") from error
    question = CallQuestion(
        impus=(impu,) if impu else (),
        party=party,
        call_id=call_id,
        direction=direction or "",
        dialog=state or "",
        gateway=gateway,
        node=node,
        trunk=trunk,
        begun_until=now - older_than if older_than else None,
        after=after,
        limit=limit,
    )
    told = running_calls(place, now, question)
    rows = [
        (
            *(call.impu, call.direction, call.peer, call.state, ",".join(call.kinds), call.since),
            *(_quality(call.page), _quality(call.far), call.gateway, call.call_id),
        )
        for call in told.calls
    ]
    columns = ("IMPU", "DIR", "PEER", "STATE", "MEDIA", "SINCE", "PAGE", "FAR", "GATEWAY", "CALL-ID")
    remarks = [f"{sum(told.totals.values())} calls fit; go on with --cursor {told.next}"] if told.next else []
    remarks += [f"{name} does not answer" for name in told.silent]
    return Answer(told, table(columns, rows, "no calls"), 3 if told.silent else 0, remarks)


def _quality(leg: LiveLeg) -> str:
    """Say in one word what a side hears."""
    sound = leg.media.get("audio")
    if sound is None:
        return "-"
    figures = (sound.mos, sound.loss_percent, sound.jitter_ms, sound.round_trip_ms)
    mos, *others = ("-" if figure is None else f"{figure:.1f}" for figure in figures)
    return "/".join([f"{mos}(estimated)" if sound.mos_source == "estimated" else mos, *others])


def running_calls(place: Place, now: float, question: CallQuestion) -> Calls:
    """Ask the gateways."""
    found = place.services.running_calls.page(now, question)
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
            for gateway, call in found.calls
        ],
        totals={gateway: total for gateway, (total, _) in found.totals.items()},
        next="" if found.following is None else place_to_text(found.following),
        silent=found.silent,
    )


def calls_unless_refused(place: Place, now: float, question: CallQuestion) -> tuple[Calls | None, str]:
    """Ask the gateways; None, and why, where Redis is full or a replica: to ask is to write."""
    try:
        return running_calls(place, now, question), ""
    except StateRefused as error:
        return None, str(error)


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
    """End calls within a second; both sides hear why. Who may go on calling does so: end the session too.

    Exit status 1 when no gateway has such a call, 3 when one does not answer.
    """
    if not (impu or call_id):
        raise click.UsageError("say which: --impu or --call-id")
    now = time.time()
    question = CallQuestion(impus=(impu,) if impu else (), call_id=call_id, limit=1)
    found, refused = calls_unless_refused(place, now, question)
    place.services.commands.end_calls(impu=impu, call_id=call_id, now=time.time())
    whose = f" of {impu}" if impu else ""
    what = f"call {call_id}{whose}" if call_id else f"the calls{whose}"
    if found is None:
        told = EndedCalls(call_id=call_id, impu=impu, calls=None, silent=[])
        return Answer(told, [f"every node ends {what}"], remarks=[f"how many is not known: {refused}"])
    number = sum(found.totals.values())
    told = EndedCalls(call_id=call_id, impu=impu, calls=number, silent=found.silent)
    if not number and not found.silent:
        return Answer(told, [f"no gateway has {what}"], ExitCode.WRONG)
    remarks = [f"{name} does not answer: what it has is not counted" for name in found.silent]
    code = ExitCode.AWAY if found.silent else ExitCode.DONE
    return Answer(told, [f"every node ends {what}: {number}"], code, remarks)


@command(
    calls,
    "history",
    PastCalls,
    "calls history",
    "calls history --failed --limit 20",
    "calls history --impu sip:alice@ims.example.com --json",
)
@click.option("--impu", default="", help="Only those of this public identity.")
@click.option(
    "--failed",
    is_flag=True,
    help="Only those that were refused or got no answer, those that the gateway had to end, and those in which a side "
    "sent no sound.",
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most."
)
@click.option("--before", default="", help="The next page: `before` of the page before.")
@pass_place
def history(place: Place, impu: str, failed: bool, limit: int, before: str) -> Answer:
    """Show calls that are over, the latest first; they are kept for calls_kept_s (a week by default)."""
    try:
        found, following = place.services.finished_calls.page(
            limit,
            impus=[impu] if impu else None,
            after=before,
            fits=lambda call: not failed or is_asked_about(call),
        )
    except ValueError as error:
        raise click.BadParameter("not what a page before has said", param_hint="--before") from error
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
    return Answer(PastCalls(past, following), table(columns, rows, "no finished calls"))


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
