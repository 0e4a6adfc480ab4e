"""What a page hears before the answer, and what the callee hears: by fork and by P-Early-Media (RFC 5009).

The page sends 1 kHz; each device has a tone of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.calls.stage import ALICE, BOB, Call, Stage, gateway_options
from tests.lab.lab import Lab
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, UntilCancelled
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.dialog import Pairs
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.wic import WicIdentity
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

HZ = {"a": 440.0, "b": 880.0}
CODECS = {"a": ("PCMA", 8), "b": ("PCMU", 0)}
GAP_S = 0.1
"""Responses sent back to back may overtake each other in the gateway's workers."""
SETTLED_S = 0.3
MOMENT_S = 0.6
"""Thirty packets."""
FEW_PACKETS = 3
"""What was under way."""


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway that lets it ring for longer."""
    with Lab(gateway_options(gateway_ims_answer_timeout_s=60)) as lab:
        yield lab


@dataclass
class EarlyCall:
    """A call that nobody has answered, with media at both ends; the test says what the core does."""

    wic: OutgoingCall
    media: AiortcMedia
    ims: CalledDevice
    phones: dict[str, RtpEndpoint]

    async def progress(
        self, fork: str, early_media: str = "", status: int = 183, *, sdp: bool = True
    ) -> None:
        """A fork tells of its progress."""
        headers: Pairs = [("P-Early-Media", early_media)] if early_media else []
        codec, _ = CODECS[fork]
        media = DeviceMedia(audio=codec, audio_port=self.phones[fork].port) if sdp else None
        self.ims.respond(status, fork=fork, media=media, headers=headers)
        await asyncio.sleep(GAP_S)

    async def moves(self, fork: str) -> None:
        """A fork has media elsewhere from now on, and offers that (RFC 3311 §5.1)."""
        self.phones.pop(fork).close()
        phone = self.phones[fork] = RtpEndpoint().__enter__()
        media = DeviceMedia(audio=CODECS[fork][0], audio_port=phone.port)
        updated = await self.ims.update(device_offer(media), fork=fork)
        assert updated.status == 200
        told, offered = (
            sdp_from_text(text).section("audio") for text in (updated.body, self.ims.invite.body)
        )
        assert told.port == offered.port

    def only_sends(self, fork: str) -> None:
        """One device sends, the other is silent."""
        for phone in self.phones.values():
            phone.stop_sending()
        phone = self.phones[fork]
        phone.send_to_sdp(self.ims.invite.body)
        phone.start_tone(HZ[fork], CODECS[fork][1])

    async def talks_with(self, fork: str) -> None:
        """Page and device hear each other."""
        self.only_sends(fork)
        await self.page_hears(fork)
        await self.device_hears(fork)

    async def page_hears(self, fork: str) -> None:
        """The page hears this device."""
        await self.media.until_heard(HZ[fork], mid="r0")

    async def page_hears_nothing(self) -> None:
        """Nothing comes to the page."""
        await asyncio.sleep(SETTLED_S)
        line = self.media.audio["r0"]
        before = line.frames
        await asyncio.sleep(MOMENT_S)
        assert line.frames <= before + FEW_PACKETS

    async def device_hears(self, fork: str) -> None:
        """The page's tone comes to this device."""
        before = self.phones[fork].packets_received
        await self.phones[fork].until(
            lambda phone: phone.packets_received > before + 20, what="the page's tone"
        )
        await self.phones[fork].until_tone(TONE_HZ, payload_type=CODECS[fork][1])

    async def device_hears_nothing(self, fork: str) -> None:
        """Nothing of the page comes to this device."""
        await asyncio.sleep(SETTLED_S)
        before = self.phones[fork].packets_received
        await asyncio.sleep(MOMENT_S)
        assert self.phones[fork].packets_received <= before + FEW_PACKETS

    async def answered(self, fork: str, *, sdp: bool = False) -> Call:
        """A fork answers."""
        codec, _ = CODECS[fork]
        media = DeviceMedia(audio=codec, audio_port=self.phones[fork].port) if sdp else None
        self.ims.respond(200, fork=fork, media=media)
        await self.wic.wait_answer()
        await self.ims.wait_ack(fork=fork)
        return Call(self.wic, self.ims)


@pytest.fixture
async def call(stage: Stage) -> EarlyCall:
    """A page has called, its media path stands, and the core has said nothing yet."""
    stage.core.script = CoreScript((UntilCancelled(),))
    page = AiortcWic(stage.handshake, WicIdentity(ALICE))
    await stage.join(page)
    wic, media = await page.dial(BOB, headers=[("P-Early-Media", "inactive")])  # which is not its to say
    ims = await stage.core.wait_call()
    await media.until_connected()
    phones = {fork: RtpEndpoint().__enter__() for fork in HZ}
    return EarlyCall(wic, media, ims, phones)


@pytest.fixture(autouse=True)
def silence(call: EarlyCall) -> Iterator[None]:
    """Close the phones."""
    yield
    for phone in call.phones.values():
        phone.close()


@pytest.mark.conformance("S-36")
class TestForks:
    """The newest fork that may be heard is, and after the answer the one that answered."""

    async def test_the_newest_fork_is_heard_then_the_one_that_answers(self, call: EarlyCall) -> None:
        await call.progress("a")
        call.only_sends("a")
        await call.page_hears("a")
        await call.progress("b")
        await call.talks_with("b")
        await call.device_hears_nothing("a")
        ended = await call.answered("a")  # without a description: it has given its own already
        await call.talks_with("a")
        await ended.hang_up()

    async def test_a_fork_that_gives_up_leaves_the_ear_to_the_other(self, call: EarlyCall) -> None:
        await call.progress("a")
        await call.progress("b")
        call.only_sends("b")
        await call.page_hears("b")
        await call.progress("b", status=199, sdp=False)
        await call.talks_with("a")
        await (await call.answered("a")).hang_up()

    async def test_one_that_moves_while_another_is_heard_takes_nothing_from_it(self, call: EarlyCall) -> None:
        await call.progress("a")
        await call.progress("b")
        await call.moves("a")
        await call.talks_with("b")
        await call.device_hears_nothing("a")
        answered = await call.answered("a", sdp=True)
        await call.talks_with("a")
        await answered.hang_up()

    async def test_one_that_moved_while_it_was_heard_is_heard_where_it_is(self, call: EarlyCall) -> None:
        await call.progress("a")
        await call.moves("a")
        call.only_sends("a")
        await call.page_hears("a")
        await call.progress("b")
        call.only_sends("b")
        await call.page_hears("b")
        await call.progress("b", status=199, sdp=False)
        await call.talks_with("a")
        await (await call.answered("a")).hang_up()

    async def test_when_the_only_one_gives_up_nothing_passes(self, call: EarlyCall) -> None:
        await call.progress("a")
        call.only_sends("a")
        await call.page_hears("a")
        await call.progress("a", status=199, sdp=False)
        await call.page_hears_nothing()
        await call.device_hears_nothing("a")
        await (await call.answered("b", sdp=True)).hang_up()


@pytest.mark.conformance("S-30")
class TestPEarlyMedia:
    """The header field opens and closes a gate for each direction (RFC 5009 §8)."""

    async def test_it_is_between_us_and_the_core_only(self, call: EarlyCall) -> None:
        assert call.ims.invite.headers.all("P-Early-Media") == ["supported"]
        await call.progress("a", "sendrecv")
        heard = await call.wic.wait_status(183, count=2)
        assert heard.headers.all("P-Early-Media") == []
        await (await call.answered("a")).hang_up()

    @pytest.mark.parametrize(
        ("word", "page_hears", "device_hears"),
        [
            pytest.param("inactive", False, False, id="inactive"),
            pytest.param("sendonly", True, False, id="the far end sends only"),
            pytest.param("recvonly", False, True, id="the far end receives only"),
            pytest.param("sendrecv", True, True, id="both"),
            pytest.param("sendrecv, gated", True, True, id="both, gated by somebody else"),
            pytest.param("supported", True, True, id="no request"),
        ],
    )
    async def test_opens_and_closes_each_direction_until_the_answer(
        self, call: EarlyCall, word: str, page_hears: bool, device_hears: bool
    ) -> None:
        await call.progress("a", word)
        call.only_sends("a")
        await (call.page_hears("a") if page_hears else call.page_hears_nothing())
        await (call.device_hears("a") if device_hears else call.device_hears_nothing("a"))
        answered = await call.answered("a")
        await call.page_hears("a")
        await call.device_hears("a")
        await answered.hang_up()

    async def test_may_be_revoked_and_given_again(self, call: EarlyCall) -> None:
        await call.progress("a", "sendrecv")
        call.only_sends("a")
        await call.page_hears("a")
        await call.progress("a", "inactive", 180, sdp=False)
        await call.page_hears_nothing()
        await call.progress("a", "", 180, sdp=False)  # says nothing: it stays as it is
        await call.page_hears_nothing()
        updated = await call.ims.ask("UPDATE", headers=[("P-Early-Media", "sendonly")])
        assert updated.status == 200
        before = call.media.audio["r0"].frames
        await asyncio.sleep(MOMENT_S)
        assert call.media.audio["r0"].frames > before + 20
        await call.device_hears_nothing("a")
        await (await call.answered("a")).hang_up()

    async def test_an_authorized_fork_is_heard_before_a_newer_one_that_is_not(self, call: EarlyCall) -> None:
        await call.progress("a", "sendrecv")
        await call.progress("b", "inactive")
        await call.talks_with("a")
        await call.device_hears_nothing("b")
        await call.progress("b", "sendrecv", 180, sdp=False)
        await call.talks_with("b")
        await (await call.answered("b")).hang_up()
