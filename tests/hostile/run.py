"""Plays real calls, and at every step of them sends mutants of what has been said so far.

Knows the calls, who may break them, and what has to be true afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.hostile.mutations import borrowed_from, mutant
from tests.hostile.peers import PatientCore, PatientPage, Senders, Stranger, time_of_options
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import ALICE, BOB, CAROL, CORE_PORT, Stage, gateway_options, until
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK
from tests.lab.processes import ProcessDied
from tests.lab.proof import left_behind
from tests.lab.subscribers import REALM
from tests.peers.call_plan import CallPlan, Go, Step
from tests.peers.core import RegistrarScript
from tests.peers.core_script import early_media
from tests.peers.trace import NothingMatchedError
from tests.peers.websocket import Handshake
from tests.peers.wic_call import WicCall

WITHOUT_KNOWLEDGE: Final = ("other page", "page not registered")
"""Who may not touch a call: what they send changes nothing, even if they know all its messages; but for the branches of
our own requests, which are random: Kamailio takes whoever names one for the one who was asked."""
SIDES: Final = (*WITHOUT_KNOWLEDGE, "own page", "core, UDP", "core's network, UDP", "core's network, TCP")
COMPLAINTS: Final = (
    "Traceback",
    "callback_failed",
    "housekeeping_failed",
    "SystemError",
    "BUG:",
    "[core/mem/",
)
PROBE_WITHIN_S: Final = 5.0
WITHIN_S: Final = 8.0
"""A broken call is not waited for any longer."""
CLEAN_WITHIN_S: Final = 45.0
_ENDS_WITHIN_S: Final = 6.0
_LAST_WORDS: Final = re.compile(
    r"^\*\*\* .* \*\*\*.*|child process \d+ exited .*|core was (?:not )?generated", re.MULTILINE
)
"""What the log has when a worker of Kamailio dies: its first process ends then, too, and its status says nothing."""
_BRANCH: Final = re.compile(rb"branch=z9hG4bK[^;,\s]*")
_HOOKS: Final = (
    Step.INVITE_SENT, Step.RELIABLE_RECEIVED, Step.UPDATE_RECEIVED, Step.RINGING_RECEIVED, Step.ANSWER_RECEIVED,
    Step.ACK_SENT,
)  # fmt: skip


@dataclass
class Outcome:
    """What a run found."""

    mutants: Counter[str] = field(default_factory=Counter)
    """By who sent them."""
    calls: int = 0
    whole: int = 0
    """Calls that went as if nobody had sent anything."""
    closed: Counter[str] = field(default_factory=Counter)
    """Connections that the gateway ended."""
    slowest_probe_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    """What must not be."""
    gone: str = ""
    """Who of the lab is not there any more, and with which exit status."""
    about: dict[str, list[bytes]] = field(default_factory=dict)
    """Mutants about a call that was left behind."""


@dataclass
class Attack:
    """Everybody of one batch."""

    lab: Lab
    rng: random.Random
    senders: Senders
    sides: tuple[str, ...]
    volley: int
    outcome: Outcome
    seen: list[bytes] = field(default_factory=list)
    """Messages of earlier calls."""
    sent: deque[tuple[str, str, bytes]] = field(default_factory=lambda: deque(maxlen=4000))
    """Who sent what, and what had been done to it."""

    async def fire(self, call_id: str) -> None:
        """Send a volley of mutants of a call's messages."""
        own = [*self.senders.page.trace.messages(call_id), *self.senders.core.trace.messages(call_id)]
        if not own:
            return
        world = borrowed_from([*own, *self.seen[-60:]])
        for _ in range(self.volley):
            side = self.rng.choice(self.sides)
            about = self.rng.choice(own if self.rng.random() < 0.8 else world.messages)
            what, data = mutant(about, world, self.rng)
            if side in WITHOUT_KNOWLEDGE and data.startswith(b"SIP/"):
                data = _BRANCH.sub(b"branch=z9hG4bKguessed%08x" % self.rng.getrandbits(32), data)
            self.sent.append((side, what, data))
            await self.senders.send(side, [data])
        gateway = self.senders.gateway
        try:
            took = await time_of_options(gateway, PROBE_WITHIN_S)
        except TimeoutError:
            self.outcome.faults.append(f"no answer to OPTIONS within {PROBE_WITHIN_S} s")
            took = PROBE_WITHIN_S
        self.outcome.slowest_probe_s = max(self.outcome.slowest_probe_s, took)

    @property
    def by_strangers(self) -> bool:
        """Whether all senders are without knowledge: the calls have to stay whole."""
        return set(self.sides) <= set(WITHOUT_KNOWLEDGE)

    async def is_begun(self, call_id: str) -> bool:
        """Wait until the gateway has a call of the page; False when it gets none."""
        try:
            await until(lambda: call_id in self.lab.gateway_rpc.htable("call"), lambda: "no call", WITHIN_S)
        except AssertionError:
            return False
        return True

    def remember(self, call_id: str) -> None:
        """Keep the messages of a call that is over, and take it out of the peers' records."""
        page, core = self.senders.page, self.senders.core
        self.seen += [*page.trace.messages(call_id), *core.trace.messages(call_id)]
        del self.seen[:-200]
        for peer in (page, core):
            peer.calls.pop(call_id, None)
            peer.trace.forget(call_id)


async def from_page(attack: Attack) -> tuple[str, bool]:
    """A call of the page: set-up, hold by the page, INFO and BYE of a random end."""
    page, core, rng = attack.senders.page, attack.senders.core, attack.rng

    async def fire(call: WicCall) -> Go:
        await attack.fire(call.call_id)
        return Go.ON

    async def fire_once_begun(call: WicCall) -> Go:
        # Who sends an INVITE of this Call-ID first has it, and the other one is refused (RFC 3261 8.2.2.2): what a
        # stranger sends shall not overtake the page's.
        if await attack.is_begun(call.call_id):
            await attack.fire(call.call_id)
        return Go.ON

    first = fire_once_begun if attack.by_strangers else fire
    hooks = {step: first if step is Step.INVITE_SENT else fire for step in _HOOKS if rng.random() < 0.7}
    plan = CallPlan(hooks=hooks)
    core.script = early_media() if rng.random() < 0.3 else core.script
    call = await page.invite(BOB, rng.choice((AUDIO, AUDIO_BOTH_WAYS)), plan=plan)
    try:
        await call.wait_answer(WITHIN_S)
        ims = core.calls[call.call_id]
        await ims.trace.wait_request("ACK", call_id=call.call_id, timeout_s=WITHIN_S)
        await attack.fire(call.call_id)
        await _asked(call.info())
        await attack.fire(call.call_id)
        if rng.random() < 0.5:
            ended = (await call.bye()).status == 200
            await ims.wait_request("BYE")
        else:
            ended = (await ims.bye()).status == 200
            await call.wait_request("BYE")
        await attack.fire(call.call_id)
        return call.call_id, ended
    except (NothingMatchedError, RuntimeError, KeyError, AssertionError, ValueError):
        return call.call_id, False


async def to_page(attack: Attack) -> tuple[str, bool]:
    """A call towards the page: it rings and answers, the core asks, a random end hangs up."""
    page, core, rng = attack.senders.page, attack.senders.core, attack.rng
    if ALICE not in core.registrations:
        await page.register()
    ims = core.call(ALICE)
    try:
        await attack.fire(ims.call_id)
        call = await page.wait_incoming(WITHIN_S)
        while call.call_id != ims.call_id:  # a mutant that was delivered
            call = await page.wait_incoming(WITHIN_S)
        await attack.fire(ims.call_id)
        await call.ring()
        await ims.wait_status(180, timeout_s=WITHIN_S)
        await attack.fire(ims.call_id)
        await call.answer()
        await attack.fire(ims.call_id)
        await _asked(ims.info("text/plain", "hello"))
        await attack.fire(ims.call_id)
        ended = (await (call.bye() if rng.random() < 0.5 else ims.bye())).status == 200
        await attack.fire(ims.call_id)
        return ims.call_id, ended
    except (NothingMatchedError, RuntimeError, KeyError, AssertionError, ValueError, TimeoutError):
        return ims.call_id, False


async def _asked(request: Awaitable[object]) -> None:
    with contextlib.suppress(NothingMatchedError, RuntimeError, KeyError, ValueError):
        await request


CALLS: Final[tuple[Callable[[Attack], Awaitable[tuple[str, bool]]], ...]] = (from_page, to_page)


def worker_ids(lab: Lab) -> frozenset[int]:
    """Return the ids of Kamailio's processes."""
    gateway = lab.process_ids["gateway"]
    children = Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
    return frozenset(int(child) for child in children)


def complaints(lab: Lab) -> Counter[str]:
    """Return what of our own code went wrong, as the log has it."""
    log = (Path(lab.info.log_dir) / "gateway.log").read_text(errors="replace")
    return Counter({word: log.count(word) for word in COMPLAINTS if word in log})


async def batch(
    lab: Lab, rng: random.Random, sides: tuple[str, ...], mutants: int, volley: int, outcome: Outcome
) -> None:
    """Play calls until so many mutants were sent; afterwards everything must be as before."""
    before_words = complaints(lab)
    info = lab.info
    handshake = Handshake(f"ws://{LOOPBACK}:{info.gateway.ws_port}/sip", origin=info.web.origin)
    core = PatientCore(LOOPBACK, CORE_PORT)
    core.registrar = RegistrarScript(realm=REALM, associated_uris=(ALICE, "tel:+15550100"))
    senders = Senders(
        (info.gateway.address, info.gateway.sip_port),
        PatientPage(handshake, ALICE),
        PatientPage(handshake, CAROL),
        Stranger(handshake),
        core,
    )
    attack = Attack(lab, rng, senders, sides, volley, outcome)
    async with core:
        await senders.open()
        for page in (senders.page, senders.other):
            await page.connect()
            core.registrar = RegistrarScript(realm=REALM, associated_uris=(page.identity.aor,))
            assert (await page.register()).status == 200
        core.registrar = RegistrarScript(realm=REALM, associated_uris=(ALICE, "tel:+15550100"))
        await asyncio.sleep(0.5)  # the last processes are forked when the first already answer
        before_ids = worker_ids(lab)
        while senders.sent.total() < mutants:
            await senders.page.come_back()
            call_id, whole = await rng.choice(CALLS)(attack)
            outcome.calls += 1
            outcome.whole += whole
            if not whole and attack.by_strangers:
                ladders = [*senders.page.trace.ladder(call_id), "|", *core.trace.ladder(call_id)]
                outcome.faults.append(f"a stranger has broken call {call_id}: {' '.join(ladders)}")
            attack.remember(call_id)
        for page in (senders.page, senders.other):
            await page.close()
        await senders.close()
        outcome.mutants += senders.sent
        outcome.closed["own page"] += senders.page.closed_times
        outcome.closed["other page"] += senders.other.closed_times
        outcome.closed["page not registered"] += senders.stranger.closed_times
        await _clean(attack)
    if (now := worker_ids(lab)) != before_ids:
        outcome.faults.append(f"other processes than before: {sorted(before_ids ^ now)}")
    if words := complaints(lab) - before_words:
        outcome.faults.append(f"in the log: {dict(words)}")
    await asyncio.sleep(0.05)  # the core's socket closes in the loop's next round
    await a_normal_call(lab, outcome)


async def _clean(attack: Attack) -> None:
    lab = attack.lab

    def left() -> dict[str, int]:
        return {what: count for what, count in left_behind(lab).items() if what != "transactions" and count}

    try:
        await until(lambda: not left(), lambda: f"left behind: {left()}", CLEAN_WITHIN_S)
    except AssertionError as error:
        attack.outcome.faults.append(str(error))
        for key in lab.gateway_rpc.htable("call"):
            attack.outcome.about[key] = [
                f"{side}: {what}\n".encode() + data
                for side, what, data in attack.sent
                if key.partition(";")[0].encode() in data
            ]


async def a_normal_call(lab: Lab, outcome: Outcome) -> None:
    """Everything still works for people who keep to the rules."""
    stage = Stage(lab)
    await stage.open()
    try:
        page = await stage.page(ALICE)
        call = await stage.answered(page, AUDIO)
        await call.hang_up()
        await stage.close()
    except AssertionError as error:
        outcome.faults.append(f"a normal call afterwards: {error}")
        await stage.core.close()


@contextlib.contextmanager
def hostile_lab() -> Iterator[Lab]:
    """A gateway with its relay, without limits, so that what is sent arrives; its timers outlast a volley."""
    timers = {f"gateway_{what}_timeout_s": 6 for what in ("prack", "update", "ims_response", "ims_answer")}
    patience = {"gateway_ng_deadline_ms": 3000}  # a relay that waits for the processor is not what is tested
    with Lab(gateway_options(**timers, **patience)) as lab:
        yield lab


def attack_lab(
    lab: Lab, seed: int, mutants: int, sides: tuple[str, ...] = SIDES, volley: int = 12
) -> Outcome:
    """Send mutants to a lab; strangers in batches of their own, because their calls have to stay whole."""
    outcome = Outcome()
    rng = random.Random(seed)
    strangers = tuple(side for side in sides if side in WITHOUT_KNOWLEDGE)
    others = tuple(side for side in sides if side not in WITHOUT_KNOWLEDGE)
    for chosen in (strangers, others):
        if chosen:
            share = mutants * len(chosen) // len(sides)
            try:
                asyncio.run(batch(lab, rng, chosen, share, volley, outcome))
            except Exception:
                if not _is_gone(lab, outcome):
                    raise
                return outcome
    return outcome


def _is_gone(lab: Lab, outcome: Outcome) -> bool:
    """Whether a process of the lab has ended; that is a fault, with its exit status and its log's last words."""
    # Kamailio's first process ends after its workers, and only when it has written its core.
    until = time.monotonic() + _ENDS_WITHIN_S
    try:
        while lab.check() and time.monotonic() < until:
            time.sleep(0.2)
        return not lab.check()
    except ProcessDied as error:
        log = (Path(lab.info.log_dir) / "gateway.log").read_text(errors="replace")
        outcome.gone = "; ".join([str(error).partition("; the end of")[0], *_LAST_WORDS.findall(log)])
        outcome.faults.append(outcome.gone)
        return True
