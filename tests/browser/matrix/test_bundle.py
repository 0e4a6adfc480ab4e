"""A two-way call is answered without a BUNDLE group: the page may still add video, on a transport of its own."""

from __future__ import annotations

import pytest

from tests.browser.matrix.cells import BROWSERS, Cell, Client, Way
from tests.browser.matrix.clients import PageClient, wait
from tests.lab.lab import Lab
from tests.lab.proof import TOLERANCE_HZ, wait_released
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab, pytest.mark.timeout(60)]


@pytest.mark.parametrize(
    "cell", [Cell(Client.JSSIP, engine, Way.OUTGOING, video=False) for engine in BROWSERS], ids=BROWSERS
)
def test_the_browser_takes_video_beside_it(
    world: Lab, cell: Cell, client: PageClient, user: UserInfo
) -> None:
    phone = world.info.phones["phone"]
    client.register(world.info.web, user)
    client.call(phone.impu)
    wait(client, lambda: client.state() == "established", "answer", 8)
    client.add_video()
    assert client.lines() == ["audio 0 sendrecv/sendrecv", "video 1 sendrecv/sendonly"]
    wait(client, lambda: abs(client.heard_hz() - phone.tone_hz) <= TOLERANCE_HZ, "tone of the phone", 8)
    client.hangup()
    wait_released(world)
