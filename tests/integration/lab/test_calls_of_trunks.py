"""Incoming from the telephone network through the real IMS core: a DID rings all pages of its user, and both hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.routes import load
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_clean, wait_released
from tests.lab.subscribers import BY_NAME
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.device_sdp import DeviceMedia
from tests.peers.digest import Credentials
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.trunk import ScriptedTrunk
from tests.peers.websocket import Handshake
from tests.peers.wic import WicIdentity

pytestmark = pytest.mark.lab

ALICE = BY_NAME["alice"]
PORT = own_port()
HOSTS = {"udp": "127.0.0.2", "tcp": "127.0.0.3"}
DID = "+493012345"
CARRIER_HZ = 440.0
CLEAN_WITHIN_S = 15.0

NewPage = Callable[[int], Awaitable[AiortcWic]]


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Gateway, relay, Redis and the core; a trunk over UDP and one over TCP."""
    variables = {
        "gateway_trunks": [
            {
                "name": name,
                "uris": [f"sip:{host}:{PORT};transport={name}"],
                "domain": f"{name}.example",
                "options_s": 0,
                "profile": "pstn",
            }
            for name, host in HOSTS.items()
        ],
        "gateway_media_profiles": [
            {"name": "pstn", "domains": [], "audio_codecs": ["PCMA"], "core_leg": "trunk-rtp"}
        ],
    }
    routes = [Route(name, DID, Target.USER, realm=f"trunk:{name}", name=ALICE.impu) for name in HOSTS]
    parts = frozenset({Part.GATEWAY, Part.RTPENGINE, Part.REDIS, Part.IMS})
    with Lab(LabOptions(parts=parts, phones=(), role_variables={"kamailio": variables})) as lab:
        load(lab, RoutingDocument(routes=routes))
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def new_page(world: Lab) -> AsyncIterator[NewPage]:
    """Opens alice's pages; after the test nothing of their calls may be left."""
    pages: list[AiortcWic] = []

    async def open_page(number: int) -> AiortcWic:
        url = f"ws://{LOOPBACK}:{world.info.gateway.ws_port}/sip"
        identity = WicIdentity(
            ALICE.impu,
            credentials=Credentials(ALICE.impi, ALICE.password),
            instance=f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        )
        page = AiortcWic(Handshake(url, origin=world.info.web.origin), identity)
        pages.append(page)
        await page.connect()
        assert (await page.register()).status == 200
        return page

    async with AsyncExitStack() as opened:
        yield open_page
        for page in pages:
            opened.push_async_callback(page.close)
            opened.push_async_callback(page.register, expires_s=0)
        await asyncio.to_thread(wait_released, world)
        assert not world.gateway_rpc.htable("trunk_call")


@pytest.mark.parametrize("name", list(HOSTS))
async def test_a_did_rings_every_page_and_both_ends_hear_each_other(
    world: Lab, new_page: NewPage, name: str
) -> None:
    first, second = await new_page(1), await new_page(2)
    trunk = ScriptedTrunk(name)
    await trunk.open(HOSTS[name], PORT)
    with RtpEndpoint() as carrier:
        try:
            media = DeviceMedia(audio="PCMA", audio_port=carrier.port)
            call = await trunk.call(DID, (LOOPBACK, world.info.gateway.sip_port), media=media)
            rings, answers = await second.wait_incoming(), await first.wait_incoming()
            assert rings.invite.headers.get("P-Asserted-Identity") == "<sip:+4989555@" + (
                f"{name}.example;user=phone>"
            )
            await rings.ring()
            await answers.ring()
            await call.wait_status(180)
            await answers.answer()
            answer = (await call.wait_status(200)).body
            assert sdp_from_text(answer).section("audio").protocol == "RTP/AVP"
            await rings.wait_request("CANCEL")
            (heard,) = first.media
            await heard.until_connected()
            carrier.send_to_sdp(answer)
            carrier.start_tone(CARRIER_HZ, 8)
            await carrier.until_tone(TONE_HZ, payload_type=8, timeout_s=10)
            await heard.until_heard(CARRIER_HZ, mid="0")
            if name == "udp":
                assert (await call.bye()).status == 200
                await answers.wait_request("BYE")
            else:
                assert (await answers.bye()).status == 200
                assert (await call.wait_request("BYE")).headers.get("Reason") == "Q.850;cause=16"
        finally:
            await trunk.close()


async def test_a_page_declines(world: Lab, new_page: NewPage) -> None:
    page = await new_page(1)
    trunk = ScriptedTrunk()
    await trunk.open(HOSTS["udp"], PORT)
    try:
        call = await trunk.call(DID, (LOOPBACK, world.info.gateway.sip_port))
        await (await page.wait_incoming()).respond(486)
        assert (await call.wait_status(486)).headers.get("Reason") == "Q.850;cause=17"
    finally:
        await trunk.close()
