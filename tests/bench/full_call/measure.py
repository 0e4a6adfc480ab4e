"""Whole calls at a rate, and calls that follow each other on one page.

Knows pages, the phone and the clock. Must not know how a system is started or what figures mean.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tests.bench.cpu import tree_cpu_s
from tests.bench.full_call.media import Heard, PageMedia, prepare
from tests.bench.full_call.pages import CallFailedError, Page
from tests.bench.full_call.phone import Phone, ringing_phone, uri_user
from tests.bench.full_call.sites import MakePage, System
from tests.bench.results import Percentiles, percentiles

HEARD_WITHIN_S: Final = 2.0
"""From the answer until a call counts as silent."""
REDIAL_AFTER_S: Final = 0.7
_TAIL_S: Final = 1.0
_IDLE_S: Final = 2.0
_REST_S: Final = 2.5
"""How long a page rests between calls at a rate: Janus loses the sound of one that follows sooner."""
PAGES_PER_RATE: Final = 3.0
"""Pages for each call/s, so that there is always one that has rested."""
_AT_ONCE: Final = 20
_numbers: Final = itertools.count()


@dataclass
class Calls:
    """What became of some calls."""

    heard: int = 0
    """Both ends heard the other's tone."""
    silent: int = 0
    """Answered, but an end heard nothing."""
    failures: Counter[str] = field(default_factory=Counter)
    strange: int = 0
    """Packets that were not authentic, or another call's."""
    packets: int = 0
    """Tone packets heard, both ends."""
    connected_s: list[float] = field(default_factory=list)
    """INVITE → ICE and DTLS up."""
    heard_s: list[float] = field(default_factory=list)
    """INVITE → both ends have heard the other."""

    @property
    def tried(self) -> int:
        """All calls."""
        return self.heard + self.silent + self.failures.total()


@dataclass(frozen=True)
class Run:
    """One case at a rate for a while."""

    case: str
    offered_per_s: float
    calls: int
    silent: int
    failures: dict[str, int]
    strange: int
    packets_per_call: float
    calls_per_s: float
    cpu_ms: dict[str, float]
    """Part → CPU for each call."""
    idle_cpu_ms: dict[str, float]
    """Part → what of it the part would have used without calls."""
    generator_cpu_ms: float
    late_ms: float
    """How late the latest call began: a generator that cannot keep up proves nothing."""
    connected_ms: Percentiles
    heard_ms: Percentiles

    @property
    def total_ms(self) -> float:
        """CPU of all parts for each call."""
        return sum(self.cpu_ms.values())

    @property
    def net_ms(self) -> float:
        """The same without what the parts use anyhow."""
        return self.total_ms - sum(self.idle_cpu_ms.values())


@asynccontextmanager
async def answering_phone() -> AsyncIterator[Phone]:
    """Run the phone until the block ends."""
    prepare()
    transport, phone = await ringing_phone()
    try:
        yield phone
    finally:
        phone.close()
        transport.close()


@asynccontextmanager
async def open_pages(make: MakePage, count: int) -> AsyncIterator[list[Page]]:
    """Open pages, some at once."""
    pages: list[Page] = []
    try:
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(count, first + _AT_ONCE))
            pages += await asyncio.gather(*(make(number) for number in numbers))
        yield pages
    finally:
        for page in pages:
            await page.close()


async def one_call(page: Page, phone: Phone, found: Calls, *, hold_s: float = 0.0) -> None:
    """Call, wait until both ends hear each other, and hang up."""
    loop = asyncio.get_running_loop()
    both: asyncio.Future[None] = loop.create_future()
    number = next(_numbers)
    heard = Heard(number, lambda: both.set_result(None))
    phone.expected[uri_user(number)] = heard
    media = PageMedia(heard, page.host)
    began_s = time.monotonic()
    try:
        await page.call(number, media)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(both), HEARD_WITHIN_S)
        await asyncio.sleep(hold_s)
        await page.hang_up()
    except (CallFailedError, TimeoutError) as error:
        found.failures[str(error) or type(error).__name__] += 1
        return
    finally:
        media.close()
        del phone.expected[uri_user(number)]
        found.strange += heard.strange
        found.packets += heard.packets_at_page + heard.packets_at_phone
        if media.connected_s:
            found.connected_s.append(media.connected_s - began_s)
    if heard.is_silent:
        found.silent += 1
        return
    found.heard += 1
    found.heard_s.append(max(heard.at_page_s, heard.at_phone_s) - began_s)


async def idle_cores(system: System) -> dict[str, float]:
    """Return what each part uses without calls, in cores."""
    before, began_s = _cpu(system), time.monotonic()
    await asyncio.sleep(_IDLE_S)
    elapsed_s = time.monotonic() - began_s
    return {part: (used_s - before[part]) / elapsed_s for part, used_s in _cpu(system).items()}


async def at_rate(
    case: str,
    system: System,
    idle: dict[str, float],
    pages: Sequence[Page],
    phone: Phone,
    per_s: float,
    seconds: float,
) -> Run:
    """Begin calls at a rate, each on the page that has rested longest."""
    found, late_s = Calls(), 0.0
    free: asyncio.Queue[tuple[float, Page]] = asyncio.Queue()
    for page in pages:
        free.put_nowait((0.0, page))

    async def one(page: Page) -> None:
        await one_call(page, phone, found)
        free.put_nowait((time.monotonic(), page))

    before, own_s, began_s = _cpu(system), time.process_time(), time.monotonic()
    tasks = []
    for number in range(int(per_s * seconds)):
        due_s = began_s + number / per_s
        rested_s, page = await free.get()
        due_s = max(due_s, rested_s + _REST_S if rested_s else 0.0)
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        late_s = max(late_s, time.monotonic() - began_s - number / per_s)
        tasks.append(asyncio.create_task(one(page)))
    await asyncio.gather(*tasks)
    took_s = time.monotonic() - began_s
    await asyncio.sleep(_TAIL_S)
    elapsed_s = time.monotonic() - began_s
    used = {part: used_s - before[part] for part, used_s in _cpu(system).items()}
    calls = max(1, found.tried)
    return Run(
        case,
        per_s,
        found.tried,
        found.silent,
        dict(found.failures),
        found.strange,
        round(found.packets / calls, 1),
        round(calls / took_s, 1),
        {part: round(1000 * used_s / calls, 3) for part, used_s in used.items()},
        {part: round(1000 * cores * elapsed_s / calls, 3) for part, cores in idle.items()},
        round(1000 * (time.process_time() - own_s) / calls, 3),
        round(1000 * late_s, 1),
        percentiles(found.connected_s),
        percentiles(found.heard_s),
    )


async def redials(pages: Sequence[Page], phone: Phone, calls: int) -> Calls:
    """Call on each page again and again, 0.7 s after the BYE of the call before."""
    found = Calls()
    left = itertools.count(calls, -1)

    async def again(page: Page, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while next(left) > 0:
            await one_call(page, phone, found)
            await asyncio.sleep(REDIAL_AFTER_S)

    # Not all at the same moment: pages are no choir.
    apart_s = REDIAL_AFTER_S / len(pages)
    await asyncio.gather(*(again(page, number * apart_s) for number, page in enumerate(pages)))
    return found


def _cpu(system: System) -> dict[str, float]:
    return {part: tree_cpu_s([pid]) for part, pid in system.parts.items()}
