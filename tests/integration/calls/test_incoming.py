"""The core calls a page: delivery over the page's own connection, one dialog, whatever the page says (TS 24.229 §5.2.6.4)."""

from __future__ import annotations

import pytest

from tests.integration.calls.stage import ALICE, Stage

pytestmark = pytest.mark.lab


async def test_smoke(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE)
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    await wic.answer()
    print("\n".join(wic.ladder()), "\n", wic.invite.body)
    answer = await ims.wait_status(200)
    print("\n".join(ims.ladder()), "\n", answer.headers, answer.body)
    assert (await ims.info("text/plain", "hello")).status == 200
    assert (await wic.info_dtmf("7")).status == 200
    assert (await ims.bye()).status == 200
    print("\n".join(wic.ladder()), "\n", wic.invite.headers)
