"""Who may speak SIP on the side of the core, and what the page hears of the core (TS 33.210; TS 24.229 §4.4)."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.calls.incoming import answered, ringing
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, gateway_options
from tests.integration.services.world import AnyCall, called, core_asks, page_asks
from tests.integration.trust.raw import answer_text, options_text, register_text
from tests.lab.kamailio import answers_options
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import REALM
from tests.peers.core_script import CoreScript, Final, Provisional, answers, rejects
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import SipRequest, SipResponse, message_to_text
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

STRANGER = "127.9.9.9"
TRUSTED = "127.9.9.10"
CORE_MEDIA = DeviceMedia(address="192.0.2.77")
INSIDE = ("192.0.2.66", "192.0.2.77", "2001:db8")
"""Addresses of hops and devices of the core, see INNER_HOPS of tests/peers."""
PRIVATE = (
    ("P-Charging-Vector", "icid-value=core-internal"),
    ("P-Charging-Function-Addresses", "ccf=core-internal"),
    ("P-Access-Network-Info", "core-internal"),
    ("P-Visited-Network-ID", "core-internal"),
    ("P-Served-User", "<sip:core-internal@x>"),
    ("Restoration-Info", "core-internal"),
    ("Resource-Priority", "core.0internal"),
    ("Attestation-Info", "core-internal"),
    ("Server", "core-internal/1.0"),
    ("Warning", '399 core-internal.node "you are too late"'),
)
TRICKLES = (("Supported", "replaces, trickle-ice, ice"), ("Recv-Info", "trickle-ice, g.3gpp.ussd"))
TELLING = ("Supported", "Require", "Recv-Info")
TRICKLE_INFO = (("Info-Package", "trickle-ice"), ("Content-Disposition", "Info-Package"))
USSD_INFO = (("Info-Package", "g.3gpp.ussd"),)
CANDIDATES = (
    "application/trickle-ice-sdpfrag",
    "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\n"
    "a=candidate:1 1 UDP 2130706431 192.168.1.23 5000 typ host\r\n",
)


@pytest.fixture(scope="module")
def guarded_lab() -> Iterator[Lab]:
    """A gateway that knows the core's addresses."""
    networks = {"gateway_core_networks": ["127.0.0.0/30"], "gateway_trusted_networks": [f"{TRUSTED}/32"]}
    with Lab(gateway_options(**networks)) as lab:
        yield lab


def ask(lab: Lab, source: str, text: str) -> str:
    """Send a datagram to the core-side port and return the answer's first line, "" for none."""
    gateway = lab.info.gateway
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((source, 0))
        line.settimeout(0.5)
        text = text.replace("SIP/2.0/WSS raw.invalid", f"SIP/2.0/UDP {source}:{line.getsockname()[1]};rport")
        line.sendto(text.encode(), (gateway.address, gateway.sip_port))
        try:
            return line.recv(65535).decode(errors="replace").partition("\r\n")[0]
        except TimeoutError:
            return ""


class TestStrangers:
    @pytest.mark.conformance("X-16")
    @pytest.mark.parametrize(
        "method", ["OPTIONS", "INVITE", "REGISTER", "BYE", "MESSAGE", "NOTIFY", "CANCEL"]
    )
    def test_their_requests_get_no_answer(self, guarded_lab: Lab, method: str) -> None:
        assert ask(guarded_lab, STRANGER, options_text().replace("OPTIONS", method)) == ""

    @pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
    def test_nor_what_has_no_branch(self, guarded_lab: Lab, method: str) -> None:
        text = re.sub("branch=[^\r]*", "branch=1", options_text().replace("OPTIONS", method))
        assert ask(guarded_lab, STRANGER, text) == ""
        assert ask(guarded_lab, "127.0.0.2", text).startswith("SIP/2.0 400 ")

    @pytest.mark.parametrize(
        ("before", "lines"), [("", "X: a\nY: b"), ("", "X: a\rY: b"), ("\r\n\r\n", "X: a")]
    )
    def test_nor_what_can_be_read_in_two_ways(self, guarded_lab: Lab, before: str, lines: str) -> None:
        text = before + options_text(lines=[lines])
        assert ask(guarded_lab, STRANGER, text) == ""
        assert ask(guarded_lab, "127.0.0.2", text).startswith("SIP/2.0 400 ")
        assert ask(guarded_lab, "127.0.0.2", options_text()) == "SIP/2.0 200 OK"

    @pytest.mark.conformance("X-16")
    def test_the_core_is_not_refused(self, guarded_lab: Lab) -> None:
        assert ask(guarded_lab, "127.0.0.2", options_text().replace("OPTIONS", "BYE")).startswith("SIP/2.0 4")
        message = options_text().replace("OPTIONS", "MESSAGE")  # along no Path of ours
        assert ask(guarded_lab, "127.0.0.2", message) == "SIP/2.0 403 Invalid Flow Token"

    @pytest.mark.conformance("X-16")
    def test_health_checks_are_for_the_trusted_and_stun_for_everybody(self, guarded_lab: Lab) -> None:
        assert ask(guarded_lab, TRUSTED, options_text()) == "SIP/2.0 200 OK"
        assert ask(guarded_lab, TRUSTED, options_text().replace("OPTIONS", "INVITE")) == ""
        gateway = guarded_lab.info.gateway
        assert answers_options(gateway.address, gateway.sip_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind((STRANGER, 0))
            line.settimeout(1)
            line.sendto(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"t" * 12, (gateway.address, gateway.sip_port))
            assert line.recv(2048)[:2] == b"\x01\x01"

    @pytest.mark.conformance("X-16")
    async def test_their_responses_do_not_count(self, guarded_lab: Lab) -> None:
        """Somebody who guessed a transaction answers a REGISTER before the core does."""
        stage = Stage(guarded_lab)
        stage.core.registrar = replace(stage.core.registrar, status=None)
        await stage.open()
        try:
            page = await stage.page(registered=False)
            await page.send_raw(register_text(page))
            entry = await stage.core.trace.wait(lambda e: True, what="the REGISTER")
            forged = message_to_text(entry.message).split("\r\n")
            kept = [line for line in forged[1:] if re.match("(Via|From|To|Call-ID|CSeq|Contact):", line)]
            text = "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""])
            before = set(guarded_lab.gateway_rpc.htable("registration"))
            assert ask(guarded_lab, STRANGER, text) == ""
            assert set(guarded_lab.gateway_rpc.htable("registration")) == before
            assert ask(guarded_lab, "127.0.0.2", text) == ""
            registrations = guarded_lab.gateway_rpc.htable("registration")
            new = [
                json.loads(one)["address_of_record"]
                for key, one in registrations.items()
                if key not in before
            ]
            assert new == [ALICE]
        finally:
            await stage.close()

    async def test_calls_go_on_as_ever(self, guarded_lab: Lab) -> None:
        stage = Stage(guarded_lab)
        await stage.open()
        try:
            await (await stage.answered(await stage.page())).hang_up()
            stage.core.script = answers(ring_s=5)
            call = await stage.ringing(await stage.page())
            stage.pages[-1].lose()
            await call.ims.wait_request("CANCEL")  # which we sent to ourselves first
        finally:
            await stage.close()


class TestAnswersOfPages:
    """Nobody but the core says who is registered (TS 24.229 §5.2.2)."""

    @pytest.mark.parametrize("by_another", [False, True], ids=["its own", "by another page"])
    async def test_no_page_answers_a_register(self, stage: Stage, by_another: bool) -> None:
        """With the very branch that the core got, too."""
        stage.core.registrar = replace(stage.core.registrar, status=None)
        page = await stage.page(f"sip:victim@{REALM}", registered=False)
        other = await stage.page(registered=False) if by_another else page
        await page.send_raw(register_text(page, call_id="self-answered"))
        request = await stage.core.trace.wait_request("REGISTER", call_id="self-answered")
        await other.send_raw(answer_text(request, page))
        answer = await page.trace.wait_response(range(200, 700), "REGISTER", call_id="self-answered")
        assert answer.status == 504  # the core said nothing
        wic = await page.invite(BOB, AUDIO)
        assert (await wic.wait_status(range(300, 700))).reason_phrase == "Not Registered"
        assert not stage.core.trace.requests("INVITE")

    @pytest.mark.parametrize("line", ["503 Service Unavailable", "200 OK"])
    async def test_no_page_answers_its_own_call(self, stage: Stage, line: str) -> None:
        """tm goes by the branch, which a page might guess."""
        stage.core.script = answers(CORE_MEDIA, ring_s=1.0)
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        invite = await stage.core.trace.wait_request("INVITE")
        fields = ("From", "To", "Call-ID", "CSeq")
        own = [f"SIP/2.0 {line}", f"Via: {invite.headers.all('Via')[0]}"]
        own += [f"{name}: {invite.headers.get(name)}" for name in fields]
        await page.send_raw("\r\n".join([*own, f"Contact: {page.contact}", "Content-Length: 0", "", ""]))
        call = Call(wic, await stage.core.wait_call())
        assert (await wic.wait_answer()).status == 200
        await call.ims.wait_ack()
        assert (await call.wic.bye()).status == 200


class TestWhatThePageHears:
    """Nothing of the core in whole messages, Via included, whatever is said."""

    @pytest.mark.conformance("S-21", "S-50", "R-41")
    async def test_of_a_registration(self, stage: Stage) -> None:
        stage.core.registrar = replace(stage.core.registrar, headers=PRIVATE)
        page = await stage.page()
        (answer,) = page.trace.responses("REGISTER")
        assert not answer.headers.fields("Service-Route")
        assert answer.headers.fields("P-Associated-URI")
        assert (answer.headers.get("Warning") or "").endswith('"you are too late"')
        assert (await page.unregister()).status == 200
        check_page(stage, page, "<- 200 REGISTER")

    @pytest.mark.conformance("S-50")
    @pytest.mark.parametrize(
        ("status", "told"), [pytest.param(s, t, id=str(s)) for s, t in ((403, 401), (404, 401), (500, 500))]
    )
    async def test_of_a_registration_that_is_refused(self, stage: Stage, status: int, told: int) -> None:
        stage.core.registrar = replace(stage.core.registrar, status=status, headers=PRIVATE)
        page = await stage.page(registered=False)
        assert (await page.register()).status == told
        check_page(stage, page, f"<- {told} REGISTER")

    @pytest.mark.conformance("S-21", "S-50", "S-08")
    async def test_of_a_call(self, stage: Stage) -> None:
        steps = (
            replace(step, headers=PRIVATE) if isinstance(step, Provisional | Final) else step
            for step in answers(CORE_MEDIA, ring_s=0.05).steps
        )
        stage.core.script = CoreScript(tuple(steps))
        page = await stage.page()
        call = await stage.answered(page)
        assert (await call.ims.info("text/plain", "hello")).status == 200
        assert (await call.wic.info()).status == 200
        assert (await call.ims.update()).status == 200
        assert (await call.ims.bye(headers=PRIVATE)).status == 200
        await call.wic.wait_request("BYE")
        check_page(stage, page, "<- 200 INVITE", "<- INFO", "<- 200 INFO", "<- BYE")

    @pytest.mark.conformance("S-50")
    async def test_of_a_call_towards_it(self, stage: Stage) -> None:
        page = await stage.page()
        call = await answered(stage, page, headers=PRIVATE, media=CORE_MEDIA)
        await call.works()
        assert (await call.ims.bye(headers=PRIVATE)).status == 200
        await call.wic.wait_request("BYE")
        labels = ("<- INVITE (SDP)", "<- ACK", "<- INFO", "<- 200 INFO", "<- BYE")
        check_page(stage, page, *labels)

    @pytest.mark.conformance("S-50")
    async def test_of_a_reliable_response_acknowledged_by_the_core(self, stage: Stage) -> None:
        page = await stage.page()
        ims = stage.core.call(ALICE, headers=PRIVATE)
        wic = await page.wait_incoming()
        await wic.respond(180, headers=[("Require", "100rel"), ("RSeq", "1")])
        await wic.wait_request("PRACK")
        await wic.respond(486)
        await ims.wait_status(486)
        await wic.wait_request("ACK")
        check_page(stage, page, "<- INVITE (SDP)", "<- PRACK", "<- ACK")

    @pytest.mark.conformance("S-50")
    async def test_of_a_call_that_is_cancelled(self, stage: Stage) -> None:
        page = await stage.page()
        call = await ringing(stage, page, headers=PRIVATE)
        call.ims.cancel([("Reason", "SIP;cause=200")])
        await call.wic.wait_request("CANCEL")
        await call.ims.wait_status(487)
        await call.wic.wait_request("ACK")
        check_page(stage, page, "<- CANCEL", "<- ACK")

    @pytest.mark.conformance("S-50")
    async def test_of_a_call_it_cancels(self, stage: Stage) -> None:
        stage.core.script = answers(ring_s=5)
        page = await stage.page()
        call = await stage.ringing(page)
        await call.wic.cancel()
        await call.wic.wait_status(487)
        check_page(stage, page, "<- 200 CANCEL", "<- 487 INVITE")

    @pytest.mark.conformance("S-50")
    @pytest.mark.parametrize("status", [pytest.param(s, id=str(s)) for s in (302, 404, 486, 503, 603)])
    async def test_of_a_refusal(self, stage: Stage, status: int) -> None:
        stage.core.script = rejects(status, *PRIVATE)
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        refused = await wic.wait_status(range(300, 700))
        check_page(stage, page, f"<- {refused.status} INVITE")

    @pytest.mark.conformance("S-51")
    async def test_the_core_sees_no_address_of_the_pages(self, stage: Stage) -> None:
        page = await stage.page()
        await (await stage.answered(page)).hang_up()
        call = await answered(stage, page)
        await call.works()
        assert (await call.wic.bye()).status == 200
        host, port = page.socket.local_address
        for entry in stage.core.trace.select(lambda entry: entry.direction is Direction.RECEIVED):
            text = message_to_text(entry.message)
            assert "198.51.100.7" not in text
            assert "candidate" not in text
            assert ".local" not in text
            assert f"{host}:{port}" not in text
            check_description(entry.message, origin=LOOPBACK, relay="127.0.0.2")

    @pytest.mark.conformance("S-51")
    async def test_neither_side_hears_of_the_other_s_ice(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Final(200, CORE_MEDIA, headers=TRICKLES),))
        page = await stage.page()
        incoming = await ringing(stage, await stage.page(), headers=TRICKLES)
        await incoming.wic.respond(182, headers=TRICKLES)
        await incoming.wic.answer()
        calls: list[AnyCall] = [incoming, await called(stage, page, headers=TRICKLES)]
        for call in calls:
            for asks in (page_asks, core_asks):
                assert (await asks(call, "INFO", headers=TRICKLE_INFO, body=CANDIDATES)).status == 200
            assert (await core_asks(call, "INFO", body=CANDIDATES)).status == 200
            assert (await page_asks(call, "INFO", headers=USSD_INFO)).status == 200
            for trace in (call.ims.trace, call.wic.trace):
                received = trace.select(lambda entry: entry.direction is Direction.RECEIVED)
                assert not any("sdpfrag" in message_to_text(entry.message) for entry in received)
                said = [entry.message.headers for entry in received]
                fields = [value for one in said for name in TELLING for value in one.all(name)]
                assert not [value for value in fields if "ice" in value]
                assert any("replaces" in value for value in fields)
                assert any("g.3gpp.ussd" in value for value in fields)
            assert (await call.wic.bye()).status == 200


def check_page(stage: Stage, page: ScriptedWic, *labels: str) -> None:
    """Check all that the page received; the ladder holds these labels."""
    received = page.trace.select(lambda entry: entry.direction is Direction.RECEIVED)
    assert not set(labels) - {entry.label for entry in received}
    port = stage.core.address[1]
    for entry in received:
        text = message_to_text(entry.message)
        for sign in ("internal", f":{port}", f"={port}", *INSIDE):
            assert sign not in text, text
        assert len(entry.message.headers.all("Via")) == 1, text
        check_description(entry.message, origin="0.0.0.0", relay=LOOPBACK)


def check_description(message: SipRequest | SipResponse, *, origin: str, relay: str) -> None:
    """Check that a description of ours names the media relay's address on this side and no other one."""
    ends = {"o=": f"IN IP4 {origin}", "c=": f"IN IP4 {relay}"}
    for line in message.body.splitlines():
        assert line.endswith(ends.get(line[:2], "")), message.body
