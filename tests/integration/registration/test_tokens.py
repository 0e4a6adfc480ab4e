"""Access tokens from Redis to the workers: keys arrive, change and are there again after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from kemi.state.keys import call_records
from tests.integration.registration.registering import (
    NODE,
    RegistrationStage,
    registration_lab_of,
)
from tests.integration.trust.issuers import ISSUER, publish_in_redis, register, token_for
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.subscribers import REALM
from tests.peers.access_token import SigningKey
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

OTHER_KEYS_S = 2.0
"""Until the workers know of other keys in Redis."""


@pytest.fixture(scope="module")
def own_lab() -> Iterator[Lab]:
    """A gateway that may be killed."""
    with registration_lab_of(gateway_flow_recovery_s=5) as lab:
        yield lab


@pytest.fixture
async def stage(own_lab: Lab) -> AsyncIterator[RegistrationStage]:
    stage = RegistrationStage(own_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


async def answered_with(page: ScriptedWic, token: str, status: int) -> None:
    """Register again and again until the answer is that; at most as long as new keys may take."""
    deadline = time.monotonic() + OTHER_KEYS_S
    while (answer := (await register(page, token)).status) != status:
        assert time.monotonic() < deadline, f"{answer} instead of {status}"
        await asyncio.sleep(0.1)


@pytest.mark.conformance("X-12")
async def test_other_keys_in_redis_count_for_every_worker(stage: RegistrationStage) -> None:
    old, new = ISSUER.key, SigningKey("ES256", "next")
    rotated = replace(ISSUER, key=new)
    pages = [await stage.join(stage.new_page(), registered=False) for _ in range(4)]
    assert (await register(pages[0], rotated.token("alice", REALM))).status == 401
    publish_in_redis(stage.lab, ISSUER.url, old, new)
    try:
        for page in pages:
            await answered_with(page, rotated.token("alice", REALM), 200)
            assert (await register(page, token_for())).status == 200
        publish_in_redis(stage.lab, ISSUER.url, new)
        for page in pages:
            await answered_with(page, token_for(), 401)
    finally:
        publish_in_redis(stage.lab, ISSUER.url, old)
        await answered_with(pages[0], token_for(), 200)


@pytest.mark.conformance("R-66")
async def test_after_a_restart_a_page_goes_on_with_the_token_it_has(stage: RegistrationStage) -> None:
    """Registrations, keys, ended sessions and answered calls are there before the first message."""
    token = token_for(sid="sid-restart")
    page = await stage.join(stage.new_page(), registered=False)
    assert (await register(page, token)).status == 200
    token_of_ended = token_for(sid="sid-ended")
    ended = await stage.join(stage.new_page(), registered=False)
    assert (await register(ended, token_of_ended)).status == 200
    await stage.soon(lambda: stage.stored(page) is not None, "stored")
    old_path = stage.path_of(page)
    call = await stage.answered(page)
    kept = call_records(NODE)
    await stage.soon(
        lambda: '"acknowledged":true' in (stage.redis.hget(kept, call.call_id) or ""), "the call is kept"
    )
    stage.lab.kill("gateway")
    stage.log_out("sid-ended")
    stage.lab.start_again("gateway", Part.GATEWAY)
    await asyncio.gather(page.lost.wait(), ended.lost.wait())
    await asyncio.gather(page.connect(), ended.connect())
    refused, again = await asyncio.gather(register(ended, token_of_ended), register(page, token))
    assert (refused.status, again.status) == (401, 200)
    assert (
        stage.core.trace.requests("REGISTER")[-1].headers.fields("Authorization")[0].count("auth-done") == 1
    )
    assert (await stage.ask_along(old_path, page)).status == 430
    assert (await stage.ask_along(stage.path_of(page), page)).status == 200
    await call.hang_up()
    await (await stage.answered(page)).hang_up()
