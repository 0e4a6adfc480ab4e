"""Redis: what is shipped there, what is heard from it, and that nothing in SIP waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import time
from functools import partial
from typing import Any

import pytest

from kemi.state.bans import SharedBan, ban_to_text
from kemi.state.redis_link import DEADLINE_S
from tests.integration.calls.stage import ALICE
from tests.integration.registration.registering import NODE, RegistrationStage
from tests.integration.trust.issuers import register, token_for
from tests.lab.options import Part

pytestmark = pytest.mark.lab

LOGOUT_BAR_S = 5.0


def events_of(stage: RegistrationStage, session: str) -> list[dict[str, Any]]:
    """Return the events about a web session."""
    entries = stage.redis.xrange("gw:events")
    return [event for _, fields in entries if (event := json.loads(fields["json"])).get("sid") == session]


class TestShipping:
    """Redis has what a restart needs, and the web API hears who comes and goes."""

    async def test_a_binding_is_there_while_it_lives(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        await stage.soon(lambda: stage.stored(page) is not None, "stored")
        stored = stage.stored(page)
        assert stored is not None
        assert (stored["service_route"], stored["state"]) == ([stage.core.service_route], "registered")
        page.lose()
        await stage.soon(lambda: (stage.stored(page) or {}).get("state") in ("away", "abandoned"), "away")
        await page.connect()
        await page.register()
        await stage.soon(lambda: (stage.stored(page) or {}).get("state") == "registered", "registered")
        assert (await page.unregister()).status == 200
        await stage.soon(lambda: stage.stored(page) is None, "removed")

    async def test_the_web_api_hears_of_it_once_each(self, stage: RegistrationStage) -> None:
        page = await stage.page_with_token("sid-events")
        await stage.soon(lambda: len(events_of(stage, "sid-events")) == 1, "registered")
        await page.trace.wait_response(200, "REGISTER")
        assert (await page.unregister()).status == 200
        await stage.soon(lambda: len(events_of(stage, "sid-events")) == 2, "deregistered")
        first, last = events_of(stage, "sid-events")
        assert (first["type"], last["type"]) == ("registered", "deregistered")
        assert (last["impu"], last["node"]) == (ALICE, NODE)
        assert abs(last["at"] - time.time()) < 5

    async def test_also_of_one_that_ends_at_once(self, stage: RegistrationStage) -> None:
        for number in range(5):  # housekeeping looks ten times a second: most of these end before it does
            session = f"sid-short-{number}"
            page = await stage.page_with_token(session)
            assert (await page.unregister()).status == 200
            await stage.soon(partial(self._both_are_told, stage, session), "both")

    @staticmethod
    def _both_are_told(stage: RegistrationStage, session: str) -> bool:
        return [event["type"] for event in events_of(stage, session)] == ["registered", "deregistered"]


class TestLogout:
    """A command on the stream ends everything of a web session."""

    @pytest.mark.conformance("R-67", "X-12")
    async def test_calls_connection_and_registration_end_within_five_seconds(
        self, stage: RegistrationStage
    ) -> None:
        page, other = await stage.page_with_token("sid-out"), await stage.page_with_token("sid-stays")
        call = await stage.answered(page)
        began = time.monotonic()
        stage.log_out("sid-out")
        await stage.closed_with(page, 4401, 4 * LOGOUT_BAR_S)
        took = time.monotonic() - began
        await call.ims.wait_request("BYE")
        await call.wic.wait_request("BYE")
        assert took < LOGOUT_BAR_S
        assert stage.binding(page) is None
        assert "sid-out" in stage.table("revoked")
        await stage.soon(
            lambda: any(r.headers.get("Expires") == "0" for r in stage.core.trace.requests("REGISTER")),
            "signed off at the core",
        )
        await stage.state_of(other, "registered")
        assert not other.lost.is_set()

    async def test_what_is_no_command_is_passed_over(self, stage: RegistrationStage) -> None:
        page = await stage.page_with_token("sid-after")
        for text in (
            "",
            "{",
            "[]",
            '{"type": "dance"}',
            '{"type": "logout"}',
            '{"type": "logout", "sid": ""}',
        ):
            stage.redis.xadd("gw:commands", {"json": text})
        stage.redis.xadd("gw:commands", {"other": "field"})
        stage.log_out("sid-after")
        await stage.closed_with(page, 4401)


class TestOutage:
    """Redis away or asleep: SIP does not notice, and everything is caught up with afterwards."""

    async def _register_and_measure(self, stage: RegistrationStage, pages: int = 5) -> float:
        took = []
        for _ in range(pages):
            page = await stage.join(stage.new_page(), registered=False)
            began = time.monotonic()
            assert (await page.register()).status == 200
            took.append(time.monotonic() - began)
        return statistics.median(took)

    async def test_killed_and_back(self, stage: RegistrationStage) -> None:
        before = stage.count_log("event=redis_unavailable")
        page = await stage.page_with_token("sid-later")
        stage.lab.kill("redis")
        try:
            await stage.soon(lambda: stage.count_log("event=redis_unavailable") == before + 1, "noticed", 5)
            assert await self._register_and_measure(stage) < DEADLINE_S
            call = await stage.answered(page)
            await asyncio.sleep(2.5)
            await call.hang_up()
            assert stage.count_log("event=redis_unavailable") == before + 1  # one line for each outage
        finally:
            stage.lab.start_again("redis", Part.REDIS)
        expected = set(stage.table("registration"))
        await stage.soon(
            lambda: set(stage.redis.hkeys(f"gw:registrations:{NODE}")) == expected, "caught up", 5
        )
        assert stage.redis.hlen(f"gw:subscriptions:{NODE}") == len(stage.table("subscription"))
        stage.log_out("sid-later")
        await stage.closed_with(page, 4401, 5)

    async def test_a_token_that_cannot_be_renewed_counts_on(self, stage: RegistrationStage) -> None:
        """Nobody gets tokens without Redis."""
        page = await stage.page_with_token("sid-outage", exp=int(time.time()) + 10)
        call = await stage.answered(page)
        asked = len(stage.core.trace.requests("REGISTER"))
        before = stage.count_log("event=redis_unavailable")
        stage.lab.kill("redis")
        try:
            await stage.soon(lambda: stage.count_log("event=redis_unavailable") > before, "noticed", 5)
            await asyncio.sleep(10)
            binding = stage.binding(page)
            assert binding is not None
            assert binding["expires_at"] > time.time() > binding["grant"]["expires_at"]
            of_ours = stage.core.trace.requests("REGISTER")[asked:]
            assert [one.headers.get("Expires") for one in of_ours] == ["600"]
            assert page.contact_uri in (of_ours[0].headers.get("Contact") or "")
            await call.hang_up()
            await (await stage.answered(page)).hang_up()
        finally:
            stage.lab.start_again("redis", Part.REDIS)
        await stage.soon(lambda: (stage.stored(page) or {}).get("state") == "registered", "kept", 5)
        assert (await register(page, token_for(sid="sid-outage"))).status == 200
        stage.log_out("sid-outage")
        await stage.closed_with(page, 4401, 5)

    async def test_emptied_without_a_word(self, stage: RegistrationStage) -> None:
        await stage.registered_page()
        expected = set(stage.table("registration"))
        await stage.soon(
            lambda: set(stage.redis.hkeys(f"gw:registrations:{NODE}")) == expected, "all are there", 5
        )
        await stage.soon(lambda: stage.redis.hexists("gw:marks", NODE), "a mark is there", 5)
        stage.redis.flushall()
        await stage.soon(
            lambda: set(stage.redis.hkeys(f"gw:registrations:{NODE}")) == expected, "caught up", 5
        )

    async def test_an_older_state_behind_another_connection(self, stage: RegistrationStage) -> None:
        """As after a fail-over that no command ran into."""
        page = await stage.registered_page()
        await stage.soon(lambda: stage.stored(page) is not None, "stored", 5)
        before = stage.count_log("event=redis_unavailable")
        kept = f"gw:registrations:{NODE}"
        key = stage.key(page)
        text = stage.redis.hget(kept, key)
        pipeline = stage.redis.pipeline(transaction=True)
        pipeline.hdel(kept, key)
        pipeline.hset(kept, "over", text)
        pipeline.client_kill_filter(_type="normal", skipme=True)
        pipeline.execute()
        await stage.soon(lambda: key in stage.redis.hkeys(kept), "kept again", 5)
        await stage.soon(lambda: "over" not in stage.redis.hkeys(kept), "what is over is kept", 5)
        assert stage.count_log("event=redis_unavailable") == before

    async def test_full(self, stage: RegistrationStage) -> None:
        """Nothing can be written; what is only read is heard, and the rest is caught up with."""
        banned = SharedBan(time.time() + 600, "scan", "gw9", time.time())
        stage.redis.hset("gw:bans", "192.0.2.7", ban_to_text(banned))
        await stage.soon(lambda: "192.0.2.7" in stage.table("ban"), "the ban is known", 5)
        before = stage.redis.config_get("maxmemory")["maxmemory"]
        refused, taken = (stage.count_log(f"event=redis_{what}") for what in ("refuses", "takes"))
        stage.redis.config_set("maxmemory", 1)
        try:
            page = await stage.registered_page()
            await stage.soon(lambda: stage.count_log("event=redis_refuses") == refused + 1, "noticed", 5)
            stage.redis.hdel("gw:bans", "192.0.2.7")
            await stage.soon(lambda: "192.0.2.7" not in stage.table("ban"), "the ban is lifted", 5)
            assert stage.stored(page) is None
        finally:
            stage.redis.config_set("maxmemory", before)
        await stage.soon(lambda: stage.stored(page) is not None, "caught up", 5)
        await stage.soon(lambda: stage.count_log("event=redis_takes") == taken + 1, "noticed", 5)

    async def test_asleep(self, stage: RegistrationStage) -> None:
        """A Redis that takes everything and answers nothing costs one short wait at a time, in one process."""
        page = await stage.registered_page()
        pid = stage.lab.process_ids["redis"]
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(1)
            assert await self._register_and_measure(stage) < DEADLINE_S
            lost = await stage.registered_page()
            lost.lose()
            await stage.state_of(lost, "abandoned")  # housekeeping goes on: the time to come back is counted
            assert (await page.register()).status == 200
        finally:
            os.kill(pid, signal.SIGCONT)
        newest = await stage.registered_page()
        await stage.soon(lambda: stage.stored(newest) is not None, "caught up", 5)
