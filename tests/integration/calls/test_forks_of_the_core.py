"""What the page makes of the core's forks: one dialog, whatever comes from whom (RFC 3261 §13.2.2.4, RFC 6228).

Pages with and without reliable provisional responses of their own.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import BOB, Call, Stage, until
from tests.peers.core_script import CoreScript, Final, Pause, Provisional, rejects
from tests.peers.device_sdp import DeviceMedia
from tests.peers.wic import ScriptedWic
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

SOON_S = 2.0
TRAVELLING_S = 0.1
NO_100REL = "outbound"


async def without_100rel(page: ScriptedWic) -> OutgoingCall:
    """Call from a page that has no reliable provisional responses."""
    return await page.invite(BOB, AUDIO_BOTH_WAYS, supported=NO_100REL)


class TestAPageWithout100rel:
    """The gateway acknowledges for it (RFC 3262 §4)."""

    @pytest.mark.conformance("S-31", "S-32")
    async def test_reliable_responses_are_acknowledged_for_it_and_it_sees_plain_ones(
        self, stage: Stage
    ) -> None:
        stage.core.script = CoreScript(
            (
                Provisional(183, True, DeviceMedia()),
                Provisional(180, True),
                Final(200),
            )
        )
        wic = await without_100rel(await stage.page())
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        assert "100rel" in ims.invite.headers.all("Supported")
        pracks = [await ims.wait_request("PRACK", count=count) for count in (1, 2)]
        cseq = ims.invite.cseq
        assert [prack.headers.get("RAck") for prack in pracks] == [f"7000 {cseq}", f"7001 {cseq}"]
        assert {prack.to_tag for prack in pracks} == {ims.dialogs["a"].local_tag}
        heard = [r for r in wic.trace.responses("INVITE") if 100 < r.status < 200]
        assert [r.status for r in heard] == [183, 183, 180]
        assert all(r.rseq is None and not r.headers.all("Require") for r in heard)
        assert (await wic.info()).status == 200
        await Call(wic, ims).hang_up()

    @pytest.mark.conformance("S-32")
    async def test_what_comes_again_or_too_early_is_dropped(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Provisional(183, True, DeviceMedia()), Pause(0.3), Final(200)))
        wic = await without_100rel(await stage.page())
        ims = await stage.core.wait_call()
        await ims.wait_request("PRACK")
        for rseq in (7000, 7002):
            ims.respond(181, headers=[("Require", "100rel"), ("RSeq", str(rseq))])
        await wic.wait_answer()
        await ims.wait_ack()
        assert ims.ladder().count("<- PRACK") == 1
        assert "<- 181 INVITE" not in wic.ladder()
        await Call(wic, ims).hang_up()

    @pytest.mark.conformance("S-32")
    async def test_each_fork_gets_its_own_acknowledgement(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (
                Provisional(183, True, DeviceMedia(), "a"),
                Provisional(180, False, None, "b"),
                Provisional(183, True, DeviceMedia(), "b"),
                Final(200, None, "b"),
            )
        )
        wic = await without_100rel(await stage.page())
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack(fork="b")
        pracks = [await ims.wait_request("PRACK", count=count) for count in (1, 2)]
        assert [prack.to_tag for prack in pracks] == [ims.dialogs[fork].local_tag for fork in "ab"]
        assert [(prack.headers.get("RAck") or "").split()[0] for prack in pracks] == ["7000", "42"]
        assert len({r.to_tag for r in wic.trace.responses("INVITE") if r.status > 100}) == 1
        await Call(wic, ims).hang_up()

    async def test_an_update_of_the_fork_that_rings_is_answered_for_it(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Provisional(183, True, DeviceMedia()), Pause(0.4), Final(200)))
        wic = await without_100rel(await stage.page())
        ims = await stage.core.wait_call()
        await ims.wait_request("PRACK")
        assert (await ims.update()).status == 200
        await wic.wait_answer()
        assert "<- UPDATE" not in wic.ladder()
        await ims.wait_ack()
        await Call(wic, ims).hang_up()


class TestProgress:
    """1xx of every kind, reliable and not, from several forks."""

    @pytest.mark.parametrize(
        "status", [pytest.param(status, id=str(status)) for status in (180, 181, 182, 183)]
    )
    async def test_passes(self, stage: Stage, status: int) -> None:
        history = ("History-Info", "<sip:carol@ims.test>;index=1")
        stage.core.script = CoreScript((Provisional(status, headers=(history,)), Final(200, DeviceMedia())))
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        await wic.wait_answer()
        heard = [r for r in wic.trace.responses("INVITE") if r.status == status and not r.is_reliable]
        assert [r.headers.get("History-Info") for r in heard] == [history[1]]
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        await call.hang_up()

    @pytest.mark.conformance("S-36")
    async def test_the_end_of_one_fork_is_not_the_end_of_the_page_s_dialog(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (
                Provisional(180, fork="a"),
                Provisional(180, fork="b"),
                Provisional(199, fork="b"),
                Pause(0.3),
                Final(200, DeviceMedia(), "a"),
            )
        )
        wic = await (await stage.page()).invite(BOB, AUDIO)
        await wic.wait_status(180, count=2)
        ims = await stage.core.wait_call()
        await until(lambda: "-> 199 INVITE" in ims.ladder(), lambda: str(ims.ladder()), SOON_S)
        await asyncio.sleep(TRAVELLING_S)
        assert (await wic.info()).status == 200
        info = await ims.wait_request("INFO")
        assert info.to_tag == ims.dialogs["a"].local_tag  # the one that is left
        await wic.wait_answer()
        assert "<- 199 INVITE" not in wic.ladder()
        await ims.wait_ack()
        await Call(wic, ims).hang_up()

    @pytest.mark.conformance("S-32")
    async def test_a_reliable_199_is_acknowledged_by_us(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (Provisional(180, fork="a"), Provisional(199, True, None, "b"), Final(200, DeviceMedia(), "a"))
        )
        call = await stage.answered(await stage.page())
        prack = await call.ims.wait_request("PRACK")
        assert prack.to_tag == call.ims.dialogs["b"].local_tag
        assert "<- 199 INVITE" not in call.wic.ladder()
        await call.hang_up()

    @pytest.mark.conformance("S-36")
    async def test_reliable_and_unreliable_ones_of_two_forks_mixed(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (
                Provisional(183, True, DeviceMedia(), "a"),
                Provisional(180, False, None, "b"),
                Provisional(183, True, DeviceMedia(audio="PCMU"), "b"),
                Provisional(181, False, None, "a"),
                Provisional(180, True, None, "a"),
                Final(200, None, "a"),
            )
        )
        wic = await (await stage.page()).invite(BOB, AUDIO)
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack(fork="a")
        numbers = [r.rseq for r in wic.trace.responses("INVITE") if r.rseq is not None]
        assert numbers == [1, 2, 3, 4]
        pracks = [await ims.wait_request("PRACK", count=count) for count in (1, 2, 3)]
        assert [prack.to_tag for prack in pracks] == [ims.dialogs[fork].local_tag for fork in "aba"]
        await Call(wic, ims).hang_up()


class TestFailures:
    """3xx–6xx reach the page as they are."""

    @pytest.mark.parametrize(
        "status",
        [pytest.param(status, id=str(status)) for status in (302, 404, 480, 486, 488, 500, 603)],
    )
    async def test_status_and_reason_are_kept(self, stage: Stage, status: int) -> None:
        reasons = 'Q.850;cause=17;text="user busy"'
        headers = [("Reason", reasons), *([("Contact", "<sip:carol@ims.test>")] if status == 302 else [])]
        stage.core.script = rejects(status, *headers)
        wic = await (await stage.page()).invite(BOB, AUDIO)
        refused = await wic.wait_status(range(300, 700))
        assert (refused.status, refused.headers.get("Reason")) == (status, reasons)
        assert refused.contact_uri == ("sip:carol@ims.test" if status == 302 else None)
