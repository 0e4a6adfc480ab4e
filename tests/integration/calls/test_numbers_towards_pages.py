"""Numbers call numbers: From and To of the core's requests are tel URIs, which SIP.js and JsSIP cannot read there.

The page gets the SIP URIs of these numbers (RFC 3261 §19.1.6), the core gets its own spelling back.
"""

from __future__ import annotations

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.stage import Stage
from tests.lab.subscribers import REALM
from tests.peers.sip import SipMessage
from tests.peers.trace import Direction

pytestmark = pytest.mark.lab

CALLER, CALLED = "tel:+15551;verstat=TN-Validation-Passed", "tel:+15550100"
FOR_THE_PAGE = {f"sip:{number[4:]}@{REALM};user=phone" for number in (CALLER, CALLED)}


async def ringing(stage: Stage) -> PageCall:
    page = await stage.page()
    ims = stage.core.call(page.identity.aor, caller=CALLER, called=CALLED)
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    return PageCall(wic, ims)


def ends(messages: list[SipMessage]) -> set[str]:
    return {one.uri for message in messages for one in (message.from_, message.to)}


def check(call: PageCall) -> None:
    """The page has read nothing but SIP URIs, the core nothing but its own."""
    heard = {
        who: ends(
            [one.message for one in end.trace.of_call(call.call_id) if one.direction is Direction.RECEIVED]
        )
        for who, end in (("page", call.wic), ("core", call.ims))
    }
    assert heard == {"page": FOR_THE_PAGE, "core": {CALLER, CALLED}}


async def test_a_call_is_answered_used_and_ended_by_the_page(stage: Stage) -> None:
    call = await ringing(stage)
    assert call.wic.invite.from_.uri == f"sip:{CALLER[4:]}@{REALM};user=phone"
    await call.wic.answer()
    await call.works()
    assert (await call.ims.update()).status == 200
    assert (await call.wic.bye()).status == 200
    check(call)


async def test_a_call_is_ended_by_the_core(stage: Stage) -> None:
    call = await ringing(stage)
    await call.wic.answer()
    assert (await call.ims.bye()).status == 200
    check(call)


async def test_a_call_is_declined(stage: Stage) -> None:
    call = await ringing(stage)
    await call.wic.respond(486)
    await call.ims.wait_status(486)
    await call.wic.wait_request("ACK")
    check(call)


async def test_a_call_is_taken_back(stage: Stage) -> None:
    call = await ringing(stage)
    call.ims.cancel()
    await call.ims.wait_status(487)
    await call.wic.wait_request("CANCEL")
    await call.wic.wait_request("ACK")
    check(call)
