"""What every test of this folder plays on: a gateway with its relay, a scripted core, scripted pages, and the check
that nothing stays behind.

Knows how the gateway is configured here and where its log is.  Must not know single calls.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kemi.state.schedule import Wait
from tests.integration.calls.offers import AUDIO
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import left_behind
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.outcome import has_failed
from tests.peers.call_plan import CallPlan
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.core_call import CalledDevice
from tests.peers.sip import SipResponse
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall

CORE_PORT: Final = own_port()
ALICE: Final = f"sip:alice@{REALM}"
BOB: Final = f"sip:bob@{REALM}"
CAROL: Final = f"sip:carol@{REALM}"

CLEAN_WITHIN_S: Final = 15.0
LOGGED_WITHIN_S: Final = 15.0

PRACK_TIMEOUT_S: Final = 2
UPDATE_TIMEOUT_S: Final = 3
LONG_FOR_A_PAGE_S: Final = UPDATE_TIMEOUT_S + 1.5
"""After which a page that says nothing has been given up, however coarse Kamailio's timers are."""
IMS_RESPONSE_TIMEOUT_S: Final = 3
IMS_ANSWER_TIMEOUT_S: Final = 6
FLOW_RECOVERY_S: Final = 4
ENTRY_POINT_TIMEOUT_S: Final = 5
NG_DEADLINE_MS: Final = 2000
SHORT_NG_DEADLINE_MS: Final = 300
"""Of labs whose relay stands still on purpose: a relay that is merely slow fails once, then for all tests of the next
seconds."""


def gateway_options(**variables: Any) -> LabOptions:
    """Return a lab of gateway and relay whose core is the scripted one; limits are off.

    The timers are short, yet longer than a busy machine stands still.
    """
    timers = {
        **NO_LIMITS,
        "gateway_icscf_uris": [f"sip:{LOOPBACK}:{CORE_PORT}"],
        "gateway_prack_timeout_s": PRACK_TIMEOUT_S,
        "gateway_update_timeout_s": UPDATE_TIMEOUT_S,
        "gateway_ims_response_timeout_s": IMS_RESPONSE_TIMEOUT_S,
        "gateway_ims_answer_timeout_s": IMS_ANSWER_TIMEOUT_S,
        "gateway_flow_recovery_s": FLOW_RECOVERY_S,
        "gateway_flow_wait_s": 0,
        "gateway_reports_s": 2,
        "gateway_entry_point_timeout_s": ENTRY_POINT_TIMEOUT_S,
        "gateway_ng_deadline_ms": NG_DEADLINE_MS,
        "kamailio_udp_mtu": 0,  # the scripted core speaks UDP only
    }
    return LabOptions(
        parts=frozenset({Part.GATEWAY, Part.RTPENGINE}),
        phones=(),
        role_variables={"kamailio": {**timers, **variables}},
    )


@dataclass(frozen=True)
class Call:
    """Both ends of one call."""

    wic: OutgoingCall
    ims: CalledDevice

    @property
    def call_id(self) -> str:
        """Call-ID, the same on both sides."""
        return self.wic.call_id

    async def hang_up(self) -> None:
        """Let the page hang up and see that the core hears it."""
        response = await self.wic.bye()
        assert response.status == 200, response.start_line
        await self.ims.wait_request("BYE")


class Stage:
    """One test's world."""

    def __init__(self, lab: Lab, core_port: int = CORE_PORT) -> None:
        self.lab = lab
        self.core = ScriptedCore(LOOPBACK, core_port)
        self.core.registrar = RegistrarScript(realm=REALM, associated_uris=(ALICE, "tel:+15550100"))
        self.other_cores: list[ScriptedCore] = []
        """Further ones of a test, which opens and closes them."""
        self.pages: list[ScriptedWic] = []
        self._relay_killed = False

    async def open(self) -> None:
        """Let the core listen."""
        await self.core.__aenter__()

    async def close(self) -> None:
        """Check what is left while everybody still listens, then take everything down."""
        async with AsyncExitStack() as peers:
            peers.push_async_callback(self.core.close)
            for page in self.pages:
                peers.push_async_callback(page.close)
            await self.check_nothing_left()
            assert not self.violations, self.violations
            if not has_failed():
                self.check_peers()

    def check_peers(self) -> None:
        """See that no peer went wrong after the last time that the test waited for it."""
        for trace in (core.trace for core in self.cores):
            assert trace.failure is None, f"{trace.name}: {trace.failure!r}"
        for page in self.pages:
            assert page.trace.failure is None, f"{page.trace.name}: {page.trace.failure!r}"

    @property
    def cores(self) -> list[ScriptedCore]:
        """All that stand for the core."""
        return [self.core, *self.other_cores]

    @property
    def violations(self) -> list[str]:
        """What pages and core saw the gateway do against an RFC."""
        calls_of_core = [call for core in self.cores for call in (*core.earlier_calls, *core.calls.values())]
        seen_by_core = [call.violations for call in calls_of_core]
        seen_by_pages = [call.violations for page in self.pages for call in page.calls.values()]
        return [violation for violations in (*seen_by_core, *seen_by_pages) for violation in violations]

    # ------------------------------------------------------------------ pages

    @property
    def handshake(self) -> Handshake:
        """The upgrade as the TLS front forwards it."""
        info = self.lab.info
        return Handshake(f"ws://{LOOPBACK}:{info.gateway.ws_port}/sip", origin=info.web.origin)

    async def page(self, aor: str = ALICE, *, registered: bool = True) -> ScriptedWic:
        """Open a page; it is closed with the stage."""
        return await self.join(ScriptedWic(self.handshake, WicIdentity(aor)), registered=registered)

    async def join(self, page: ScriptedWic, *, registered: bool = True) -> ScriptedWic:
        """Connect a page and, unless told otherwise, register it."""
        self.pages.append(page)
        await page.connect()
        if registered:
            response = await page.register()
            assert response.status == 200, response.start_line
        return page

    # ------------------------------------------------------------------ calls

    async def ringing(self, page: ScriptedWic, offer: str = AUDIO, plan: CallPlan | None = None) -> Call:
        """Call and wait until the page hears 180; what the core does is its script."""
        wic = await page.invite(BOB, offer, plan=plan)
        await wic.wait_status(180)
        return Call(wic, await self.core.wait_call())

    async def answered(self, page: ScriptedWic, offer: str = AUDIO, plan: CallPlan | None = None) -> Call:
        """Call and wait until the ACK has reached the core."""
        wic = await page.invite(BOB, offer, plan=plan)
        await wic.wait_answer()
        call = Call(wic, await self.core.wait_call())
        await call.ims.wait_ack()
        return call

    def core_knows(self, call_id: str) -> bool:
        """Whether the core has heard of a call."""
        return any(entry.message.call_id == call_id for entry in self.core.trace.entries)

    # ------------------------------------------------------------------ the gateway's inside

    @property
    def gateway_log(self) -> Path:
        """What the gateway writes."""
        return Path(self.lab.info.log_dir) / "gateway.log"

    def log_lines(self, call_id: str) -> list[str]:
        """Return the gateway's own lines about a call."""
        lines = self.gateway_log.read_text(errors="replace").splitlines()
        return [line for line in lines if f"call_id={call_id}" in line]

    async def logged(self, call_id: str, *words: str) -> str:
        """Wait for a line about this call that has all the words, and return it."""

        def found() -> str:
            return next((line for line in self.log_lines(call_id) if all(word in line for word in words)), "")

        await until(
            lambda: bool(found()),
            lambda: f"no line with {words}; the call's lines:\n" + "\n".join(self.log_lines(call_id)),
            LOGGED_WITHIN_S,
        )
        return found()

    def has_transaction(self, call_id: str) -> bool:
        """Whether Kamailio still has a transaction of a call."""
        return any(call_id in transaction["callid"] for transaction in self.lab.gateway_rpc("tm.list"))

    def record(self, call_id: str) -> str:
        """Return the gateway's record of a call, "" when there is none."""
        return str(self.lab.gateway_rpc.htable("call").get(call_id, ""))

    async def check_nothing_left(self) -> None:
        """Records, wake-ups and relay calls; transactions outlive a call by design and are counted at the end.

        The calls of a test that failed nobody ends any more: they end with their pages.
        """
        if has_failed():
            for page in self.pages:
                await page.close()

        def left() -> Mapping[str, int]:
            if self._relay_killed:
                return {name: len(self.lab.gateway_rpc.htable(name)) for name in ("call", *Wait)}
            return {what: count for what, count in left_behind(self.lab).items() if what != "transactions"}

        await until(lambda: not any(left().values()), lambda: f"left behind: {left()}", CLEAN_WITHIN_S)

    @contextmanager
    def relay_asleep(self) -> Iterator[None]:
        """Keep the media relay from answering; it goes on where it was afterwards."""
        pid = self.lab.process_ids["rtpengine"]
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: _is_stopped(pid), "the relay asleep", LOGGED_WITHIN_S)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill_relay(self) -> None:
        """Kill the media relay of a lab that no other test needs."""
        self.lab.kill("rtpengine")
        self._relay_killed = True


def _is_stopped(pid: int) -> bool:
    """Whether every thread of a process has stopped: the signal takes its time on a busy machine."""
    states = (
        path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")
    )
    return all(state == "T" for state in states)


async def until(
    done: Callable[[], bool], complaint: Callable[[], str], timeout_s: float, *, every_s: float = 0.05
) -> None:
    """Wait until a condition holds; raise AssertionError with the complaint otherwise."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(complaint())
        await asyncio.sleep(every_s)


def warning_of(response: SipResponse) -> str:
    """Return the text a person reads in the Warning (RFC 3261 §20.43), "" without one."""
    match = re.fullmatch(r'3\d\d \S+ "([^"]*)"', response.headers.get("Warning") or "")
    return match.group(1) if match else ""


def warn_code_of(response: SipResponse) -> int:
    """Return what a program reads there, 0 without one."""
    code, _, _ = (response.headers.get("Warning") or "0").partition(" ")
    return int(code)
