"""A caller who gives up: the page that rings is told by a CANCEL, whatever client it has."""

from __future__ import annotations

import pytest

from tests.browser.matrix.cells import STOCK, Cell, Client, Engine, Way
from tests.browser.matrix.clients import MatrixClient, wait
from tests.lab.lab import Lab
from tests.lab.proof import wait_released
from tests.lab.waiting import wait_until
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab]

CELLS = [Cell(client, Engine.CHROMIUM, Way.INCOMING, video=False) for client in (Client.SDK, *STOCK)]


@pytest.mark.parametrize("cell", CELLS, ids=[cell.client for cell in CELLS])
def test_the_page_notices(world: Lab, cell: Cell, client: MatrixClient, user: UserInfo) -> None:
    device = world.phone("phone")
    device.events.clear()
    client.register(world.info.web, user)
    device.dial(user.impu)
    wait(client, lambda: client.state() == "ringing", "call", 15)
    device.wait_for("CALL_RINGING")
    device.hangup()
    wait_until(lambda: client.state().startswith("ended: remote"), "end of the call", 15)
    wait_released(world)
