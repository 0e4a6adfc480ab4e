"""Requests outside calls: the page watches its registration; messages and the like pass both ways."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from kemi.core.page_dialogs import LINGER_S, LONGEST_S, MOST_DIALOGS
from tests.integration.calls.stage import ALICE, BOB, CAROL, warning_of
from tests.integration.registration.registering import RegistrationStage
from tests.lab.subscribers import REALM
from tests.peers.addresses import name_addr_from_text, sip_uri_from_text
from tests.peers.core_reginfo import ContactReport, CoreSubscription, reginfo
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, message_to_text, new_tag
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

REG = (("Event", "reg"), ("Accept", "application/reginfo+xml"), ("Expires", "600"))
FORGED = (
    ("P-Asserted-Identity", "<sip:forged@ims.test>"),
    ("P-Charging-Vector", "icid-value=forged"),
    ("P-Visited-Network-ID", "forged"),
    ("P-Access-Network-Info", "forged;network-provided"),
    ("History-Info", "<sip:forged@x>;index=1"),
    ("Route", "<sip:forged@127.0.0.1:9;lr>"),
    ("Record-Route", "<sip:forged@127.0.0.1:9;lr>"),
    ("Authorization", "Bearer forged.forged.forged"),
)
PRIVATE = (
    ("P-Charging-Vector", "icid-value=internal"),
    ("P-Served-User", "<sip:internal@x>"),
    ("Server", "internal/1.0"),
    ("Record-Route", "<sip:internal.node;lr>"),
)


def dialogs(stage: RegistrationStage) -> list[dict[str, Any]]:
    return [json.loads(text) for text in stage.table("dialog").values()]


def of_call(stage: RegistrationStage, call_id: str) -> dict[str, Any]:
    """Return the dialog of one Call-ID."""
    (text,) = (text for key, text in stage.table("dialog").items() if call_id in key)
    return dict(json.loads(text))


async def watch(
    stage: RegistrationStage, page: ScriptedWic, target: str = ALICE, headers: Any = REG
) -> tuple[SipRequest, SipResponse, CoreSubscription]:
    """Let a page subscribe; return its SUBSCRIBE, the answer and the core's end."""
    before = set(stage.core.subscriptions.by_call_id)
    subscribe = await page.send_request("SUBSCRIBE", target, headers=headers)
    page.dialogs.add(subscribe.call_id)
    answer = await page.trace.wait_response(range(200, 700), "SUBSCRIBE", call_id=subscribe.call_id)
    assert answer.status == 200, answer.start_line
    assert subscribe.call_id in set(stage.core.subscriptions.by_call_id) - before
    return subscribe, answer, stage.core.subscriptions.by_call_id[subscribe.call_id]


def nothing_of_the_core(stage: RegistrationStage, page: ScriptedWic) -> None:
    """No address of the core, nothing that is the network's own, in anything the page heard."""
    for entry in page.trace.entries:
        if entry.direction is Direction.RECEIVED:
            message = entry.message
            fields = [(name, value) for name, value in message.headers if name.lower() not in ("via", "path")]
            text = "\n".join(f"{name}: {value}" for name, value in fields)
            assert stage.core.host_port not in text, text
            assert "internal" not in text, text


class TestOwnRegistration:
    @pytest.mark.conformance("R-63")
    async def test_a_page_watches_its_registration(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        stage.core.subscriptions.record_route = (f"<sip:{stage.core.host_port};lr;hop=scscf>",)
        subscribe, answer, there = await watch(stage, page, headers=[*REG, *FORGED])

        got = there.subscribe
        assert (got.request_uri, got.from_.uri, got.from_tag) == (ALICE, ALICE, subscribe.from_tag)
        assert got.headers.all("Route") == [stage.core.service_route]
        assert got.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        assert len(got.headers.fields("P-Charging-Vector")) == 1
        assert "forged" not in message_to_text(got)
        assert "invalid" not in (got.contact_uri or "")

        document = reginfo(ALICE, [ContactReport(page.contact_uri)], version=0)
        assert (await there.notify(document)).status == 200
        notify = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)
        assert (notify.request_uri, notify.body) == (f"{page.contact_uri};ob", document)
        assert notify.headers.get("Subscription-State") == "active;expires=600"
        assert notify.from_tag == answer.to_tag

        again = await page.request_inside(subscribe, answer, "SUBSCRIBE", cseq=2, headers=REG)
        assert again.status == 200
        (refresh,) = there.refreshes
        assert refresh.request_uri == f"sip:{stage.core.host_port}"
        assert refresh.headers.all("Route") == list(stage.core.subscriptions.record_route)
        assert refresh.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        assert refresh.contact_uri == got.contact_uri

        ended = await page.request_inside(
            subscribe, answer, "SUBSCRIBE", cseq=3, headers=[("Event", "reg"), ("Expires", "0")]
        )
        assert ended.status == 200
        last = await there.notify(document, state="terminated;reason=timeout")
        assert last.status == 200
        nothing_of_the_core(stage, page)
        (dialog,) = (one for one in dialogs(stage) if one["page_contact"] == f"{page.contact_uri};ob")
        assert dialog["expires_at"] < time.time() + 60

    @pytest.mark.conformance("R-63")
    async def test_a_notification_may_be_faster_than_the_answer(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        subscribe = await page.send_request("SUBSCRIBE", ALICE, headers=[*REG, ("X-Slow", "1")])
        page.dialogs.add(subscribe.call_id)
        await stage.soon(lambda: subscribe.call_id in stage.core.subscriptions.by_call_id, "subscribed")
        there = stage.core.subscriptions.by_call_id[subscribe.call_id]
        there.dialog.local = f"<{ALICE}>;tag=another-fork"
        assert (await there.notify(reginfo(ALICE, version=0))).status == 200
        notify = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)
        assert notify.from_tag == "another-fork"

    @pytest.mark.conformance("R-63")
    async def test_the_fork_that_it_takes_goes_on_when_it_refuses_another(
        self, stage: RegistrationStage
    ) -> None:
        page = await stage.registered_page()
        subscribe, _, there = await watch(stage, page)
        taken = there.dialog.local
        page.dialogs.discard(subscribe.call_id)  # as SIP.js and JsSIP, to all forks but one
        there.dialog.local = f"<{ALICE}>;tag=another-fork"
        assert (await there.notify(reginfo(ALICE, version=0))).status == 481
        page.dialogs.add(subscribe.call_id)
        there.dialog.local = taken
        assert (await there.notify(reginfo(ALICE, version=1))).status == 200

    @pytest.mark.conformance("R-63")
    @pytest.mark.parametrize("status", [403, 489])
    async def test_a_refusal_passes(self, stage: RegistrationStage, status: int) -> None:
        page = await stage.registered_page()
        stage.core.subscriptions.status = status
        answer = await page.request("SUBSCRIBE", ALICE, headers=REG)
        assert answer.status == status
        await stage.soon(lambda: answer.call_id not in str(stage.table("dialog")), "the dialog is forgotten")

    @pytest.mark.conformance("R-63")
    @pytest.mark.parametrize("contact", ["", f"{ALICE};gr=urn:uuid:1"], ids=["its Contact", "GRUU"])
    async def test_it_follows_the_page_to_its_next_connection(
        self, stage: RegistrationStage, contact: str
    ) -> None:
        page = await stage.registered_page()
        page.call_contact = contact
        subscribe, answer, there = await watch(stage, page)
        page.lose()
        await stage.state_of(page, "away")
        gone = await there.notify(reginfo(ALICE, version=0))
        assert (gone.status, warning_of(gone)) == (500, "the page's connection is gone")
        assert gone.headers.all("Retry-After") == [
            "1"
        ]  # else it would be over at the notifier (RFC 6665 §4.2.2)
        await page.connect()
        assert (await page.register()).status == 200
        assert (await there.notify(reginfo(ALICE, version=1))).status == 200
        assert (await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)).body
        assert (await page.request_inside(subscribe, answer, "SUBSCRIBE", cseq=2, headers=REG)).status == 200

    @pytest.mark.conformance("R-63")
    async def test_it_hears_of_its_own_end(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        subscribe, _, there = await watch(stage, page)
        assert (await page.unregister()).status == 200
        assert (await there.notify(reginfo(ALICE, version=1), state="terminated")).status == 200
        await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)

    async def test_after_the_registration_it_is_not_for_long_and_nobodys(
        self, stage: RegistrationStage
    ) -> None:
        page = await stage.registered_page()
        subscribe, answer, there = await watch(stage, page)
        assert (await page.unregister()).status == 200
        await stage.soon(lambda: of_call(stage, subscribe.call_id)["owner"] == "", "the dialog is to go")
        assert of_call(stage, subscribe.call_id)["expires_at"] < time.time() + LINGER_S + 1
        assert (await page.register()).status == 200
        again = await page.request_inside(subscribe, answer, "SUBSCRIBE", cseq=2, headers=REG)
        assert again.status == 481
        assert not there.refreshes

    @pytest.mark.parametrize("expires", ["600000", "9" * 20])
    async def test_nobody_watches_for_ever(self, stage: RegistrationStage, expires: str) -> None:
        page = await stage.registered_page()
        subscribe, answer, there = await watch(stage, page, headers=[*REG[:2], ("Expires", expires)])
        assert there.subscribe.headers.all("Expires") == [str(LONGEST_S)]
        assert (await there.notify("", state=f"active;expires={expires}")).status == 200
        assert of_call(stage, subscribe.call_id)["expires_at"] < time.time() + LONGEST_S + LINGER_S + 1
        again = await page.request_inside(
            subscribe, answer, "SUBSCRIBE", cseq=2, headers=[*REG[:2], ("Expires", expires)]
        )
        assert again.status == 200
        assert there.refreshes[0].headers.all("Expires") == [str(LONGEST_S)]

    async def test_one_page_watches_only_so_many(self, stage: RegistrationStage) -> None:
        watcher = f"sip:watcher@{REALM}"
        page = await stage.registered_page(watcher)
        answers = [await page.request("SUBSCRIBE", ALICE, headers=REG) for _ in range(MOST_DIALOGS + 2)]
        assert [answer.status for answer in answers] == [200] * MOST_DIALOGS + [403] * 2
        assert warning_of(answers[-1]) == f"no more than {MOST_DIALOGS} subscriptions at once are allowed"
        assert answers[-1].call_id not in stage.core.subscriptions.by_call_id
        assert (await page.request("MESSAGE", BOB)).status == 200
        assert (await page.unregister()).status == 200
        await stage.soon(lambda: f"by {watcher}" not in stage.table("dialog_of"), "the index forgets them")
        # They linger, and a table with so many does not fit into an answer of the RPC, of which other tests ask.
        stage.lab.gateway_rpc("htable.flush", "dialog")

    async def test_nobody_else_is_inside(self, stage: RegistrationStage) -> None:
        page, other = await stage.registered_page(), await stage.registered_page(CAROL)
        subscribe, answer, there = await watch(stage, page)
        stolen = await other.request_inside(subscribe, answer, "SUBSCRIBE", cseq=9, headers=REG)
        assert stolen.status == 481
        assert not there.refreshes
        there.dialog.remote = f"<{ALICE}>;tag=unknown"
        assert (await there.notify(reginfo(ALICE, version=1))).status == 481
        assert not page.trace.requests("NOTIFY")

    async def test_another_identity_is_refused(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        fields = [("From", f"<{BOB}>;tag=x")]
        request = await page.send_request("SUBSCRIBE", ALICE, headers=REG)
        request.headers.replace("From", fields[0][1])
        request.headers.replace("Call-ID", "as-somebody-else")
        request.headers.replace("Via", page.new_via())
        await page.send(request)
        answer = await page.trace.wait_response(range(200, 700), "SUBSCRIBE", call_id="as-somebody-else")
        assert answer.status == 403
        assert not any(one.call_id == "as-somebody-else" for one in stage.core.trace.requests("SUBSCRIBE"))

    async def test_only_a_registered_page_subscribes(self, stage: RegistrationStage) -> None:
        page = await stage.join(stage.new_page(), registered=False)
        answer = await page.request("SUBSCRIBE", ALICE, headers=REG)
        assert (answer.status, answer.reason_phrase) == (403, "Not Registered")
        assert not stage.core.trace.requests("SUBSCRIBE")


class TestFromThePage:
    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize(
        ("method", "more", "body"),
        [
            pytest.param("MESSAGE", [("Content-Type", "text/plain")], "Grüße", id="MESSAGE"),
            pytest.param("PUBLISH", [("Event", "presence"), ("Expires", "60")], "", id="PUBLISH"),
            pytest.param("SUBSCRIBE", [("Event", "presence"), ("Expires", "60")], "", id="SUBSCRIBE"),
            pytest.param("REFER", [("Refer-To", f"<{CAROL}>")], "", id="REFER"),
            pytest.param("NOTIFY", [("Event", "x"), ("Subscription-State", "active")], "", id="NOTIFY"),
        ],
    )
    async def test_it_goes_over_the_service_route(
        self, stage: RegistrationStage, method: str, more: list[tuple[str, str]], body: str
    ) -> None:
        page = await stage.registered_page()
        answer = await page.request(method, BOB, headers=[*more, *FORGED], body=body)
        assert answer.status == 200
        got = next(one for one in stage.core.trace.requests(method) if one.call_id == answer.call_id)
        assert (got.request_uri, got.body) == (BOB, body)
        assert got.headers.all("Route") == [stage.core.service_route]
        assert got.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        assert len(got.headers.fields("P-Charging-Vector")) == 1
        text = message_to_text(got)
        assert "forged" not in text
        assert page.contact_uri not in text
        nothing_of_the_core(stage, page)

    @pytest.mark.conformance("S-41")
    @pytest.mark.parametrize("method", ["INFO", "UPDATE", "BYE", "FOO"])
    async def test_what_does_not_pass_is_said_so(self, stage: RegistrationStage, method: str) -> None:
        page = await stage.registered_page()
        answer = await page.request(method, BOB)
        assert answer.status == 405
        assert "MESSAGE" in answer.option_tags("Allow")
        assert not stage.core.trace.requests(method)

    @pytest.mark.conformance("S-41")
    async def test_a_transfer_outside_a_call_is_reported(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        refer = await page.send_request("REFER", BOB, headers=[("Refer-To", f"<{CAROL}>")])
        page.dialogs.add(refer.call_id)
        got = await stage.core.trace.wait_request("REFER")
        notify = core_request(
            stage,
            "NOTIFY",
            got.contact_uri or "",
            call_id=refer.call_id,
            to=f"<{ALICE}>;tag={refer.from_tag}",
            headers=[("Event", "refer"), ("Subscription-State", "active;expires=60"), *PRIVATE],
        ).set_body("SIP/2.0 100 Trying", "message/sipfrag")
        assert (await stage.core.ask(notify, gateway_address(stage))).status == 200
        heard = await page.trace.wait_request("NOTIFY", call_id=refer.call_id)
        assert heard.body == "SIP/2.0 100 Trying"
        nothing_of_the_core(stage, page)


class TestTowardsThePage:
    @pytest.mark.conformance("S-41", "S-50")
    @pytest.mark.parametrize("method", ["MESSAGE", "NOTIFY", "SUBSCRIBE", "REFER"])
    async def test_it_comes_over_the_pages_connection(self, stage: RegistrationStage, method: str) -> None:
        page = await stage.registered_page()
        request = core_request(
            stage, method, page.contact_uri, headers=[("Route", stage.path_of(page)), *PRIVATE]
        ).set_body("Hello", "text/plain")
        answer = await stage.core.ask(request, gateway_address(stage))
        assert answer.status == 200
        assert answer.headers.all("P-Asserted-Identity") == [f"<{ALICE}>"]
        heard = await page.trace.wait_request(method, call_id=request.call_id)
        assert (heard.request_uri, heard.body) == (page.contact_uri, "Hello")
        assert len(heard.headers.all("Via")) == 1
        assert len(answer.headers.all("Via")) == len(request.headers.all("Via"))
        nothing_of_the_core(stage, page)

    @pytest.mark.conformance("S-23")
    @pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE"])
    async def test_the_answer_is_of_the_identity_that_was_asked(
        self, stage: RegistrationStage, method: str
    ) -> None:
        stage.core.registrar = replace(stage.core.registrar, associated_uris=(ALICE, BOB))
        page = await stage.registered_page()
        headers = [("Route", stage.path_of(page)), ("P-Called-Party-ID", f"<{BOB}>"), ("Event", "x")]
        request = core_request(stage, method, page.contact_uri, headers=headers)
        answer = await stage.core.ask(request, gateway_address(stage))
        assert (answer.status, answer.headers.all("P-Asserted-Identity")) == (200, [f"<{BOB}>"])

    @pytest.mark.conformance("S-41")
    async def test_a_page_may_be_watched(self, stage: RegistrationStage) -> None:
        """The page is the notifier: its NOTIFY finds the way back to who subscribed."""
        page = await stage.registered_page()
        route = f"<sip:{stage.core.host_port};lr;hop=one>"
        subscribe = core_request(
            stage,
            "SUBSCRIBE",
            page.contact_uri,
            headers=[("Route", stage.path_of(page)), ("Record-Route", route), ("Event", "x")],
        )
        answer = await stage.core.ask(subscribe, gateway_address(stage))
        assert (answer.status, answer.headers.all("Record-Route")) == (200, [route])
        got = await notified_by(stage, page, subscribe.call_id)
        assert got.request_uri == f"sip:device@{stage.core.host_port}"
        assert got.headers.all("Route") == [route]
        assert page.contact_uri not in message_to_text(got)

    @pytest.mark.conformance("S-41")
    async def test_several_pages_of_one_user_may_be_watched_by_one_subscribe(
        self, stage: RegistrationStage
    ) -> None:
        """Each fork is a dialog of its own (RFC 6665 §4.4.1): refreshed, and told of, at its own page."""
        pages = [await stage.registered_page(), await stage.registered_page()]
        call_id, sender = new_tag(), f"<sip:device@{REALM}>;tag={new_tag()}"
        for number, page in enumerate(pages, 1):
            more = [("Route", stage.path_of(page)), ("Event", "x")]
            subscribe = core_request(stage, "SUBSCRIBE", page.contact_uri, call_id=call_id, headers=more)
            subscribe.headers.replace("From", sender)
            await stage.core.ask(subscribe, gateway_address(stage))
            await stage.core.trace.wait_response(200, "SUBSCRIBE", call_id=call_id, count=number)
            page.dialogs.add(call_id)
        host, port = gateway_address(stage)
        ours = {one["page_contact"]: f"sip:{one['contact_user']}@{host}:{port}" for one in dialogs(stage)}
        assert len({ours[page.contact_uri] for page in pages}) == 2
        for page in pages:
            (taken,) = page.trace.responses("SUBSCRIBE", Direction.SENT)
            to, contact = taken.headers.get("To") or "", ours[page.contact_uri]
            refresh = core_request(stage, "SUBSCRIBE", contact, call_id=call_id, to=to)
            refresh.headers.replace("From", sender)
            refresh.headers.replace("CSeq", str(CSeq(2, "SUBSCRIBE")))
            await stage.core.ask(refresh, (host, port))
            again = await page.trace.wait_request("SUBSCRIBE", call_id=call_id, count=2)
            assert (again.request_uri, again.cseq.number) == (page.contact_uri, 2)
            assert (await notified_by(stage, page, call_id)).contact_uri == contact

    @pytest.mark.conformance("S-41")
    async def test_what_is_for_no_page_is_said_so(self, stage: RegistrationStage) -> None:
        page = await stage.registered_page()
        for method in ("PUBLISH", "INFO", "FOO"):
            answer = await stage.ask_along(stage.path_of(page), page, method)
            assert answer.status == 405
        assert not page.trace.requests("PUBLISH")

    async def test_a_page_that_says_nothing_is_a_time_out_without_harm(
        self, stage: RegistrationStage
    ) -> None:
        page = await stage.registered_page()
        page._dispatch = lambda message: None  # type: ignore[method-assign]
        with pytest.raises(AssertionError):
            await stage.ask_along(stage.path_of(page), page, timeout_s=1)
        await asyncio.sleep(0)
        assert page.trace.requests("MESSAGE")


async def notified_by(stage: RegistrationStage, page: ScriptedWic, call_id: str) -> SipRequest:
    """Let a page that is watched send a NOTIFY; return what the core got."""
    heard = await page.trace.wait_request("SUBSCRIBE", call_id=call_id)
    sent = page.trace.responses("SUBSCRIBE", Direction.SENT)[0]
    fields = [
        ("Via", page.new_via()),
        ("Max-Forwards", "70"),
        ("From", sent.headers.get("To") or ""),
        ("To", heard.headers.get("From") or ""),
        ("Call-ID", heard.call_id),
        ("CSeq", str(CSeq(1, "NOTIFY"))),
        ("Contact", page.contact),
        ("Event", "x"),
        ("Subscription-State", "active;expires=60"),
    ]
    await page.send(SipRequest("NOTIFY", heard.contact_uri or "", headers=Headers(fields)))
    await page.trace.wait_response(range(200, 700), "NOTIFY", call_id=call_id)
    return stage.core.trace.requests("NOTIFY")[-1]


def gateway_address(stage: RegistrationStage) -> tuple[str, int]:
    gateway = stage.lab.info.gateway
    return gateway.address, gateway.sip_port


def core_request(
    stage: RegistrationStage,
    method: str,
    target: str,
    *,
    call_id: str = "",
    to: str = f"<{ALICE}>",
    headers: Any = (),
) -> SipRequest:
    """Return a request of somebody in the network."""
    assert sip_uri_from_text(name_addr_from_text(f"<{target}>").uri).host
    fields = [
        ("Via", stage.core.new_via()),
        ("Max-Forwards", "70"),
        ("From", f"<sip:device@{REALM}>;tag={new_tag()}"),
        ("To", to),
        ("Call-ID", call_id or new_tag()),
        ("CSeq", str(CSeq(1, method))),
        ("Contact", f"<sip:device@{stage.core.host_port}>"),
        *headers,
    ]
    return SipRequest(method, target, headers=Headers(fields))
