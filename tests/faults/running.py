"""Calls that stand while the fault strikes, and what became of each.

Knows both ends of a call.  Must not know faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.bench.mixed.stage import MixedStage
from tests.faults.load import PATIENCE_S
from tests.faults.pages import KeptPage
from tests.faults.sound import HeardMedia, Phone
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.lab.subscribers import REALM
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import SipResponse
from tests.peers.trace import NothingMatchedError
from tests.peers.wic_call import OutgoingCall

_SET_UP_S: Final = 20.0
_HEARD_WITHIN_S: Final = 10.0
_AT_ONCE: Final = 5
_INFO_S: Final = 8.0


class Fate(StrEnum):
    """What became of a call that stood."""

    KEPT = "kept"
    TOLD = "told"
    """It ended, and both sides were told."""
    HUNG = "hung"
    """One side goes on, or neither was told."""


@dataclass
class RunningCall:
    """One call; `phone` and `media` where it has sound."""

    page: KeptPage
    wic: OutgoingCall
    ims: CalledDevice
    phone: Phone | None = None
    media: HeardMedia | None = None

    def begin(self) -> None:
        """Count pauses from now on."""
        if self.phone is not None and self.media is not None:
            self.phone.pause.begin()
            self.media.pause.begin()

    @property
    def silence_s(self) -> float | None:
        """The longest pause at either end; None for a call without sound."""
        if self.phone is None or self.media is None:
            return None
        return max(self.phone.pause.longest_s, self.media.pause.longest_s)

    async def fate(self) -> tuple[Fate, str]:
        """See what became of it."""
        byes = [end.ladder().count("<- BYE") for end in (self.wic, self.ims)]
        if all(byes):
            return Fate.TOLD, ""
        try:
            from_page, from_core = await asyncio.gather(self._info(), self._core_info())
        except NothingMatchedError as error:
            return Fate.HUNG, str(error).partition(";")[0]
        if any(byes) and from_page in (200, 481) and from_core in (200, 481):
            # Who was away when the other side heard BYE hears it from the first thing that it tries.
            told = (byes[0] or from_page == 481) and (byes[1] or from_core == 481)
            return (Fate.TOLD, "") if told else (Fate.HUNG, f"BYE {byes}, INFO {from_page}/{from_core}")
        kept = (from_page, from_core) == (200, 200)
        return (Fate.KEPT, "") if kept else (Fate.HUNG, f"INFO {from_page}/{from_core}, BYE {byes}")

    async def hang_up(self) -> None:
        """End it from the page's side."""
        with contextlib.suppress(NothingMatchedError):
            await self.wic.bye()

    async def close(self) -> None:
        """Close the media."""
        if self.phone is not None:
            self.phone.close()
        if self.media is not None:
            await self.media.close()

    async def _info(self) -> int:
        await asyncio.wait_for(self.page.ready.wait(), PATIENCE_S)
        response: SipResponse = await self.wic.info()
        return response.status

    async def _core_info(self) -> int:
        return (await self.ims.info("text/plain", "still here")).status


class RunningCalls:
    """All of them."""

    def __init__(self, stage: MixedStage, pages: Sequence[KeptPage], address: str) -> None:
        self._stage = stage
        self._pages = pages
        self._address = address
        self.phones: list[Phone] = []
        self.calls: list[RunningCall] = []
        self._following: list[asyncio.Task[None]] = []
        self._numbers = itertools.count()

    async def set_up(self, count: int, heard: int) -> None:
        """Make so many calls, the first of them with sound, and wait until it is heard."""
        todo = iter(range(count))

        async def some() -> None:
            for number in todo:
                self.calls.append(await self._call(number, with_sound=number < heard))

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    async def take_down(self) -> None:
        """Hang up whatever is left, and forget the calls."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*(call.hang_up() for call in self.calls))
        for call in self.calls:
            await call.close()
            self._stage.ended(call.page.wic, [call.wic.call_id])
        self.phones.clear()
        self.calls.clear()
        self._following.clear()

    async def _call(self, number: int, *, with_sound: bool) -> RunningCall:
        page = self._pages[number % len(self._pages)]
        user = f"running{next(self._numbers)}"
        if not with_sound:
            self._stage.scripts[user] = answers()
            offer = AUDIO if number % 2 else AUDIO_BOTH_WAYS
            wic = await page.wic.invite(f"sip:{user}@{REALM}", offer)
            return RunningCall(page, wic, await self._answered(wic))
        phone = await Phone.open(self._address)
        device = DeviceMedia(address=self._address, audio_port=phone.port)
        self._stage.scripts[user] = answers(device)
        media = HeardMedia()
        offer = await media.offer(audio="sendonly" if number % 2 else "sendrecv")
        wic = await page.wic.invite(f"sip:{user}@{REALM}", offer, media=media)
        ims = await self._answered(wic)
        ims.media = DeviceMedia(address=self._address, audio_port=phone.port, version=2)
        phone.send_to(ims.invite.body)
        self.phones.append(phone)
        self._following.append(asyncio.create_task(_follow(ims, phone)))
        call = RunningCall(page, wic, ims, phone, media)
        async with asyncio.timeout(_HEARD_WITHIN_S):
            while not (phone.pause.has_heard and media.pause.has_heard):
                await asyncio.sleep(0.02)
        return call

    async def _answered(self, wic: OutgoingCall) -> CalledDevice:
        await wic.wait_answer(_SET_UP_S)
        ims = self._stage.core.calls[wic.call_id]
        assert isinstance(ims, CalledDevice)
        await ims.wait_ack(timeout_s=_SET_UP_S)
        return ims


async def _follow(ims: CalledDevice, phone: Phone) -> None:
    """Let the device send where the core is told to."""
    for count in itertools.count(2):
        phone.send_to((await ims.wait_request("INVITE", count=count, timeout_s=3600)).body)
