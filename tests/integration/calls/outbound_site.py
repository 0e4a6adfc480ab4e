"""A gateway with trunks, and the scripted carriers at their other ends.

Knows which trunks there are and where a table leads. Must not know single calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.table import Route, Target
from kemi.state.routing_document import RoutingDocument
from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.stage import Call, Stage
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.subscribers import REALM
from tests.peers.carrier import Carrier
from tests.peers.core import ScriptedCore
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript
from tests.peers.digest import Credentials
from tests.peers.sip import SipRequest

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
    trunk(
        "one",
        "first",
        "spare",
        caller="+49301000",
        user=SECRET.username,
        password=SECRET.password,
        diversion="diversion",
        portability=True,
    ),
    trunk("two", "second", numbers="national", country="DE", diversion="history-info"),
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
        Route("portugal", "+351*", Target.CORE),
        Route("portugal-trunk", "+351*", Target.TRUNK, name="both", priority=1),
        Route("spain-core", "+34*", Target.CORE, priority=1),
        Route("world", "+*", Target.TRUNK, name="both"),
        Route("help", "urn:service:sos", Target.TRUNK, name="narrow-first"),
        Route("users", f"sip:*@{REALM}", Target.CORE),
    ],
    plans={REALM: DialPlan(country="DE")},
    permissions={"*": Permission(allowed=("AT", "FR", "IT", "ES", "PT"))},
    trunk_groups={
        "both": ["one", "two"],
        "safe": ["safe"],
        "narrow": ["narrow", "narrow-too"],
        "narrow-first": ["narrow"],
        "slow": ["slow"],
    },
)


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
