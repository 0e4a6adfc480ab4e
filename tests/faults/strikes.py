"""What is done to processes.

Knows signals and who is hit.  Must not know what should come of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kemi.state import keys
from kemi.state.web.client import connect
from tests.faults.run import Step
from tests.faults.sites import NotHereError, move_clock
from tests.faults.world import FaultWorld
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import warning_of
from tests.lab.subscribers import REALM
from tests.peers.call_plan import FINAL, SUCCESS
from tests.peers.sip import SipResponse
from tests.peers.trace import NothingMatchedError

_FILLER: Final = "filler"
_REFUSED_ENOUGH: Final = 3
_CROWD_S: Final = 10.0
_WRITTEN_S: Final = 5.0
_OVER: Final = "a call that is over"
_stopped: Final[list[int]] = []
"""Processes that were stopped alone and have to go on."""


def kill(process: str) -> Step:
    """Kill a process of the lab; its children go with it, as systemd sees to it."""

    async def strike(world: FaultWorld) -> None:
        os.kill(world.lab.process_ids[process], signal.SIGKILL)

    return strike


def stop(process: str) -> Step:
    """Let a process and its children stand still."""

    async def strike(world: FaultWorld) -> None:
        os.killpg(world.lab.process_ids[process], signal.SIGSTOP)

    return strike


def go_on(process: str) -> Step:
    """Let them go on."""

    async def lift(world: FaultWorld) -> None:
        os.killpg(world.lab.process_ids[process], signal.SIGCONT)

    return lift


def kill_worker(what: str) -> Step:
    """Kill one of Kamailio's processes by its description."""

    async def strike(world: FaultWorld) -> None:
        os.kill(world.workers(what)[0], signal.SIGKILL)

    return strike


def stop_worker(what: str) -> Step:
    """Let one of Kamailio's processes stand still."""

    async def strike(world: FaultWorld) -> None:
        pid = world.workers(what)[0]
        os.kill(pid, signal.SIGSTOP)
        _stopped.append(pid)

    return strike


async def let_workers_go_on(world: FaultWorld) -> None:
    """Let them go on."""
    while _stopped:
        os.kill(_stopped.pop(), signal.SIGCONT)


async def kill_node(world: FaultWorld) -> None:
    """Kill a relay node."""
    os.kill(world.daemons[0].pid, signal.SIGKILL)


async def stop_node(world: FaultWorld) -> None:
    """Let a relay node stand still."""
    world.daemons[0].pause()


async def let_node_go_on(world: FaultWorld) -> None:
    """Let it go on."""
    world.daemons[0].resume()


async def kill_core(world: FaultWorld) -> None:
    """Nobody listens at the core's address."""
    world.core.kill()


async def start_core_again(world: FaultWorld) -> None:
    """The core is back."""
    await world.core.start_again()


async def stop_core(world: FaultWorld) -> None:
    """The core reads nothing."""
    world.core.stop()


async def let_core_go_on(world: FaultWorld) -> None:
    """It reads what has come."""
    world.core.go_on()


async def stop_redis_with_too_much(world: FaultWorld) -> None:
    """Let Redis stand still, with a call that is over, as after a fail-over or from a backup."""
    store: Any = connect(world.lab.info.redis_url)
    for name in await asyncio.to_thread(store.keys, keys.call_records("*")):
        await asyncio.to_thread(store.hset, name, _OVER, "{}")
    await stop("redis")(world)


async def redis_has_all_calls(world: FaultWorld) -> list[str]:
    """What could not be written meanwhile is there, and nothing of what is over."""
    store: Any = connect(world.lab.info.redis_url)
    wanted = {call.wic.call_id for call in world.running.calls}
    deadline = time.monotonic() + _WRITTEN_S
    while True:
        names = await asyncio.to_thread(store.keys, keys.call_records("*"))
        found = {call for name in names for call in await asyncio.to_thread(store.hkeys, name)}
        if wanted <= found and _OVER not in found:
            return []
        if time.monotonic() > deadline:
            over = f", {_OVER} is" if _OVER in found else ""
            return [f"{len(wanted - found)} of {len(wanted)} calls are not in Redis{over}"]
        await asyncio.sleep(0.2)


async def fill_log_folder(world: FaultWorld) -> None:
    """Leave no byte free where logs are written."""
    if world.options.log_dir is None:
        raise NotHereError("needs root, to mount a small file system for the logs")
    with (world.options.log_dir / _FILLER).open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(1 << 16)):
            pass
    assert _free_bytes(world.options.log_dir) == 0


async def log_folder_is_full(world: FaultWorld) -> list[str]:
    """See that it is full still."""
    assert world.options.log_dir is not None
    free = _free_bytes(world.options.log_dir)
    assert free == 0, f"{free} bytes are free"
    return []


async def empty_log_folder(world: FaultWorld) -> None:
    """Make room again."""
    assert world.options.log_dir is not None
    (world.options.log_dir / _FILLER).unlink()


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


async def take_all_ports(world: FaultWorld) -> None:
    """Call until the relay has no ports left, and stay in the calls."""
    for _ in range(_REFUSED_ENOUGH):
        await _refused(world)


async def callers_are_told_why(world: FaultWorld) -> list[str]:
    """A call that finds no ports is refused, with a text for people."""
    final = await _refused(world)
    told = final.status == 503 and warning_of(final)
    return [] if told else [f"a caller was told {final.start_line}, and not why"]


async def _refused(world: FaultWorld) -> SipResponse:
    """Call until a call is refused; others end all the time and give ports back."""
    while True:
        page = world.talking[len(world.crowd) % len(world.talking)]
        wic = await page.wic.invite(f"sip:crowd@{REALM}", AUDIO)
        final = await wic.wait_status(FINAL, timeout_s=_CROWD_S)
        if final.status not in SUCCESS:
            return final
        world.crowd.append((page, wic))


async def give_ports_back(world: FaultWorld) -> None:
    """Hang the crowd up."""
    with suppress(NothingMatchedError):
        await asyncio.gather(*(wic.bye() for _, wic in world.crowd))
    for page, wic in world.crowd:
        world.stage.ended(page.wic, [wic.call_id])
    world.crowd.clear()


def spoil_line(network: str, one_way_s: float, lost_share: float) -> Step:
    """Make the line before a network slow, or let it lose packets."""

    async def strike(world: FaultWorld) -> None:
        assert world.options.networks is not None
        getattr(world.options.networks, network).line.change(one_way_s, lost_share)

    return strike


def mend_line(network: str) -> Step:
    """Let the line be as it was."""
    return spoil_line(network, 0.0, 0.0)


def set_clock(offset_s: int) -> Step:
    """Let the clock of all processes jump to so far from the machine's."""

    async def strike(world: FaultWorld) -> None:
        assert world.options.clock is not None
        move_clock(world.options.clock, offset_s)

    return strike
