"""Requests that do not fit a dialog, or require what nobody knows: the right refusal, and a call that goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, CAROL, Stage, warning_of
from tests.integration.services.world import (
    AnyCall,
    core_asks,
    core_dialog,
    established,
    hang_up,
    page_asks,
    page_dialog,
    unharmed,
)
from tests.peers.sip import SipRequest, SipResponse
from tests.peers.trace import Direction, Entry
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

WAYS = [pytest.param(True, id="call of the page"), pytest.param(False, id="call to the page")]
SIDES = [pytest.param(True, id="from the page"), pytest.param(False, id="from the core")]


def made(stage: Stage, call: AnyCall, method: str, *, by_page: bool, cseq: int | None = None) -> SipRequest:
    """Return a request inside a call that has not been sent."""
    if by_page:
        return call.wic.request(method, cseq=cseq)
    return core_dialog(call).request(method, via=stage.core.new_via(), cseq=cseq)


async def sent(stage: Stage, call: AnyCall, request: SipRequest, *, by_page: bool) -> SipResponse:
    """Send it and return the final response, by its branch: another request may have had the same CSeq."""
    if by_page:
        await call.wic.send(request)
    else:
        stage.core.send(request, call.ims.gateway)

    def is_answer(entry: Entry) -> bool:
        message = entry.message
        return (
            entry.direction is Direction.RECEIVED
            and isinstance(message, SipResponse)
            and message.status >= 200
            and message.via_branch == request.via_branch
        )

    trace = call.wic.trace if by_page else stage.core.trace
    entry = await trace.wait(is_answer, what=f"response to {request.cseq}")
    assert isinstance(entry.message, SipResponse)
    return entry.message


def retagged(request: SipRequest, name: str) -> SipRequest:
    """Give a request another tag."""
    value = (request.headers.get(name) or "").partition(";tag=")[0]
    request.headers.replace(name, f"{value};tag=forged")
    return request


def heard(call: AnyCall, method: str) -> int:
    """Count what the other end of either side got of a method."""
    traces = (call.wic.trace, call.ims.trace)
    return sum(1 for trace in traces for one in trace.requests(method) if one.call_id == call.call_id)


class TestNumbers:
    """CSeq rises in each direction (RFC 3261 §12.2.2)."""

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("by_page", SIDES)
    @pytest.mark.parametrize("made_by_page", WAYS)
    @pytest.mark.parametrize("method", ["INFO", "BYE", "UPDATE"])
    async def test_an_old_one_is_out_of_order(
        self, stage: Stage, method: str, made_by_page: bool, by_page: bool
    ) -> None:
        call = await established(stage, await stage.page(), by_page=made_by_page)
        await unharmed(call)
        before = heard(call, method)
        last = page_dialog(call).local_cseq if by_page else core_dialog(call).local_cseq
        for cseq in (last, last - 1):
            request = made(stage, call, method, by_page=by_page, cseq=cseq)
            refused = await sent(stage, call, request, by_page=by_page)
            assert refused.status == 500, refused.start_line
            assert "CSeq" in warning_of(refused)
        assert heard(call, method) == before
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("by_page", SIDES)
    async def test_a_gap_is_none_of_our_business(self, stage: Stage, by_page: bool) -> None:
        call = await established(stage, await stage.page())
        dialog = page_dialog(call) if by_page else core_dialog(call)
        dialog.local_cseq += 100
        await unharmed(call)
        await hang_up(call)


class TestTags:
    """Who does not know both tags is not in the dialog."""

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("by_page", SIDES)
    @pytest.mark.parametrize("made_by_page", WAYS)
    @pytest.mark.parametrize("method", ["BYE", "INFO", "REFER", "UPDATE", "INVITE"])
    @pytest.mark.parametrize("name", ["From", "To"])
    async def test_another_tag(
        self, stage: Stage, name: str, method: str, made_by_page: bool, by_page: bool
    ) -> None:
        call = await established(stage, await stage.page(), by_page=made_by_page)
        request = retagged(made(stage, call, method, by_page=by_page), name)
        if method == "REFER":
            request.headers.add("Refer-To", f"<{CAROL}>")
        if method == "INVITE":
            request.set_body(AUDIO)
        before = heard(call, method)
        assert (await sent(stage, call, request, by_page=by_page)).status == 481
        assert heard(call, method) == before
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("made_by_page", WAYS)
    @pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE"])
    async def test_forged_by_somebody_elses_page(self, stage: Stage, method: str, made_by_page: bool) -> None:
        page = await stage.page()
        call = await established(stage, page, by_page=made_by_page)
        stage.core.registrar = replace(stage.core.registrar, associated_uris=(CAROL,))
        other = await stage.join(ScriptedWic(stage.handshake, WicIdentity(CAROL)))
        before = heard(call, method)
        await other.send(call.wic.request(method))
        response = await other.trace.wait_response(range(200, 700), method, call_id=call.call_id)
        assert response.status == 481
        assert heard(call, method) == before
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize(
        ("method", "status"), [("BYE", 481), ("INFO", 500), ("UPDATE", 500), ("INVITE", 491)]
    )
    async def test_over_a_connection_that_has_not_registered(
        self, stage: Stage, method: str, status: int
    ) -> None:
        """Forged, or the page's own before its REGISTER is answered: which one, nobody knows."""
        page = await stage.page()
        call = await established(stage, page)
        other = await stage.page(registered=False)
        request = call.wic.request(method)
        if method == "INVITE":
            request.set_body(AUDIO)
        before = heard(call, method)
        await other.send(request)
        response = await other.trace.wait_response(range(200, 700), method, call_id=call.call_id)
        assert response.status == status
        assert heard(call, method) == before
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("made_by_page", WAYS)
    async def test_forged_from_the_wrong_side(self, stage: Stage, made_by_page: bool) -> None:
        """A page that knows the core's tags cannot speak for the far end, nor the core for the page."""
        page = await stage.page()
        call = await established(stage, page, by_page=made_by_page)
        forged = core_dialog(call).request("BYE", via=page.new_via(), cseq=90)
        forged.headers.replace("From", f"<{ALICE}>;tag={core_dialog(call).local_tag}")
        await page.send(forged)
        response = await page.trace.wait_response(range(200, 700), "BYE", call_id=call.call_id, cseq=90)
        assert response.status == 481
        theirs = page_dialog(call).request("BYE", via=stage.core.new_via(), cseq=91)
        theirs.request_uri = core_dialog(call).remote_target
        if made_by_page:
            assert (await stage.core.ask(theirs, call.ims.gateway)).status == 481
        assert not heard(call, "BYE")
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize("method", ["INFO", "BYE", "UPDATE", "PRACK", "NOTIFY", "REFER"])
    async def test_of_the_core_outside_any_dialog(self, stage: Stage, method: str) -> None:
        page = await stage.page()
        call = await established(stage, page)
        request = core_dialog(call).request(method, via=stage.core.new_via(), cseq=50)
        request.headers.replace("Call-ID", "nobody-knows-it")
        assert (await stage.core.ask(request, call.ims.gateway)).status == 481
        await unharmed(call)
        await hang_up(call)


class TestExtensions:
    """What is required and unknown is named (RFC 3261 §8.2.2.3, §16.3)."""

    @pytest.mark.conformance("S-12")
    @pytest.mark.parametrize("by_page", SIDES)
    @pytest.mark.parametrize("method", ["INFO", "OPTIONS", "MESSAGE", "UPDATE", "INVITE", "BYE"])
    @pytest.mark.parametrize("field", ["Require", "Proxy-Require"])
    async def test_inside_a_call(self, stage: Stage, field: str, method: str, by_page: bool) -> None:
        call = await established(stage, await stage.page())
        before = heard(call, method)
        request = made(stage, call, method, by_page=by_page)
        request.headers.add(field, "foo, replaces" if field == "Require" else "foo")
        refused = await sent(stage, call, request, by_page=by_page)
        assert (refused.status, refused.headers.get("Unsupported")) == (420, "foo")
        assert heard(call, method) == before
        await unharmed(call)
        await hang_up(call)

    @pytest.mark.conformance("S-12")
    @pytest.mark.parametrize(
        ("field", "tags"), [("Require", "early-session"), ("Require", "foo"), ("Proxy-Require", "foo")]
    )
    async def test_in_an_invite_of_the_page(self, stage: Stage, field: str, tags: str) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, headers=[(field, tags)])
        refused = await wic.wait_status(420)
        assert refused.headers.get("Unsupported") == tags
        assert not stage.core_knows(wic.call_id)

    @pytest.mark.conformance("S-12")
    @pytest.mark.parametrize(
        ("field", "tags"), [("Require", "early-session"), ("Require", "foo"), ("Proxy-Require", "foo")]
    )
    async def test_in_an_invite_of_the_core(self, stage: Stage, field: str, tags: str) -> None:
        page = await stage.page()
        refused = await stage.core.call(ALICE, headers=[(field, tags)]).wait_status(420)
        assert refused.headers.get("Unsupported") == tags
        assert not page.calls

    async def test_what_the_two_ends_know_passes(self, stage: Stage) -> None:
        page = await stage.page()
        call = await incoming.answered(
            stage, page, headers=[("Require", "from-change, tdialog"), ("Proxy-Require", "privacy")]
        )
        assert call.wic.invite.option_tags("Require") == {"from-change", "tdialog"}
        assert (
            await page_asks(call, "MESSAGE", headers=[("Require", "uui")], body=("text/plain", "x"))
        ).status == 200
        assert (await call.ims.wait_request("MESSAGE")).option_tags("Require") == {"uui"}
        assert (await core_asks(call, "INFO", headers=[("Require", "uui")])).status == 200
        await hang_up(call)
