"""Little shared memory: nobody new gets any, so that there is some for whoever is here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CORE_PORT, Stage, gateway_options, until
from tests.integration.limits.limited import final_status
from tests.lab.lab import Lab
from tests.peers.websocket import PageSocket

pytestmark = pytest.mark.lab

LEAST = 0.5
MOST_CONNECTIONS = 220
"""What would fill the pool; half of them are too many here."""
PACE_S = 0.02
"""The memory is looked at five times a second: between two looks, ten connections and no more."""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A gateway with a small pool."""
    options = gateway_options(
        kamailio_shm_mb=32,
        gateway_overload_control=True,
        gateway_overload_least_memory=LEAST,
        gateway_overload_target_wait_s=10,
        gateway_unregistered_timeout_s=60,
    )
    with Lab(options) as lab:
        stage = Stage(lab, CORE_PORT)
        await stage.open()
        try:
            yield stage
        finally:
            await stage.close()


async def test_new_connections_and_calls_wait_and_running_ones_go_on(stage: Stage) -> None:
    page = await stage.page(ALICE)
    running = await stage.answered(page)
    sockets: list[PageSocket] = []
    try:
        with pytest.raises(InvalidStatus) as caught:
            for _ in range(MOST_CONNECTIONS):
                sockets.append(await PageSocket.open(stage.handshake))
                await asyncio.sleep(PACE_S)
        response = caught.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
        memory = stage.lab.gateway_rpc("core.shmmem")
        assert memory["free"] > 0.5 * LEAST * memory["total"]
        await until(
            lambda: stage.lab.gateway_rpc.htable("overload")["calls"].strip() == "0.000000",
            lambda: "calls are still let in",
            15,
        )
        assert (await final_status(await page.invite(BOB, AUDIO))).status == 503
        assert (await page.register()).status == 200
        assert (await running.wic.info()).status == 200
        await running.hang_up()
    finally:
        for socket in sockets:
            await socket.close()
