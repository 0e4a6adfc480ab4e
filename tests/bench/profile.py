"""Where the time of a full flow goes: `python -m tests.bench.profile`.

Three runs of the same load.  The first one, undisturbed, says what each kind of process costs for a call; py-spy says
which Python functions the SIP workers were in, perf which libraries and C functions.  A sample's share of its run,
times the CPU for each call of the first one, is printed as µs for each call.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import tree_cpu_s
from tests.bench.report import aligned
from tests.bench.runner import CLOSED_LOOP, Callee, Mode, Plan, callee, load, measure, orders_for
from tests.bench.stacks import Samples, add_leaves, add_stacks, dearest
from tests.bench.targets import TARGETS, Target

OUTPUT: Final = Path(__file__).parents[2] / "build" / "bench"
OUR_FRAMES: Final = (
    "adapters/",
    "core/",
    "call/",
    "sdp/",
    "interwork/",
    "state/",
    "ng/",
    "transport/",
    "rtpengine/",
)
CALLBACKS: Final = ("adapters/guard.", "adapters/gateway.", "<")
_SPY_HZ: Final = 250
_PERF_HZ: Final = 2000
_SETTLE_S: Final = 1.5
_KINDS: Final = (
    # what Kamailio calls a process -> what it is called here
    ("udp receiver", "UDP workers (core)"),
    ("tcp receiver", "TCP workers (pages)"),
    ("tcp main", "TCP main"),
    ("RTIMER", "housekeeping, overload watch"),
)


def kinds(target: Target) -> dict[str, list[int]]:
    """Return the processes of a gateway by what they do."""
    assert target.rpc is not None
    found: dict[str, list[int]] = {}
    for process in target.rpc("core.psx"):
        name = next((name for begin, name in _KINDS if begin.lower() in process["DSC"].lower()), "others")
        found.setdefault(name, []).append(process["PID"])
    return found


def cost_of(kind: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return the CPU seconds that each kind of process has used; the first process's children are not its own."""
    return {name: sum(map(_own_cpu_s, pids)) for name, pids in kind.items()}


def _own_cpu_s(pid: int) -> float:
    everything = tree_cpu_s([pid])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return everything - sum(tree_cpu_s([int(child)]) for child in children)


@contextmanager
def watched(commands: Sequence[Sequence[str]], log: Path) -> Iterator[None]:
    """Run samplers beside the block; they end by themselves."""
    with log.open("ab") as output:
        started = [subprocess.Popen(command, stdout=output, stderr=output) for command in commands]
    time.sleep(_SETTLE_S)
    try:
        yield
    finally:
        for process in started:
            process.wait(60)


def spied(workers: Sequence[int], seconds: float, folder: Path, run: Callable[[], None]) -> Samples:
    """Sample Python functions during a run."""
    spy = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    outputs = {pid: folder / f"{pid}.txt" for pid in workers}
    common = ["-f", "raw", "-r", str(_SPY_HZ), "-d", str(round(seconds + 2 * _SETTLE_S))]
    commands = [[spy, "record", "-p", str(pid), *common, "-o", str(path)] for pid, path in outputs.items()]
    with watched(commands, folder / "py-spy.log"):
        run()
    samples = Samples()
    for path in outputs.values():
        if path.exists():  # a worker that never worked has none
            add_stacks(samples, path.read_text(), OUR_FRAMES)
    return samples


def perf(workers: Sequence[int], seconds: float, folder: Path, run: Callable[[], None]) -> Samples:
    """Sample C functions during a run; empty where the machine has no perf."""
    samples = Samples()
    binary = shutil.which("perf")
    if binary is None:
        return samples
    data = folder / "perf.data"
    pids = ",".join(map(str, workers))
    record = [binary, "record", "-e", "cpu-clock", "-F", str(_PERF_HZ), "-o", str(data), "-p", pids]
    with watched([[*record, "--", "sleep", str(round(seconds + 2 * _SETTLE_S))]], folder / "perf.log"):
        run()
    script = [binary, "script", "-i", str(data), "-F", "pid,ip,sym,dso"]
    found = subprocess.run(script, capture_output=True, text=True, errors="replace", check=False)
    add_leaves(samples, found.stdout)
    return samples


def lines_of(
    samples: Samples, counter: Counter[str], us: float, *without: str, most: int = 10
) -> list[list[str]]:
    """Return rows: a function, µs for each call, and its share."""
    return [
        [name, f"{us * count / samples.total:.0f}", f"{100 * count / samples.total:.1f} %"]
        for name, count in dearest(counter, most, without)
    ]


def profile(name: str, seconds: float, connections: int) -> dict[str, object]:
    """Run everything against one target and return what is printed and kept."""
    plan = Plan((name,), (CLOSED_LOOP,), 1, seconds, connections)
    with callee() as far_end, TARGETS[name](far_end.port) as target, tempfile.TemporaryDirectory() as folder:
        return _profile(target, plan, far_end, Path(folder))


def _profile(target: Target, plan: Plan, far_end: Callee, folder: Path) -> dict[str, object]:
    def run(mode: Mode = CLOSED_LOOP) -> None:
        load(orders_for(target, plan, mode, plan.seconds))

    measure(target, plan, CLOSED_LOOP, far_end)
    by_kind = kinds(target)  # not before: Kamailio takes calls while it is still forking
    workers = [pid for name, pids in by_kind.items() if "workers" in name for pid in pids]
    before = cost_of(by_kind)
    result = measure(target, plan, CLOSED_LOOP, far_end)
    after = cost_of(by_kind)
    # The warm-up of the run is in there, too: of these figures only the shares count.
    spent = {kind: after[kind] - before[kind] for kind in by_kind}
    gateway_us = 1000 * result.gateway_cpu_ms
    kinds_us = {kind: round(gateway_us * cost / sum(spent.values())) for kind, cost in spent.items()}
    us = float(sum(cost for kind, cost in kinds_us.items() if "workers" in kind))
    python, native = spied(workers, plan.seconds, folder, run), perf(workers, plan.seconds, folder, run)
    return {
        "target": target.name,
        "calls_per_s": result.calls_per_s,
        "gateway_cpu_us": round(gateway_us),
        "kinds_us": kinds_us,
        "workers_us": us,
        "samples": {"python": python.total, "native": native.total},
        "libraries": lines_of(native, native.inclusive, us, most=14),
        "symbols": lines_of(native, native.exclusive, us),
        "python_exclusive": lines_of(python, python.exclusive, us, most=20),
        "python_inclusive": lines_of(python, python.inclusive, us, *CALLBACKS, most=40),
    }


def to_text(found: dict[str, object]) -> str:
    """Return what is printed."""
    kinds_us = found["kinds_us"]
    assert isinstance(kinds_us, dict)
    parts = [
        f"{found['target']}: {found['calls_per_s']} calls/s, gateway {found['gateway_cpu_us']} µs CPU for each call",
        aligned([[kind, f"{cost}"] for kind, cost in sorted(kinds_us.items(), key=lambda pair: -pair[1])]),
    ]
    titles = {
        "libraries": "SIP workers by library (perf)",
        "symbols": "dearest C functions, exclusive (perf)",
        "python_exclusive": "dearest Python functions, with the C they call (py-spy)",
        "python_inclusive": "dearest Python functions, with all they call (py-spy)",
    }
    for key, title in titles.items():
        rows = found[key]
        assert isinstance(rows, list)
        if rows:
            parts += [f"\n{title}, µs for each call:", aligned(rows)]
    return "\n".join(parts)


@click.command()
@click.option("--target", default="signalling", show_default=True, type=click.Choice(sorted(TARGETS)))
@click.option("--seconds", default=6.0, show_default=True, help="Length of each of the three runs.")
@click.option("--connections", default=20, show_default=True)
def main(target: str, seconds: float, connections: int) -> None:
    """Print the dearest items of a call and write them to build/bench as JSON."""
    found = profile(target, seconds, connections)
    click.echo(to_text(found))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"profile-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")


if __name__ == "__main__":
    main()
