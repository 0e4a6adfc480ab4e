"""Redis fails over by Sentinel: calls go on as if nothing were, and what was to be kept is kept by the new master."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kemi.state import keys
from kemi.state.bans import SharedBan, ban_to_text
from kemi.state.web.calls import FinishedCalls
from kemi.state.web.client import StateUnavailable, connect
from kemi.state.web.streams import CommandStream
from tests.integration.calls.stage import CAROL, Stage, gateway_options, until
from tests.lab.lab import Lab
from tests.peers.redis_site import RedisSite

pytestmark = pytest.mark.lab

WITHIN_S = 15.0
"""After which new calls and commands have to work."""
BANNED, OVER = "192.0.2.7", "over"


@pytest.fixture(scope="module")
def redis_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSite]:
    """Master, replica, three Sentinels."""
    with RedisSite(tmp_path_factory.mktemp("sentinel"), password="of-all") as site:
        yield site


@pytest.fixture(scope="module")
def gateway_lab(redis_site: RedisSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A gateway that asks the Sentinels."""
    options = gateway_options()
    of_gateway = {**options.role_variables.get("kamailio", {}), "gateway_redis_url": redis_site.url}
    with Lab(replace(options, role_variables={**options.role_variables, "kamailio": of_gateway})) as lab:
        yield lab


async def test_calls_go_on_and_nothing_is_lost(
    stage: Stage, redis_site: RedisSite, record_property: Callable[[str, object], None]
) -> None:
    store: Any = connect(redis_site.url)
    page = await stage.page()
    running = await stage.answered(page)
    first = await stage.answered(page)
    await first.hang_up()
    calls = FinishedCalls(store)

    def kept() -> set[str]:
        try:
            return {call.call_id for call in calls.page(100)[0]}
        except StateUnavailable:
            return set()

    await until(lambda: first.call_id in kept(), lambda: "the first call is kept", 15)
    (records,) = store.keys(keys.call_records("*"))
    store.hset(keys.BANS, BANNED, ban_to_text(SharedBan(time.time() + 600, "scan", "gw9", time.time())))
    await until(lambda: BANNED in stage.lab.gateway_rpc.htable("ban"), lambda: "the ban is known", 15)
    with redis_site.replica_apart() as replica:  # two commands of the master do not reach it
        replica.hset(records, OVER, store.hget(records, running.call_id))
        replica.hdel(keys.BANS, BANNED)
    killed = redis_site.kill_master()
    # SIP waits for nobody: calls, registrations and ends of calls work meanwhile.
    took = []
    while time.monotonic() - killed < 1.0:
        began = time.monotonic()
        during = await stage.answered(page)
        took.append(time.monotonic() - began)
        await during.hang_up()
    assert sorted(took)[-2] < 0.5  # all but one
    new_page = await stage.page(CAROL)
    await (await stage.answered(new_page)).hang_up()
    await until(lambda: during.call_id in kept(), lambda: "kept by the new master", WITHIN_S)
    record_property("redis_back_s", round(time.monotonic() - killed, 2))
    record_property("longest_call_set_up_meanwhile_s", round(max(took), 3))
    assert first.call_id in kept()
    await until(lambda: OVER not in store.hkeys(records), lambda: "what is over is kept", WITHIN_S)
    await until(lambda: store.hexists(keys.BANS, BANNED), lambda: "the ban is lost", WITHIN_S)
    assert running.call_id in store.hkeys(records)
    assert BANNED in stage.lab.gateway_rpc.htable("ban")
    CommandStream(store).end_calls(call_id=running.call_id, impu="", now=time.time())
    await running.ims.wait_request("BYE", timeout_s=killed + WITHIN_S + 1 - time.monotonic())
    await running.wic.wait_request("BYE")
    log = Path(stage.gateway_log).read_text(errors="replace")
    assert "event=redis_unavailable" in log
    assert "event=redis_back" in log
