"""How large a page's message may be: what real pages send fits well, what does not fit ends its own connection only.

The limit is Kamailio's read buffer (role kamailio, `kamailio_tcp_rd_buf_size`); memory of a held page depends on it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.integration.calls.offers import AUDIO, sample
from tests.integration.calls.stage import BOB, CAROL, Stage, until
from tests.lab.roles import role_defaults
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

LIMIT = int(role_defaults("kamailio")["kamailio_tcp_rd_buf_size"])
AT_ONCE_S = 1.0
OVERHEAD = 1000
"""More than a scripted REGISTER has without the filler."""
LARGEST_OFFER = max(Path("tests/golden/sdp").glob("*.txt"), key=lambda path: path.stat().st_size)


def filler(size: int) -> tuple[tuple[str, str], ...]:
    """Return a header field of that size."""
    return (("X-Filler", "x" * size),)


async def ends(page: ScriptedWic, size: int) -> float:
    """Send a REGISTER with so large a header field; return how long the connection lasts after it."""
    attempt = asyncio.create_task(page.register(headers=filler(size)))
    sent_at_s = time.monotonic()
    await asyncio.wait_for(page.lost.wait(), AT_ONCE_S)
    attempt.cancel()
    return time.monotonic() - sent_at_s


def test_the_largest_real_offer_takes_a_third_of_it_at_most() -> None:
    assert 3 * LARGEST_OFFER.stat().st_size < LIMIT


async def test_a_call_with_the_largest_real_offer_and_a_token_goes_through(stage: Stage) -> None:
    page = await stage.page()
    offer = sample(LARGEST_OFFER.stem)
    wic = await page.invite(BOB, offer, headers=(("X-Token", "t" * 4000),))
    await wic.wait_status(183)
    await wic.cancel()


async def test_a_message_just_below_the_limit_passes_whole(stage: Stage) -> None:
    page = await stage.page(registered=False)
    size = LIMIT - OVERHEAD
    assert (await page.register(headers=filler(size))).status == 200
    (request,) = stage.core.trace.requests("REGISTER")
    assert request.headers.get("X-Filler") == "x" * size


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(LIMIT, id="just above"),
        pytest.param(3 * LIMIT, id="three times"),
        pytest.param(10 * LIMIT, id="ten times"),
    ],
)
async def test_a_larger_one_ends_its_own_connection_at_once_and_nothing_else(stage: Stage, size: int) -> None:
    page, other = await stage.page(), await stage.page(CAROL)
    before = len(stage.core.trace.entries)
    await ends(page, size)
    assert len(stage.core.trace.entries) == before
    await until(
        lambda: len(stage.lab.gateway_rpc.htable("flow")) == 1,
        lambda: f"flows stay: {stage.lab.gateway_rpc.htable('flow')}",
        15,
    )
    call = await stage.answered(other, AUDIO)
    await call.hang_up()
    await page.connect()
    assert (await page.register()).status == 200
