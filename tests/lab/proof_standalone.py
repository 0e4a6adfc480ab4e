"""The first calls without an IMS core: page to page, page to telephone and back, and what they proved, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.browser.softphone import SoftphoneBrowser
from tests.browser.web_user import WebUser
from tests.lab.proof import ProofFailedError, wait_clean
from tests.lab.waiting import wait_until
from tests.lab.world import World

CALLER: Final = "alice"
CALLEE: Final = "web1"
CALLER_HZ: Final = 1000.0
CALLEE_HZ: Final = 700.0
TOLERANCE_HZ: Final = 15.0
TABLE_S: Final = 5.0


@dataclass(frozen=True)
class StandaloneProof:
    """What the calls showed."""

    caller: str
    callee: str
    number: str
    ladder: tuple[str, ...]
    heard_by_callee_hz: float
    heard_by_caller_hz: float
    heard_of_telephone_hz: float
    heard_by_telephone_hz: float

    def lines(self) -> list[str]:
        """Say it in lines for a terminal."""
        return [
            f"{self.caller} called {self.callee}, page to page, without an IMS core",
            "",
            *(f"    browser {rung}" for rung in self.ladder),
            "",
            f"caller → callee      {self.heard_by_callee_hz:.0f} Hz heard (sent {CALLER_HZ:.0f} Hz)",
            f"callee → caller      {self.heard_by_caller_hz:.0f} Hz heard (sent {CALLEE_HZ:.0f} Hz)",
            "",
            f"{self.caller} called {self.number} by the trunk",
            f"browser → telephone  {self.heard_by_telephone_hz:.0f} Hz heard (sent {CALLER_HZ:.0f} Hz)",
            f"telephone → browser  {self.heard_of_telephone_hz:.0f} Hz heard",
            "after hang-up        nothing left in Kamailio or rtpengine",
        ]


def prove_standalone(world: World) -> StandaloneProof:
    """Place the calls; raise ProofFailedError when anything of them is missing."""
    info = world.info
    wait_until(lambda: info.web.origin in world.gateway_rpc.htable("jwks"), "keys at the gateway", TABLE_S)
    wait_until(lambda: "current" in world.gateway_rpc.htable("routing"), "the routing table", TABLE_S)
    caller_user, callee_user = info.users[CALLER], info.users[CALLEE]
    with (
        WebUser(info.web.origin) as caller,
        WebUser(info.web.origin, playwright=caller.playwright) as callee,
    ):
        for browser, name in ((caller, CALLER), (callee, CALLEE)):
            browser.log_in(name, info.web.accounts[name])
            browser.wait_registered()
        callee.speak(CALLEE_HZ)
        caller.dial(callee_user.impu, tone_hz=CALLER_HZ)
        callee.answer()
        caller.wait_established()
        heard_by_callee = callee.wait_tone(CALLER_HZ)
        heard_by_caller = caller.wait_tone(CALLEE_HZ)
        caller.hang_up()
        ladder = tuple(caller.ladder())
        callee.wait(lambda: callee.state == "ended", "the end at the callee", 5.0)
        wait_clean(world)
        of_telephone, by_telephone = _call_telephone(world, caller)
    wait_clean(world)
    return StandaloneProof(
        caller=caller_user.impu,
        callee=callee_user.impu,
        number=info.pstn.uri,
        ladder=ladder,
        heard_by_callee_hz=heard_by_callee,
        heard_by_caller_hz=heard_by_caller,
        heard_of_telephone_hz=of_telephone,
        heard_by_telephone_hz=by_telephone,
    )


def _call_telephone(world: World, page: SoftphoneBrowser) -> tuple[float, float]:
    """Call the PSTN number; return what the page heard of the telephone, and the telephone of the page."""
    page.dial(world.info.pstn.uri, tone_hz=CALLER_HZ)
    page.wait_established()
    of_telephone = page.wait_tone(world.info.pstn.tone_hz)
    heard = [0.0]

    def by_telephone() -> bool:
        heard[0] = max(
            (call["heard_hz"] for call in world.pstn.ask("calls") if call["heard_hz"]), default=0.0
        )
        return abs(heard[0] - CALLER_HZ) <= TOLERANCE_HZ

    wait_until(by_telephone, f"{CALLER_HZ} Hz at the telephone", 8.0)
    page.hang_up()
    if not of_telephone:
        raise ProofFailedError("the telephone was not heard")
    return of_telephone, heard[0]
