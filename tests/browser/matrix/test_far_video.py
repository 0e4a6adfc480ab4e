"""A far end that adds its camera to a call and takes it back, time and again: the page's lines are used anew."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.browser.matrix.cells import BROWSERS, Cell, Client, Engine, Shape, Way
from tests.browser.matrix.clients import PageClient, wait
from tests.browser.matrix.conftest import before_far_end
from tests.browser.matrix.engines import TONE_HZ, Browsers
from tests.browser.matrix.far_end import Device, FarEnd
from tests.browser.matrix.test_page_changes import reached
from tests.lab.lab import Lab
from tests.lab.proof import TOLERANCE_HZ
from tests.lab.subscribers import REALM
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab]

TIMES = 3
FRAMES = 5
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Lab, FarEnd]]:
    """The gateway before a scripted core."""
    with before_far_end() as site:
        yield site


@pytest.mark.parametrize("shape", [Shape.ONE_WAY, Shape.TWO_WAY])
@pytest.mark.parametrize("engine", BROWSERS)
def test_the_camera_of_the_far_end_comes_and_goes(
    site: tuple[Lab, FarEnd], browsers: Browsers, engine: Engine, shape: Shape
) -> None:
    """What the page decodes the third time comes on lines that had another name twice before."""
    lab, far_end = site
    client = Client.SDK if shape is Shape.ONE_WAY else Client.JSSIP
    cell = Cell(client, engine, Way.OUTGOING, video=False, shape=shape)
    page, device = (
        PageClient(cell, browsers.new_tab(engine)),
        Device(f"far-{engine.name.lower()}-{shape}", 440.0),
    )
    name = f"page-{engine.name.lower()}-{shape}"
    user = UserInfo(name, f"{name}@{REALM}", f"sip:{name}@{REALM}", "", "digest", "nobody asks")
    try:
        page.register(lab.info.web, user)
        far_end.expect(device)
        page.call(f"sip:{device.user}@{REALM}")
        far_end.called(device)
        wait(page, lambda: page.state() == "established", "answer", PATIENCE_S)
        device.speak()
        for _ in range(TIMES):
            far_end.reoffer(device, video=True)
            device.show()
            seen = page.frames() + FRAMES
            wait(page, partial(reached, page.frames, seen), "pictures of the device", PATIENCE_S)
            lines = page.lines()
            device.camera.stop_sending()
            far_end.reoffer(device, video=False)
            assert len(page.lines()) <= len(lines)
        assert len(lines) == (4 if shape is Shape.ONE_WAY else 2), lines
        wait(
            page,
            lambda: abs(page.heard_hz() - device.tone_hz) <= TOLERANCE_HZ,
            "tone of the device",
            PATIENCE_S,
        )
        device.hears(TONE_HZ)
        page.hangup()
    finally:
        page.close()
        device.close()
