"""The page of the measurement: a process of its own, so that it can run in another network namespace.

Knows one page and one call at a time.  Must not know what is measured at the other end.  A line of standard input is
an order, answered by one line of standard output; both are JSON.  Times are of the monotonic clock, which all
processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from dataclasses import asdict
from typing import Any, Final, Protocol

from tests.bench.first_audio.cases import CASES_BY_NAME, Case, TakesAnswer
from tests.bench.first_audio.sound import FirstSound, ListeningMedia
from tests.peers.aiortc_wic import SendDirection
from tests.peers.call_plan import CallPlan, Go, Step
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall, WicCall

TARGET: Final = "sip:bob@ims.test"
HEARD_WITHIN_S: Final = 5.0
_CONNECTS: Final = 7


class Media(Protocol):
    """What the page needs of its client's media."""

    @property
    def sound(self) -> FirstSound:
        """What was heard first."""

    async def offer(self, *, audio: SendDirection) -> str:
        """Make the offer."""

    async def answer_received(self, sdp: str) -> None:
        """Apply an answer."""

    async def answer_offer(self, sdp: str) -> str:
        """Answer an offer."""

    async def until_connected(self) -> None:
        """Wait for ICE and DTLS."""

    async def until_heard_anything(self, timeout_s: float) -> None:
        """Wait until the first sound was played."""

    async def close(self) -> None:
        """End it."""


class AiortcClient:
    """Makes the media of calls: aiortc."""

    async def __aenter__(self) -> AiortcClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def media(self) -> Media:
        """Return the media of one call."""
        return ListeningMedia()


class HeldAnswer:
    """Media of a client that looks at no description before the callee's answer."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._sdp = ""

    async def answer_received(self, sdp: str) -> None:
        """Keep it."""
        self._sdp = sdp

    async def answer_offer(self, sdp: str) -> str:
        """Answer an offer as ever."""
        return await self._media.answer_offer(sdp)

    async def apply(self, _call: WicCall) -> Go:
        """The callee has answered."""
        await self._media.answer_received(self._sdp)
        return Go.ON


class MeasuredPage:
    """Carries the orders out."""

    def __init__(self, url: str, origin: str, aor: str, registered: bool, client: Any) -> None:
        self._wic = ScriptedWic(Handshake(url, origin=origin, forwarded_for=None), WicIdentity(aor))
        self._registered = registered
        self._client = client
        self._call: OutgoingCall | None = None
        self._media: Media | None = None

    async def open(self) -> dict[str, Any]:
        """Connect, and register where the gateway wants it."""
        await self._wic.connect()
        if self._registered:
            response = await self._wic.register()
            if response.status != 200:
                raise ConnectionRefusedError(response.start_line)
        return {}

    async def dial(self, case: Case) -> dict[str, Any]:
        """Call, and wait until it rings and, where the client has its answer by then, the media path stands."""
        media = self._media = self._client.media()
        held = HeldAnswer(media)
        early = case.takes is TakesAnswer.EARLY
        plan = CallPlan() if early else CallPlan(hooks={Step.ANSWER_RECEIVED: held.apply})
        self._call = await self._wic.invite(
            TARGET,
            await media.offer(audio=case.audio),
            plan=plan,
            media=media if early else held,
            supported=case.supported,
            allow=case.allow,
        )
        await self._call.wait_status(180)
        if early:
            await media.until_connected()
        return {"ready_s": time.monotonic()}

    async def hear(self) -> dict[str, Any]:
        """Wait for the callee's answer and for sound."""
        assert self._call is not None
        assert self._media is not None
        await self._call.wait_answer()
        answered_s = next(
            e.at_s
            for e in self._wic.trace.entries
            if e.label.startswith("<- 200 INVITE") and e.message.call_id == self._call.call_id
        )
        with contextlib.suppress(TimeoutError, AssertionError):  # what was not heard is reported as not heard
            await self._media.until_heard_anything(HEARD_WITHIN_S)
        return {"answered_s": answered_s, **asdict(self._media.sound)}

    async def hang_up(self) -> dict[str, Any]:
        """End the call."""
        if self._call is not None and self._call.dialog is not None:
            await self._call.bye()
        await self.drop()
        return {}

    async def drop(self) -> None:
        """Forget the call."""
        if self._media is not None:
            await self._media.close()
        self._call = self._media = None

    async def close(self) -> None:
        """End everything."""
        await self.drop()
        await self._wic.close()


def one_way_s(host: str, port: int) -> float:
    """Return half the time a TCP connection takes, the shortest of several."""
    took = []
    for _ in range(_CONNECTS):
        began = time.monotonic()
        socket.create_connection((host, port), 5).close()
        took.append(time.monotonic() - began)
    return min(took) / 2


async def serve(lines: asyncio.StreamReader) -> None:
    """Carry out orders until standard input ends."""
    first = json.loads(await lines.readline())
    delay_s = one_way_s(first.pop("host"), first.pop("port"))
    client = client_named(first.pop("client"))
    async with client:
        page = MeasuredPage(**first, client=client)
        _say({**await page.open(), "one_way_s": delay_s})
        try:
            while line := await lines.readline():
                _say(await carry_out(page, json.loads(line)))
        finally:
            await page.close()


async def carry_out(page: MeasuredPage, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one order; a failure is an answer too."""
    try:
        match order["do"]:
            case "dial":
                return await page.dial(CASES_BY_NAME[order["case"]])
            case "hear":
                return await page.hear()
            case _:
                return await page.hang_up()
    except (TimeoutError, AssertionError, OSError) as error:
        await page.drop()
        return {"failed": f"{type(error).__name__}: {error}"}


def client_named(name: str) -> Any:
    """Return what makes the media of calls."""
    if name == "chromium":
        from tests.bench.first_audio.chromium import ChromiumClient

        return ChromiumClient()
    return AiortcClient()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


async def main() -> None:
    """Run the page."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await serve(reader)


if __name__ == "__main__":
    asyncio.run(main())
