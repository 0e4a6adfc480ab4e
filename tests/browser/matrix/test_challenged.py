"""A core that asks who calls (401): the page says so in a second INVITE, and the call is as any other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from kemi.core.registration.authorization import digest_parameter
from tests.browser.matrix.cells import Cell, Client, Engine, Shape, Way
from tests.browser.matrix.clients import PageClient, wait
from tests.browser.matrix.conftest import before_far_end
from tests.browser.matrix.engines import TONE_HZ, Browsers
from tests.browser.matrix.far_end import Device, FarEnd
from tests.lab.lab import Lab
from tests.lab.proof import TOLERANCE_HZ
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until
from tests.lab.world import UserInfo
from tests.peers.digest import Challenge, challenge_to_text

pytestmark = [pytest.mark.browser, pytest.mark.lab]

CELLS = [
    Cell(Client.SDK, Engine.CHROMIUM, Way.OUTGOING, video=False, shape=Shape.ONE_WAY),
    Cell(Client.SDK, Engine.CHROMIUM, Way.OUTGOING, video=True, shape=Shape.ONE_WAY),
    Cell(Client.SDK, Engine.FIREFOX, Way.OUTGOING, video=True, shape=Shape.ONE_WAY),
    Cell(Client.SIPJS_100REL, Engine.CHROMIUM, Way.OUTGOING, video=True),
    Cell(Client.SIPJS, Engine.CHROMIUM, Way.OUTGOING, video=True),
    Cell(Client.JSSIP, Engine.CHROMIUM, Way.OUTGOING, video=True),
]
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def lab_and_core() -> Iterator[tuple[Lab, FarEnd]]:
    """The gateway before a scripted core."""
    with before_far_end() as found:
        yield found


@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_both_hear_and_see_each_other(
    lab_and_core: tuple[Lab, FarEnd], browsers: Browsers, cell: Cell
) -> None:
    lab, core = lab_and_core
    number = CELLS.index(cell)
    name = f"page{number}"
    user = UserInfo(name, f"{name}@{REALM}", f"sip:{name}@{REALM}", "", "digest", "nobody checks")
    device = Device(f"device{number}", 400.0 + 40 * number)
    # JsSIP prefers auth-int, whose hash is of the page's body
    device.challenge = challenge_to_text(Challenge(REALM, f"{number:016x}", qop="auth,auth-int"))
    page = PageClient(cell, browsers.new_tab(cell.engine))
    try:
        page.register(lab.info.web, user)
        core.expect(device)
        page.call(f"sip:{device.user}@{REALM}")
        assert digest_parameter(core.called(device), "qop") == "auth"
        wait(page, lambda: page.state() == "established", "answer", PATIENCE_S)
        device.speak()
        device.hears(TONE_HZ)
        wait(page, lambda: abs(page.heard_hz() - device.tone_hz) <= TOLERANCE_HZ, "tone", PATIENCE_S)
        if cell.video:
            device.show()
            device.sees(5)
            seen = page.frames() + 5
            wait(page, partial(_has_seen, page, seen), "pictures", PATIENCE_S)
        page.hangup()
        wait_until(lambda: not lab.relay_calls(), "an end at the relay", PATIENCE_S)
    finally:
        page.close()
        device.close()


def _has_seen(page: PageClient, frames: int) -> bool:
    return page.frames() >= frames
