"""A running call whose ports are flooded: what both ends miss, and what they get that is not the call's.

Used by the contract test for a second and by `python -m tests.bench.media_attacks` for long.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.bench.cpu import tree_cpu_s
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon
from tests.contract.rtpengine.injected import FAR_HZ, FarEnd, Seen, page_watched
from tests.contract.rtpengine.live_call import LiveCall
from tests.peers.injection import HOST as STRANGER
from tests.peers.injection import Attacker, Kind

FAR_HOST: Final = "127.0.0.9"
SETTLES_S: Final = 0.3
"""What is under way when an attack ends."""


@dataclass(frozen=True)
class Besieged:
    """What one attack did to the call."""

    attack: str
    injected: int
    """Packets the attackers sent, at both legs."""
    stolen: int
    """Packets that came to them."""
    relayed: int
    """Packets of streams that are not the call's, at either end."""
    sent_by_page: int
    lost_at_far_end: int
    sent_by_far_end: int
    lost_at_page: int
    relay_cpu: float
    """Share of one core."""


async def besiege(
    daemon: Daemon,
    attacks: Mapping[str, Sequence[Kind]],
    *,
    packets_per_s: int,
    lasts_s: float,
) -> list[Besieged]:
    """Set one call up and attack it in one way after the other.

    Attackers at each leg: a stranger, and one with the address of that leg's end and another port.  ``packets_per_s``:
    of all of them together; the attack "" is none.
    """
    page_seen: Seen = Counter()
    far_seen: Seen = Counter()
    with ExitStack() as stack:
        stack.enter_context(page_watched(page_seen))
        far = stack.enter_context(FarEnd(FAR_HOST, far_seen, itertools.count(1)))
        async with LiveCall(daemon) as call:
            await call.page_offers("audio", "PCMA/8000", host=far.host, port=far.port)
            await call.page.until_connected()
            core = (IMS_ADDRESS, call.media["audio"].ims_port)
            heard = asyncio.create_task(call.page.until_heard(FAR_HZ, mid=call.media["audio"].heard))
            while not heard.done():
                await far.talk(core, 0.2)
            await heard
            await far.talk(core, SETTLES_S)
            own = {*page_seen, *far_seen}
            found = []
            for name, kinds in attacks.items():
                found.append(
                    await _attack(
                        daemon, call, far, name, kinds, packets_per_s, lasts_s, (page_seen, far_seen), own
                    )
                )
            return found


async def _attack(
    daemon: Daemon,
    call: LiveCall,
    far: FarEnd,
    name: str,
    kinds: Sequence[Kind],
    packets_per_s: int,
    lasts_s: float,
    seen: tuple[Seen, Seen],
    own: set[tuple[str, int]],
) -> Besieged:
    page_before, far_before = (one.copy() for one in seen)
    heard_before, others_before = len(far.sequence), far.others
    core = (IMS_ADDRESS, call.media["audio"].ims_port)
    cpu_before, began = tree_cpu_s([daemon.pid]), time.monotonic()
    web = [(WIC_ADDRESS, port) for port in call.web_ports]
    ends = [(IMS_ADDRESS, port) for port in call.core_ports]
    with ExitStack() as stack:
        attackers = [
            stack.enter_context(Attacker(targets, packets_per_s / 4, kinds=kinds, host=host))
            for targets, end in ((web, WIC_ADDRESS), (ends, far.host))
            for host in (STRANGER, end)
            if kinds
        ]
        sent = await far.talk(core, lasts_s)
    cpu = (tree_cpu_s([daemon.pid]) - cpu_before) / (time.monotonic() - began)
    await asyncio.sleep(SETTLES_S)
    at_page, at_far_end = (now - before for now, before in zip(seen, (page_before, far_before), strict=True))
    arrived = far.sequence[heard_before:]
    span = (arrived[-1] - arrived[0]) % 0x10000 + 1 if arrived else 0
    return Besieged(
        attack=name,
        injected=sum(one.sent for one in attackers),
        stolen=sum(one.stolen for one in attackers),
        relayed=sum(
            count for key, count in (at_page + at_far_end).items() if key not in own and key[0] == "rtp"
        )
        + far.others
        - others_before,
        sent_by_page=span,
        lost_at_far_end=span - len(set(arrived)),
        sent_by_far_end=sent,
        lost_at_page=max(0, sent - sum(n for key, n in at_page.items() if key in own and key[0] == "rtp")),
        relay_cpu=cpu,
    )
