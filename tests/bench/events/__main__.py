"""Command line: `python -m tests.bench.events`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import calibrate
from tests.bench.events.measure import Delays, Held, calls, crowd, rest
from tests.bench.report import Bar
from tests.bench.results import percentiles
from tests.integration.calls.stage import CORE_PORT, gateway_options
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.proof import wait_clean

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
DELAY_BAR_MS: Final = 50.0
PAGES: Final = 20
PATIENCE: Final = {
    "gateway_prack_timeout_s": 32,
    "gateway_update_timeout_s": 5,
    "gateway_ims_response_timeout_s": 5,
    "gateway_ng_deadline_ms": 1000,
}
"""The role's own values."""
MEDIA_PORTS: Final = 4000
"""Few calls are held at once, but rtpengine keeps ports of ended calls for a while."""
IDLE_S: Final = 20.0
"""Long enough for the first signs of life."""


async def run(lab: Lab, port: int, listeners: int, rate: float, seconds: float) -> tuple[Held, Delays]:
    """Hold a crowd, and let calls happen meanwhile."""
    held = Held()
    async with crowd(lab, port, listeners, held):
        await rest(lab, port, held, IDLE_S)
        delays = await calls(lab, CORE_PORT, pages=PAGES, rate=rate, seconds=seconds)
    await asyncio.to_thread(wait_clean, lab)
    return held, delays


@click.command()
@click.option("--listeners", default=2000, show_default=True)
@click.option("--rate", default=100.0, show_default=True, help="Calls per second, each of four events.")
@click.option("--seconds", default=15.0, show_default=True, help="For how long there are calls.")
@click.option("--strict", is_flag=True, help="Fail when a bar is broken.")
def main(listeners: int, rate: float, seconds: float, strict: bool) -> None:
    """Print what listeners cost and how long events take."""
    machine = calibrate()
    options = gateway_options(**PATIENCE)
    web = {"webapp_api_workers": 2}
    variables = {**options.role_variables, "webapp_api": web}
    parts = options.parts | {Part.REDIS, Part.WEB_API, Part.HAPROXY}
    with Lab(replace(options, parts=parts, media_ports=MEDIA_PORTS, role_variables=variables)) as lab:
        held, delays = asyncio.run(
            run(lab, int(lab.info.web.service_url.rpartition(":")[2]), listeners, rate, seconds)
        )
    api, ringing, answered = (
        percentiles(times) for times in (held.api_s, delays.ringing_s, delays.answered_s)
    )
    both = percentiles([*delays.ringing_s, *delays.answered_s])
    noted = percentiles(delays.since_note_s)
    click.echo(
        f"{held.listeners} listeners within {held.opening_s:.1f} s, {held.still_there} in the end;"
        f" {held.bytes_each / 1024:.0f} KiB each; {held.files} files open in the larger process;"
        f" {100 * held.idle_cpu_share:.0f} % of a core while nothing happens\n"
        f"GET /api/session meanwhile: p50 {api.p50} ms, p95 {api.p95} ms\n"
        f"{delays.calls_per_s:.0f} calls/s, {delays.events_per_s:.0f} events/s:"
        f" 180 to the event p50 {ringing.p50} ms, p95 {ringing.p95} ms;"
        f" 200 p50 {answered.p50} ms, p95 {answered.p95} ms; not heard: {delays.lost or 'none'};"
        f" from the worker's note on p50 {noted.p50:.0f} ms, p95 {noted.p95:.0f} ms\n"
        f"a listener who came back {delays.resumes} times had {delays.gaps} gaps"
    )
    for failure, number in {**held.failures, **delays.failures}.items():
        click.echo(f"{number} times {failure}")
    bars = [
        Bar("all listeners held", float(held.still_there), held.still_there == listeners),
        Bar("who comes back hears all, once", float(delays.resumes), delays.resumed_rightly),
        Bar(f"message to event p95, at most {DELAY_BAR_MS:.0f} ms", both.p95, both.p95 <= DELAY_BAR_MS),
    ]
    click.echo("\n".join(bar.to_text() for bar in bars))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    name = f"events-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    document = {"machine": asdict(machine), "held": asdict(held), "delays": asdict(delays)}
    (OUTPUT / name).write_text(json.dumps(document))
    if strict and not all(bar.kept for bar in bars):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
