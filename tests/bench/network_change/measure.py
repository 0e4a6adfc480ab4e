"""Calls in which the page changes its address, one after the other.

Knows the phone's side and the page as a process.  Must not know what figures mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.first_audio.cases import CASES_BY_NAME, Case
from tests.bench.first_audio.measure import ALICE, PageFailedError, PageProcess, process_behind
from tests.bench.first_audio.sites import Site
from tests.bench.network_change.page import Ice, after_gap
from tests.peers.core import ScriptedCore
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.rtp import RtpPacket

_TALK_S: Final = 1.0
_LAST_ADDRESS: Final = 250


@dataclass(frozen=True)
class Way:
    """How the page comes back: what kind of client, and what becomes of its ICE."""

    name: str
    label: str
    case: Case
    ice: Ice


WAYS: Final = (
    Way("checks", "two-way, checks from the new address only", CASES_BY_NAME["100rel"], Ice.CHECKS),
    Way("checks-one-way", "one-way, checks from the new address only", CASES_BY_NAME["update"], Ice.CHECKS),
    Way("restart", "two-way, re-INVITE with a restart of ICE", CASES_BY_NAME["100rel"], Ice.RESTART),
    Way("restart-one-way", "one-way, re-INVITE with a restart of ICE", CASES_BY_NAME["update"], Ice.RESTART),
    Way("offered", "two-way, the gateway restarts ICE", CASES_BY_NAME["100rel"], Ice.OFFERED),
    Way("offered-one-way", "one-way, the gateway restarts ICE", CASES_BY_NAME["update"], Ice.OFFERED),
)
WAYS_BY_NAME: Final = {way.name: way for way in WAYS}


@dataclass(frozen=True)
class Times:
    """Seconds after the page lost its address; None for what did not come back."""

    ice_s: float
    """The page has a new pair of candidates."""
    page_s: float | None
    phone_s: float | None


class _Ear(RtpEndpoint):
    """A phone that notes when it hears."""

    def __init__(self) -> None:
        self.heard_at_s: list[float] = []
        super().__init__()

    def _take_rtp(self, data: bytes) -> None:
        came_s = time.monotonic()
        super()._take_rtp(data)
        if (packet := self._newest()) is not None and self._is_sound(packet):
            self.heard_at_s.append(came_s)

    def _newest(self) -> RtpPacket | None:
        kept = self._packets.get(8)
        return kept[-1] if kept else None


async def one_change(core: ScriptedCore, page: PageProcess, way: Way, address: str) -> Times:
    """Make one call, change the address in it, and hang up."""
    with _Ear() as phone:
        core.script = answers(DeviceMedia(audio_port=phone.port))
        dialling = asyncio.create_task(page.ask({"do": "dial", "case": way.case.name}))
        device = await core.wait_call(20)
        phone.send_to_sdp(device.invite.body)
        phone.start_tone()
        await dialling
        await phone.until(lambda p: p.first_sound_at_s is not None, what="the page", timeout_s=5)
        await asyncio.sleep(_TALK_S)
        try:
            moved = await page.ask({"do": "move", "address": address, "ice": way.ice})
            await asyncio.sleep(_TALK_S / 2)
        finally:
            with contextlib.suppress(
                PageFailedError
            ):  # where the change failed, there is nothing to say it over
                await page.ask({"do": "hang_up"})
    began_s = moved["began_s"]
    page_back_s, phone_back_s = moved["back_s"], after_gap(phone.heard_at_s, began_s)
    return Times(
        moved["ice_s"] - began_s,
        None if page_back_s is None else page_back_s - began_s,
        None if phone_back_s is None else phone_back_s - began_s,
    )


async def measure(
    site: Site, way: Way, runs: int, core: ScriptedCore, say: Callable[[str], None]
) -> list[Times | None]:
    """Change the address that many times; None for what failed."""
    assert site.line is not None
    found: list[Times | None] = []
    order = {
        "url": site.url,
        "origin": site.origin,
        "aor": ALICE,
        "device": site.line.far_device,
        "address": site.line.far,
    }
    async with process_behind(site, "tests.bench.network_change.page") as page:
        await page.ask(order)
        for number in range(runs):
            address = site.line.address(3 + number % (_LAST_ADDRESS - 3))
            try:
                found.append(await one_change(core, page, way, address))
            except (PageFailedError, AssertionError, TimeoutError) as error:
                say(f"{way.name}, run {number + 1}: {error}")
                found.append(None)
    return found
