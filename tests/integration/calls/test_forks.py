"""The core rings several devices; the page has one dialog (RFC 3261 §12.1, §13.2.2.4)."""

from __future__ import annotations

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, Stage
from tests.peers.core_script import CoreScript, Final, Pause, Provisional, answers_twice, forks
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab


@pytest.mark.conformance("S-36")
@pytest.mark.parametrize("winner", [pytest.param(name, id=f"fork {name} answers") for name in ("a", "b")])
async def test_each_fork_gets_its_own_prack_and_the_page_sees_rising_numbers(
    stage: Stage, winner: str
) -> None:
    stage.core.script = forks(winner=winner)
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO)
    await wic.wait_answer()
    ims = await stage.core.wait_call()
    await ims.wait_ack(fork=winner)
    provisional = [r for r in page.trace.responses("INVITE") if r.rseq is not None]
    assert [r.rseq for r in provisional] == [1, 2, 3]
    assert len({r.to_tag for r in provisional}) == 1
    pracks = [await ims.wait_request("PRACK", count=count) for count in (1, 2)]
    cseq = ims.invite.cseq
    assert [(p.to_tag, p.headers.get("RAck")) for p in pracks] == [
        (ims.dialogs["a"].local_tag, f"7000 {cseq}"),
        (ims.dialogs["b"].local_tag, f"42 {cseq}"),
    ]
    assert (await wic.bye()).status == 200
    bye = await ims.wait_request("BYE")
    assert bye.to_tag == ims.dialogs[winner].local_tag


@pytest.mark.conformance("S-36")
async def test_a_second_answer_is_acknowledged_and_hung_up_once_and_the_page_never_hears_of_it(
    stage: Stage,
) -> None:
    stage.core.script = answers_twice()
    page = await stage.page()
    call = await stage.answered(page)
    await call.ims.wait_ack(fork="b")
    bye = await call.ims.wait_request("BYE")
    assert bye.to_tag == call.ims.dialogs["b"].local_tag
    assert (await call.wic.info()).status == 200  # the first one goes on
    call.ims.respond(200, fork="b", media=DeviceMedia())  # its 200 was on its way once more
    await call.ims.wait_request("ACK", count=3)
    assert call.ims.ladder().count("<- BYE") == 1
    assert call.wic.ladder().count("<- 200 INVITE") == 1
    await call.wic.bye()
    last = await call.ims.wait_request("BYE", count=2)
    assert last.to_tag == call.ims.dialogs["a"].local_tag


async def test_ringing_of_another_fork_after_the_answer_stays_with_the_gateway(stage: Stage) -> None:
    stage.core.script = CoreScript((Provisional(180), Final(200, DeviceMedia(), "a")))
    call = await stage.answered(await stage.page())
    call.ims.respond(183, fork="b", media=DeviceMedia(audio="PCMU", audio_port=41000))
    assert (await call.wic.info()).status == 200
    await call.hang_up()
    after = call.wic.ladder()[call.wic.ladder().index("<- 200 INVITE") :]
    assert "<- 183 INVITE" not in after


async def test_a_fork_that_only_rang_may_be_outlived_by_another_ones_refusal(stage: Stage) -> None:
    stage.core.script = CoreScript(
        (Provisional(183, media=DeviceMedia(), fork="a"), Pause(0.05), Final(486, fork="b"))
    )
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO)
    refused = await wic.wait_status(486)
    assert refused.to_tag == (await wic.wait_status(183)).to_tag
    ims = await stage.core.wait_call()
    ack = await ims.wait_request("ACK")
    assert ack.to_tag == ims.dialogs["b"].local_tag
