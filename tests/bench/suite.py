"""All benches one after the other, and one table: ``python -m tests.bench.suite`` (``make bench``).

    python -m tests.bench.suite --short               # a few minutes; for a try, not for figures
    python -m tests.bench.suite --only calls,ladder

What each prints goes to build/bench/suite/NAME.log, all figures to build/bench/performance.json (the shape is
tests/bench/page/schema.json), which ``python -m tests.bench.page build/bench/performance.json`` puts on the page.

Knows the benches' names, their order and arguments. Must not know what they measure.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import click

from tests.bench.cpu import Machine, calibrate
from tests.bench.page import kept
from tests.bench.page.adapters import ADAPTERS, TEXT_ADAPTERS
from tests.bench.page.table import terminal, verdict
from tests.bench.rows import HANDED_OVER, OUTPUT, ROOT, handed_over

LOGS: Final = OUTPUT / "suite"
RESULT: Final = OUTPUT / "performance.json"
_LONGEST_S: Final = 1800.0
_ODD: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError)
"""What an adapter meets in a file of another shape."""


@dataclass(frozen=True)
class Bench:
    """One of them: what to run, and how in the short form (None: it has none)."""

    name: str
    module: str
    arguments: str = ""
    short: str | None = ""
    files: str = ""
    """Beginning of the file it writes; its name if not given. What writes none has no row."""

    def command(self, short: bool) -> list[str]:
        """Return what follows ``python``."""
        arguments = self.short if self.has(short) else None
        return ["-m", self.module, *(self.arguments if arguments is None else arguments).split()]

    def has(self, short: bool) -> bool:
        """Whether it runs in its short form where that is asked for; what has none runs as always."""
        return short and self.short is not None

    @property
    def is_here(self) -> bool:
        """Whether the module exists."""
        with contextlib.suppress(ModuleNotFoundError):
            return find_spec(self.module) is not None
        return False


_CALLS: Final = "--targets native,kemi,full,transcoding,signalling"
BENCHES: Final = (
    # Pure functions first: they take seconds.
    Bench("descriptions", "tests.bench.descriptions", short="--rounds 3 --offers 200"),
    Bench("decisions", "tests.bench.decisions", short="--calls 200 --rows 1000"),
    Bench("tokens", "tests.bench.tokens", short="--rounds 3 --checks 100"),
    Bench("routes", "tests.bench.routes", short="--lookups 5000"),
    Bench("logins", "tests.bench.logins", short="--each 100"),
    Bench("ng", "tests.bench.ng", short="--seconds 0.5"),
    # Calls, registrations, media, side by side with peers.
    Bench("calls", "tests.bench", f"{_CALLS} --rounds 3 --seconds 4", f"{_CALLS} --rounds 1 --seconds 2", files="2"),
    Bench("ladder", "tests.bench.ladder", short="--seconds 1 --factor 3 --most 600 --halves 1 --within 60"),
    Bench("full-call", "tests.bench.full_call", short="--rates 10 --rounds 1 --seconds 2 --redials 20 --pages 5"),
    Bench("registration", "tests.bench.registration", "--held 10000 --storm 10000 --rounds 3",
          "--rounds 1 --held 600 --storm 200 --seconds 2"),
    Bench("scale", "tests.bench.scale", short="--short"),
    Bench("media-load", "tests.bench.media_load", "--most 1200", "--rounds 1 --seconds 1 --most 80"),
    Bench("first-audio", "tests.bench.first_audio", short="--calls 3"),
    Bench("overload", "tests.bench.overload", short="--rounds 1 --seconds 4 --step-seconds 2 --only-with"),
    # What users notice.
    Bench("events", "tests.bench.events", short="--listeners 200 --seconds 3"),
    Bench("network-change", "tests.bench.network_change", short="--runs 1 --gone 5"),
    Bench("node-loss", "tests.bench.node_loss", short="--calls 10"),
    Bench("first-frame-chromium", "tests.bench.first_frame", short="--calls 2 --cases vp8"),
    Bench("first-frame-firefox", "tests.bench.first_frame", "--browser firefox", None),
    Bench("dtmf", "tests.bench.dtmf", short=None),
    Bench("nodes", "tests.bench.nodes", short=None),
    # What may not go wrong.
    Bench("mixed", "tests.bench.mixed", short="--calls 60 --at-once 20"),
    Bench("injection", "tests.bench.injection", short="--packets 10000"),
    Bench("restart", "tests.bench.restart", short=None),
    Bench("rolling", "tests.bench.rolling", short=None),
    Bench("sipp", "tests.sipp", "load", None),
)  # fmt: skip


def run(bench: Bench, short: bool) -> tuple[int, float]:
    """Run a bench with its output in its log; return its exit status and the seconds it took."""
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (LOGS / f"{bench.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *bench.command(short)],
            cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(_LONGEST_S)
        except BaseException as error:
            _end(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            status = process.wait()
    return status, round(time.monotonic() - began, 1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a bench stop what it started; kill it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def module_of(name: str) -> str:
    """Return the module of a bench.

    Raises:
        StopIteration: there is none of this name.
    """
    return next(bench.module for bench in BENCHES if bench.name == name)


def collected(bench: Bench, since_s: float, command: str, machine: Machine) -> dict[str, Any] | None:
    """Return what a bench handed over since a moment of the clock; None when it wrote no rows.

    Args:
        machine: as it was then, for a bench that does not say.

    Raises:
        KeyError, TypeError, ...: the file has another shape than its adapter knows.
    """
    written = [
        path for path in OUTPUT.glob(f"{bench.files or bench.name}*.json") if path.stat().st_mtime >= since_s
    ]
    if not written:
        adapt = TEXT_ADAPTERS.get(bench.name)
        rows = adapt((LOGS / f"{bench.name}.log").read_text()) if adapt else []
        return handed_over(command, rows, (), machine) if rows else None
    data = json.loads(max(written, key=lambda path: path.stat().st_mtime).read_text())
    if "rows" in data:
        return {key: data[key] for key in HANDED_OVER} | {"command": command}
    adapter = ADAPTERS.get(bench.name)
    if adapter is None:
        return None
    rows, ladders = adapter(data)
    return handed_over(command, rows, ladders, Machine(**data["machine"]))


class NoFiguresError(Exception):
    """A bench failed before it had any; the last it said."""


def last_line(log: str) -> str:
    """Return the last line of a bench's output that is not empty."""
    return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "it said nothing")


def measured(bench: Bench, short: bool) -> dict[str, Any] | None:
    """Run a bench and return what it handed over, saying how it went.

    Raises:
        NoFiguresError: it failed, and handed nothing over.
    """
    command = " ".join(["python", *bench.command(short)])
    if not bench.is_here:
        click.echo(f"{bench.name}: {bench.module} is not here")
        return None
    click.echo(f"{bench.name}: {command}", nl=False)
    machine, since_s = calibrate(), time.time()
    status, seconds = run(bench, short)
    try:
        found = collected(bench, since_s, command, machine)
    except _ODD as error:
        click.echo(f" … {seconds:.0f} s, status {status}")
        raise NoFiguresError(f"its file was not understood: {error!r}") from error
    said = f"{len(found['rows'])} figures" if found else "no figures"
    click.echo(f" … {seconds:.0f} s, {f'status {status}, ' if status else ''}{said}")
    if found is None:
        if status:
            raise NoFiguresError(last_line((LOGS / f"{bench.name}.log").read_text(errors="replace")))
        return None
    real_time = os.sched_getscheduler(0) != os.SCHED_OTHER
    return {
        **found,
        "seconds": seconds,
        "status": status,
        "short": bench.has(short),
        "real_time": real_time,
    }


@click.command()
@click.option("--short", is_flag=True, help="A few minutes: whether all runs, not how fast it is.")
@click.option("--only", default="", help=f"Comma list of {', '.join(bench.name for bench in BENCHES)}.")
@click.option("--strict", is_flag=True, help="Fail when a bar is missed, or could not be measured.")
def main(short: bool, only: str, strict: bool) -> None:
    """Run the benches, print one table, and write it as JSON to build/bench/performance.json.

    Fails when one of them failed without any figure.
    """
    names = only.split(",") if only else [bench.name for bench in BENCHES]
    unknown = sorted(set(names) - {bench.name for bench in BENCHES})
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join(bench.name for bench in BENCHES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended, too
    click.echo(calibrate().to_text())
    RESULT.unlink(missing_ok=True)
    benches: kept.Document = {}
    failed: dict[str, str] = {}
    missed: list[str] = []
    for bench in BENCHES:
        if bench.name in names and (only or not short or bench.short is not None):
            try:
                found = measured(bench, short)
            except NoFiguresError as error:
                failed[bench.name] = str(error)
                continue
            if found:
                benches[bench.name] = found
                kept.write(RESULT, benches)
            elif bench.name in ADAPTERS or bench.name in TEXT_ADAPTERS:
                missed.append(f"{bench.name}: no figures")
    click.echo(report(benches))
    if benches:
        click.echo(f"written: {RESULT.relative_to(ROOT)}")
    for name, why in failed.items():
        click.echo(f"FAILED {name}: {why} ({(LOGS / name).relative_to(ROOT)}.log)", err=True)
    missed += not_kept(benches)
    for line in missed if strict else ():
        click.echo(f"MISSED {line}", err=True)
    if failed or (strict and missed):
        raise click.exceptions.Exit(1)


def not_kept(benches: kept.Document) -> list[str]:
    """Say which bars were missed, each bench's where several measure one, or not measured, and which benches failed.

    Short forms are too small for some figures: what they did not measure is not here.
    """
    spine, others = kept.chosen(benches)
    found = [shown for shown in kept.rows_of(benches) if shown.row.is_kept is False]
    found += [
        shown
        for shown in (*spine, *others)
        if shown.row.figure.bar is not None
        and not shown.row.is_measured
        and shown.bench
        and not benches[shown.bench]["short"]
    ]
    ended = [f"{name}: status {bench['status']}" for name, bench in benches.items() if bench["status"]]
    return ended + [f"{shown.bench}: {shown.row.figure.what}: {verdict(shown.row)}" for shown in found]


def report(benches: kept.Document) -> str:
    """Return the table."""
    spine, others = kept.chosen(benches)
    return terminal([shown.row for shown in (*spine, *others)])


if __name__ == "__main__":
    main()
