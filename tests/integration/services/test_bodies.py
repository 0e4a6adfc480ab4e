"""Bodies of several parts: the session description is the gateway's, everything beside it passes byte for byte."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, warning_of
from tests.integration.services.world import TAKES_PARTS, called, capable_page, hang_up, last, unharmed
from tests.peers.call_plan import CallPlan
from tests.peers.core_script import CoreScript, Final, Provisional
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.multipart import Part, multipart
from tests.peers.sdp import offer_again
from tests.peers.sip import Headers, SipMessage, SipRequest, message_to_bytes
from tests.peers.wic import ScriptedWic
from tests.peers.wic_call import OutgoingCall, TextMedia

pytestmark = [pytest.mark.lab, pytest.mark.conformance("S-42")]

LIST = Part(
    "application/resource-lists+xml",
    '<?xml version="1.0"?>\r\n<resource-lists><list><entry uri="sip:bob@ims.test"/></list></resource-lists>\r\n',
    (("Content-Disposition", "recipient-list"),),
)
PIDF = Part("application/pidf+xml", "<presence>Grüße\n\n</presence>", (("Content-ID", "<target@ims.test>"),))
BINARY = Part(
    "application/vnd.3gpp.sms",
    "".join(map(chr, range(1, 10))) + "\0\udcff\udc80--x\r\n",
    (("X-Kept", "yes"),),
)
ALONE = Part("application/vnd.etsi.aoc+xml", "<aoc>1 Ä</aoc>")
EARLY = Part(
    "application/sdp",
    device_offer(DeviceMedia()),
    (("Content-Disposition", "early-session;handling=optional"),),
)
BESIDE = (LIST, PIDF, BINARY)
"""What goes with a session description."""


def beside(message: SipMessage) -> list[Part]:
    """Return the parts of a message that are no session description."""
    return [part for part in message.parts if part.content_type != "application/sdp"]


def not_of_the_sender(message: SipMessage, sent: SipMessage) -> None:
    """The description was written by the gateway: nothing of its sender's addresses is in it."""
    assert message.sdp
    assert message.sdp != sent.sdp
    assert message.headers.get("Content-Type") == sent.headers.get("Content-Type")


async def send_invite(
    page: ScriptedWic, content_type: str, body: str, *headers: tuple[str, str]
) -> OutgoingCall:
    """Send an INVITE with any body and return the call."""
    call = await page.invite(BOB, "", headers=headers)
    await call.wait_status(range(200, 700))
    fields = [(name, f"{value}-again" if name == "Call-ID" else value) for name, value in call.invite.headers]
    invite = SipRequest("INVITE", BOB, headers=Headers(fields)).set_body(body, content_type)
    invite.headers.replace("Via", page.new_via())
    again = OutgoingCall(page, invite, CallPlan(), TextMedia(AUDIO))
    page.calls[again.call_id] = again
    await page.send_raw(message_to_bytes(invite))
    return again


class TestFromThePage:
    async def test_an_invite(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, parts=BESIDE, headers=[("Require", "recipient-list-invite")])
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        invite = call.ims.invite
        assert beside(invite) == list(BESIDE)
        not_of_the_sender(invite, wic.invite)
        assert "RTP/AVP" in invite.sdp
        assert invite.option_tags("Require") == {"recipient-list-invite"}
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("place", [0, 1, 3])
    async def test_the_description_may_be_anywhere(self, stage: Stage, place: int) -> None:
        parts = list(BESIDE)
        parts.insert(place, Part("application/sdp", AUDIO, (("Content-Disposition", "session"),)))
        wic = await send_invite(await stage.page(), *multipart(parts))
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        assert [part.content_type for part in call.ims.invite.parts] == [part.content_type for part in parts]
        assert beside(call.ims.invite) == list(BESIDE)
        assert "RTP/AVP" in call.ims.invite.sdp
        await call.ims.wait_ack()
        await hang_up(call)

    @pytest.mark.conformance("B-05")
    async def test_without_content_length(self, stage: Stage) -> None:
        page = await stage.page()
        call = await page.invite(BOB, "")
        await call.wait_status(range(200, 700))
        content_type, body = multipart([PIDF, Part("application/sdp", AUDIO), LIST])
        invite = SipRequest("INVITE", BOB, headers=call.invite.headers.copy()).set_body(body, content_type)
        invite.headers.replace("Call-ID", f"{call.call_id}-without-length")
        invite.headers.replace("Via", page.new_via())
        again = OutgoingCall(page, invite, CallPlan(), TextMedia(AUDIO))
        page.calls[again.call_id] = again
        text = message_to_bytes(invite).decode()
        await page.send_raw(text.replace(f"Content-Length: {len(body.encode())}\r\n", ""))
        await again.wait_answer()
        full = Call(again, await stage.core.wait_call())
        received = full.ims.invite
        assert beside(received) == [PIDF, LIST]
        assert received.headers.get("Content-Length") == str(len(received.body.encode()))
        await full.ims.wait_ack()
        await hang_up(full)

    async def test_inside_another_and_with_other_forms(self, stage: Stage) -> None:
        forms = multipart(
            [Part("text/plain", "a call"), Part("application/sdp", AUDIO)],
            kind="alternative",
            boundary="inner",
        )
        wic = await send_invite(await stage.page(), *multipart([PIDF, Part(*forms), EARLY]))
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        kept, alternative = call.ims.invite.parts
        assert kept == PIDF
        assert alternative.content_type == forms[0]
        assert "a call" not in alternative.body
        assert call.ims.invite.sdp
        await call.ims.wait_ack()
        await hang_up(call)

    async def test_parts_without_a_description_are_none(self, stage: Stage) -> None:
        page = await stage.page()
        plain = await page.invite(BOB, "")
        none = await plain.wait_status(range(200, 700))
        wic = await send_invite(page, *multipart(BESIDE))
        refused = await wic.wait_status(range(200, 700))
        assert (refused.status, warning_of(refused)) == (none.status, warning_of(none))

    @pytest.mark.parametrize("early", [True, False])
    async def test_its_responses(self, stage: Stage, early: bool) -> None:
        call = await incoming.ringing(stage, await stage.page())
        if early:
            await call.wic.respond(
                183, sdp=await call.wic.media.answer_offer(call.wic.invite.sdp), parts=[PIDF]
            )
            response = await call.ims.wait_status(183)
            assert beside(response) == [PIDF]
            assert "RTP/AVP" in response.sdp
            await call.ims.trace.wait_response(200, "PRACK", call_id=call.call_id)
        await call.wic.answer(parts=BESIDE)
        answer = await call.ims.wait_status(200)
        assert beside(answer) == list(BESIDE)
        if not early:  # an answer that has been acknowledged is not repeated
            assert "RTP/AVP" in answer.sdp
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("parts", [[PIDF, ALONE], []], ids=["with parts", "without"])
    async def test_its_answer_that_waits_for_a_prack(self, stage: Stage, parts: list[Part]) -> None:
        call = await incoming.ringing(stage, await stage.page())
        call.ims.pracks = False
        answer = await call.wic.media.answer_offer(call.wic.invite.sdp)
        await call.wic.respond(183, sdp=answer)
        early = await call.ims.wait_status(183)
        await call.wic.respond(200, sdp=answer, parts=parts)
        await asyncio.sleep(0.2)
        assert (await call.ims.prack(early)).status == 200
        final = await call.ims.wait_status(200)
        assert (final.has_sdp, beside(final)) == (False, parts)  # the answer was in the 183 (RFC 6337 §3.1.1)
        await call.wic.wait_request("ACK")
        await unharmed(call)
        await hang_up(call)

    async def test_a_response_without_description(self, stage: Stage) -> None:
        call = await incoming.ringing(stage, await stage.page())
        await call.wic.respond(180, parts=[ALONE])
        again = await call.ims.wait_status(180, count=2)
        assert again.parts == [ALONE]
        await call.wic.respond(486, parts=[ALONE])
        assert (await call.ims.wait_status(486)).parts == [ALONE]


class TestTowardsThePage:
    async def test_an_invite(self, stage: Stage) -> None:
        page = await capable_page(stage)
        ims = stage.core.call(ALICE, parts=BESIDE)
        wic = await page.wait_incoming()
        assert beside(wic.invite) == list(BESIDE)
        not_of_the_sender(wic.invite, ims.invite)
        assert "UDP/TLS/RTP/SAVPF" in wic.invite.sdp
        await wic.answer()
        call = PageCall(wic, ims)
        await unharmed(call)
        await hang_up(call)

    async def test_an_invite_without_description(self, stage: Stage) -> None:
        """The gateway offers for a caller that does not."""
        page = await capable_page(stage)
        ims = stage.core.call(ALICE, sdp="", parts=[LIST, PIDF, EARLY])
        wic = await page.wait_incoming()
        assert beside(wic.invite) == [LIST, PIDF]
        assert "UDP/TLS/RTP/SAVPF" in wic.invite.sdp
        await wic.answer()
        call = PageCall(wic, ims)
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("capable", [True, False])
    async def test_an_answer_in_an_ack(self, stage: Stage, capable: bool) -> None:
        page = await (capable_page(stage) if capable else stage.page())
        ims = stage.core.call(ALICE, sdp="")
        ims.ack_parts = (PIDF,)  # beside the caller's answer, which the page does not need
        wic = await page.wait_incoming()
        ack = await wic.answer()
        assert ack.parts == ([PIDF] if capable else [])
        call = PageCall(wic, ims)
        await unharmed(call)
        await hang_up(call)

    async def test_a_page_that_takes_no_parts_gets_the_description(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, parts=BESIDE)
        wic = await page.wait_incoming()
        assert wic.invite.headers.get("Content-Type") == "application/sdp"
        assert "UDP/TLS/RTP/SAVPF" in wic.invite.body
        await wic.answer()
        call = PageCall(wic, ims)
        await unharmed(call)
        await hang_up(call)

    async def test_but_no_call_whose_parts_have_to_be_understood(self, stage: Stage) -> None:
        await stage.page()
        part = Part("application/x", "x", (("Content-Disposition", "signal;handling=required"),))
        refused = await stage.core.call(ALICE, parts=[part]).wait_status(415)
        assert refused.headers.get("Accept") == "application/sdp"

    async def test_which_a_page_that_takes_parts_decides_on(self, stage: Stage) -> None:
        page = await capable_page(stage)
        part = Part("application/x", "x", (("Content-Disposition", "signal;handling=required"),))
        ims = stage.core.call(ALICE, parts=[part])
        wic = await page.wait_incoming()
        assert beside(wic.invite) == [part]
        await wic.respond(415)
        await ims.wait_status(415)

    async def test_responses_to_its_invite(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (
                Provisional(181, parts=(ALONE,)),
                Provisional(183, media=DeviceMedia(), parts=(BINARY, EARLY)),
                Final(200, DeviceMedia(), parts=BESIDE),
            )
        )
        wic = await (await stage.page()).invite(BOB, AUDIO, headers=[TAKES_PARTS])
        answer = await wic.wait_answer()
        assert answer.parts == list(BESIDE)  # the page has had its answer
        assert (await wic.wait_status(181)).parts == [ALONE]
        assert (await wic.wait_status(183, count=2)).parts == [BINARY]
        call = Call(wic, await stage.core.wait_call())
        await unharmed(call)
        await hang_up(call)

    async def test_responses_that_repeat_the_answer(self, stage: Stage) -> None:
        stage.core.script = CoreScript(
            (Provisional(180, parts=(PIDF,)), Final(200, DeviceMedia(), parts=BESIDE))
        )
        wic = await (await stage.page()).invite(
            BOB, AUDIO_BOTH_WAYS, supported="outbound", headers=[TAKES_PARTS]
        )
        answer = await wic.wait_answer()
        assert beside(answer) == list(BESIDE)
        assert "UDP/TLS/RTP/SAVPF" in answer.sdp
        call = Call(wic, await stage.core.wait_call())
        await hang_up(call)

    async def test_an_answer_beside_a_body_of_its_own(self, stage: Stage) -> None:
        """The 200 has no session description (it was in the 183), but the page's is repeated in it."""
        stage.core.script = CoreScript(
            (Provisional(183, reliable=False, media=DeviceMedia()), Final(200, parts=(ALONE,)))
        )
        wic = await (await stage.page()).invite(
            BOB, AUDIO_BOTH_WAYS, supported="outbound", headers=[TAKES_PARTS]
        )
        answer = await wic.wait_answer()
        assert beside(answer) == [ALONE]
        assert "UDP/TLS/RTP/SAVPF" in answer.sdp
        await hang_up(Call(wic, await stage.core.wait_call()))

    @pytest.mark.parametrize("supported", ["100rel, outbound", "outbound"])
    async def test_a_page_that_takes_no_parts_gets_none_in_responses(
        self, stage: Stage, supported: str
    ) -> None:
        stage.core.script = CoreScript(
            (Provisional(180, parts=(PIDF,)), Final(200, DeviceMedia(), parts=BESIDE))
        )
        wic = await (await stage.page()).invite(BOB, AUDIO_BOTH_WAYS, supported=supported)
        answer = await wic.wait_answer()
        assert not beside(await wic.wait_status(180))
        assert not beside(answer)
        await hang_up(Call(wic, await stage.core.wait_call()))


class TestInARunningCall:
    """Offers that the other side has to hear of take their parts with them."""

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    async def test_the_page_holds(self, stage: Stage, method: str) -> None:
        call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
        offer = call.wic.request(method, sdp=offer_again(AUDIO_BOTH_WAYS, {"0": "sendonly"}))
        offer.add_parts(PIDF, BINARY)
        answer = await call.wic.ask(offer)
        assert answer.status == 200
        got = last(call, method, at_core=True)
        assert beside(got) == [PIDF, BINARY]
        assert ("a=sendonly" in got.sdp, "RTP/AVP" in got.sdp) == (True, True)
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.parametrize("capable", [True, False])
    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    async def test_the_core_holds(self, stage: Stage, method: str, capable: bool) -> None:
        call = await called(stage, await stage.page(), headers=[TAKES_PARTS] if capable else [])
        held = device_offer(DeviceMedia(version=2, direction="sendonly"))
        answer = await call.ims.ask(method, sdp=held, parts=[PIDF, BINARY, EARLY])
        assert answer.status == 200
        got = last(call, method, at_core=False)
        assert beside(got) == ([PIDF, BINARY] if capable else [])
        assert "UDP/TLS/RTP/SAVPF" in got.sdp
        assert "recvonly" in answer.sdp
        await unharmed(call)
        await hang_up(call)


class TestOtherMessages:
    @pytest.mark.parametrize("method", ["INFO", "MESSAGE", "NOTIFY"])
    async def test_bodies_of_other_methods_are_not_touched(self, stage: Stage, method: str) -> None:
        call = await stage.answered(await stage.page())
        content_type, body = multipart([BINARY, Part("application/sdp", "v=0\r\n"), EARLY])
        request = call.wic.request(method).set_body(body, content_type)
        assert (await call.wic.ask(request)).status == 200
        assert (await call.ims.wait_request(method)).body == body
        assert (await call.ims.ask(method, body=(content_type, body))).status == 200
        assert (await call.wic.wait_request(method)).body == body
        await hang_up(call)


class TestHostile:
    """What parsers read in two ways is refused, and the core hears nothing of it."""

    @pytest.mark.parametrize(
        ("content_type", "body", "status", "word"),
        [
            pytest.param("multipart/mixed", multipart([LIST])[1], 400, "boundary", id="no boundary"),
            pytest.param(
                'multipart/mixed;boundary="x"', multipart([LIST])[1], 400, "end", id="another boundary"
            ),
            pytest.param(
                *(multipart([Part("application/sdp", AUDIO)] * 2)),
                400,
                "more than one",
                id="two descriptions",
            ),
            pytest.param(*(multipart([LIST] * 40)), 400, "parts", id="many parts"),
            pytest.param(*(multipart([Part("application/sdp", "v=0\0")])), 400, "told", id="zero byte"),
            pytest.param(*(multipart([Part("application/sdp", "v=0\udcff")])), 400, "no text", id="no text"),
            pytest.param(
                "multipart/mixed;boundary=a",
                "--a\r\nContent-Type: application/sdp\r\n--a--",
                400,
                "empty line",
                id="no empty line",
            ),
            pytest.param(
                *(multipart([Part("application/sdp", AUDIO, (("Content-Encoding", "gzip"),))])),
                415,
                "encoded",
                id="encoded part",
            ),
        ],
    )
    async def test_from_the_page(
        self, stage: Stage, content_type: str, body: str, status: int, word: str
    ) -> None:
        wic = await send_invite(await stage.page(), content_type, body)
        refused = await wic.wait_status(range(200, 700))
        assert refused.status == status
        assert word in warning_of(refused)
        assert not stage.core_knows(wic.call_id)

    @pytest.mark.parametrize("name", ["Content-Encoding", "e"])
    async def test_an_encoded_description(self, stage: Stage, name: str) -> None:
        wic = await send_invite(await stage.page(), "application/sdp", AUDIO, (name, "gzip"))
        refused = await wic.wait_status(range(200, 700))
        assert (refused.status, refused.headers.get("Accept-Encoding")) == (415, "identity")
        assert not stage.core_knows(wic.call_id)

    async def test_from_the_core(self, stage: Stage) -> None:
        await stage.page()
        ims = stage.core.call(ALICE, headers=[("Content-Encoding", "gzip")])
        assert (await ims.wait_status(415)).headers.get("Accept-Encoding") == "identity"

    async def test_in_a_running_call(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        update = call.wic.request("UPDATE").set_body("x", "multipart/mixed;boundary=a")
        assert (await call.wic.ask(update)).status == 400
        assert (await call.ims.ask("UPDATE", body=("multipart/mixed;boundary=a", "x"))).status == 400
        await unharmed(call)
        await hang_up(call)
