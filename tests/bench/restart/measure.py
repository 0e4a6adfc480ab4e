"""Answered calls of both directions, a restart of Kamailio, and what each of them can do afterwards.

Knows which steps failed and what the relay counted.  Must not know what figures mean.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kemi.state import keys
from kemi.state.web.client import connect
from rtpengine.ng.commands import Query
from rtpengine.ng.errors import NgTimeout
from rtpengine.ng.statistics import CallStatistics
from tests.bench.restart.media import CODEC, Phone, counted, tick
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, gateway_options
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.peers.aiortc_wic import AiortcMedia
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.sdp import offer_again, sdp_from_text
from tests.peers.sip import SipResponse
from tests.peers.wic import ScriptedWic
from tests.peers.wic_call import OutgoingCall, TextMedia

RECOVERY_S: Final = 30
"""As a site has it."""
STARTED_WITHIN_S: Final = 30.0
BACK_WITHIN_S: Final = 20.0
RETRY_S: Final = 0.5
MOST_JITTER_S: Final = 3.0
"""Pages come back spread over this time, as the SDK does."""
AT_ONCE: Final = 4
PATIENCE_S: Final = 20.0
ASKED_AT_MOST: Final = 5
SET_UPS_AT_MOST: Final = 3
# Pages and core are one process here: where the machine is busy, it is that which is slow.
OPTIONS: Final = {
    "gateway_flow_recovery_s": RECOVERY_S,
    "gateway_ng_deadline_ms": 3000,
    "gateway_update_timeout_s": 20,
    "gateway_ims_response_timeout_s": 20,
    "gateway_prack_timeout_s": 10,
    "gateway_entry_point_timeout_s": 10,
}


@dataclass
class Running:
    """One call and its ends."""

    name: str
    call: Call | PageCall
    page: ScriptedWic
    phone: Phone
    real: AiortcMedia | None = None
    failed: dict[str, str] = field(default_factory=dict)
    """Step -> what happened in its place."""
    version: int = 5
    """Of the device's descriptions."""
    directions: dict[str, str] = field(default_factory=dict)
    """The page's lines before it held: mid -> direction."""

    @property
    def key(self) -> str:
        """The Call-ID, by which the relay's name of the call begins."""
        return self.call.call_id


@dataclass(frozen=True)
class Restart:
    """What one restart did to the calls."""

    how: str
    calls: int
    away_s: float
    """Nobody answered on the SIP port."""
    back_s: float
    """From the kill until the last page was registered again."""
    lost_pages: int
    relayed: float
    """Share of the devices' packets of that time that the relay took."""
    silent: int
    """Calls of which it took less than nine tenths."""
    heard: list[float]
    """Of calls with real sound: packets that arrived at the phone for each that the page sent."""
    longest_gap_s: float
    """Between two packets at a phone of those; the load's own pauses are in it."""
    failed: dict[str, dict[str, str]]
    """Call -> what of it failed."""


PATIENT_AGENT: Final = {"media_agent_late_s": 2.0, "media_agent_silent_s": 10.0}
"""A busy machine is not to be taken for a dead relay."""
MEDIA_PORTS: Final = 2_000


def restart_options() -> LabOptions:
    """Return the world of the bench."""
    options = gateway_options(**OPTIONS)
    return replace(
        options,
        parts=options.parts | {Part.REDIS, Part.MEDIA_AGENT},
        media_ports=MEDIA_PORTS,
        role_variables={**options.role_variables, "media_agent": PATIENT_AGENT},
    )


async def measure(lab: Lab, how: str, calls: int, real: int, say: Callable[[str], None]) -> Restart:
    """Set up calls, restart Kamailio by ``how`` (SIGTERM or SIGKILL), and try everything."""
    stage = Stage(lab)
    await stage.open()
    phones: list[Phone] = []
    ticking = asyncio.create_task(tick(phones))
    try:
        # Those with sound last: their ICE does not outlive a process that is busy for minutes.
        running = [
            await _set_up(stage, number, phones, say, real=number >= calls) for number in range(calls + real)
        ]
        say(f"{how}: {len(running)} calls")
        await _settled(lab, running)
        found = await _restart(stage, how, running, say)
        await _exercise(running)
        return replace(found, failed={one.name: one.failed for one in running if one.failed})
    finally:
        ticking.cancel()
        for phone in phones:
            phone.transport.close()
        for page in stage.pages:
            await page.close()
        await stage.core.close()


# ---------------------------------------------------------------- set-up


async def _set_up(
    stage: Stage, number: int, phones: list[Phone], say: Callable[[str], None], *, real: bool
) -> Running:
    """Set a call up; on a busy machine one may fail, which is not what is measured here."""
    for _ in range(SET_UPS_AT_MOST):
        try:
            return await _call(stage, number, phones, real=real)
        except (TimeoutError, AssertionError) as error:
            say(f"call {number} is set up again: {error}")
            await asyncio.sleep(RETRY_S)
    raise RuntimeError(f"call {number} cannot be set up")


async def _call(stage: Stage, number: int, phones: list[Phone], *, real: bool) -> Running:
    phone = await Phone.open(sparing=not real)
    phones.append(phone)
    device = DeviceMedia(audio_port=phone.port, audio=CODEC)
    stage.core.script = answers(device)
    page = await stage.page(ALICE)
    call: Call | PageCall
    media: AiortcMedia | None = None
    if real:
        media = AiortcMedia()
        wic = await page.invite(BOB, await media.offer(audio="sendrecv"), media=media)
        call = await _answered(stage, wic)
        kind = "with sound"
    elif number % 4 == 3:
        ims = stage.core.call(ALICE, media=device)
        called = await page.wait_incoming(timeout_s=PATIENCE_S)
        await called.ring()
        await ims.wait_status(180, timeout_s=PATIENCE_S)
        await called.answer(timeout_s=PATIENCE_S)
        call = PageCall(called, ims)
        kind = "towards the page"
    else:
        offer = AUDIO_BOTH_WAYS if number % 4 == 2 else AUDIO
        call = await _answered(stage, await page.invite(BOB, offer))
        kind = "from the page"
    call.ims.media = device
    phone.send_to(await _told(call))
    return Running(f"{number} {kind} {call.call_id}", call, page, phone, media)


async def _answered(stage: Stage, wic: OutgoingCall) -> Call:
    await wic.wait_answer(timeout_s=PATIENCE_S)
    ims = stage.core.calls[wic.call_id]
    assert isinstance(ims, CalledDevice)
    await ims.wait_ack(timeout_s=PATIENCE_S)
    return Call(wic, ims)


async def _told(call: Call | PageCall) -> str:
    """Return the gateway's description for the device."""
    if isinstance(call, Call):
        return call.ims.invite.body
    return (await call.ims.wait_status(200, timeout_s=PATIENCE_S)).body


async def _settled(lab: Lab, running: list[Running]) -> None:
    """Wait until Redis has all calls as they are."""
    store: Any = connect(lab.info.redis_url)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        texts = [text for name in store.keys(keys.call_records("*")) for text in store.hgetall(name).values()]
        if sum(json.loads(text)["record"]["acknowledged"] for text in texts) >= len(running):
            await asyncio.sleep(0.5)
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("Redis does not have all calls")


# ---------------------------------------------------------------- the restart


async def _restart(stage: Stage, how: str, running: list[Running], say: Callable[[str], None]) -> Restart:
    lab = stage.lab
    before = await _taken(lab, running)
    for one in running:
        one.phone.listen_anew()
    began = time.monotonic()
    (lab.kill if how == "SIGKILL" else lab.end)("gateway")
    lab.spawn_again("gateway")
    while not _is_ready(lab):
        if time.monotonic() - began > STARTED_WITHIN_S:
            raise RuntimeError("the gateway does not start")
        await asyncio.sleep(0.05)
    away_s = time.monotonic() - began
    say(f"{how}: back after {away_s:.1f} s")
    came = await asyncio.gather(*(_back(one.page) for one in running))
    back_s = time.monotonic() - began
    after = await _taken(lab, running)
    silent = counted_all = sent_all = 0
    heard = []
    for one in running:
        was, now = before[one.name], after[one.name]
        counted_all, sent_all = counted_all + now.taken - was.taken, sent_all + now.sent - was.sent
        silent += now.taken - was.taken < 0.9 * (now.sent - was.sent)
        if one.real is not None:
            heard.append((now.heard - was.heard) / max(1, now.page_sent - was.page_sent))
    relayed = counted_all / max(1, sent_all)
    gap_s = max((one.phone.longest_gap_s for one in running if one.real is not None), default=0.0)
    return Restart(how, len(running), away_s, back_s, came.count(False), relayed, silent, heard, gap_s, {})


@dataclass(frozen=True)
class _Counted:
    """Packets of one call so far."""

    sent: int
    """By the device."""
    taken: int
    """Of these, by the relay."""
    page_sent: int
    heard: int
    """By the device."""


async def _taken(lab: Lab, running: list[Running]) -> dict[str, _Counted]:
    names = lab.relay_calls()
    found = {}
    for one in running:
        (name,) = (name for name in names if name == one.key or name.startswith(f"{one.key};"))
        packets = counted(await _asked(lab, name), one.phone.port)
        by_page = 0 if one.real is None else await _sent_by(one.real)
        found[one.name] = _Counted(one.phone.sent, packets, by_page, one.phone.received)
    return found


async def _asked(lab: Lab, name: str) -> CallStatistics:
    for _ in range(ASKED_AT_MOST - 1):
        try:
            return lab.ask_relay(Query(call_id=name))
        except NgTimeout:
            await asyncio.sleep(RETRY_S)
    return lab.ask_relay(Query(call_id=name))


async def _sent_by(media: AiortcMedia) -> int:
    stats = await media.connection.getStats()
    return sum(one.packetsSent for one in stats.values() if one.type == "outbound-rtp")


def _is_ready(lab: Lab) -> bool:
    try:
        return lab.is_ready(Part.GATEWAY)
    except OSError:
        return False


async def _back(page: ScriptedWic) -> bool:
    """Connect and register again as the SDK does; False: it could not."""
    await page.lost.wait()
    await asyncio.sleep(random.uniform(0, MOST_JITTER_S))
    deadline = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < deadline:
        try:
            await page.connect()
            if (await page.register()).status == 200:
                return True
        except (OSError, TimeoutError, AssertionError):
            pass
        await asyncio.sleep(RETRY_S)
    return False


# ---------------------------------------------------------------- afterwards


async def _exercise(running: list[Running]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one_call(number: int, one: Running) -> None:
        async with room:
            await _try_all(number, one)

    await asyncio.gather(*(one_call(number, one) for number, one in enumerate(running)))


async def _try_all(number: int, one: Running) -> None:
    call = one.call
    if one.real is None:
        await _step(one, "hold by the page", lambda: _page_offers(one, "inactive"))
        await _step(one, "re-INVITE by the core", lambda: _core_offers(one))
        await _step(one, "resume by the page", lambda: _page_offers(one, ""))
        await _step(one, "hold by the core", lambda: _core_offers(one, direction="sendonly"))
        await _step(one, "resume by the core", lambda: _core_offers(one))
    await _step(one, "INFO by the page", call.wic.info)
    await _step(one, "INFO by the core", lambda: call.ims.info("text/plain", "still here"))
    if number % 2:
        await _step(one, "BYE by the core", call.ims.bye)
        await _heard(one, "BYE at the page", call.wic.wait_request("BYE"))
    else:
        await _step(one, "BYE by the page", call.wic.bye)
        await _heard(one, "BYE at the core", call.ims.wait_request("BYE"))
    if one.real is not None:
        await one.real.close()


async def _page_offers(one: Running, direction: str) -> SipResponse:
    """Let the page hold, or with "" go on as it began."""
    media = one.call.wic.media
    assert isinstance(media, TextMedia)
    if direction:
        lines = sdp_from_text(media.local).media
        one.directions = {section.attribute("mid") or "": section.direction for section in lines}
    mids = dict.fromkeys(one.directions, direction) if direction else one.directions
    offer = offer_again(media.local, mids)
    wic = one.call.wic
    response = await wic.ask(wic.next_invite(offer), timeout_s=PATIENCE_S)
    if response.status == 200:
        media.local = offer
    return response


async def _core_offers(one: Running, **changes: Any) -> SipResponse:
    one.version += 1
    media = DeviceMedia(audio_port=one.phone.port, audio=CODEC, version=one.version, **changes)
    one.call.ims.media = media
    return await one.call.ims.reinvite(device_offer(media))


async def _step(one: Running, name: str, step: Callable[[], Awaitable[SipResponse]]) -> None:
    try:
        response = await step()
    except (TimeoutError, AssertionError, LookupError, RuntimeError) as error:
        one.failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return
    if response.status != 200:
        one.failed[name] = response.start_line


async def _heard(one: Running, name: str, waiting: Awaitable[object]) -> None:
    try:
        await waiting
    except (TimeoutError, AssertionError) as error:
        one.failed[name] = type(error).__name__
