"""What is decided of a page's INVITE beside its session description, in µs of CPU.

    python -m tests.bench.decisions [--calls 4000] [--rows 1000 --rows 100000]

Everything between Kamailio's parser and the session description: form, emergency, limits, site's policy, registration,
access token (the one of the page's REGISTER), number, route, permission, limits of the class, identity, trust boundary.
The gateway's own code on tables that are dictionaries; every INVITE has another Call-ID and calls another number.  With
a newer token than that of its REGISTER an INVITE costs what `tests.bench.tokens` says on top.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import click

from tests.bench.decisions.site import TABLES, Worker

BAR_US = 300.0
WHOLE = "all together"


def measure(rows: int, calls: int) -> dict[str, list[float]]:
    """Return the CPU time of each step of each call, in µs and in order of size."""
    TABLES.clear()
    found: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder), rows, users=max(200, calls // 4))
        invites = [worker.invite(number) for number in range(calls + 200)]
        gc.collect()
        gc.freeze()  # as the gateway's workers do
        for number, invite in enumerate(invites):
            whole = 0.0
            for name, step in invite.steps().items():
                began = time.thread_time_ns()
                step()
                took = (time.thread_time_ns() - began) / 1000
                whole += took
                if number >= 200:
                    found[name].append(took)
            if number >= 200:
                found[WHOLE].append(whole)
    return {name: sorted(times) for name, times in found.items()}


def at(times: list[float], share: float) -> float:
    """Return a percentile of times in order of size."""
    return times[min(len(times) - 1, int(share * len(times)))]


@click.command()
@click.option("--calls", default=4000, show_default=True)
@click.option(
    "--rows", default=(1_000, 100_000), show_default=True, multiple=True, help="Of the routing table."
)
def main(calls: int, rows: tuple[int, ...]) -> None:
    """Measure and report."""
    missed = False
    for number in rows:
        found = measure(number, calls)
        p50, p99 = at(found[WHOLE], 0.5), at(found[WHOLE], 0.99)
        missed = missed or p50 > BAR_US
        click.echo(f"{number} routes, {calls} INVITEs")
        for name, times in found.items():
            click.echo(f"  {name:34} p50 {at(times, 0.5):5.0f} µs   p99 {at(times, 0.99):5.0f} µs")
        click.echo(
            f"{'kept  ' if p50 <= BAR_US else 'BROKEN'} decisions of an INVITE at most {BAR_US:.0f} µs: "
            f"p50 {p50:.0f}, p99 {p99:.0f}"
        )
    sys.exit(missed)


if __name__ == "__main__":
    main()
