"""A page's call to a trunk goes to another gateway with its page; the trunk still asks the gateway of before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.outbound_site import CALLEE, DOCUMENT, PROFILES, SECRET, TRUNKS, Carriers
from tests.integration.calls.routes import load
from tests.integration.calls.stage import Call, Stage, until
from tests.integration.calls.test_restart import settled
from tests.integration.calls.two_gateways import comes_to, first_gateway, second_gateway
from tests.lab.lab import Lab
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab

RECOVERY_S = 20


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """The gateway of before, with trunks and a routing table."""
    with first_gateway(
        gateway_flow_recovery_s=RECOVERY_S, gateway_trunks=TRUNKS, gateway_media_profiles=PROFILES
    ) as lab:
        load(lab, DOCUMENT)
        yield lab


@pytest.fixture(scope="module")
def other(gateway_lab: Lab) -> Iterator[Lab]:
    """The gateway that its page comes to."""
    with second_gateway(
        gateway_lab,
        gateway_flow_recovery_s=RECOVERY_S,
        gateway_trunks=TRUNKS,
        gateway_media_profiles=PROFILES,
    ) as lab:
        yield lab


async def test_what_it_asks_is_passed_on(stage: Stage, other: Lab, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    await wic.wait_answer()
    call = Call(wic, await carriers.first.wait_call())
    await call.ims.wait_ack()
    await settled(stage, call.call_id)
    before = call.ims.dialogs["a"].remote_target
    page.lose()
    await page.lost.wait()
    await comes_to(other, page)
    await until(
        lambda: call.call_id in other.gateway_rpc.htable("call"), lambda: "the call was not handed over", 15
    )
    await call.ims.wait_request("ACK", count=2)
    call.ims.dialogs["a"].remote_target = before  # as if it had not heard yet where the call is now
    assert (await call.ims.info("application/x-test", "hello")).status == 200
    assert (await call.ims.bye()).status == 200
    await call.wic.wait_request("BYE")
    log = (Path(stage.lab.info.log_dir) / "gateway.log").read_text(errors="replace")
    assert f"event=request_passed_on call_id={call.call_id}" in log


async def test_where_the_call_is_now_is_said_with_one_answer_to_a_challenge(
    stage: Stage, other: Lab, carriers: Carriers
) -> None:
    carrier = carriers.first
    carriers.do(answers(DeviceMedia()))  # without Allow: it hears it by re-INVITE
    carrier.credentials, carrier.strict = SECRET, True  # an ACK says who we are as its INVITE did
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    await wic.wait_answer()
    call = Call(wic, await carrier.wait_call())
    await call.ims.wait_ack()
    await settled(stage, call.call_id)
    page.lose()
    await page.lost.wait()
    carrier.forget()
    await comes_to(other, page)

    def acknowledged() -> list[int]:
        """Return the numbers of the INVITEs whose ACK said who we are."""
        sent = (one for one in carrier.trace.requests("ACK") if one.call_id == call.call_id)
        return sorted({one.cseq.number for one in sent if one.headers.get("Proxy-Authorization")})

    await until(lambda: len(acknowledged()) == 2, lambda: f"ACKs of {acknowledged()}", 15)
    invites = {one.via_branch for one in carrier.trace.requests("INVITE")}
    # tm's own ACK has the INVITE's branch, so that it is none of a 2xx (RFC 3261 §17.1.1.3)
    assert [one for one in carrier.dropped if one.via_branch not in invites] == []
    assert carrier.challenged == ["INVITE", "INVITE"]
    assert (await call.ims.bye()).status == 200
    await call.wic.wait_request("BYE")
