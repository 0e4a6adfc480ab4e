"""More and more calls a second until a gateway breaks: ``python -m tests.bench.ladder``.

Every rung is climbed by all, one after the other in turning order, as long as they stand.  A call counts as done when
it was answered within a second and ended as it should.  A gateway is broken where it does fewer than 97 % of what it
is offered; such a rung is tried twice, for something else may have needed the machine.  One rung beyond shows what
breaking looks like.  Who never broke has no most.  Connections are open before anything is counted.  Then the full flow
is loaded with half of what it could take, for the delay of its INVITEs: with calls that come evenly, and once more with
calls that come by chance, as people make them.

Native Kamailio passes plain calls on; Janus' page sends one JSON request for a call.  Neither reserves media before the
callee is asked, as the full flow does.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Final

import click

from tests.bench.classic import classic
from tests.bench.cpu import calibrate, machine_busy_s, tree_cpu_s
from tests.bench.janus_calls import JanusOrder, janus_calls
from tests.bench.media_load import janus
from tests.bench.most import CANNOT_CONNECT, WHO, bounded
from tests.bench.results import LoadResult, percentiles
from tests.bench.rows import ROOT, Ladder, Peer, Row, Step, hand_over
from tests.bench.runner import Callee, Mark, Mode, Plan, callee, load, orders_for
from tests.bench.targets import TARGETS, Target, TargetFactory

ID: Final = "calls"
WHAT: Final = "calls a second, signalling"
PROMPT_S: Final = 1.0
DONE_BAR: Final = 0.97
EVENLY: Final = ("flow.delay_p50", "flow.delay_p99")
CHANCE: Final = ("ladder.chance_p50", "ladder.chance_p99")
NATIVE, CLASSIC, JANUS = "native Kamailio, plain calls", "native Kamailio with rtpengine", "Janus"
OURS, FULL = WHO["ladder.signalling"], WHO["ladder.media"]
_TARGETS: Final[dict[str, TargetFactory]] = {
    NATIVE: TARGETS["native"],
    CLASSIC: classic,
    OURS: TARGETS["signalling"],
    FULL: TARGETS["full"],
}
_WITH_MEDIA: Final = frozenset({CLASSIC, FULL})
_PEERS: Final = {
    NATIVE: "half the messages, no media",
    CLASSIC: "half the messages, media at the answer",
    JANUS: "no PRACK, no UPDATE to the page",
}
_PROCESSES: Final = 2
_CONNECTIONS: Final = 60
_WARM_UP: Final = (30.0, 1.0)

Loader = Callable[[float, float, Mark], LoadResult]
"""From calls per second and seconds to what became of them."""


@dataclass(frozen=True)
class Rung:
    """What one gateway did at one rate."""

    step: Step
    cpu_ms: float
    """Of gateway and relay for each call."""
    load_share: float
    """Of the CPU time of all that took part, what went to load clients and callee."""
    delays_s: tuple[float, ...] = ()
    """From the page's INVITE to the core's, the page's own time taken out."""


@dataclass
class Climber:
    """One gateway on its ladder."""

    name: str
    pids: Sequence[int]
    loader: Loader
    """Calls come evenly."""
    by_chance: Loader | None = None
    """Calls come independently of each other; None: not of this one."""
    rungs: list[Rung] = field(default_factory=list)
    breaks: str = ""

    @property
    def best(self) -> Rung | None:
        """The highest rung on which it stood."""
        stood = (rung for rung in self.rungs if not broken(rung.step))
        return max(stood, key=lambda rung: rung.step.offered, default=None)


def broken(step: Step) -> str:
    """Say what is wrong with a rung; "" for nothing."""
    if step.done >= DONE_BAR * step.offered:
        return ""
    late = max(0.0, 1 - step.done / step.offered - step.failed)
    return f"{step.failed:.0%} failed, {late:.0%} answered after more than {PROMPT_S:g} s"


def climb(climber: Climber, far_end: Callee, rate: float, seconds: float) -> Rung:
    """Load one gateway for some seconds."""
    marks: list[tuple[float, float, float]] = []
    reports: list[tuple[dict[str, float], float]] = []

    def mark() -> None:
        marks.append((tree_cpu_s(climber.pids), machine_busy_s(), time.monotonic()))
        reports.append(far_end.report())

    seen = climber.loader(rate, seconds, mark)
    cpu_s, busy_s, elapsed_s = (after - before for before, after in zip(*marks, strict=True))
    arrivals, callee_s = reports[-1]
    times = [call.answered_at_s - call.invite_at_s for call in seen.calls]
    failed = sum(seen.failures.values())
    number = max(1, len(times) + failed)
    load_s = seen.cpu_s + callee_s
    begun_s = [call.invite_at_s for call in seen.calls]
    # Load clients that cannot keep up make their calls later, and fewer in a second.
    took_s = max(seconds, max(begun_s, default=0.0) - min(begun_s, default=0.0))
    step = Step(
        offered=round(number / took_s, 1),
        done=round(sum(time <= PROMPT_S for time in times) / took_s, 1),
        p99_ms=percentiles(times).p99 if times else None,
        failed=round(failed / number, 4),
        busy=round(min(1.0, busy_s / elapsed_s / (os.cpu_count() or 1)), 3),
    )
    delays = (arrivals[c.call_id] - c.invite_at_s - c.page_s for c in seen.calls if c.call_id in arrivals)
    cpu_ms, share = 1000 * cpu_s / max(1, len(times)), load_s / max(1e-9, load_s + cpu_s)
    return Rung(step, round(cpu_ms, 3), round(share, 3), tuple(delays))


def ascend(
    climbers: Sequence[Climber],
    far_end: Callee,
    rates: Iterator[float],
    seconds: float,
    within_s: float = 600.0,
) -> None:
    """Let all climb until each is broken and has shown it on one rung more, or the time is over.

    The time is looked at between rungs, so that whoever still stands has tried the same rates as the others.
    """
    until_s = time.monotonic() + within_s
    left = {climber.name: 1 for climber in climbers}
    for turn, rate in enumerate(rates):
        climbing = [climber for climber in climbers if left[climber.name] >= 0]
        if not climbing:
            return
        if time.monotonic() > until_s:
            click.echo("the time is over", err=True)
            return
        # The order turns so that a slow drift of the machine hits all alike.
        for climber in climbing if turn % 2 == 0 else climbing[::-1]:
            try:
                rung = climb(climber, far_end, rate, seconds)
                if broken(rung.step) and not climber.breaks:
                    again = climb(climber, far_end, rate, seconds)
                    rung = max(rung, again, key=lambda one: one.step.done)
            except RuntimeError as error:
                click.echo(f"{climber.name}: {error}", err=True)
                climber.rungs.append(Rung(Step(rate, 0, failed=1.0), 0.0, 0.0))
                climber.breaks, left[climber.name] = climber.breaks or CANNOT_CONNECT, -1
                continue
            climber.rungs.append(rung)
            what = broken(rung.step)
            if what:
                climber.breaks = climber.breaks or what
                left[climber.name] -= 1
            elif rung.step.offered < DONE_BAR * rate:
                what, left[climber.name] = "load clients can offer no more", -1
            click.echo(f"{climber.name}: {rung.step} {rung.cpu_ms} ms {what}", err=True)


def rising(first: float, factor: float, most: float) -> Iterator[float]:
    """Return the rates."""
    rate = first
    while rate <= most:
        yield rate
        rate *= factor


def gateway_loader(target: Target, *, by_chance: bool = False) -> Loader:
    """Return what loads a gateway over SIP."""
    plan = Plan((), (), connections=_CONNECTIONS, processes=_PROCESSES)
    return lambda rate, seconds, mark: load(
        orders_for(target, plan, Mode("", rate, by_chance), seconds), mark
    )


def janus_loader(port: int, callee_port: int) -> Loader:
    """Return what loads Janus."""

    def calls(rate: float, seconds: float, mark: Mark) -> LoadResult:
        order = JanusOrder(port, callee_port, rate, seconds)
        return janus_calls(replace(order, users=max(order.users, math.ceil(rate))), _PROCESSES, mark)

    return calls


@contextmanager
def climbers_of(names: Sequence[str], far_end: Callee) -> Iterator[list[Climber]]:
    """Start gateways and Janus, warm."""
    with ExitStack() as stack:
        found = []
        for name in names:
            if name == JANUS:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                running = stack.enter_context(janus.running_janus(folder))
                found.append(Climber(name, [running.pid], janus_loader(running.port, far_end.port)))
                continue
            target = stack.enter_context(_TARGETS[name](far_end.port))
            pids = (*target.gateway_pids, *(target.media_pids if name in _WITH_MEDIA else ()))
            loader, by_chance = gateway_loader(target), gateway_loader(target, by_chance=True)
            found.append(Climber(name, pids, loader, by_chance))
        for climber in found:
            climber.loader(*_WARM_UP, lambda: None)
        yield found


def halves_of(climber: Climber, far_end: Callee, seconds: float, runs: int) -> tuple[list[Rung], list[Rung]]:
    """Load one with half of what it took, in turns with calls that come evenly and by chance.

    Half of a rate at which nothing broke is less than half of what it takes, and nothing to tell.
    """
    if climber.best is None or climber.by_chance is None or not climber.breaks:
        return [], []
    rate, other = climber.best.step.offered / 2, replace(climber, loader=climber.by_chance)
    pairs = [[climb(one, far_end, rate, seconds) for one in (climber, other)] for _ in range(runs)]
    return [evenly for evenly, _ in pairs], [chance for _, chance in pairs]


def delay_rows(figures: Sequence[str], half: Sequence[Rung]) -> list[Row]:
    """Return median and p99 of the delays at half load."""
    if not half:
        return []
    seen = [percentiles(rung.delays_s) for rung in half]
    note = f"with rtpengine, at {half[0].step.offered:g} calls/s"
    share = median(rung.load_share for rung in half)
    runs = ([one.p50 for one in seen], [one.p99 for one in seen])
    return [
        Row.median(figure, of, note=note, generator=share) for figure, of in zip(figures, runs, strict=True)
    ]


def abreast(climbers: Sequence[Climber], names: Sequence[str]) -> dict[str, Rung]:
    """Return what each of those who climb did on the highest rung on which all of them stood."""
    found = [climber for climber in climbers if climber.name in names]
    for rungs in reversed(list(zip(*(climber.rungs for climber in found), strict=False))):
        if not any(broken(rung.step) for rung in rungs):
            return {climber.name: rung for climber, rung in zip(found, rungs, strict=True)}
    return {}


def ladder_of(climber: Climber) -> Ladder:
    """Return what is handed over of a climber."""
    return Ladder(
        ID, WHAT, "calls/s", climber.name, tuple(rung.step for rung in climber.rungs), climber.breaks
    )


def rows_of(climbers: Sequence[Climber], half: Sequence[Rung], chance: Sequence[Rung] = ()) -> list[Row]:
    """Return the rows."""
    best = {climber.name: climber.best for climber in climbers}
    ladders = [ladder_of(climber) for climber in climbers]

    def most(figure: str, like: Sequence[str]) -> Row:
        name = WHO[figure]
        rung = best.get(name)
        if rung is None:
            return Row.of(figure, None, note="broke on the first rung" if name in best else "left out")
        peers = [Peer(peer, other.step.done, _PEERS[peer]) for peer in like if (other := best.get(peer))]
        return bounded(Row.of(figure, rung.step.done, peers=peers, generator=rung.load_share), ladders)

    rows = [
        most("ladder.signalling", (NATIVE, JANUS)),
        most("ladder.media", (CLASSIC, JANUS)),
        cpu_row(climbers),
    ]
    return [*rows, *delay_rows(EVENLY, half), *delay_rows(CHANCE, chance)]


def cpu_row(climbers: Sequence[Climber]) -> Row:
    """Return what a call costs gateway and peers at one rate, for a call costs less where more of them come."""
    costs = abreast(climbers, (FULL, CLASSIC, JANUS))
    ours = costs.pop(FULL, None)
    if ours is None:
        return Row.of("ladder.cpu", None, note="no rung on which all stood")
    peers = [Peer(name, rung.cpu_ms, _PEERS[name]) for name, rung in costs.items()]
    note = f"at {ours.step.offered:g} calls/s, the highest rung on which all of these stood"
    return Row.of("ladder.cpu", ours.cpu_ms, peers=peers, generator=ours.load_share, note=note)


def table(climbers: Sequence[Climber]) -> str:
    """Return one line for each rung."""
    lines = [
        f"{'':30}{'offered/s':>10}{'done/s':>10}{'p99 ms':>10}{'failed':>8}{'busy':>7}{'CPU ms':>8}{'load':>7}"
    ]
    for climber in climbers:
        for rung in climber.rungs:
            step = rung.step
            lines.append(
                f"{climber.name:30}{step.offered:10.0f}{step.done:10.0f}{step.p99_ms or 0:10.1f}{step.failed:8.1%}"
                f"{step.busy or 0:7.0%}{rung.cpu_ms:8.2f}{rung.load_share:7.0%}"
            )
    return "\n".join(lines)


@click.command()
@click.option("--who", default="|".join([*_TARGETS, JANUS]), show_default=True, help="Names between bars.")
@click.option("--first", default=60.0, show_default=True, help="Calls/s of the first rung.")
@click.option("--factor", default=1.5, show_default=True, help="From rung to rung.")
@click.option(
    "--most", default=20000.0, show_default=True, help="Calls/s at which a ladder ends at the latest."
)
@click.option("--seconds", default=4.0, show_default=True, help="Length of one rung.")
@click.option("--within", default=1200.0, show_default=True, help="Seconds after which no rung is begun.")
@click.option("--halves", default=3, show_default=True, help="Runs at half load.")
def main(
    who: str, first: float, factor: float, most: float, seconds: float, within: float, halves: int
) -> None:
    """Raise the rate of calls until gateways and Janus break, print the rungs and write JSON to build/bench."""
    names = [name for name in who.split("|") if name != JANUS or janus.PROGRAM]
    unknown = sorted(set(names) - {*_TARGETS, JANUS})
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join([*_TARGETS, JANUS])}")
    if janus.PROGRAM is None:
        click.echo(f"{janus.HOW_TO_INSTALL}. Left out.")
    machine = calibrate()
    with callee() as far_end, climbers_of(names, far_end) as climbers:
        ascend(climbers, far_end, rising(first, factor, most), seconds, within)
        full = next((climber for climber in climbers if climber.name == FULL), None)
        half, chance = halves_of(full, far_end, seconds, halves) if full else ([], [])
    click.echo(machine.to_text())
    click.echo(table(climbers))
    ladders = [ladder_of(climber) for climber in climbers if climber.rungs]
    rows = rows_of(climbers, half, chance)
    for row in rows:
        click.echo(f"{row.figure.what}: {row.value} {row.figure.unit} ({row.note})")
    path = hand_over("ladder", rows, ladders, machine=machine)
    click.echo(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
