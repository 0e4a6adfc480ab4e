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
from tests.integration.calls.stage import CLEAN_WITHIN_S, Call, Stage, gateway_options
from tests.integration.calls.test_routing import load
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_clean
from tests.lab.subscribers import REALM
from tests.peers.core import ScriptedCore
from tests.peers.core_script import CoreScript, answers
from tests.peers.device_sdp import DeviceMedia
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


TRUNKS: Final = [trunk("one", "first", "spare", caller="+49301000"), trunk("two", "second")]
DOCUMENT = RoutingDocument(
    routes=[
        Route("germany", "+49*", Target.TRUNK, name="both"),
        Route("users", f"sip:*@{REALM}", Target.CORE),
    ],
    plans={REALM: DialPlan(country="DE")},
    trunk_groups={"both": ["one", "two"]},
)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With Redis, trunks and a table."""
    options = gateway_options(gateway_trunks=TRUNKS)
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@dataclass
class Carriers:
    """The next hops of all trunks."""

    first: ScriptedCore
    spare: ScriptedCore
    second: ScriptedCore

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
            name: await stack.enter_async_context(ScriptedCore(LOOPBACK, port))
            for name, port in PORTS.items()
        }
        yield Carriers(**peers)
        await stage.check_nothing_left()
        broken = [call.violations for peer in peers.values() for call in peer.calls.values()]
        assert not any(broken), broken


async def answered(stage: Stage, at: ScriptedCore, target: str = f"tel:{CALLEE}") -> Call:
    """Let a page call and a carrier answer."""
    wic = await (await stage.page()).invite(target, AUDIO_BOTH_WAYS)
    await wic.wait_answer()
    call = Call(wic, await at.wait_call())
    await call.ims.wait_ack()
    return call


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
