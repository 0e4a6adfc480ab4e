"""Who we are to a trunk, and why a call with it ends."""

from __future__ import annotations

import pytest

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.outbound_site import (
    CALLEE,
    SECRET,
    Carriers,
    answered,
)
from tests.integration.calls.stage import BOB, Stage, warning_of
from tests.integration.calls.test_page_offers import change, local
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM
from tests.peers.core_script import CoreScript, Provisional, answers, rejects, rings_for_ever
from tests.peers.core_script import Final as Final_
from tests.peers.device_sdp import DeviceMedia
from tests.peers.digest import Credentials
from tests.peers.sdp import offer_again

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def gateway_lab(outbound_lab: Lab) -> Lab:
    """The one with trunks."""
    return outbound_lab


# ---------------------------------------------------------------- who we are


@pytest.mark.parametrize(("algorithm", "status"), [("MD5", 407), ("SHA-256", 401)])
async def test_a_trunk_asks_who_we_are(stage: Stage, carriers: Carriers, algorithm: str, status: int) -> None:
    carriers.do(answers(DeviceMedia()))
    carrier = carriers.first
    carrier.credentials, carrier.algorithm, carrier.status = SECRET, algorithm, status
    carrier.strict = True  # the ACK of each INVITE says who we are as this did
    call = await answered(stage, carrier)
    assert carrier.challenged == ["INVITE"]
    assert call.ims.invite.cseq.number > 1
    # What follows says who it is by itself, with a rising count.
    assert (await call.wic.ask(call.wic.request("INFO"))).status == 200
    assert carrier.challenged == ["INVITE"]
    # The nonce is too old: each of them is answered once more.
    carrier.forget()
    assert (await change(call, offer_again(local(call), directions={"0": "sendonly"}))).status == 200
    assert carrier.challenged == ["INVITE", "INVITE"]
    again = await call.ims.wait_request("ACK", count=2)
    assert again.headers.get({407: "Proxy-Authorization", 401: "Authorization"}[status])
    carrier.forget()
    await call.hang_up()
    assert carrier.dropped == []
    assert carrier.challenged == ["INVITE", "INVITE", "BYE"]
    assert SECRET.password not in stage.gateway_log.read_text(errors="replace")


async def test_trunks_hear_that_the_core_has_redirected_a_call(stage: Stage, carriers: Carriers) -> None:
    """Each in its form, and of nobody who wants to be private; the call after that is one like any other."""
    stage.core.script = rejects(
        302,
        ("Contact", f"<sip:{CALLEE};npdi;rn=+4930999@{REALM};user=phone>"),
        ("History-Info", f"<tel:+4930111>;index=1, <{BOB};cause=486?Privacy=history>;index=1.1"),
    )
    page = await stage.page()
    await (await page.invite(BOB, AUDIO_BOTH_WAYS)).wait_status(302)
    lies = [("Diversion", "<tel:+4930666>"), ("History-Info", "<tel:+4930666>;index=1")]
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, headers=lies)
    await wic.wait_answer()
    first, second = carriers.first.calls[wic.call_id].invite, carriers.second.calls[wic.call_id].invite
    hidden = "<sip:anonymous@anonymous.invalid>;reason=deflection;privacy=full;counter=1"
    shown = "<sip:+4930111@one.example;user=phone>;reason=user-busy;privacy=off;counter=1"
    assert first.headers.all("Diversion") == [hidden, shown]
    assert first.request_uri == f"sip:{CALLEE};npdi;rn=+4930999@one.example;user=phone"
    assert second.headers.all("History-Info") == [
        "<sip:030111@two.example;user=phone>;index=1",
        "<sip:anonymous@anonymous.invalid;cause=486?Privacy=history>;index=1.1",
        "<sip:03012345678@two.example;user=phone;cause=480>;index=1.1.1",
    ]
    assert second.request_uri == "sip:03012345678@two.example;user=phone"
    assert "History-Info" not in first.headers and "Diversion" not in second.headers
    assert (await wic.bye()).status == 200
    carriers.do(answers(DeviceMedia()))
    wic = await page.invite(f"tel:{CALLEE};npdi;rn=+4930666", AUDIO_BOTH_WAYS, headers=lies)
    await wic.wait_answer()
    again = carriers.first.calls[wic.call_id].invite
    assert not {"Diversion", "History-Info"} & {name for name, _ in again.headers}
    assert again.request_uri == f"sip:{CALLEE}@one.example;user=phone"
    assert (await wic.bye()).status == 200


async def test_a_page_does_not_say_whom_a_trunk_charges(stage: Stage, carriers: Carriers) -> None:
    """Nor anything else that a carrier may understand who has agreed on it with others."""
    lies = [("P-Charge-Info", "<tel:+4930666>"), ("p-anything", "1"), ("X-Account", "7"), ("X-account", "8")]
    kept = [("Subject", "hello"), ("User-to-User", "00;encoding=hex")]
    carriers.do(answers(DeviceMedia()))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, headers=[*lies, *kept])
    await wic.wait_answer()
    ims = carriers.first.calls[wic.call_id]
    await ims.wait_request("ACK")
    assert (await wic.ask(wic.request("INFO", headers=[*lies, *kept]))).status == 200
    assert (await ims.info("text/plain", "hello")).status == 200
    info = await ims.wait_request("INFO")
    for request in (ims.invite, info):
        names = {name.lower() for name, _ in request.headers}
        assert {name for name in names if name.startswith(("p-", "x-"))} <= {"p-asserted-identity"}
        assert {"subject", "user-to-user"} <= names
    assert ims.invite.headers.get("P-Asserted-Identity")
    assert (await wic.bye()).status == 200


async def test_a_nonce_is_too_old_within_one_invite(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    carrier = carriers.first
    carrier.credentials = SECRET
    carrier.stale_once = True
    call = await answered(stage, carrier)
    assert carrier.challenged == ["INVITE", "INVITE"]
    await call.hang_up()


async def test_a_trunk_that_does_not_take_our_credentials(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    carriers.first.credentials = Credentials("gateway", "another")
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(500)
    assert "credentials" in warning_of(refused)
    assert not refused.headers.get("Proxy-Authenticate")
    assert carriers.first.challenged == ["INVITE", "INVITE"]
    assert not carriers.spare.calls


async def test_our_own_requests_are_asked_as_well(stage: Stage, carriers: Carriers) -> None:
    """PRACK for a page that has no reliable responses, and BYE for one that is gone."""
    carriers.do(CoreScript((Provisional(183, reliable=True, media=DeviceMedia()), Final_(200, None))))
    carrier = carriers.first
    carrier.credentials = SECRET
    carrier.asks = ("PRACK", "BYE")
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, supported="")
    await wic.wait_answer()
    ims = await carrier.wait_call()
    await ims.wait_ack()
    assert carrier.challenged == ["PRACK"]
    carrier.forget()
    await page.close()
    bye = await ims.wait_request("BYE", count=2)
    assert bye.headers.get("Proxy-Authorization")
    assert bye.headers.all("Reason")[0].startswith("SIP;cause=503")
    assert bye.headers.all("Reason")[1:] == ["Q.850;cause=41"]
    assert carrier.challenged == ["PRACK", "BYE"]


# ---------------------------------------------------------------- why a call ends


async def test_a_redirection_of_a_trunk_is_not_followed(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(302, ("Contact", "<sip:+882990000001@two.example>"), ringing=False))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(480)
    assert "redirects" in warning_of(refused)
    assert not refused.headers.get("Contact")
    assert not carriers.second.calls


@pytest.mark.parametrize(
    ("status", "reason", "told", "reasons"),
    [
        (486, "", 486, ["Q.850;cause=17"]),
        (404, 'Q.850;cause=1;text="Unallocated"', 404, ['Q.850;cause=1;text="Unallocated"']),
        (500, "Q.850;cause=17", 500, ["Q.850;cause=17"]),
        (499, "Q.850;cause=17", 486, ["Q.850;cause=17"]),
    ],
)
async def test_why_a_trunk_refuses(
    stage: Stage, carriers: Carriers, status: int, reason: str, told: int, reasons: list[str]
) -> None:
    carriers.do(rejects(status, *([("Reason", reason)] if reason else []), ringing=False))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(told)
    assert refused.headers.all("Reason") == reasons


async def test_why_an_answered_call_ends(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    call = await answered(stage, carriers.first)
    await call.hang_up()
    assert (await call.ims.wait_request("BYE")).headers.all("Reason") == ["Q.850;cause=16"]
    call = await answered(stage, carriers.first)
    assert (await call.ims.bye(headers=[("Reason", "Q.850;cause=38")])).status == 200
    bye = await call.wic.wait_request("BYE")
    assert bye.headers.all("Reason") == ["Q.850;cause=38", "SIP;cause=503"]


async def test_a_page_cancels(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rings_for_ever())
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    await wic.wait_status(180)
    ims = await carriers.first.wait_call()
    await wic.cancel()
    cancel = await ims.wait_request("CANCEL")
    assert cancel.headers.all("Reason") == ["Q.850;cause=16"]
    assert cancel.to.uri == f"sip:{CALLEE}@one.example;user=phone"
    await wic.wait_status(487)
