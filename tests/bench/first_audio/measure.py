"""One call after the other: the phone answers and speaks, and both ends say when they heard each other.

Knows the phone's side and the page as a process.  Must not know how a gateway is started or what figures mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.first_audio.cases import Case
from tests.bench.first_audio.phone import OpusPhone
from tests.bench.first_audio.sites import Site
from tests.lab.subscribers import REALM
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import MediaTimeoutError, RtpEndpoint
from tests.peers.sdp import sdp_from_text

ALICE: Final = f"sip:alice@{REALM}"
_ANSWER_WITHIN_S: Final = 20.0
_RINGS_S: Final = 0.25
_PACKET_S: Final = 0.02
_HEARD_WITHIN_S: Final = 5.0


@dataclass(frozen=True)
class CallTimes:
    """Seconds after the callee's 200 left the phone; None for what did not happen."""

    answered_s: float | None
    """The 200 at the page."""
    packet_s: float | None
    """The first media packet at the page."""
    page_s: float | None
    """The first packet at the page that decodes to sound."""
    played_s: float | None
    """The first sound out of the page's jitter buffer."""
    phone_s: float | None
    """The first packet at the phone that decodes to the page's sound."""

    @property
    def complete(self) -> bool:
        """Whether both heard each other."""
        return self.page_s is not None and self.phone_s is not None


class PageFailedError(RuntimeError):
    """The page could not do what it was told."""


class PageProcess:
    """The page."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.one_way_s = 0.0

    async def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Give an order and return the answer.

        Raises:
            PageFailedError: it said so, or ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), _ANSWER_WITHIN_S)
        if not line:
            raise PageFailedError("the page's process has ended")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise PageFailedError(answer["failed"])
        return answer


@asynccontextmanager
async def process_behind(site: Site, module: str) -> AsyncIterator[PageProcess]:
    """Run a module at the far side of the site's network until the block ends; it ends with its input."""
    command = [sys.executable, "-m", module]
    if site.line is not None:
        command = site.line.program(command)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if site.line is not None:
            site.line.attach(process.pid)
        yield PageProcess(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _ANSWER_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def page_process(site: Site, client: str) -> AsyncIterator[PageProcess]:
    """Run a page that is connected and knows the network's own delay."""
    async with process_behind(site, "tests.bench.first_audio.page") as page:
        opened = await page.ask(
            {
                "host": site.host,
                "port": site.port,
                "client": client,
                "url": site.url,
                "origin": site.origin,
                "aor": ALICE,
                "registered": site.registered,
            }
        )
        page.one_way_s = opened["one_way_s"]
        yield page


async def one_call(core: ScriptedCore, page: PageProcess, case: Case) -> CallTimes:
    """Make one call and hang up."""
    core.script = CoreScript((Provisional(180), UntilCancelled()))
    dialling = asyncio.create_task(page.ask({"do": "dial", "case": case.name}))
    device = await core.wait_call(_ANSWER_WITHIN_S)
    await dialling
    # The answer meets the page's packets, which come every 20 ms, at any moment.
    await asyncio.sleep(_RINGS_S + random.random() * _PACKET_S)
    with OpusPhone() if case.codec == "opus" else RtpEndpoint() as phone:
        left_s = _answer(device, phone, case.codec)
        heard = await page.ask({"do": "hear"})
        with contextlib.suppress(MediaTimeoutError):  # reported as not heard
            await phone.until(
                lambda p: p.first_sound_at_s is not None, what="the page", timeout_s=_HEARD_WITHIN_S
            )
        await page.ask({"do": "hang_up"})
    at_page = {name: value - left_s if value else None for name, value in heard.items()}
    at_phone = phone.first_sound_at_s
    return CallTimes(
        at_page["answered_s"],
        at_page["packet_s"],
        at_page["decoded_s"],
        at_page["played_s"],
        at_phone - left_s if at_phone is not None else None,
    )


def _answer(device: CalledDevice, phone: RtpEndpoint, codec: str) -> float:
    """Answer, speak from this moment on, and return the moment."""
    phone.send_to_sdp(device.invite.body)
    number = sdp_from_text(device.invite.body).section("audio").payload_type(codec)
    assert number is not None
    device.respond(200, media=DeviceMedia(audio=codec, audio_port=phone.port))
    phone.start_tone(payload_type=number)
    sent = [e for e in device.trace.entries if e.label.startswith("-> 200 INVITE")]
    return sent[-1].at_s


async def measure(
    site: Site,
    cases: tuple[Case, ...],
    calls: int,
    client: str,
    core: ScriptedCore,
    say: Callable[[str], None],
) -> tuple[float, dict[str, list[CallTimes | None]]]:
    """Make that many calls of each case, in turns; return the network's own delay and the times; None: failed."""
    found: dict[str, list[CallTimes | None]] = {case.name: [] for case in cases}
    async with page_process(site, client) as page:
        for number in range(calls):
            for case in cases:
                try:
                    found[case.name].append(await one_call(core, page, case))
                except (PageFailedError, TimeoutError) as error:
                    say(f"{case.name}, call {number + 1}: {error}")
                    found[case.name].append(None)
        return page.one_way_s, found


@asynccontextmanager
async def open_core() -> AsyncIterator[ScriptedCore]:
    """Run the core of all sites."""
    async with ScriptedCore() as core:
        core.registrar = RegistrarScript(realm=REALM, associated_uris=(ALICE,))
        yield core
