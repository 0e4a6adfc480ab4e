"""While there is a limit, new work hears 503 and all other goes on.  How it comes about: tests/bench/overload."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kemi.core.overload import WHY, Work
from tests.integration.calls.incoming import ringing
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, warning_of
from tests.integration.limits.limited import LimitedStage, final_status

pytestmark = pytest.mark.lab

RETRY_S = range(5, 16)
HEEDED_S = 0.01
"""A worker looks at a limit anew after 5 ms."""


@contextmanager
def nothing_new(stage: LimitedStage, *keys: str) -> Iterator[None]:
    """Let the gateway believe that it can take nothing of this."""
    rpc = stage.lab.gateway_rpc
    for key in keys:
        rpc("htable.sets", "overload", key, "0.0")
    time.sleep(HEEDED_S)
    try:
        yield
    finally:
        for key in keys:
            rpc("htable.sets", "overload", key, "none")
        time.sleep(HEEDED_S)


async def test_a_new_call_waits_and_a_running_one_goes_on(stage: LimitedStage) -> None:
    page = await stage.own_page()
    running = await stage.answered(page)
    with nothing_new(stage, Work.CALLS):
        refused = await final_status(await page.invite(BOB, AUDIO))
        assert refused.status == 503
        assert int(refused.headers.get("Retry-After") or 0) in RETRY_S
        assert warning_of(refused) == WHY
        assert not stage.core_knows(refused.call_id)
        assert (await running.wic.info()).status == 200
        help_ = await final_status(await page.invite("sip:112@ims.test", AUDIO))
        assert help_.status == 380  # the site's answer, not ours
        await running.hang_up()


async def test_calls_of_the_core_look_for_another_way_but_for_urgent_ones(stage: LimitedStage) -> None:
    page = await stage.own_page()
    with nothing_new(stage, Work.CALLS):
        refused = await stage.core.call(stage.aor).wait_status(503)
        assert "Retry-After" not in refused.headers
        call = await ringing(stage, page, stage.aor, headers=[("Resource-Priority", "esnet.0")])
        await call.wic.answer()
        await call.works()
        assert (await call.ims.bye()).status == 200


async def test_a_new_page_comes_back_later_and_one_that_is_here_stays(stage: LimitedStage) -> None:
    here = await stage.own_page()
    new = await stage.own_page(aor=f"sip:new-{stage.user}@ims.test", registered=False)
    stage.with_nobodys_password(new.identity.aor)
    with nothing_new(stage, Work.LOGINS):
        refused = await new.register()
        assert refused.status == 503
        assert int(refused.headers.get("Retry-After") or 0) in RETRY_S
        assert (await here.register()).status == 200
    assert (await new.register()).status == 200


async def test_a_page_whose_connection_broke_comes_back(stage: LimitedStage) -> None:
    page = await stage.own_page()
    await page.close()
    with nothing_new(stage, Work.LOGINS):
        again = await stage.join(page, registered=False)
        assert (await again.register()).status == 200
