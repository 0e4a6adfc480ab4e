"""A call from the core to a page, as the tests of this folder play it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.integration.calls.stage import ALICE, Stage
from tests.peers.calling_device import CallingDevice
from tests.peers.wic import ScriptedWic
from tests.peers.wic_call import IncomingCall


@dataclass(frozen=True)
class PageCall:
    """Both ends of one call towards a page."""

    wic: IncomingCall
    ims: CallingDevice

    @property
    def call_id(self) -> str:
        """Call-ID, the same on both sides."""
        return self.ims.call_id

    async def works(self) -> None:
        """An INFO passes both ways."""
        assert (await self.ims.info("text/plain", "hello")).status == 200
        assert (await self.wic.info()).status == 200


async def ringing(stage: Stage, page: ScriptedWic, aor: str = ALICE, **how: Any) -> PageCall:
    """Call a page and wait until the core hears it ring."""
    ims = stage.core.call(aor, **how)
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    return PageCall(wic, ims)


async def answered(stage: Stage, page: ScriptedWic, aor: str = ALICE, **how: Any) -> PageCall:
    """Call a page, let it ring and answer; the page has the ACK."""
    call = await ringing(stage, page, aor, **how)
    await call.wic.answer()
    return call
