"""Calls towards pages through the real IMS core: what a phone says is heard in the page, and the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.lab.baresip import Phone
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part, PhoneOptions
from tests.lab.ports import LOOPBACK
from tests.lab.proof import wait_clean
from tests.lab.subscribers import BY_NAME
from tests.lab.tone import heard_hz
from tests.lab.waiting import wait_until
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity

pytestmark = pytest.mark.lab

PHONES = (
    PhoneOptions("phone", ("PCMA",), tone_hz=440),
    PhoneOptions("videophone", ("AMR-WB",), tone_hz=520),
    PhoneOptions("dave", ("opus",), tone_hz=620),
)
TOLERANCE_HZ = 15.0
CLEAN_WITHIN_S = 15.0
ELSEWHERE_CAUSE = "cause=200"

NewPage = Callable[[str], Awaitable[AiortcWic]]


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Gateway, relay, core and phones of one codec each."""
    parts = frozenset({Part.GATEWAY, Part.RTPENGINE, Part.IMS, Part.PHONES})
    with Lab(LabOptions(parts=parts, phones=PHONES)) as lab:
        yield lab


@pytest.fixture
async def new_page(world: Lab) -> AsyncIterator[NewPage]:
    """Opens and registers pages; after the test nothing of their calls may be left."""
    pages: list[AiortcWic] = []

    async def open_page(name: str) -> AiortcWic:
        handshake = Handshake(
            f"ws://{LOOPBACK}:{world.info.gateway.ws_port}/sip", origin=world.info.web.origin
        )
        user = BY_NAME[name]
        number = len(pages) + 1
        page = AiortcWic(
            handshake,
            WicIdentity(
                user.impu,
                credentials=Credentials(user.impi, user.password),
                instance=f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
            ),
        )
        pages.append(page)
        await page.connect()
        response = await page.register()
        assert response.status == 200, response.start_line
        return page

    async with AsyncExitStack() as opened:
        yield open_page
        for page in pages:
            opened.push_async_callback(page.close)
            opened.push_async_callback(page.register, expires_s=0)
        await asyncio.to_thread(wait_clean, world, CLEAN_WITHIN_S)


def line(world: Lab, name: str) -> Phone:
    """Return an idle phone."""
    phone = world.phone(name)
    phone.listen()
    phone.events.clear()
    phone.forget_recordings()
    return phone


def hears(phone: Phone, hz: float) -> None:
    """Wait until a phone hears a tone."""

    def right() -> bool:
        recordings = phone.recordings()
        return bool(recordings) and abs(heard_hz(recordings[-1]) - hz) <= TOLERANCE_HZ

    wait_until(right, f"{hz} Hz at the phone", 10)


@pytest.mark.parametrize("options", [pytest.param(options, id=options.audio_codecs[0]) for options in PHONES])
async def test_a_phone_calls_a_page_and_both_hear_each_other(
    world: Lab, new_page: NewPage, options: PhoneOptions
) -> None:
    page = await new_page("alice")
    phone = line(world, options.name)
    await asyncio.to_thread(phone.dial, page.identity.aor)
    wic = await page.wait_incoming()
    await wic.ring()
    await asyncio.to_thread(phone.wait_for, "CALL_RINGING")
    await wic.answer()
    (media,) = page.media
    await media.until_connected()
    await media.until_heard(options.tone_hz, mid="0")
    await asyncio.to_thread(hears, phone, TONE_HZ)
    codec = await asyncio.to_thread(phone.audio_codec)
    assert codec.lower() == options.audio_codecs[0].lower()
    await asyncio.to_thread(phone.hangup)
    await wic.wait_request("BYE")


async def test_a_page_hangs_up_on_a_phone(world: Lab, new_page: NewPage) -> None:
    page = await new_page("alice")
    phone = line(world, "phone")
    await asyncio.to_thread(phone.dial, page.identity.aor)
    wic = await page.wait_incoming()
    await wic.answer()
    await asyncio.to_thread(phone.wait_for, "CALL_ESTABLISHED")
    assert (await wic.bye()).status == 200
    await asyncio.to_thread(phone.wait_for, "CALL_CLOSED")


async def test_a_page_declines(world: Lab, new_page: NewPage) -> None:
    page = await new_page("alice")
    phone = line(world, "phone")
    await asyncio.to_thread(phone.dial, page.identity.aor)
    wic = await page.wait_incoming()
    await wic.respond(486)
    closed = await asyncio.to_thread(phone.wait_for, "CALL_CLOSED")
    assert "486" in str(closed["param"])


async def test_two_pages_of_one_user_ring_and_the_one_that_stays_is_told_elsewhere(
    world: Lab, new_page: NewPage
) -> None:
    pages = [await new_page("alice"), await new_page("alice")]
    phone = line(world, "phone")
    await asyncio.to_thread(phone.dial, pages[0].identity.aor)
    calls = [await page.wait_incoming() for page in pages]
    for call in calls:
        await call.ring()
    await asyncio.to_thread(phone.wait_for, "CALL_RINGING")
    await calls[1].answer()
    cancel = await calls[0].wait_request("CANCEL")
    assert ELSEWHERE_CAUSE in (cancel.headers.get("Reason") or ""), cancel.headers
    (media,) = pages[1].media
    await media.until_heard(PHONES[0].tone_hz, mid="0")
    await asyncio.to_thread(hears, phone, TONE_HZ)
    await asyncio.to_thread(phone.hangup)
    await calls[1].wait_request("BYE")


@pytest.mark.parametrize("hangs_up", [pytest.param(n, id=n) for n in ("caller", "callee")])
async def test_a_page_calls_a_page_and_both_hear_each_other(
    world: Lab, new_page: NewPage, hangs_up: str
) -> None:
    alice, bob = await new_page("alice"), await new_page("bob")
    outgoing, caller_media = await alice.dial(bob.identity.aor, tone_hz=700.0)
    incoming = await bob.wait_incoming()
    assert incoming.call_id == outgoing.call_id
    await incoming.ring()
    await outgoing.wait_status(180)
    await incoming.answer()
    await outgoing.wait_answer()
    callee_media: AiortcMedia = bob.media[-1]
    await callee_media.until_heard(700.0, mid="0")
    await caller_media.until_heard(TONE_HZ, mid="r0")
    assert (await outgoing.info("to bob")).status == 200
    assert (await incoming.info("to alice")).status == 200
    assert (await incoming.wait_request("INFO")).body == "to bob"
    assert (await outgoing.wait_request("INFO")).body == "to alice"
    first, second = (outgoing, incoming) if hangs_up == "caller" else (incoming, outgoing)
    assert (await first.bye()).status == 200
    await second.wait_request("BYE")
    assert not outgoing.violations
    assert not incoming.violations
