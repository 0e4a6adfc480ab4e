"""The page of the measurement: it calls, and changes its address in the call.

Knows the page's side of a change of network.  Must not know what the phone hears.  Runs in a network namespace of its
own; orders and answers are lines of JSON, as in `tests.bench.first_audio.page`.
"""

from __future__ import annotations

import asyncio
import enum
import json
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any, Final

from tests.bench.first_audio.cases import CASES_BY_NAME, Case
from tests.bench.first_audio.page import TARGET
from tests.bench.network_change.media import MovingMedia
from tests.peers.call_plan import SUCCESS
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall


class Ice(enum.StrEnum):
    """What a page that has changed its address does about ICE."""

    CHECKS = "checks"  #: from the new address, and nothing else
    RESTART = "restart"  #: by a re-INVITE
    OFFERED = "offered"  #: nothing, as stock clients: the gateway restarts it


_BACK_WITHIN_S: Final = 8.0
_NET_BITS: Final = 24


class MovingPage:
    """One page and its one call."""

    def __init__(self, url: str, origin: str, aor: str, device: str, address: str) -> None:
        self._wic = ScriptedWic(Handshake(url, origin=origin, forwarded_for=None), WicIdentity(aor))
        self._device = device
        self._address = address
        self._call: OutgoingCall | None = None
        self._media = MovingMedia()

    async def open(self) -> dict[str, Any]:
        """Connect and register."""
        await self._wic.connect()
        response = await self._wic.register()
        if response.status != 200:
            raise ConnectionRefusedError(response.start_line)
        return {}

    async def dial(self, case: Case) -> dict[str, Any]:
        """Call, and wait until the call stands."""
        self._media = media = MovingMedia()
        self._call = await self._wic.invite(
            TARGET,
            await media.offer(audio=case.audio),
            media=media,
            supported=case.supported,
            allow=case.allow,
        )
        await self._call.wait_answer()
        await media.until_connected()
        media.outlive_sockets()
        return {}

    async def move(self, address: str, ice: Ice) -> dict[str, Any]:
        """Lose the address and everything on it, and come back with another one."""
        began_s = time.monotonic()
        self._change_address(address)
        self._wic.lose()  # no address, so no FIN or RST: the gateway hears nothing
        if ice is Ice.CHECKS:
            await asyncio.gather(self._media.move(), self._sign_in())
            ice_s = time.monotonic()
        elif ice is Ice.OFFERED:
            await self._sign_in()
            await self._media.until_restarted()
            ice_s = time.monotonic()
        else:
            await self._sign_in()
            assert self._call is not None
            response = await self._call.reinvite(await self._media.restart())
            if response.status not in SUCCESS:
                raise ConnectionRefusedError(f"re-INVITE with a restart of ICE: {response.start_line}")
            await self._media.restarted(response.body)
            ice_s = time.monotonic()
        back_s = await self._heard_again(began_s)
        return {"began_s": began_s, "ice_s": ice_s, "back_s": back_s}

    async def hang_up(self) -> dict[str, Any]:
        """End the call."""
        if self._call is not None:
            await self._call.bye()
        await self.drop()
        return {}

    async def drop(self) -> None:
        """Forget the call."""
        await self._media.close()
        self._call = None

    async def close(self) -> None:
        """End everything."""
        await self._wic.close()

    def _change_address(self, address: str) -> None:
        # The old one first: it is the first of its network, and takes those after it along.
        for action, one in (("del", self._address), ("add", address)):
            subprocess.run(["ip", "addr", action, f"{one}/{_NET_BITS}", "dev", self._device], check=True)
        self._address = address

    async def _sign_in(self) -> None:
        await self._wic.connect()
        response = await self._wic.register()
        if response.status != 200:
            raise ConnectionRefusedError(response.start_line)

    async def _heard_again(self, began_s: float) -> float | None:
        """Return when the first sound came after the gap that the change made."""
        deadline = began_s + _BACK_WITHIN_S
        settled = 25  # half a second of sound: the gap is behind us
        while time.monotonic() < deadline:
            after = [at_s for at_s in self._media.heard_at_s if at_s > began_s]
            if len(after) > settled and (found := after_gap(self._media.heard_at_s, began_s)) is not None:
                return found
            await asyncio.sleep(0.05)
        return None


def after_gap(times_s: list[float], began_s: float, *, least_s: float = 0.045) -> float | None:
    """Return the end of the longest gap that ended after ``began_s``; None when nothing was missing."""
    pairs = [(b - a, b) for a, b in pairwise(times_s) if b > began_s]
    length_s, end_s = max(pairs, default=(0.0, 0.0))
    return end_s if length_s >= least_s else None


async def carry_out(page: MovingPage, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order; a failure is an answer too."""
    try:
        match order["do"]:
            case "dial":
                return await page.dial(CASES_BY_NAME[order["case"]])
            case "move":
                return await page.move(order["address"], Ice(order["ice"]))
            case _:
                return await page.hang_up()
    except (TimeoutError, AssertionError, OSError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}


async def main() -> None:
    """Run the page."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    page = MovingPage(**json.loads(await reader.readline()))
    print(json.dumps(await page.open()), flush=True)
    while line := await reader.readline():
        print(json.dumps(await carry_out(page, json.loads(line))), flush=True)
    await page.close()


if __name__ == "__main__":
    asyncio.run(main())
