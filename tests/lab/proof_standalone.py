"""The first calls without an IMS core: page to page, page to telephone and back, and what they proved, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.browser.softphone import SoftphoneBrowser
from tests.browser.web_user import WebUser
from tests.lab.proof import wait_clean, wait_released
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
    called_number: str
    called_heard_hz: float
    caller_heard_hz: float

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
            "",
            f"the telephone called {self.called_number}, which is {self.callee}",
            f"telephone → browser  {self.called_heard_hz:.0f} Hz heard",
            f"browser → telephone  {self.caller_heard_hz:.0f} Hz heard (sent {CALLEE_HZ:.0f} Hz)",
            "after hang-up        nothing left in Kamailio or rtpengine",
        ]


def prove_standalone(world: World) -> StandaloneProof:
    """Place the calls; raise when anything of them is missing."""
    info = world.info
    wait_until(lambda: info.web.origin in world.gateway_rpc.htable("jwks"), "keys at the gateway", TABLE_S)
    wait_until(lambda: "current" in world.gateway_rpc.htable("routing"), "the routing table", TABLE_S)
    caller_user, callee_user = info.users[CALLER], info.users[CALLEE]
    with (
        WebUser(info.web.origin) as caller,
        WebUser(info.web.origin, playwright=caller.playwright) as callee,
    ):
        assert not caller.page.is_visible("#way-sip"), "a SIP password is asked for, which nobody could check"
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
        callee.wait(lambda: callee.state == "ended", "the end at the callee", 5.0)
        wait_released(world)
        ladder = tuple(caller.ladder())
        of_telephone, by_telephone = _call_telephone(world, caller)
        called_heard, caller_heard = _called_by_telephone(world, callee, callee_user.tel)
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
        called_number=callee_user.tel,
        called_heard_hz=called_heard,
        caller_heard_hz=caller_heard,
    )


def _call_telephone(world: World, page: SoftphoneBrowser) -> tuple[float, float]:
    """Call the PSTN number; return what the page heard of the telephone, and the telephone of the page."""
    page.dial(world.info.pstn.uri, tone_hz=CALLER_HZ)
    page.wait_established()
    of_telephone = page.wait_tone(world.info.pstn.tone_hz)
    by_telephone = _telephone_hears(world, CALLER_HZ)
    page.hang_up()
    return of_telephone, by_telephone


def _called_by_telephone(world: World, page: SoftphoneBrowser, tel: str) -> tuple[float, float]:
    """Let the PSTN call a user's number; return what the page heard, and the telephone."""
    number = tel.removeprefix("tel:")
    gateway = f"{world.info.gateway.address}:{world.info.gateway.sip_port}"
    caller = world.info.pstn.uri.removeprefix("tel:")
    page.speak(CALLEE_HZ)
    world.pstn.ask("dial", target=f"sip:{number}@{gateway};user=phone", caller=caller)
    page.answer()
    page.wait(
        lambda: page.state == "established", "the call of the telephone", 10.0
    )  # the last one has ended
    called_heard = page.wait_tone(world.info.pstn.tone_hz)
    caller_heard = _telephone_hears(world, CALLEE_HZ)
    page.hang_up()
    return called_heard, caller_heard


def _telephone_hears(world: World, hz: float) -> float:
    """Wait until the newest call of the PSTN hears a tone; return what it heard."""
    heard = [0.0]

    def right() -> bool:
        calls = world.pstn.ask("calls")
        heard[0] = calls[-1]["heard_hz"] if calls else 0.0
        return abs(heard[0] - hz) <= TOLERANCE_HZ

    wait_until(right, f"{hz} Hz at the telephone", 8.0)
    return heard[0]
