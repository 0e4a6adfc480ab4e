"""The core server of a page's Service-Route is dead, or has lost the page: it registers again, and calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from kemi.adapters.pages.renewing import LEAVE_ALONE_S
from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.stage import BOB, CLEAN_WITHIN_S, Stage, gateway_options, warning_of
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_clean
from tests.peers.core import ScriptedCore
from tests.peers.core_script import CoreScript, Final, answers, rejects
from tests.peers.device_sdp import DeviceMedia
from tests.peers.multipart import Part
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

CLOSED_WITHIN_S = 5.0
DEAD_PORT = own_port()
RESTORATION = Part(
    "application/3gpp-ims+xml",
    '<?xml version="1.0"?><ims-3gpp version="1"><alternative-service><type>restoration</type><reason/>'
    "<action>initial-registration</action></alternative-service></ims-3gpp>",
)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway of its own: its core is another one for a while."""
    with Lab(gateway_options()) as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedWic]:
    """A page that was given a server which is dead; whoever registers now is given one that lives."""
    with monkeypatch.context() as patched:
        dead = property(lambda _core: f"<sip:orig@{LOOPBACK}:{DEAD_PORT};lr>")
        patched.setattr(ScriptedCore, "service_route", dead)
        page = await stage.page()
    yield page


async def test_a_page_registers_again_where_its_server_does_not_answer(
    stage: Stage, page: ScriptedWic
) -> None:
    refused = await (await page.invite(BOB, AUDIO_BOTH_WAYS)).wait_status(504)
    assert warning_of(refused) == "the IMS core does not answer"
    assert not page.lost.is_set()  # it has just registered: the core would name the same one
    await asyncio.sleep(LEAVE_ALONE_S)
    await (await page.invite(BOB, AUDIO_BOTH_WAYS)).wait_status(504)
    await asyncio.wait_for(page.lost.wait(), CLOSED_WITHIN_S)
    stage.core.script = answers(DeviceMedia())
    again = await stage.page()
    wic = await again.invite(BOB, AUDIO_BOTH_WAYS)
    assert (await wic.wait_answer()).status == 200
    assert (await wic.bye()).status == 200


async def test_a_page_that_the_core_has_lost_registers_again(stage: Stage) -> None:
    """TS 24.229 §5.4.3.2: the server was started again, and has the subscriber's data no more."""
    page = await stage.page()
    await asyncio.sleep(LEAVE_ALONE_S)
    for script in (rejects(504), CoreScript((Final(504, parts=(RESTORATION,)),))):
        stage.core.script = script
        await (await page.invite(BOB, AUDIO_BOTH_WAYS)).wait_status(504)
    await asyncio.sleep(CLOSED_WITHIN_S)
    assert not page.lost.is_set()  # that is no reason, and may come from a callee
    said_by_core = (("P-Asserted-Identity", "<sip:scscf.ims.test>"),)
    stage.core.script = CoreScript((Final(504, headers=said_by_core, parts=(RESTORATION,)),))
    await (await page.invite(BOB, AUDIO_BOTH_WAYS)).wait_status(504)
    await asyncio.wait_for(page.lost.wait(), CLOSED_WITHIN_S)
