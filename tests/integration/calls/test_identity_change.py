"""Somebody else is at the far end now: an UPDATE of the core without a description (RFC 4916; TIP, TS 24.608)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.stage import BOB, Call, Stage
from tests.peers.core_call import CoreCall
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.sip import SipResponse
from tests.peers.wic_call import WicCall

pytestmark = pytest.mark.lab

CAROL = "sip:carol@ims.test"
WITHOUT_UPDATE = "INVITE, ACK, CANCEL, BYE, INFO"


@dataclass
class Ends:
    """Both ends, whoever called."""

    wic: WicCall
    ims: CoreCall

    async def update(self, uri: str, *headers: tuple[str, str]) -> SipResponse:
        """The core says who is there."""
        dialog = self.ims.dialogs["a"]
        dialog.local = f"<{uri}>;tag={dialog.local_tag}"
        return await self.ims.ask("UPDATE", headers=headers)

    @property
    def updates(self) -> int:
        """How many of these the page has seen."""
        return self.wic.ladder().count("<- UPDATE")


async def made(stage: Stage, allow: str = "INVITE, ACK, CANCEL, BYE, UPDATE, INFO") -> Ends:
    """A call the page made."""
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO_BOTH_WAYS, allow=allow)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    return Ends(call.wic, call.ims)


async def taken(stage: Stage, allow: str = "INVITE, ACK, CANCEL, BYE, UPDATE, INFO") -> Ends:
    """A call the page answered."""
    page = await stage.page()
    ims = stage.core.call(page.identity.aor, caller=BOB)
    wic = await page.wait_incoming()
    await wic.respond(180, headers=[("Allow", allow)])
    await wic.answer()
    await ims.wait_status(200)
    return Ends(wic, ims)


KINDS = [pytest.param(made, id="made"), pytest.param(taken, id="answered")]


@pytest.mark.parametrize("how", KINDS)
async def test_another_name_reaches_a_page_that_takes_update(stage: Stage, how: object) -> None:
    call: Ends = await how(stage)  # type: ignore[operator]
    response = await call.update(
        CAROL, ("P-Asserted-Identity", f"<{CAROL}>"), ("P-Charging-Vector", "icid-value=x")
    )
    assert (response.status, response.has_sdp) == (200, False)
    update = await call.wic.wait_request("UPDATE")
    assert update.from_.uri == CAROL
    assert update.headers.all("P-Asserted-Identity") == [f"<{CAROL}>"]
    assert update.headers.all("P-Charging-Vector") == []
    assert not update.has_sdp
    assert (await call.update(CAROL, ("P-Asserted-Identity", f"<{CAROL}>"))).status == 200
    assert call.updates == 1  # nothing new
    assert (await call.wic.info()).status == 200
    assert (await call.ims.info("text/plain", "hello")).status == 200
    assert (await call.wic.bye()).status == 200


@pytest.mark.parametrize("how", KINDS)
async def test_a_private_name_is_not_shown(stage: Stage, how: object) -> None:
    call: Ends = await how(stage)  # type: ignore[operator]
    anonymous = "sip:anonymous@anonymous.invalid"
    identity = (("P-Asserted-Identity", f"<{CAROL}>"), ("Privacy", "id"))
    assert (await call.update(anonymous, *identity)).status == 200
    update = await call.wic.wait_request("UPDATE")
    assert update.from_.uri == anonymous
    assert update.headers.all("P-Asserted-Identity") == []
    assert (await call.wic.bye()).status == 200


@pytest.mark.parametrize("how", KINDS)
async def test_another_page_is_spared(stage: Stage, how: object) -> None:
    call: Ends = await how(stage, WITHOUT_UPDATE)  # type: ignore[operator]
    assert (await call.update(CAROL, ("P-Asserted-Identity", f"<{CAROL}>"))).status == 200
    assert call.updates == 0
    assert (await call.wic.bye()).status == 200


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_name_beside_a_description_reaches_a_page_that_has_nothing_to_do(
    stage: Stage, how: object, method: str
) -> None:
    """As after a transfer in the network: another device, at another address, of somebody else."""
    call: Ends = await how(stage)  # type: ignore[operator]
    named = [("P-Asserted-Identity", f'"Carol" <{CAROL}>')]
    for port in (40100, 40200):
        response = await call.ims.ask(
            method, headers=named, sdp=device_offer(DeviceMedia(version=5, audio_port=port))
        )
        assert (response.status, response.has_sdp) == (200, True)
        update = await call.wic.wait_request("UPDATE")
        assert (update.has_sdp, update.headers.get("Content-Type")) == (False, None)
        assert update.headers.all("P-Asserted-Identity") == [f'"Carol" <{CAROL}>']
    assert (await call.wic.info()).status == 200
    assert (
        await call.ims.info("text/plain", "hello")
    ).status == 200  # with a number behind that of our own UPDATE
    assert call.updates == 1  # the second time it was nothing new
    assert (await call.wic.bye()).status == 200


@pytest.mark.parametrize("how", KINDS)
async def test_a_name_beside_a_hold_reaches_the_page_with_it(stage: Stage, how: object) -> None:
    call: Ends = await how(stage)  # type: ignore[operator]
    named = [("P-Asserted-Identity", f"<{CAROL}>")]
    response = await call.ims.ask(
        "INVITE", headers=named, sdp=device_offer(DeviceMedia(version=5, direction="sendonly"))
    )
    assert response.status == 200
    invite = await call.wic.wait_request("INVITE", count=2 if how is taken else 1)
    assert invite.headers.all("P-Asserted-Identity") == [f"<{CAROL}>"]
    assert (await call.ims.info("text/plain", "hello")).status == 200
    assert call.updates == 0
    assert (await call.wic.bye()).status == 200
