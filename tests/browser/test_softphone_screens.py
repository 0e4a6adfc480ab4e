"""Every screen of the softphone, in light and dark, as narrow as a phone: nothing serious for axe-core.

`make images` takes the README's pictures anew; here they only have to be there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.browser.accessibility import serious_findings
from tests.browser.softphone import SoftphoneBrowser
from tests.lab.lab import Lab
from tests.lab.options import VIDEOPHONE
from tests.lab.proof import wait_released

pytestmark = [pytest.mark.browser, pytest.mark.lab]

IMAGES: Final = Path(__file__).parents[2] / "docs/images"
TAKES_IMAGES: Final = "PAGE_IMAGES" in os.environ
NARROW: Final = (360, 740)
WIDE: Final = (900, 760)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
BUSY: Final = "+15550486"
FRAMES: Final = 30


@pytest.fixture
def browser(lab: Lab) -> Iterator[SoftphoneBrowser]:
    """A page that nobody has signed in on."""
    lab.phone(VIDEOPHONE.name).listen()
    with SoftphoneBrowser(lab.info.web.origin, camera=True) as browser:
        yield browser
        lab.phone(VIDEOPHONE.name).hangup_all()
        wait_released(lab)


def findings(browser: SoftphoneBrowser, screen: str) -> list[str]:
    """What is serious, and what a narrow screen cuts off."""
    page, found = browser.page, []
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{screen}, {scheme}: {finding}" for finding in serious_findings(page)]
        if page.evaluate("() => document.documentElement.scrollWidth") > NARROW[0]:
            found.append(f"{screen}, {scheme}: too wide")
    return found


def picture(
    browser: SoftphoneBrowser, name: str, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    """Take a picture for the README when asked to; it has to be there in any case."""
    path = IMAGES / f"softphone-{name}.png"
    if TAKES_IMAGES:
        browser.page.set_viewport_size({"width": size[0], "height": size[1]})
        browser.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        browser.page.evaluate("() => scrollTo(0, 0)")
        browser.page.screenshot(path=path, scale="css")
    assert path.is_file(), "make images"


def test_every_screen_can_be_used_by_everybody(lab: Lab, browser: SoftphoneBrowser) -> None:
    page, alice, device = browser.page, lab.info.users["alice"], lab.phone(VIDEOPHONE.name)
    found = findings(browser, "logged out")

    browser.sign_in(alice.name, alice.password)
    browser.dial(BUSY)
    page.wait_for_selector(".banner.error")
    page.context.set_offline(True)
    page.wait_for_selector("#connection-notice", state="visible")
    found += findings(browser, "trouble")
    picture(browser, "trouble", NARROW, "light")
    page.context.set_offline(False)
    page.get_by_role("button", name="Dismiss").click()
    page.click("#devices summary")
    page.click("#history summary")
    found += findings(browser, "idle")
    page.click("#devices summary")
    picture(browser, "idle", NARROW, "dark")
    page.click("#history summary")
    browser.wait_registered()

    browser.evaluate("() => { window.softphone.streams = undefined; }")
    device.dial(alice.impu)
    page.wait_for_selector("#incoming .ringing")
    found += findings(browser, "ringing")
    picture(browser, "ringing", NARROW, "light")

    browser.answer(video=True)
    page.wait_for_selector("#call-card", state="visible")
    browser.wait(lambda: browser.remote_video().frames_decoded >= FRAMES, "pictures", 15)
    page.wait_for_selector('#quality[data-rating="good"]', timeout=8000)
    found += findings(browser, "video call")
    picture(browser, "call", WIDE, "light")
    page.click("#toggle-pad")
    page.click("#transfer")
    found += findings(browser, "call with keypad and transfer")
    browser.hang_up()
    assert not found, "\n".join(found)
