"""Numbers call numbers: From and To of the core's requests are tel URIs, which SIP.js and JsSIP cannot read there, nor
in Refer-To and the Contacts of a redirection.

The page gets the SIP URIs of these numbers (RFC 3261 §19.1.6), the core gets its own spelling back.
"""

from __future__ import annotations

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, Stage
from tests.integration.services.world import ask_as_page
from tests.lab.subscribers import REALM
from tests.peers.core_script import rejects
from tests.peers.sip import SipMessage
from tests.peers.trace import Direction

pytestmark = pytest.mark.lab

CALLER, CALLED = "tel:+15551;verstat=TN-Validation-Passed", "tel:+15550100"
READABLE = f"<sip:{CALLED[4:]}@{REALM};user=phone>"
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


@pytest.mark.parametrize(
    ("status", "targets", "shown"),
    [
        pytest.param(
            302, f"<{CALLED}>, <sip:elsewhere@{REALM}>", [READABLE, f"<sip:elsewhere@{REALM}>"], id="302"
        ),
        pytest.param(380, "<urn:service:sos>", [], id="380"),
    ],
)
async def test_a_redirection_names_what_the_page_can_read(
    stage: Stage, status: int, targets: str, shown: list[str]
) -> None:
    stage.core.script = rejects(status, ("Contact", targets))
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO)
    assert (await wic.wait_status(status)).headers.all("Contact") == shown


async def test_so_does_a_transfer(stage: Stage) -> None:
    call = await ringing(stage)
    await call.wic.answer()
    fields = [("Contact", call.ims.contact), ("Refer-To", f"<{CALLED}>")]
    assert (await call.ims.ask("REFER", headers=fields)).status == 200
    assert (await call.wic.wait_request("REFER")).headers.all("Refer-To") == [READABLE]
    told = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]
    assert (await ask_as_page(call.wic, "NOTIFY", headers=told)).status == 200
    assert (await call.ims.bye()).status == 200
