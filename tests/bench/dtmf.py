"""Strings of sixteen random digits through the gateway, both ways at once: what is lost, wrong, or too long.

    python -m tests.bench.dtmf [--strings 1000] [--calls 5]

A page (aiortc) sends each string as sixteen INFOs at once; its device has to hear them as telephone-events. The device
sends others as telephone-events; the page has to hear of them by INFO. Every string is new, A to D included, and every
key has a length of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

from tests.integration.calls.stage import ALICE, BOB, Call, Stage, gateway_options, warning_of
from tests.integration.calls.test_dtmf import RECV_INFO, RELAY, event_type, with_events
from tests.integration.calls.test_media import connected
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.peers.aiortc_wic import AiortcMedia, AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.rtp import DTMF_DIGITS, key_presses
from tests.peers.wic import WicIdentity

LENGTH: Final = 16
STRINGS_IN_A_CALL: Final = 10
TOLERANCE_MS: Final = 20
PATIENCE_S: Final = 120.0
"""Whoever shares the machine may make this slow; lost is what does not come at all."""
POLL_S: Final = 0.25
Keys = list[tuple[str, int]]


class TooSlowError(Exception):
    """The ends of the calls did not keep up, so that nothing is said of the gateway: fewer calls, or a quieter machine.

    An aiortc page that reads its packets too late, and with them the answers to its consent checks (RFC 7675), closes
    after six of those: it falls silent, and the relay has nothing any more into which it could put digits.
    """


@dataclass
class Tally:
    """What became of the strings of one direction."""

    name: str
    strings: int = 0
    wrong: int = 0
    too_far_off: int = 0
    off_ms: list[float] = field(default_factory=list)

    def count(self, wanted: Keys, heard: list[tuple[str, float]]) -> None:
        """Count one string."""
        self.strings += 1
        if [digit for digit, _ in heard] != [digit for digit, _ in wanted]:
            self.wrong += 1
            print(f"{self.name}: {wanted} was heard as {heard}", file=sys.stderr, flush=True)
            return
        off = [abs(ms - length) for (_, ms), (_, length) in zip(heard, wanted, strict=True)]
        self.off_ms += off
        self.too_far_off += sum(one > TOLERANCE_MS for one in off)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost or wrong."""
        return not self.wrong and not self.too_far_off

    def __str__(self) -> str:
        off = sorted(self.off_ms) or [0.0]
        p99 = off[int(0.99 * (len(off) - 1))]
        return (
            f"{self.name:14} {self.strings:5} strings, {self.wrong} wrong; {len(self.off_ms)} lengths off by "
            f"{off[len(off) // 2]:.0f} ms (median), {p99:.0f} ms (p99), {off[-1]:.0f} ms (most); "
            f"{self.too_far_off} by more than {TOLERANCE_MS} ms"
        )


class Line:
    """One call with media at both ends."""

    def __init__(self, call: Call, media: AiortcMedia, phone: RtpEndpoint, event_type: int) -> None:
        self._call, self._media, self._phone, self._event_type = call, media, phone, event_type

    async def from_page(self, keys: Keys) -> list[tuple[str, float]]:
        """Send keys by INFO and return what the device heard."""
        before = self._phone.packets(self._event_type)
        known = {packet.timestamp for packet in before}  # of events whose last packet may be yet to come

        def heard() -> list[tuple[str, float]]:
            packets = self._phone.packets(self._event_type)[len(before) :]
            presses = key_presses((one for one in packets if one.timestamp not in known), 8000)
            return [(one.digit, one.duration_ms) for one in presses if one.ended]

        sent = await asyncio.gather(
            *(self._call.wic.info(f"Signal={digit}\r\nDuration={ms}\r\n", RELAY) for digit, ms in keys)
        )
        refused = [answer for answer in sent if answer.status != 200]
        assert not refused, [(answer.start_line, warning_of(answer)) for answer in refused]
        return await self._all(heard, len(keys))

    async def from_core(self, keys: Keys) -> list[tuple[str, float]]:
        """Send keys as telephone-events and return what the page heard of."""
        before = len(self._call.wic.trace.requests("INFO"))

        def told() -> list[tuple[str, float]]:
            requests = self._call.wic.trace.requests("INFO")[before:]
            found = [re.fullmatch(r"Signal=(.)\r\nDuration=(\d+)\r\n", one.body) for one in requests]
            return [(match.group(1), float(match.group(2))) for match in found if match is not None]

        for digit, ms in keys:
            self._phone.send_digit(digit, self._event_type, ms // 20)
        return await self._all(told, len(keys))

    async def _all(self, heard: Callable[[], list[tuple[str, float]]], count: int) -> list[tuple[str, float]]:
        """Wait for as many keys as were sent, and return those that came; raise TooSlowError."""
        deadline = time.monotonic() + PATIENCE_S
        while len(heard()) < count and time.monotonic() < deadline:
            if self._media.connection.iceConnectionState != "completed":
                raise TooSlowError("a page has given up: it got no answers to its ICE checks in time")
            await asyncio.sleep(POLL_S)
        return heard()


def random_keys(rng: random.Random, step_ms: int) -> Keys:
    """Return a string of keys with lengths; RFC 4733 leaves no time between two of the same name undefined."""
    return [
        (rng.choice(DTMF_DIGITS), 100 + step_ms * rng.randrange(60 // step_ms + 1)) for _ in range(LENGTH)
    ]


async def measure(lab: Lab, strings: int, calls: int) -> list[Tally]:
    """Play all strings over a number of calls at the same time."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4 * calls + 4))  # each waits in one
    stage = Stage(lab)
    await stage.open()

    tallies = [Tally("page to core"), Tally("core to page")]
    turn = asyncio.Lock()
    shares = [strings // calls + (number < strings % calls) for number in range(calls)]
    await asyncio.gather(
        *(
            play_share(stage, turn, tallies, share, random.Random(number))
            for number, share in enumerate(shares)
        )
    )
    await stage.close()
    return tallies


async def play_share(
    stage: Stage, turn: asyncio.Lock, tallies: list[Tally], strings: int, rng: random.Random
) -> None:
    """Play strings in one call after the other."""
    while strings:
        in_call = min(strings, STRINGS_IN_A_CALL)
        with RtpEndpoint() as phone:
            async with turn:  # the core's script is for one call
                line, call, page = await call_with_media(stage, phone)
            await asyncio.gather(
                play(line.from_page, tallies[0], in_call, rng, 5),
                play(line.from_core, tallies[1], in_call, rng, 20),
            )
            await call.hang_up()
            stage.pages.remove(page)
            await page.close()
        strings -= in_call
        print(*tallies, sep="\n", file=sys.stderr, flush=True)


async def play(
    send: Callable[[Keys], Awaitable[list[tuple[str, float]]]],
    tally: Tally,
    strings: int,
    rng: random.Random,
    step_ms: int,
) -> None:
    """Send strings one after the other."""
    for _ in range(strings):
        keys = random_keys(rng, step_ms)
        tally.count(keys, await send(keys))


async def call_with_media(stage: Stage, phone: RtpEndpoint) -> tuple[Line, Call, AiortcWic]:
    """Make a call whose ends both send and hear."""
    page = AiortcWic(stage.handshake, WicIdentity(ALICE))
    await stage.join(page)
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    media = page.new_media()
    offer = with_events(await media.offer())
    call = await connected(stage, await page.invite(BOB, offer, media=media, headers=RECV_INFO), media)
    number = event_type(call.ims.invite.body)
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(440)
    phone.expect_events(number)
    await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=30)
    return Line(call, media, phone, number), call, page


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--strings", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=5)
    options = parser.parse_args()
    started = time.monotonic()
    site = gateway_options(gateway_ng_deadline_ms=2000)
    # The relay shares the machine with all ends of all calls: it may be late.
    patience = {"media_agent": {"media_agent_late_s": 5.0, "media_agent_silent_s": 10.0}}
    site = replace(
        site, parts=site.parts | {Part.MEDIA_AGENT}, role_variables={**site.role_variables, **patience}
    )
    with Lab(site) as lab:
        tallies = asyncio.run(measure(lab, options.strings, options.calls))
    for tally in tallies:
        print(tally)
    print(f"{options.calls} calls at the same time, {time.monotonic() - started:.0f} s")
    return 0 if all(tally.is_good for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
