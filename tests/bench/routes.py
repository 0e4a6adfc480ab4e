"""Lookups in a routing table of 100,000 rows, as a worker makes them, and how long a gateway takes to build its file.

    python -m tests.bench.routes [--rows 100000] [--lookups 20000]

Half of the rows are for every realm, the others for two realms; numbers are random, three in four have a row that fits.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from pathlib import Path

import click

from kemi.core.routing.lookup import Query, find
from kemi.core.routing.table import ANY, Route, RoutingTable, Target, check_table
from kemi.state.route_index import RouteFile, build
from tests.bench.cpu import calibrate
from tests.bench.rows import Row, hand_over

BAR_US = 50.0
REALMS = ("one.example", "two.example", ANY, ANY)


def digits(rng: random.Random, number: int) -> str:
    """Return random digits."""
    return "".join(rng.choice("0123456789") for _ in range(number))


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--lookups", default=20_000, show_default=True)
def main(rows: int, lookups: int) -> None:
    """Measure and report."""
    machine = calibrate()
    rng = random.Random(1)
    table = [
        Route(f"r{number}", f"+{digits(rng, rng.randint(4, 10))}*", Target.CORE, realm=rng.choice(REALMS))
        for number in range(rows)
    ]
    began = time.perf_counter()
    check_table(RoutingTable(tuple(table)))
    checked = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "routes.sqlite"
        build(path, table)
        built = time.perf_counter()
        queries = [Query(rng.choice(REALMS[:2]), "", f"+{digits(rng, 12)}", 0.0) for _ in range(lookups)]
        with RouteFile.open(path) as file:
            gc.collect()
            times, hits = [], 0
            for query in queries:
                start = time.perf_counter()
                hits += bool(find(file, query, 0.5))
                times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    p50, p99 = times[lookups // 2], times[int(lookups * 0.99)]
    print(f"{rows} rows: checked in {checked - began:.2f} s, built in {built - checked:.2f} s")
    print(
        f"{lookups} lookups, {hits} with a row: p50 {p50:.0f} us, p99 {p99:.0f} us, longest {times[-1]:.0f} us"
    )
    print(f"{'kept' if p99 <= BAR_US else 'BROKEN'}  p99 at most {BAR_US:.0f} us: {p99:.0f}")
    note = f"{rows:,} rows, p50 {p50:.0f}, {hits} of {lookups} have one that fits"
    hand_over("routes", [Row.of("route.lookup", p99, note=note)], machine=machine)
    sys.exit(p99 > BAR_US)


if __name__ == "__main__":
    main()
