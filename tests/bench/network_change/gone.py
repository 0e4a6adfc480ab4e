"""A call to a page that is gone: how long the caller waits for the final answer.

Knows scripted pages and how they go.  Must not know media.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.first_audio.cases import Through
from tests.bench.first_audio.measure import ALICE, open_core
from tests.bench.first_audio.sites import site
from tests.peers.core import ScriptedCore
from tests.peers.websocket import Handshake, Loss
from tests.peers.wic import ScriptedWic, WicIdentity

_PATIENCE_S: Final = 20.0
_FINAL: Final = range(200, 700)

Go = Callable[[ScriptedCore, ScriptedWic, Loss], Awaitable[tuple[float, int]]]


@dataclass(frozen=True)
class Waited:
    """How long one caller waited after the page had gone, or after the call if that was later; and for what."""

    seconds: float
    status: int


async def called_after(core: ScriptedCore, page: ScriptedWic, loss: Loss) -> tuple[float, int]:
    """The page goes, and is called at the same moment: the gateway may not have noticed yet."""
    page.lose(loss)
    await page.lost.wait()
    began_s = time.monotonic()
    final = await core.call(ALICE).wait_status(_FINAL, timeout_s=_PATIENCE_S)
    return began_s, final.status


async def gone_while_ringing(core: ScriptedCore, page: ScriptedWic, loss: Loss) -> tuple[float, int]:
    """The page goes while it rings."""
    call = core.call(ALICE)
    wic = await page.wait_incoming()
    await wic.ring()
    await call.wait_status(180, timeout_s=_PATIENCE_S)
    began_s = time.monotonic()
    page.lose(loss)
    final = await call.wait_status(_FINAL, timeout_s=_PATIENCE_S)
    return began_s, final.status


GOES: Final[dict[str, Go]] = {
    "called as it goes": called_after,
    "goes while it rings": gone_while_ringing,
}


async def measure_gone(runs: int) -> dict[str, list[Waited]]:
    """Let a page go that many times in each way, half of them without so much as a FIN of its own."""
    found: dict[str, list[Waited]] = {name: [] for name in GOES}
    async with open_core() as core:
        with site(Through.GATEWAY, 0, core.address[1]) as running:
            for number in range(runs):
                for name, go in GOES.items():
                    handshake = Handshake(running.url, origin=running.origin, forwarded_for=None)
                    page = ScriptedWic(handshake, WicIdentity(ALICE))
                    await page.connect()
                    assert (await page.register()).status == 200
                    began_s, status = await go(core, page, list(Loss)[number % 2])
                    found[name].append(Waited(time.monotonic() - began_s, status))
                    await page.close()
    return found
