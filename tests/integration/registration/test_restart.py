"""Kamailio is killed and started again: registrations are there, and a page goes on without a new login."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from kemi.adapters.shared_state import POLL_S
from kemi.core.registration.records import CLOCKS_APART_S
from tests.integration.calls.stage import ALICE, CAROL
from tests.integration.registration.registering import (
    GRACE_S,
    NODE,
    RegistrationStage,
    registration_lab_of,
)
from tests.integration.registration.test_standalone import REG, watch
from tests.integration.trust.issuers import register, token_for
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.peers.core_reginfo import reginfo

pytestmark = pytest.mark.lab

LONG_GRACE_S = 12


@pytest.fixture(scope="module")
def own_lab() -> Iterator[Lab]:
    """A gateway that may be killed; its pages have a little longer to come back."""
    with registration_lab_of(gateway_flow_recovery_s=LONG_GRACE_S) as lab:
        yield lab


@pytest.fixture
async def stage(own_lab: Lab) -> AsyncIterator[RegistrationStage]:
    stage = RegistrationStage(own_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


def restart(stage: RegistrationStage) -> None:
    stage.lab.kill("gateway")
    stage.lab.start_again("gateway", Part.GATEWAY)


async def stored(stage: RegistrationStage, *pages: object) -> None:
    await stage.soon(lambda: all(stage.stored(page) for page in pages), "stored")  # type: ignore[arg-type]
    await asyncio.sleep(0.3)


async def test_registrations_are_back_before_the_first_message(stage: RegistrationStage) -> None:
    """First of all: later ones would find the gateway subscribed, at a core that is gone."""
    page = await stage.registered_page()
    await stage.subscribed()
    await stored(stage, page)
    before = stage.binding(page)
    path = stage.path_of(page)
    subscription = stage.core.subscriptions.only
    stage.lab.kill("gateway")
    stage.lab.start_again("gateway", Part.GATEWAY)
    after = stage.binding(page)  # the very first look, right after the first OPTIONS was answered
    assert before is not None
    assert after is not None
    assert after["state"] == "away"
    for name in ("service_route", "associated_uris", "expires_at", "contact", "sent", "grant"):
        assert after[name] == before[name]
    began = time.monotonic()
    assert (await stage.ask_along(path, page, "INVITE")).status == 430
    assert time.monotonic() - began < 3  # while the page may come back
    # the subscription goes on in its old dialog
    assert (await subscription.notify("", state="active")).status == 200
    await page.lost.wait()
    await page.connect()
    assert (await page.register()).status == 200
    await stage.state_of(page, "registered")
    assert (
        await stage.ask_along(path, page)
    ).status == 430  # the number may be in use again, the token is not
    assert (await stage.ask_along(stage.path_of(page), page)).status == 200
    call = await stage.answered(page)
    await call.hang_up()
    assert len(stage.core.trace.requests("SUBSCRIBE")) == 1


async def test_what_a_page_has_subscribed_to_is_over_and_both_ends_hear_of_it(
    stage: RegistrationStage,
) -> None:
    page = await stage.registered_page()
    subscribe, answer, there = await watch(stage, page)
    await stored(stage, page)
    restart(stage)
    await page.connect()
    assert (await page.register()).status == 200
    assert (await there.notify(reginfo(ALICE, version=0))).status == 481
    assert (await page.request_inside(subscribe, answer, "SUBSCRIBE", cseq=2, headers=REG)).status == 481


async def test_the_time_to_come_back_begins_with_the_restart(stage: RegistrationStage) -> None:
    gone, back = await stage.page_with_token("sid-gone"), await stage.registered_page(CAROL)
    await stored(stage, gone, back)
    restart(stage)
    restarted = time.monotonic()
    await back.lost.wait()
    await back.connect()
    assert (await back.register()).status == 200
    await asyncio.sleep(max(0.0, LONG_GRACE_S - 1 - (time.monotonic() - restarted)))
    assert stage.binding(gone) is not None
    await stage.soon(lambda: stage.binding(gone) is None, "given up", GRACE_S + 4)
    await stage.soon(
        lambda: any(
            "auth-done" in "".join(request.headers.fields("Authorization"))
            for request in stage.core.trace.requests("REGISTER")
        ),
        "signed off at the core",
    )
    await stage.state_of(back, "registered")


async def test_what_ran_out_meanwhile_is_dropped(stage: RegistrationStage) -> None:
    page = await stage.registered_page()
    await stored(stage, page)
    stage.lab.kill("gateway")
    name = f"gw:registrations:{NODE}"
    record = json.loads(stage.redis.hget(name, stage.key(page)))
    stage.redis.hset(name, stage.key(page), json.dumps(record | {"expires_at": time.time() - 1}))
    stage.redis.hset(name, "broken", "{")
    stage.lab.start_again("gateway", Part.GATEWAY)
    assert stage.binding(page) is None
    await stage.soon(lambda: stage.stored(page) is None, "removed from Redis too")


async def test_a_logout_during_the_restart_is_not_missed(stage: RegistrationStage) -> None:
    page = await stage.page_with_token("sid-missed")
    await stored(stage, page)
    stage.lab.kill("gateway")
    stage.log_out("sid-missed")
    stage.lab.start_again("gateway", Part.GATEWAY)
    await stage.soon(lambda: stage.binding(page) is None, "ended")
    assert "sid-missed" in stage.table("revoked")
    await stage.soon(
        lambda: any(
            "auth-done" in "".join(request.headers.fields("Authorization"))
            for request in stage.core.trace.requests("REGISTER")
        ),
        "signed off at the core",
    )


@pytest.mark.conformance("R-67", "X-12")
async def test_a_new_login_that_the_provider_names_as_the_former_outlives_a_restart(
    stage: RegistrationStage,
) -> None:
    """The logout of before is read once more, and is nothing to what came after it."""
    token = token_for(sid="sid-of-sso")
    former = await stage.join(stage.new_page(), registered=False)
    assert (await register(former, token)).status == 200
    stage.log_out("sid-of-sso")
    await stage.closed_with(former, 4401)
    await former.connect()
    assert (await register(former, token)).status == 401
    await asyncio.sleep(CLOCKS_APART_S + 1)  # and iat is in whole seconds
    page = await stage.page_with_token("sid-of-sso")
    await stored(stage, page)
    restart(stage)
    await asyncio.sleep(4 * POLL_S)
    assert stage.binding(page) is not None
    await page.lost.wait()
    await page.connect()
    assert (await register(page, token_for(sid="sid-of-sso"))).status == 200
    await stage.state_of(page, "registered")


async def test_without_redis_it_starts_all_the_same(stage: RegistrationStage) -> None:
    page = await stage.registered_page()
    await stored(stage, page)
    stage.lab.kill("gateway")
    stage.lab.kill("redis")
    stage.lab.start_again("gateway", Part.GATEWAY)
    assert stage.binding(page) is None
    await page.lost.wait()
    await page.connect()
    assert (await page.register()).status == 200
    stage.lab.start_again("redis", Part.REDIS)
    await stage.soon(lambda: stage.stored(page) is not None, "shipped", 15)
