"""A page that restarts ICE on other sockets is heard, and hears, although the old ones were alive a moment ago."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import ExitStack

import aioice.ice
import pytest

from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon
from tests.contract.rtpengine.injected import SHAPES, FarEnd, Seen, offer_of, page_watched
from tests.contract.rtpengine.live_call import LiveCall

RESTARTS = 8
TALK_S = 0.3
AT_LEAST = 8
"""Packets in that time, of fifteen."""


@pytest.fixture(autouse=True)
def media_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page listen on 127.0.0.1, which it leaves out by default, and nowhere else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.mark.parametrize("shape", ["page calls", "page calls, split", "core calls"])
async def test_after_each_restart_both_hear_each_other(daemon: Daemon, shape: str) -> None:
    """A packet that is late, from the socket the page has left, must not take the media back there."""
    seen: Seen = Counter()
    kind = SHAPES[shape]
    call = LiveCall(daemon, kind.transport, one_way=kind.one_way, mute=True)
    with ExitStack() as stack:
        stack.enter_context(page_watched(seen))
        far = stack.enter_context(FarEnd("127.0.0.9", Counter(), itertools.count(1)))
        async with call:
            if kind.page_calls:
                await call.page_offers("audio", "PCMA/8000", host=far.host, port=far.port)
            else:
                await call.core_offers("audio", offer_of(far, *kind.lines))
            call.speak("audio")
            core = IMS_ADDRESS, call.media["audio"].ims_port
            await far.talk(core, TALK_S)
            for number in range(RESTARTS):
                talking = asyncio.create_task(far.talk(core, 2 * TALK_S))
                await asyncio.sleep(0.1 + 0.013 * number)  # another moment between two packets each time
                await call.restart_ice()
                await talking
                page_had, far_had = heard(seen), len(far.sequence)
                await far.talk(core, TALK_S)
                found = heard(seen) - page_had, len(far.sequence) - far_had
                assert min(found) >= AT_LEAST, f"restart {number}: packets at page and far end {found}"


def heard(seen: Seen) -> int:
    """Return how many packets of sound a page had."""
    return sum(count for (kind, _), count in seen.items() if kind == "rtp")
