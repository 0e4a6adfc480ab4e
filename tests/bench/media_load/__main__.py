"""Command line: `python -m tests.bench.media_load`; about two minutes and a half."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from tests.bench.cpu import calibrate, machine_busy_s, tree_cpu_s
from tests.bench.media_load import janus
from tests.bench.media_load.relays import Relay, janus_relay, passing_gateway, transcoding_gateway
from tests.bench.media_load.streams import CORE_HZ, PTIME_S, WEB_HZ, Flow, Generator
from tests.bench.report import Bar, aligned

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
PASSING: Final = "rtpengine, Opus"
JANUS: Final = "Janus, Opus"
RELAYS: Final[dict[str, Callable[[int], AbstractContextManager[Relay]]]] = {
    PASSING: passing_gateway,
    JANUS: janus_relay,
    "rtpengine, Opus/AMR-WB": transcoding_gateway,
}
BUSY_BAR: Final = 0.80
LOSS_BAR: Final = 0.0001
RATIO_BAR: Final = 2.0
"""Calls held, of Janus'."""
PACKETS_PER_CALL_S: Final = 2 / PTIME_S
_NEAR_HZ: Final = 10
_WARM_UP_S: Final = 0.6
_IDLE_S: Final = 1.0
_LATE_S: Final = 0.1
"""A generator that is later than this at worst did not keep its pace."""
_GROWTH: Final = 2.0
_AIM: Final = 0.97
"""The last step of a ramp aims a little below the bar."""


@dataclass(frozen=True)
class Step:
    """So many calls for some seconds. CPU in cores."""

    relay: str
    calls: int
    to_core: Flow
    to_page: Flow
    relay_cores: float
    idle_cores: float
    """What the relay takes without a call."""
    generator_cores: float
    machine_busy: float
    """Share of all cores, whoever used them."""
    late_ms: float
    broken: int
    """Packets that were not authentic."""
    tones_hz: tuple[int, int]
    """What core and page heard in the first call."""

    @property
    def percent_per_call(self) -> float:
        """Percent of a core for each call."""
        return 100 * self.relay_cores / self.calls

    @property
    def net_percent_per_call(self) -> float:
        """The same without what the relay takes anyhow."""
        return 100 * (self.relay_cores - self.idle_cores) / self.calls

    @property
    def us_per_packet(self) -> float:
        """CPU for each packet that the relay was sent, in microseconds."""
        return self.percent_per_call * 1e4 / PACKETS_PER_CALL_S

    @property
    def busy(self) -> float:
        """Share of all cores that relay and generator used."""
        return (self.relay_cores + self.generator_cores) / (os.cpu_count() or 1)

    @property
    def loss(self) -> float:
        """Of the worse direction."""
        return max(self.to_core.loss, self.to_page.loss)

    @property
    def is_heard(self) -> bool:
        """Whether both ends heard the other's tone, and nothing else was taken for it."""
        core, page = self.tones_hz
        return abs(core - WEB_HZ) < _NEAR_HZ and abs(page - CORE_HZ) < _NEAR_HZ and not self.broken

    @property
    def limit(self) -> str:
        """Say what ends a ramp here; "" for nothing."""
        if self.loss > LOSS_BAR:
            return f"loss {self.loss:.3%}"
        if self.busy >= BUSY_BAR:
            return f"{self.busy:.0%} busy"
        return f"generator {self.late_ms:.0f} ms late" if self.late_ms > 1000 * _LATE_S else ""


class Running:
    """A relay and its calls."""

    def __init__(self, name: str, relay: Relay) -> None:
        self.name, self._relay = name, relay
        self._generator = Generator()
        self._idle_cores = self._idle()

    def step(self, calls: int, seconds: float) -> Step:
        """Add calls until there are so many, and measure."""
        generator = self._generator
        while len(generator.calls) < calls:
            generator.add(self._relay.set_up())
        generator.run(_WARM_UP_S)
        generator.forget()
        began, own_s, busy_s = time.monotonic(), time.process_time(), machine_busy_s()
        relay_s = tree_cpu_s([self._relay.pid])
        used: list[float] = []

        def sent() -> None:
            used.extend(
                (
                    time.monotonic() - began,
                    tree_cpu_s([self._relay.pid]) - relay_s,
                    time.process_time() - own_s,
                    machine_busy_s() - busy_s,
                )
            )

        generator.run(seconds, sent)
        elapsed_s, relay_s, own_s, busy_s = used
        to_core, to_page = generator.flows()
        return Step(
            self.name,
            calls,
            to_core,
            to_page,
            round(relay_s / elapsed_s, 4),
            self._idle_cores,
            round(own_s / elapsed_s, 4),
            round(busy_s / elapsed_s / (os.cpu_count() or 1), 3),
            round(1000 * generator.late_s, 1),
            sum(call.broken for call in generator.calls),
            generator.calls[0].heard(),
        )

    def close(self) -> None:
        """End the calls."""
        self._generator.close()

    def _idle(self) -> float:
        before_s = tree_cpu_s([self._relay.pid])
        time.sleep(_IDLE_S)
        return round((tree_cpu_s([self._relay.pid]) - before_s) / _IDLE_S, 4)


def ramp(running: Running, calls: int, seconds: float, most: int) -> list[Step]:
    """Take more and more calls until there is a limit; the last step shows it, unless `most` came before.

    A step that lost packets or came late is measured once more: something else may have needed the machine.
    """
    steps: list[Step] = []
    while True:
        step = running.step(calls, seconds)
        if step.limit and step.busy < BUSY_BAR:
            step = running.step(calls, seconds)
        steps.append(step)
        if step.limit or calls >= most:
            return steps
        aimed = int(calls * min(_GROWTH, _AIM * BUSY_BAR / max(step.busy, 0.01)))
        calls = min(most, max(calls + calls // 20 + 1, aimed))


def text(steps: Sequence[Step]) -> str:
    """Return the steps as a table."""
    head = [
        "relay",
        "calls",
        "% of a core/call",
        "net",
        "us/packet",
        "generator %",
        "both busy",
        "machine busy",
    ]
    rows = [[*head, "loss to core", "to page", "jitter ms", "late ms", "limit"]]
    for step in steps:
        rows.append(
            [step.relay, str(step.calls), f"{step.percent_per_call:.2f}", f"{step.net_percent_per_call:.2f}"]
            + [f"{step.us_per_packet:.1f}"]
            + [f"{100 * step.generator_cores:.0f}", f"{step.busy:.0%}", f"{step.machine_busy:.0%}"]
            + [f"{flow.loss:.3%}" for flow in (step.to_core, step.to_page)]
            + [
                f"{max(step.to_core.jitter_ms, step.to_page.jitter_ms):.1f}",
                f"{step.late_ms:.0f}",
                step.limit,
            ]
        )
    return aligned(rows)


def best_of(steps: Sequence[Step]) -> Step | None:
    """Return the step of a ramp that held most calls; None where it held none."""
    return max((step for step in steps if not step.limit), key=lambda step: step.calls, default=None)


def held(ramps: dict[str, list[Step]]) -> list[str]:
    """Say how many calls each relay held, and what it would hold alone."""
    lines = []
    for name, steps in ramps.items():
        best = best_of(steps)
        if best is None:
            lines.append(f"{name}: not even {steps[0].calls} calls ({steps[0].limit})")
            continue
        alone = int(BUSY_BAR * (os.cpu_count() or 1) / best.relay_cores * best.calls)
        lines.append(
            f"{name}: held {best.calls} calls with relay and generator on {best.busy:.0%} of the cores,"
            f" {best.us_per_packet:.1f} us a packet (next: {steps[-1].limit or 'not tried'}); the relay alone,"
            f" extrapolated: {alone}"
        )
    return lines


def ratio_bar(ramps: dict[str, list[Step]]) -> list[Bar]:
    """Judge calls held against Janus; nothing where one of the two was left out."""
    ours, theirs = (best_of(ramps.get(name, [])) for name in (PASSING, JANUS))
    if theirs is None:
        return []
    ratio = (ours.calls if ours else 0) / theirs.calls
    return [Bar(f"calls held, Opus passed on, at least {RATIO_BAR:g} x Janus", ratio, ratio >= RATIO_BAR)]


def costs(steps: Sequence[Step]) -> list[str]:
    """Say what a call costs: medians of the steps that took turns."""
    found: dict[str, list[float]] = {}
    for step in steps:
        found.setdefault(step.relay, []).append(step.percent_per_call)
    lines = []
    for name, percents in found.items():
        percent = statistics.median(percents)
        microseconds = percent * 1e4 / PACKETS_PER_CALL_S
        lines.append(f"{name}: {percent:.2f} % of a core for a call, {microseconds:.0f} us a packet")
    return lines


def bars(steps: Sequence[Step]) -> list[Bar]:
    """Return whether media ran as it should where CPU was measured."""
    found = []
    for name in dict.fromkeys(step.relay for step in steps):
        own = [step for step in steps if step.relay == name]
        deaf, loss = sum(not step.is_heard for step in own), max(step.loss for step in own)
        found.append(
            Bar(
                f"{name}: steps in which an end did not hear the other, or a packet was no good",
                deaf,
                not deaf,
            )
        )
        found.append(Bar(f"{name}: loss at most {LOSS_BAR:.2%}, in percent", 100 * loss, loss <= LOSS_BAR))
    return found


@contextmanager
def running_relay(name: str, most: int) -> Iterator[Running]:
    """Run one with ports for so many calls."""
    with RELAYS[name](most) as relay, closing(Running(name, relay)) as running:
        yield running


def by_turns(names: Sequence[str], calls: int, rounds: int, seconds: float) -> list[Step]:
    """Run all relays side by side, one of them with media at a time."""
    steps = []
    with ExitStack() as stack:
        running = [stack.enter_context(running_relay(name, calls)) for name in names]
        for number in range(rounds):
            # The order turns so that a slow drift of the machine hits all alike.
            for one in running if number % 2 == 0 else running[::-1]:
                steps.append(one.step(calls, seconds))
                click.echo(
                    f"round {number + 1}: {one.name} {steps[-1].percent_per_call:.2f} %/call", err=True
                )
    return steps


def ramps_of(names: Sequence[str], calls: int, seconds: float, most: int) -> dict[str, list[Step]]:
    """Run one relay after the other, as far as it goes."""
    ramps = {}
    for name in names:
        click.echo(f"ramp: {name}", err=True)
        with running_relay(name, most) as running:
            ramps[name] = ramp(running, calls, seconds, most)
    return ramps


def to_json(step: Step) -> dict[str, Any]:
    """Return plain data, with what follows from it."""
    return {
        **asdict(step),
        "us_per_packet": round(step.us_per_packet, 2),
        "busy": round(step.busy, 3),
        "limit": step.limit,
    }


@click.command()
@click.option("--calls", default=20, show_default=True, help="Calls of the steps whose CPU is compared.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Length of one step.")
@click.option(
    "--most",
    default=1000,
    show_default=True,
    help="Where a ramp ends at the latest; 0: no ramps.",
)
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(calls: int, rounds: int, seconds: float, most: int, strict: bool) -> None:
    """Run calls through rtpengine and Janus, print what they cost and how many fit, and write JSON to build/bench."""
    machine = calibrate()
    names = [name for name in RELAYS if janus.PROGRAM or "Janus" not in name]
    if janus.PROGRAM is None:
        click.echo(f"{janus.HOW_TO_INSTALL}. Left out.")
    fixed = by_turns(names, calls, rounds, seconds)
    ramps = ramps_of(names, calls, seconds, most) if most else {}
    click.echo(machine.to_text())
    click.echo(text([*fixed, *(step for steps in ramps.values() for step in steps)]))
    for line in (*costs(fixed), *held(ramps)):
        click.echo(line)
    judged = [*bars(fixed), *ratio_bar(ramps)]
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"media-load-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    figures = {
        "machine": asdict(machine),
        "fixed": [to_json(step) for step in fixed],
        "ramps": {name: [to_json(step) for step in steps] for name, steps in ramps.items()},
        "held": {name: best.calls if (best := best_of(steps)) else 0 for name, steps in ramps.items()},
    }
    path.write_text(json.dumps(figures, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
