"""Calls of pages that leave by trunks: scripted carriers, a real gateway and a real relay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.stage import CLEAN_WITHIN_S, Call, Stage, gateway_options, warning_of
from tests.integration.calls.test_page_offers import change, local
from tests.integration.calls.test_routing import load
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_clean
from tests.lab.subscribers import REALM
from tests.peers.carrier import Carrier
from tests.peers.core import ScriptedCore
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, answers, rejects, rings_for_ever, silent
from tests.peers.core_script import Final as Final_
from tests.peers.device_sdp import DeviceMedia
from tests.peers.digest import Credentials
from tests.peers.sdp import offer_again
from tests.peers.sip import SipRequest

pytestmark = pytest.mark.lab

PORTS: Final = {name: own_port() for name in ("first", "spare", "second")}
CALLEE: Final = "+493012345678"
OF_IMS: Final = (
    "P-Charging-Vector",
    "P-Preferred-Service",
    "P-Access-Network-Info",
    "P-Early-Media",
    "Accept-Contact",
    "P-Visited-Network-ID",
)


def trunk(name: str, *ports: str, **more: Any) -> dict[str, Any]:
    """Return a trunk as Ansible has it, with next hops at these ports."""
    uris = [f"sip:{LOOPBACK}:{PORTS[port]}" for port in ports]
    return {"name": name, "uris": uris, "domain": f"{name}.example", "options_s": 0, **more}


SECRET: Final = Credentials("gateway", "a-password-in-no-log")
TRUNKS: Final = [
    trunk("one", "first", "spare", caller="+49301000", user=SECRET.username, password=SECRET.password),
    trunk("two", "second", numbers="national", country="DE"),
    trunk("safe", "second", profile="safe"),
    trunk("narrow", "first", most_calls=1),
    trunk("narrow-too", "second", most_calls=1),
    trunk("slow", "first", calls_per_s=0.25),
]
PROFILES: Final = [{"name": "safe", "domains": [], "audio_codecs": ["PCMA"], "core_leg": "trunk-srtp"}]
DOCUMENT = RoutingDocument(
    routes=[
        Route("germany", "+49*", Target.TRUNK, name="both"),
        Route("austria", "+43*", Target.TRUNK, name="safe"),
        Route("france", "+33*", Target.TRUNK, name="narrow"),
        Route("italy", "+39*", Target.TRUNK, name="slow"),
        Route("spain", "+34*", Target.TRUNK, name="narrow-first"),
        Route("spain-core", "+34*", Target.CORE, priority=1),
        Route("users", f"sip:*@{REALM}", Target.CORE),
    ],
    plans={REALM: DialPlan(country="DE")},
    trunk_groups={
        "both": ["one", "two"],
        "safe": ["safe"],
        "narrow": ["narrow", "narrow-too"],
        "narrow-first": ["narrow"],
        "slow": ["slow"],
    },
)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With Redis, trunks and a table."""
    options = gateway_options(gateway_trunks=TRUNKS, gateway_media_profiles=PROFILES)
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@dataclass
class Carriers:
    """The next hops of all trunks."""

    first: Carrier
    spare: Carrier
    second: Carrier

    def do(
        self, first: CoreScript, spare: CoreScript | None = None, second: CoreScript | None = None
    ) -> None:
        """Say how each of them treats an INVITE."""
        self.first.script = first
        self.spare.script = spare or first
        self.second.script = second or first


@pytest.fixture
async def carriers(stage: Stage) -> AsyncIterator[Carriers]:
    """Everybody listens."""
    async with AsyncExitStack() as stack:
        peers = {
            name: await stack.enter_async_context(Carrier(LOOPBACK, port)) for name, port in PORTS.items()
        }
        yield Carriers(**peers)
        await stage.check_nothing_left()
        broken = [call.violations for peer in peers.values() for call in peer.calls.values()]
        assert not any(broken), broken


async def answered(stage: Stage, at: ScriptedCore, target: str = f"tel:{CALLEE}") -> Call:
    """Let a page call and a carrier answer."""
    wic = await (await stage.page()).invite(target, AUDIO_BOTH_WAYS)
    await wic.wait_answer()
    ims = at.calls[wic.call_id]
    assert isinstance(ims, CalledDevice)
    await ims.wait_ack()
    return Call(wic, ims)


def nothing_of_ims(request: SipRequest) -> None:
    """A request towards a trunk has no line that only an IMS core knows."""
    assert not [name for name in OF_IMS if request.headers.get(name)]
    assert "3gpp" not in (request.headers.get("Contact") or "")


async def test_a_call_leaves_by_a_trunk(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    call = await answered(stage, carriers.first, f"tel:030-12345678;phone-context={REALM}")
    invite = call.ims.invite
    assert invite.request_uri == f"sip:{CALLEE}@one.example;user=phone"
    assert invite.to.uri == f"sip:{CALLEE}@one.example;user=phone"
    caller = "sip:+15550100@one.example;user=phone"
    assert (invite.headers.get("From") or "").startswith(f"<{caller}>;tag=")
    assert invite.headers.get("P-Asserted-Identity") == f"<{caller}>"
    nothing_of_ims(invite)
    assert not invite.headers.get("Route")
    assert not stage.core.calls
    assert (await call.ims.reinvite("")).status == 200
    assert (await call.ims.info("application/x-test", "hello")).status == 200
    await call.hang_up()
    bye = await call.ims.wait_request("BYE")
    assert bye.to.uri == f"sip:{CALLEE}@one.example;user=phone"
    nothing_of_ims(bye)


async def test_the_far_end_of_a_trunk_hangs_up(stage: Stage, carriers: Carriers) -> None:
    carriers.do(answers(DeviceMedia()))
    call = await answered(stage, carriers.first)
    assert (await call.ims.bye()).status == 200
    await call.wic.wait_request("BYE")


# ---------------------------------------------------------------- the next one


@pytest.mark.parametrize(
    ("first", "passed"),
    [
        pytest.param(rejects(503, ringing=False), True, id="503"),
        pytest.param(rejects(408, ringing=False), True, id="408"),
        pytest.param(silent(), True, id="silence"),
        pytest.param(rejects(500, ringing=False), False, id="500"),
        pytest.param(rejects(486, ringing=False), False, id="486"),
        pytest.param(rejects(404, ringing=False), False, id="404"),
        pytest.param(rejects(603, ringing=False), False, id="603"),
        pytest.param(rejects(503, ringing=True), False, id="503 after somebody rang"),
    ],
)
async def test_only_what_nobody_has_taken_goes_to_the_next_hop(
    stage: Stage, carriers: Carriers, first: CoreScript, passed: bool
) -> None:
    carriers.do(first, answers(DeviceMedia()))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    at_first = await carriers.first.wait_call()
    if not passed:
        final = first.steps[-1]
        assert isinstance(final, Final_)
        await wic.wait_status(final.status)
        assert not carriers.spare.calls
        return
    await wic.wait_answer()
    call = Call(wic, await carriers.spare.wait_call())
    await call.ims.wait_ack()
    assert call.ims.invite.via_branch != at_first.invite.via_branch
    assert call.ims.invite.request_uri == at_first.invite.request_uri
    await call.hang_up()


async def test_a_page_without_reliable_responses_reaches_the_next_trunk(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, supported="")
    await wic.wait_answer()
    call = Call(wic, await carriers.second.wait_call())
    await call.ims.wait_ack()
    for name in ("From", "To", "CSeq", "Contact", "P-Asserted-Identity", "Content-Length"):
        assert len(call.ims.invite.headers.all(name)) == 1, name
    await call.hang_up()


async def test_the_next_trunk_gets_the_call_in_its_own_form(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    call = await answered(stage, carriers.second)
    invite = call.ims.invite
    assert invite.request_uri == "sip:03012345678@two.example;user=phone"
    assert invite.headers.get("P-Asserted-Identity") == "<sip:0015550100@two.example;user=phone>"
    assert len(carriers.first.calls) == len(carriers.spare.calls) == 1
    await call.hang_up()
    assert (await call.ims.wait_request("BYE")).to.uri == "sip:03012345678@two.example;user=phone"


async def test_when_all_fail_the_page_hears_it(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(503, ringing=False))
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    refused = await wic.wait_status(503)
    assert refused.headers.all("Reason") == ["Q.850;cause=41"]
    assert [len(one.calls) for one in (carriers.first, carriers.spare, carriers.second)] == [1, 1, 1]
    carriers.do(silent())
    wic = await (await stage.page()).invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS)
    assert "no trunk answers" in warning_of(await wic.wait_status(504, timeout_s=8))


async def test_a_caller_that_withholds_its_number_is_anonymous_to_the_callee(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(answers(DeviceMedia()))
    page = await stage.page()
    wic = await page.invite(f"tel:{CALLEE}", AUDIO_BOTH_WAYS, headers=[("Privacy", "id")])
    await wic.wait_answer()
    call = Call(wic, await carriers.first.wait_call())
    await call.ims.wait_ack()
    headers = call.ims.invite.headers
    anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert (headers.get("From") or "").startswith(f"{anonymous};tag=")
    assert headers.all("Privacy") == ["id"]
    assert headers.get("P-Asserted-Identity") == "<sip:+15550100@one.example;user=phone>"
    await call.hang_up()
    assert ((await call.ims.wait_request("BYE")).headers.get("From") or "").startswith(anonymous)


# ---------------------------------------------------------------- who we are


@pytest.mark.parametrize(("algorithm", "status"), [("MD5", 407), ("SHA-256", 401)])
async def test_a_trunk_asks_who_we_are(stage: Stage, carriers: Carriers, algorithm: str, status: int) -> None:
    carriers.do(answers(DeviceMedia()))
    carrier = carriers.first
    carrier.credentials, carrier.algorithm, carrier.status = SECRET, algorithm, status
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
    carrier.forget()
    await call.hang_up()
    assert carrier.challenged == ["INVITE", "INVITE", "BYE"]
    assert SECRET.password not in stage.gateway_log.read_text(errors="replace")


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


# ---------------------------------------------------------------- limits

FRANCE, ITALY, SPAIN = "+33140000000", "+390650000000", "+34910000000"


async def test_a_full_trunk_is_passed_over_and_has_room_again_at_once(
    stage: Stage, carriers: Carriers
) -> None:
    carriers.do(answers(DeviceMedia()))
    one = await answered(stage, carriers.first, f"tel:{FRANCE}")
    two = await answered(stage, carriers.second, f"tel:{FRANCE}")
    refused = await (await stage.page()).invite(f"tel:{FRANCE}", AUDIO_BOTH_WAYS)
    answer = await refused.wait_status(503)
    assert "no trunk has room" in warning_of(answer)
    assert int(answer.headers.get("Retry-After") or 0) > 0
    await one.hang_up()
    three = await answered(stage, carriers.first, f"tel:{FRANCE}")
    assert (await three.ims.bye()).status == 200
    carriers.do(rejects(486))
    for _ in range(3):  # a refused call leaves nothing counted, and a cancelled one neither
        wic = await (await stage.page()).invite(f"tel:{FRANCE}", AUDIO_BOTH_WAYS)
        await wic.wait_status(486)
    carriers.do(rings_for_ever())
    wic = await (await stage.page()).invite(f"tel:{FRANCE}", AUDIO_BOTH_WAYS)
    await wic.wait_status(180)
    await wic.cancel()
    await wic.wait_status(487)
    # One that fails over leaves the trunk it was at.
    await two.hang_up()
    carriers.do(rejects(503, ringing=False), second=answers(DeviceMedia()))
    four = await answered(stage, carriers.second, f"tel:{FRANCE}")
    carriers.do(answers(DeviceMedia()))
    five = await answered(stage, carriers.first, f"tel:{FRANCE}")
    await four.hang_up()
    await five.hang_up()


async def test_the_core_comes_after_the_trunks(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(503, ringing=False))
    stage.core.script = answers(DeviceMedia())
    call = await answered(stage, stage.core, f"tel:{SPAIN}")
    invite = call.ims.invite
    assert invite.request_uri == f"tel:{SPAIN}"
    assert invite.headers.get("P-Charging-Vector")
    assert (invite.headers.get("From") or "").startswith("<sip:alice@")
    await call.hang_up()
    assert (await call.ims.wait_request("BYE")).headers.get("P-Charging-Vector")


async def test_calls_for_each_second(stage: Stage, carriers: Carriers) -> None:
    carriers.do(rejects(486, ringing=False))
    statuses = []
    for _ in range(4):
        wic = await (await stage.page()).invite(f"tel:{ITALY}", AUDIO_BOTH_WAYS)
        statuses.append((await wic.wait_status(range(400, 600))).status)
    assert statuses[0] == 486
    assert statuses[-1] == 503
