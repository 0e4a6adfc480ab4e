"""The core gives up before the gateway has a transaction for its INVITE."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.calls.stage import ALICE, Stage, until
from tests.integration.calls.test_incoming import ELSEWHERE, gone

pytestmark = pytest.mark.lab


async def test_a_cancel_that_overtakes_its_invite(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another worker has the INVITE in hand, but no transaction for it yet."""
    page = await stage.page()
    held: list[Any] = []
    send = stage.core.send
    monkeypatch.setattr(stage.core, "send", lambda *message: held.append(message))
    ims = stage.core.call(ALICE)
    await until(lambda: bool(held), lambda: "no INVITE", 15)
    ims.cancel(headers=[("Reason", ELSEWHERE)])
    monkeypatch.undo()
    for message in reversed(held):
        send(*message)
    wic = await page.wait_incoming()
    cancel = await wic.wait_request("CANCEL")
    assert cancel.headers.get("Reason") == ELSEWHERE
    await ims.wait_status(487)
    await gone(stage, ims.call_id)
