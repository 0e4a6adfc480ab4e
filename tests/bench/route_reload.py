"""Calls while routing tables of 100,000 rows are loaded again and again: none may fail, a table counts within 2 s.

    python -m tests.bench.route_reload [--rows 100000] [--tables 5] [--calls-per-s 5]

Real Kamailio, relay and Redis; scripted pages call numbers of the table, and a scripted core answers.  A table is
loaded by another process, as the operator's command does; what is timed is from its end until the gateway's workers
take the new table.  Exit status 1 when a call failed or a table took longer.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

import click

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from kemi.state.web.client import connect
from kemi.state.web.routes import RoutesStore
from tests.bench.nodes import percentile
from tests.bench.routes import digits
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import Stage, gateway_options
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.subscribers import REALM
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.trace import NothingMatchedError
from tests.peers.wic import ScriptedWic

BAR_S: Final = 2.0
PAGES: Final = 10
PATIENCE_S: Final = 60.0
PATIENT: Final = {
    "gateway_ims_response_timeout_s": 5,
    "gateway_update_timeout_s": 5,
    "gateway_ims_answer_timeout_s": 30,
    "gateway_entry_point_timeout_s": 5,
}


@dataclass
class Calls:
    """What became of the calls."""

    set_up_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def put_table(url: str, rows: int, seed: int) -> tuple[int, float, float]:
    """Load a table; return its version, how long that took, and when it was done."""
    rng = random.Random(seed)
    table = [
        Route(f"r{number}", f"+49{digits(rng, rng.randint(3, 8))}*", Target.CORE) for number in range(rows)
    ]
    document = RoutingDocument(
        routes=[Route("rest", "*", Target.CORE), *table],
        plans={REALM: DialPlan(country="DE")},
        permissions={"*": Permission(denied=("FR",), calls=100)},
    )
    began = time.time()
    version = RoutesStore(connect(url)).put(document)
    return version, time.time() - began, time.time()


async def call(stage: Stage, page: ScriptedWic, calls: Calls) -> None:
    """Call a number of the table, be answered and hang up."""
    began = time.monotonic()
    try:
        wic = await page.invite(f"tel:+49{digits(random.Random(began), 9)}", AUDIO)
        await wic.wait_answer()
        calls.set_up_ms.append((time.monotonic() - began) * 1000)
        answer = await wic.bye()
        if answer.status != 200:
            calls.failed.append(answer.start_line)
    except NothingMatchedError as error:
        calls.failed.append(str(error).replace("\n", " | "))


async def call_until(stage: Stage, over: asyncio.Event, per_s: float, calls: Calls) -> None:
    """Begin calls at a fixed rate."""
    pages = [await stage.page() for _ in range(PAGES)]
    began = time.monotonic()
    tasks: list[asyncio.Future[None]] = []
    while not over.is_set():
        await asyncio.sleep(max(0.0, began + len(tasks) / per_s - time.monotonic()))
        tasks.append(asyncio.ensure_future(call(stage, pages[len(tasks) % PAGES], calls)))
    await asyncio.gather(*tasks)


async def load_tables(lab: Lab, rows: int, tables: int) -> tuple[list[float], list[float]]:
    """Load tables one after the other; return how long each took to count, and how long to load."""
    counted, loaded = [], []
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1) as others:
        for number in range(tables):
            version, took_s, at = await loop.run_in_executor(
                others, put_table, lab.info.redis_url, rows, number
            )
            while (await asyncio.to_thread(lab.gateway_rpc.htable, "routing")).get("current") != str(version):
                if time.time() - at > PATIENCE_S:
                    raise AssertionError(f"table {version} is not taken")
                await asyncio.sleep(0.02)
            counted.append(time.time() - at)
            loaded.append(took_s)
    return counted, loaded


async def measure(lab: Lab, rows: int, tables: int, per_s: float) -> bool:
    """Do both at once and report; return whether all went well."""
    stage = Stage(lab)
    await stage.open()
    stage.core.script = answers(DeviceMedia())
    quiet, busy = Calls(), Calls()
    await load_tables(lab, rows, 1)
    for calls, work in ((quiet, asyncio.sleep(10)), (busy, load_tables(lab, rows, tables))):
        over = asyncio.Event()
        running = asyncio.ensure_future(call_until(stage, over, per_s, calls))
        result = await work
        over.set()
        await running
    await stage.close()
    assert result is not None
    counted, loaded = result
    for name, calls in (("no table", quiet), (f"{tables} tables of {rows} rows", busy)):
        print(
            f"{name:28} {len(calls.set_up_ms):5} calls, {len(calls.failed)} failed; set up in "
            f"{percentile(calls.set_up_ms, 50):.0f} ms (p50), {percentile(calls.set_up_ms, 99):.0f} ms (p99), "
            f"{max(calls.set_up_ms, default=0):.0f} ms (most)"
        )
    print(
        f"loaded in {max(loaded):.2f} s at most; counted after {', '.join(f'{one:.2f}' for one in counted)} s"
    )
    for failure in busy.failed + quiet.failed:
        print(failure, file=sys.stderr)
    good = max(counted) <= BAR_S and not busy.failed and not quiet.failed
    print(f"{'kept' if good else 'BROKEN'}  no failed call, and at most {BAR_S:.0f} s: {max(counted):.2f}")
    return good


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--tables", default=5, show_default=True)
@click.option("--calls-per-s", default=5.0, show_default=True)
def main(rows: int, tables: int, calls_per_s: float) -> None:
    """Measure and report."""
    options = gateway_options(**PATIENT)
    variables = {**options.role_variables, "redis": {"redis_max_memory_mb": 256}}  # as the role has it
    options = replace(options, parts=options.parts | {Part.REDIS}, role_variables=variables)
    with Lab(options) as lab:
        sys.exit(not asyncio.run(measure(lab, rows, tables, calls_per_s)))


if __name__ == "__main__":
    main()
