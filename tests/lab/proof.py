"""The first call: a real browser reaches an IMS phone through the gateway, and what that proved, for people to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kemi.state.schedule import Wait
from tests.browser.softphone import SoftphoneBrowser
from tests.lab.tone import heard_hz, recorded_s
from tests.lab.world import World
from tests.peers.trace import Direction

CALLER: Final = "alice"
CALLEE: Final = "phone"
TONE_HZ: Final = 1000.0
TOLERANCE_HZ: Final = 15.0
ANEW_S: Final = 1.5
"""The second that is looked at, and what was still to be written of what came before."""
CLEAN_WITHIN_S: Final = 15.0


class ProofFailedError(AssertionError):
    """The call was not what it should be."""


@dataclass(frozen=True)
class Proof:
    """What one call showed."""

    caller: str
    callee: str
    ladder: tuple[str, ...]
    wic_codec: str
    ims_codec: str
    heard_at_phone_hz: float
    heard_in_browser_hz: float
    added_line: str
    reflexive_address: str
    answer_ms: float
    """INVITE sent → first answer of the gateway (183)."""
    set_up_ms: float
    """INVITE sent → callee's 200."""

    def lines(self) -> list[str]:
        """Say it in lines for a terminal."""
        return [
            f"{self.caller} called {self.callee}",
            "",
            *(f"    browser {rung}" for rung in self.ladder),
            "",
            f"web media up in      {self.answer_ms:.0f} ms (INVITE → reliable 183 with the gateway's answer)",
            f"answered in          {self.set_up_ms:.0f} ms (INVITE → 200)",
            f"codecs               {self.wic_codec} at the browser, {self.ims_codec} at the IMS phone",
            f"browser → phone      {self.heard_at_phone_hz:.0f} Hz heard (sent {TONE_HZ:.0f} Hz)",
            f"phone → browser      {self.heard_in_browser_hz:.0f} Hz heard, on the added line {self.added_line}",
            f"browser's address    {self.reflexive_address} (as the gateway's STUN sees it)",
            "after hang-up        nothing left in Kamailio or rtpengine",
        ]


def prove(world: World) -> Proof:
    """Place the call; raise ProofFailedError when anything of it is missing."""
    user, phone = world.info.users[CALLER], world.info.phones[CALLEE]
    device = world.phone(CALLEE)
    device.listen()
    with SoftphoneBrowser(world.info.web.origin) as browser:
        browser.sign_in(user.name, user.password)
        browser.dial(phone.impu, tone_hz=TONE_HZ)
        browser.wait_established()
        in_browser = browser.wait_tone(phone.tone_hz)
        at_phone = wait_until_heard(world, CALLEE, TONE_HZ)
        (inbound,) = browser.inbound("audio")
        diagnostics = browser.diagnostics()
        ims_codec = device.audio_codec()
        browser.hang_up()
        ladder = browser.ladder()
        entries = browser.call_entries(diagnostics["callId"])
    if not is_answer_then_update(ladder):
        raise ProofFailedError(f"not answer, then UPDATE: {ladder}")
    wait_clean(world)
    invite = next(entry for entry in entries if entry.label.startswith("-> INVITE"))
    answer = next(entry for entry in entries if entry.label.startswith("<- 183 INVITE (SDP)"))
    final = next(entry for entry in entries if entry.label.startswith("<- 200 INVITE"))
    reflexive = diagnostics.get("reflexiveAddress")
    return Proof(
        caller=user.impu,
        callee=phone.impu,
        ladder=tuple(ladder),
        wic_codec=str(inbound["codec"]),
        ims_codec=ims_codec,
        heard_at_phone_hz=at_phone,
        heard_in_browser_hz=in_browser,
        added_line=str(inbound["mid"]),
        reflexive_address=f"{reflexive['address']}:{reflexive['port']}" if reflexive else "not learnt",
        answer_ms=(answer.at_s - invite.at_s) * 1000,
        set_up_ms=(final.at_s - invite.at_s) * 1000,
    )


def is_answer_then_update(ladder: list[str] | tuple[str, ...]) -> bool:
    """Tell whether a ladder is the flow: answer, PRACK, our UPDATE, its answer, only then the callee's answer."""
    wanted = [
        f"{Direction.SENT} INVITE (SDP)",
        f"{Direction.RECEIVED} 183 INVITE (SDP)",
        f"{Direction.SENT} PRACK",
        f"{Direction.RECEIVED} 200 PRACK",
        f"{Direction.RECEIVED} UPDATE (SDP)",
        f"{Direction.SENT} 200 UPDATE (SDP)",
        f"{Direction.RECEIVED} 200 INVITE",
        f"{Direction.SENT} ACK",
    ]
    rungs = iter(ladder)
    return all(rung in rungs for rung in wanted)


def left_behind(world: World) -> dict[str, int]:
    """Count what a finished call must not leave: records, transactions and relay calls."""
    calls = world.gateway_rpc("htable.dump", "call")
    due = [entry for wait in Wait for entry in world.gateway_rpc("htable.dump", wait.value)]
    transactions = world.gateway_rpc("tm.stats")
    return {
        "records": len(calls),
        "wake-ups": len(due),
        "transactions": int(transactions["current"]),
        "relay calls": len(world.relay_calls()),
    }


def wait_clean(world: World, timeout_s: float = CLEAN_WITHIN_S) -> None:
    """Wait until nothing is left behind; transactions go five seconds after their end (tm's wait timer)."""
    _wait(
        lambda: not any(left_behind(world).values()), lambda: f"left behind: {left_behind(world)}", timeout_s
    )


def wait_released(world: World, timeout_s: float = 15.0) -> None:
    """Wait until record and relay ports are gone, which happens at once."""

    def left() -> dict[str, int]:
        return {what: count for what, count in left_behind(world).items() if what != "transactions"}

    _wait(lambda: not any(left().values()), lambda: f"left behind: {left()}", timeout_s)


def wait_until_heard(
    world: World, phone: str, hz: float, timeout_s: float = 30.0, *, anew: bool = False
) -> float:
    """Wait until a phone's newest recording ends with this tone; return what it heard.

    Args:
        anew: what was recorded before does not count, as after a change of the call.
    """
    heard = [0.0]
    before = {path: recorded_s(path) for path in world.phone(phone).recordings()} if anew else {}

    def right() -> bool:
        recordings = world.phone(phone).recordings()
        if not recordings or (anew and recorded_s(recordings[-1]) < before.get(recordings[-1], 0.0) + ANEW_S):
            return False
        heard[0] = heard_hz(recordings[-1])
        return abs(heard[0] - hz) <= TOLERANCE_HZ

    _wait(right, lambda: f"{phone} heard {heard[0]:.0f} Hz instead of {hz:.0f}", timeout_s)
    return heard[0]


def _wait(done: Callable[[], bool], complaint: Callable[[], str], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise ProofFailedError(complaint())
        time.sleep(0.05)
