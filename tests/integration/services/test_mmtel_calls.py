"""Supplementary services of MMTel (TS 24.173): identities, diversion, waiting, barring (docs/mmtel.md)."""

from __future__ import annotations

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CAROL, Call, Stage, warning_of
from tests.integration.services.world import (
    called,
    capable_page,
    core_asks,
    established,
    hang_up,
    last,
    page_asks,
    unharmed,
)
from tests.peers.core_script import CoreScript, Final, Provisional, rejects
from tests.peers.device_sdp import DeviceMedia
from tests.peers.multipart import Part

pytestmark = pytest.mark.lab

NUMBER = "<tel:+15550123>"
PASSPORT = "eyJ4.eyJ5.c2ln;info=<https://carrier.example/cert>;alg=ES256;ppt=shaken"
"""What of it tells the number (orig.tn) is readable to all (RFC 8225)."""
OPTIONAL = (("Content-Disposition", "render;handling=optional"),)
CALL_WAITING = ("Alert-Info", "<urn:alert:service:call-waiting>")
CW = Part("application/vnd.3gpp.cw+xml", "<ims-cw><communication-waiting-indication/></ims-cw>", OPTIONAL)


class TestOriginatingIdentity:
    """OIP and OIR (TS 24.607)."""

    async def test_it_is_presented(self, stage: Stage) -> None:
        page = await stage.page()
        stage.core.call(ALICE, headers=[("P-Asserted-Identity", NUMBER), ("Privacy", "none")])
        wic = await page.wait_incoming()
        assert NUMBER in wic.invite.headers.all("P-Asserted-Identity")
        await wic.respond(486)

    @pytest.mark.parametrize("privacy", ["id", "user;id", "header;id;critical"])
    async def test_it_is_restricted(self, stage: Stage, privacy: str) -> None:
        page = await stage.page()
        anonymous = "sip:anonymous@anonymous.invalid"
        stage.core.call(
            ALICE,
            caller=anonymous,
            headers=[("P-Asserted-Identity", NUMBER), ("Privacy", privacy), ("Identity", PASSPORT)],
        )
        wic = await page.wait_incoming()
        assert not {"P-Asserted-Identity", "Identity"} & {name for name, _ in wic.invite.headers}
        assert (wic.invite.from_.uri, wic.invite.headers.get("Privacy")) == (anonymous, privacy)
        await wic.respond(486)

    async def test_the_page_restricts_its_own(self, stage: Stage) -> None:
        page = await stage.page()
        call = await called(stage, page, headers=[("Privacy", "id")])
        invite = call.ims.invite
        assert (invite.headers.get("Privacy"), invite.headers.all("P-Asserted-Identity")) == (
            "id",
            [f"<{ALICE}>"],
        )
        await hang_up(call)


class TestTerminatingIdentity:
    """TIP and TIR (TS 24.608)."""

    @pytest.mark.parametrize(("privacy", "seen"), [("none", True), ("id", False)])
    async def test_of_whom_the_page_calls(self, stage: Stage, privacy: str, seen: bool) -> None:
        fields = (("P-Asserted-Identity", NUMBER), ("Privacy", privacy))
        stage.core.script = CoreScript(
            (Provisional(180, headers=fields), Final(200, DeviceMedia(), headers=fields))
        )
        call = await called(stage, await stage.page())
        for response in (await call.wic.wait_status(180), await call.wic.wait_answer()):
            assert (NUMBER in response.headers.all("P-Asserted-Identity")) is seen
        await hang_up(call)

    async def test_of_the_page(self, stage: Stage) -> None:
        call = await incoming.ringing(stage, await stage.page())
        await call.wic.respond(
            200, sdp=await call.wic.media.answer_offer(call.wic.invite.sdp), headers=[("Privacy", "id")]
        )
        answer = await call.ims.wait_status(200)
        assert (answer.headers.get("Privacy"), answer.headers.all("P-Asserted-Identity")) == (
            "id",
            [f"<{ALICE}>"],
        )
        await call.wic.wait_request("ACK")
        await hang_up(call)


class TestDiversion:
    """CDIV (TS 24.604)."""

    async def test_the_page_hears_where_its_call_goes(self, stage: Stage) -> None:
        history = (("History-Info", f"<{BOB}>;index=1, <{CAROL};cause=486>;index=1.1;mp=1"),)
        stage.core.script = CoreScript(
            (
                Provisional(180),
                Provisional(181, headers=history),
                Provisional(180, fork="b", headers=history),
                Final(200, DeviceMedia(), fork="b", headers=history),
            )
        )
        wic = await (await stage.page()).invite(BOB, AUDIO)
        answer = await wic.wait_answer()
        diverted = await wic.wait_status(181)
        again = await wic.wait_status(180, count=2)
        assert {one.to_tag for one in (diverted, again, answer)} == {(await wic.wait_status(180)).to_tag}
        for response in (diverted, again, answer):
            assert response.headers.fields("History-Info") == [history[0][1]]
        await (call := Call(wic, stage.core.calls[wic.call_id])).ims.wait_ack(fork="b")  # type: ignore[arg-type]
        assert (await wic.bye()).status == 200
        assert (await call.ims.wait_request("BYE")).to_tag == call.ims.dialogs["b"].local_tag

    async def test_a_diverted_call_arrives_with_its_history(self, stage: Stage) -> None:
        page = await stage.page()
        history = ("History-Info", f"<{BOB};cause=302>;index=1, <{ALICE};cause=302>;index=1.1;mp=1")
        stage.core.call(ALICE, headers=[history])
        wic = await page.wait_incoming()
        assert wic.invite.headers.fields("History-Info") == [history[1]]
        await wic.respond(486)

    @pytest.mark.parametrize(
        "private",
        [
            ("History-Info", f"<sip:+49301@x?Privacy=history>;index=1, <{ALICE};cause=302>;index=1.1;mp=1"),
            ("Diversion", "<sip:+49301@x>;reason=unconditional;privacy=full"),
        ],
        ids=lambda field: field[0],
    )
    async def test_nobody_hears_of_a_diversion_that_is_private(
        self, stage: Stage, private: tuple[str, str]
    ) -> None:
        page = await stage.page()
        stage.core.call(ALICE, headers=[private])
        wic = await page.wait_incoming()
        assert private[0] not in wic.invite.headers
        await wic.respond(486)
        stage.core.script = CoreScript((Provisional(181, headers=(private,)), Final(486, headers=(private,))))
        out = await page.invite(BOB, AUDIO)
        for status in (181, 486):
            assert private[0] not in (await out.wait_status(status)).headers

    async def test_the_page_deflects(self, stage: Stage) -> None:
        call = await incoming.ringing(stage, await stage.page())
        reason = ("Reason", 'SIP;cause=480;text="deflected"')
        await call.wic.respond(302, headers=[("Contact", f"<{CAROL};cause=480>"), reason])
        moved = await call.ims.wait_status(302)
        assert (moved.headers.get("Contact"), moved.headers.get("Reason")) == (
            f"<{CAROL};cause=480>",
            reason[1],
        )
        await call.wic.wait_request("ACK")

    @pytest.mark.conformance("X-11")
    @pytest.mark.parametrize("ring", [True, False])
    @pytest.mark.parametrize(
        "target", ["<tel:+1900555>", "<sip:x@elsewhere.example>", f"<{CAROL}>, <tel:0900>"]
    )
    async def test_but_not_to_whom_it_may_not_call(self, stage: Stage, target: str, ring: bool) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        if ring:
            await wic.ring()
        await wic.respond(302, headers=[("Contact", target)])
        refused = await ims.wait_status(range(300, 700))
        assert (refused.status, refused.headers.get("Contact")) == (480, None)
        assert "not allowed" in warning_of(refused)
        await wic.wait_request("ACK")

    async def test_the_core_sends_the_page_elsewhere(self, stage: Stage) -> None:
        stage.core.script = rejects(302, ("Contact", f"<{CAROL}>"), ("Diversion", f"<{BOB}>"), ringing=False)
        wic = await (await stage.page()).invite(BOB, AUDIO)
        moved = await wic.wait_status(302)
        assert moved.contact_uri == CAROL


class TestCallWaiting:
    """CW (TS 24.615)."""

    async def test_a_second_call_waits_and_is_answered(self, stage: Stage) -> None:
        page = await capable_page(stage)
        first = await established(stage, page)
        ims = stage.core.call(ALICE, caller=CAROL, headers=[CALL_WAITING], parts=[CW])
        wic = await page.wait_incoming()
        assert wic.invite.headers.all("Alert-Info") == [CALL_WAITING[1]]
        assert [part for part in wic.invite.parts if part.content_type != "application/sdp"] == [CW]
        await wic.respond(180, headers=[CALL_WAITING])
        assert (await ims.wait_status(180)).headers.all("Alert-Info") == [CALL_WAITING[1]]
        await wic.answer()
        second = PageCall(wic, ims)
        await unharmed(first)
        await unharmed(second)
        await hang_up(first, second)

    async def test_the_page_is_called_that_takes_no_parts(self, stage: Stage) -> None:
        page = await stage.page()
        first = await established(stage, page)
        ims = stage.core.call(ALICE, caller=CAROL, headers=[CALL_WAITING], parts=[CW])
        wic = await page.wait_incoming()
        assert (wic.invite.headers.get("Content-Type"), wic.invite.headers.get("Alert-Info")) == (
            "application/sdp",
            CALL_WAITING[1],
        )
        await wic.respond(486)
        await ims.wait_status(486)
        await unharmed(first)
        await hang_up(first)

    @pytest.mark.parametrize("value", ["<https://evil.example/ring.wav>", "<urn:service:sos>", "<sip:a@b>"])
    async def test_a_page_has_nobody_ring_otherwise(self, stage: Stage, value: str) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE)
        wic = await page.wait_incoming()
        await wic.respond(180, headers=[("Alert-Info", value)])
        assert (await ims.wait_status(180)).headers.get("Alert-Info") is None
        await wic.respond(486)

    async def test_a_waiting_page_is_known_by_its_180(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Provisional(180, headers=(CALL_WAITING,)), Final(200, DeviceMedia())))
        call = await called(stage, await stage.page())
        assert (await call.wic.wait_status(180)).headers.all("Alert-Info") == [CALL_WAITING[1]]
        await hang_up(call)


CAUSES = [
    pytest.param(404, 'Q.850;cause=1;text="Unallocated"', id="404"),
    pytest.param(410, 'Q.850;cause=22;text="Nummer geändert"', id="410"),
    pytest.param(433, 'Q.850;cause=24;text="anonymous"', id="433"),
    pytest.param(480, 'SIP;cause=480;text="x", Q.850;cause=19', id="480"),
    pytest.param(486, 'Q.850;cause=17;text="User busy";location=U', id="486"),
    pytest.param(580, "Q.850;cause=47", id="580"),
    pytest.param(600, "Q.850;cause=17", id="600"),
    pytest.param(603, 'Q.850;cause=21;text="Call barred"', id="603"),
    pytest.param(607, "Q.850;cause=21", id="607"),
]


class TestBarring:
    """CB and ACR (TS 24.611), and every other cause."""

    @pytest.mark.parametrize(("status", "reason"), CAUSES)
    async def test_the_page_hears_why(self, stage: Stage, status: int, reason: str) -> None:
        stage.core.script = rejects(status, ("Reason", reason), ringing=False)
        wic = await (await stage.page()).invite(BOB, AUDIO)
        refused = await wic.wait_status(range(300, 700))
        assert (refused.status, refused.headers.fields("Reason")) == (status, [reason])

    @pytest.mark.parametrize(("status", "reason"), CAUSES)
    async def test_the_core_hears_why(self, stage: Stage, status: int, reason: str) -> None:
        call = await incoming.ringing(stage, await stage.page())
        await call.wic.respond(status, headers=[("Reason", reason)])
        refused = await call.ims.wait_status(range(300, 700))
        assert (refused.status, refused.headers.fields("Reason")) == (status, [reason])

    @pytest.mark.parametrize("by_page", [True, False])
    async def test_so_does_who_is_hung_up(self, stage: Stage, by_page: bool) -> None:
        call = await established(stage, await stage.page())
        reason = ("Reason", 'Q.850;cause=31;text="Schluß"')
        assert (await (page_asks if by_page else core_asks)(call, "BYE", headers=[reason])).status == 200
        assert last(call, "BYE", at_core=by_page).headers.fields("Reason") == [reason[1]]

    async def test_and_who_is_cancelled(self, stage: Stage) -> None:
        call = await incoming.ringing(stage, await stage.page())
        elsewhere = 'SIP;cause=200;text="Call completed elsewhere"'
        call.ims.cancel([("Reason", elsewhere)])
        assert (await call.wic.wait_request("CANCEL")).headers.fields("Reason") == [elsewhere]
        await call.ims.wait_status(487)
