"""One slot of the run: a page that makes and takes one call after the other, and the core's end of each.

Knows how a scenario gets at both ends of its call.  Must not know scenarios.
"""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.mixed.stage import MixedStage
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import Call
from tests.lab.subscribers import REALM
from tests.peers.call_plan import FINAL, CallPlan
from tests.peers.calling_device import CallingDevice
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, answers
from tests.peers.sip import SipResponse
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import IncomingCall, OutgoingCall

PATIENCE_S: Final = 30.0
"""How long a scenario waits for a message: many calls share two cores."""
_REFRESH_S: Final = 240.0
"""How old a page's registration gets; it is for ten minutes."""


@dataclass(frozen=True)
class PageCall:
    """Both ends of a call towards the page."""

    wic: IncomingCall
    ims: CallingDevice


class Play:
    """What a scenario plays with; `random` is its own, so that a run can be repeated."""

    def __init__(self, stage: MixedStage, slot: int) -> None:
        self.stage = stage
        self.random = random.Random()
        self.aor = f"sip:mixed{slot}@{REALM}"
        self._identity = WicIdentity(self.aor)
        self._slot = slot
        self._page: ScriptedWic | None = None
        self._registered_at = 0.0
        self._numbers = 0
        self.call_ids: list[str] = []

    @property
    def page(self) -> ScriptedWic:
        """The page of this slot, registered when a scenario begins."""
        assert self._page is not None
        return self._page

    async def begin(self, seed: str) -> None:
        """Get ready for a scenario."""
        self.random = random.Random(seed)
        self.call_ids = []
        if self._page is None:
            self._page = await self.stage.join(ScriptedWic(self.stage.handshake, self._identity))
            self._registered_at = time.monotonic()
        elif self._page.lost.is_set():
            await self.come_back()
        elif time.monotonic() - self._registered_at > _REFRESH_S:
            await self._register()
        self.page.plan = CallPlan()

    async def come_back(self) -> None:
        """Connect again and register."""
        await self.page.lost.wait()
        await self.page.connect()
        await self._register()

    async def _register(self) -> None:
        response = await self.page.register(timeout_s=PATIENCE_S)
        assert response.status == 200, response.start_line
        self._registered_at = time.monotonic()

    async def abandon(self) -> None:
        """Lose the connection after a failure and never come back: that ends whatever call is left."""
        page, self._page = self._page, None
        if page is not None and not page.lost.is_set():
            with contextlib.suppress(OSError):  # it is being lost
                page.lose()
            await page.lost.wait()

    def end(self) -> None:
        """The scenario is over."""
        if self._page is not None:
            self.stage.ended(self._page, self.call_ids)

    def violations(self) -> list[str]:
        """Return what both ends saw the gateway do against an RFC in the calls of the scenario."""
        return self.stage.violations_of(self.page, self.call_ids)

    async def leave(self) -> None:
        """Sign off and go."""
        if self._page is None:
            return
        if self.page.lost.is_set():
            await self.come_back()
        response = await self.page.unregister()
        assert response.status == 200, response.start_line
        await self.page.close()

    # ------------------------------------------------------------------ calls of the page

    async def dial(
        self, script: CoreScript | None = None, offer: str = AUDIO, plan: CallPlan | None = None, **how: Any
    ) -> OutgoingCall:
        """Call somebody whom the core treats like this; `how` is for the page's INVITE."""
        self._numbers += 1
        user = f"callee{self._slot}-{self._numbers}"
        self.stage.scripts[user] = script or answers()
        wic = await self.page.invite(f"sip:{user}@{REALM}", offer, plan=plan, **how)
        self.call_ids.append(wic.call_id)
        return wic

    async def far_end(self, wic: OutgoingCall) -> CalledDevice:
        """Return the core's end of a call, once it has the INVITE."""
        trace = self.stage.core.trace
        await trace.wait_request("INVITE", call_id=wic.call_id, timeout_s=PATIENCE_S)
        call = self.stage.core.calls[wic.call_id]
        assert isinstance(call, CalledDevice)
        return call

    async def answered(
        self, script: CoreScript | None = None, offer: str = AUDIO, plan: CallPlan | None = None, **how: Any
    ) -> Call:
        """Call, and wait until the ACK is at the core."""
        wic = await self.dial(script, offer, plan, **how)
        await wic.wait_answer(PATIENCE_S)
        call = Call(wic, await self.far_end(wic))
        await call.ims.wait_ack(timeout_s=PATIENCE_S)
        return call

    async def refused(self, wic: OutgoingCall, *expected: int) -> SipResponse:
        """Wait for the end of a call that must not be answered."""
        final = await wic.wait_status(FINAL, timeout_s=PATIENCE_S)
        assert final.status in expected, f"{final.start_line} instead of {expected}"
        return final

    # ------------------------------------------------------------------ calls to the page

    async def called(self, **how: Any) -> PageCall:
        """Let the core call the page; nothing but 100 is answered."""
        ims = self.stage.core.call(self.aor, **how)
        self.call_ids.append(ims.call_id)
        return PageCall(await self.page.wait_incoming(PATIENCE_S), ims)

    async def ringing(self, **how: Any) -> PageCall:
        """Let the core call the page, and ring."""
        call = await self.called(**how)
        await call.wic.ring()
        await call.ims.wait_status(180, timeout_s=PATIENCE_S)
        return call

    async def talking(self, **how: Any) -> PageCall:
        """Let the core call the page, and answer."""
        call = await self.ringing(**how)
        await call.wic.answer(timeout_s=PATIENCE_S)
        await call.ims.wait_status(200, timeout_s=PATIENCE_S)
        return call

    # ------------------------------------------------------------------ any call

    async def works(self, call: Call | PageCall) -> None:
        """An INFO passes both ways."""
        assert (await call.wic.info()).status == 200
        assert (await call.ims.info("text/plain", "hello")).status == 200

    async def hang_up(self, call: Call | PageCall) -> None:
        """Either end hangs up."""
        if self.random.random() < 0.5:
            assert (await call.wic.bye()).status == 200
            await call.ims.wait_request("BYE", timeout_s=PATIENCE_S)
        else:
            assert (await call.ims.bye()).status == 200
            await call.wic.wait_request("BYE", timeout_s=PATIENCE_S)
