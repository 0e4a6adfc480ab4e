"""Fifty calls per second for a minute, out through the trunk: none fails."""

from __future__ import annotations

import asyncio

from tests.bench.generator import LoadOrder
from tests.bench.results import percentiles
from tests.bench.runner import load
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import REALM, SUBSCRIBERS
from tests.sipp.scenario import Scenario
from tests.sipp.stage import Stage

RATE, SECONDS = 50.0, 60.0
SHORT_RATE, SHORT_SECONDS = 10.0, 3.0
"""Other tests run beside it."""
SCENARIO = Scenario(
    f"pages make {RATE:.0f} calls per second for {SECONDS:.0f} s "
    f"(in tests {SHORT_RATE:.0f} for {SHORT_SECONDS:.0f} s): none fails",
    media_ports=4000,
    inside=True,
)
USERS = [one for one in SUBSCRIBERS if one.name.startswith("web")]


async def play(stage: Stage) -> None:
    """The pages are a load generator; SIPp counts what goes wrong at the carrier."""
    rate, seconds = (SHORT_RATE, SHORT_SECONDS) if stage.short else (RATE, SECONDS)
    carrier = await stage.carrier(calls=0, trace=False, timeout_s=seconds + 60)
    handshake = stage.gateway.handshake
    order = LoadOrder(
        stage.world.info.gateway.ws_port,
        LOOPBACK,
        seconds=seconds,
        connections=len(USERS),
        rate=rate,
        register=True,
        realm=REALM,
        target=f"tel:{stage.place.number()}",
        headers={"Origin": handshake.origin or "", "X-Forwarded-For": handshake.forwarded_for or ""},
        accounts=[[one.name, one.impi, one.password] for one in USERS],
    )
    stage.report.note(f"{len(USERS)} pages make {rate:.0f} calls per second for {seconds:.0f} s")
    result = await asyncio.to_thread(load, [order])
    with stage.expects("no call has failed"):
        assert not result.failures, result.failures
    with stage.expects(f"about {rate * seconds:.0f} calls were made"):
        assert abs(len(result.calls) - rate * seconds) <= 2, len(result.calls)
    times = percentiles([call.answered_at_s - call.invite_at_s for call in result.calls])
    stage.report.note(
        f"{len(result.calls)} calls in {result.elapsed_s:.1f} s; INVITE to 200: {times.p50:.0f} ms in the middle, "
        f"{times.p99:.0f} ms for 99 of 100"
    )
    carrier.finish()
