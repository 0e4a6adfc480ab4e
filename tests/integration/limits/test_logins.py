"""Guessing a password: a lock for a time, of the identity and of the address, that nobody else feels."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.integration.calls.stage import warning_of
from tests.integration.limits.limited import FAILED_ADDRESS, FAILED_IDENTITY, LOCK_S, LimitedStage

pytestmark = [pytest.mark.lab, pytest.mark.conformance("X-10")]

LOCKED = 503


async def fail_until_locked(stage: LimitedStage, aor: str = "") -> int:
    """Try wrong passwords, each from an address of its own, and return how many were tried."""
    for tried in range(1, 2 * FAILED_IDENTITY + 1):
        stage.core.trace.entries.clear()
        page = await stage.own_page(address=stage.new_address(), aor=aor, password="wrong", registered=False)
        response = await page.register()
        if response.status == LOCKED:
            return tried
        assert response.status == 401
    raise AssertionError("never locked")


class TestIdentity:
    """Many addresses, one user."""

    async def test_it_is_locked_for_a_time(self, stage: LimitedStage) -> None:
        stage.with_password()
        await fail_until_locked(stage)
        page = await stage.own_page(address=stage.new_address(), password="right", registered=False)
        locked = await page.register()
        assert locked.status == LOCKED
        assert 1 <= int(locked.headers.get("Retry-After") or 0) <= LOCK_S
        assert "too many requests of this identity" in warning_of(locked)
        assert stage.count_lines("event=login_locked", f"who={stage.aor}") == 1
        await stage.told("login_locked", impu=stage.aor)
        await asyncio.sleep(LOCK_S)
        assert (await page.register()).status == 200

    async def test_nothing_reaches_the_core_meanwhile(self, stage: LimitedStage) -> None:
        stage.with_password()
        await fail_until_locked(stage)
        stage.core.trace.entries.clear()
        page = await stage.own_page(address=stage.new_address(), password="right", registered=False)
        assert (await page.register()).status == LOCKED
        assert stage.core.trace.requests("REGISTER") == []

    async def test_another_user_is_not(self, stage: LimitedStage) -> None:
        stage.with_password()
        await fail_until_locked(stage)
        other = f"sip:other-{stage.user}@ims.test"
        stage.with_password(other)
        page = await stage.own_page(aor=other, password="right", registered=False)
        assert (await page.register()).status == 200

    async def test_a_registered_page_refreshes_and_where_it_logged_in_it_may_again(
        self, stage: LimitedStage
    ) -> None:
        stage.with_password()
        page = await stage.own_page(password="right")
        await fail_until_locked(stage)
        assert (await page.register()).status == 200
        again = await stage.own_page(password="right", registered=False)
        assert (await again.register()).status == 200

    async def test_an_old_nonce_and_a_first_challenge_are_no_failures(self, stage: LimitedStage) -> None:
        stage.with_password()
        for _ in range(2 * FAILED_IDENTITY):
            page = await stage.own_page(address=stage.new_address(), registered=False)
            assert (await page.register()).status == 401  # no credentials sent
        page = await stage.own_page(password="right", registered=False)
        assert (await page.register()).status == 200


class TestAddress:
    """One address, many users."""

    async def test_it_is_locked_and_who_is_registered_there_stays(self, stage: LimitedStage) -> None:
        stays = await stage.own_page()
        stage.core.registrar = replace(stage.core.registrar, status=403)
        statuses = []
        for number in range(FAILED_ADDRESS + 2):
            page = await stage.own_page(aor=f"sip:{stage.user}-{number}@ims.test", registered=False)
            statuses.append((await page.register()).status)
            await asyncio.sleep(0.4)
        assert statuses == [403] * FAILED_ADDRESS + [LOCKED] * 2
        stage.core.registrar = replace(stage.core.registrar, status=200)
        assert (await stays.register()).status == 200
        newcomer = await stage.own_page(aor=f"sip:{stage.user}-new@ims.test", registered=False)
        assert (await newcomer.register()).status == LOCKED
        elsewhere = await stage.own_page(address=stage.new_address(), registered=False)
        assert (await elsewhere.register()).status == 200
        await stage.told("login_locked", address=stage.address)
        await asyncio.sleep(LOCK_S)
        assert (await newcomer.register()).status == 200
