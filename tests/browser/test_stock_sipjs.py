"""A stock SIP.js in a real Chromium is called by an IMS phone: no code of ours in the page."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser.softphone import ARGUMENTS, CHROMIUM
from tests.lab.lab import Lab
from tests.lab.proof import CLEAN_WITHIN_S, wait_clean, wait_until_heard
from tests.lab.subscribers import REALM

pytestmark = [pytest.mark.lab, pytest.mark.browser]

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "webapp_api" / "sdk" / "node_modules"
BUNDLE = """
const [entry, outfile, modules] = process.argv.slice(1);
require("esbuild").buildSync({ entryPoints: [entry], outfile, bundle: true, nodePaths: [modules] });
"""
PAGE_HZ = 1000.0
TOLERANCE_HZ = 15.0
HEARD_WITHIN_S = 10.0
USER, PHONE = "alice", "phone"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's script with SIP.js as npm has it."""
    if not MODULES.is_dir():
        pytest.fail("the SDK's modules are not installed; run: make sdk", pytrace=False)
    built = tmp_path_factory.mktemp("stock") / "sipjs.js"
    entry = Path(__file__).parent / "stock" / "sipjs.js"
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    arguments = [str(entry), str(built), str(MODULES)]
    subprocess.run(
        ["node", "-e", BUNDLE, *arguments], check=True, cwd=MODULES.parent, env={**os.environ, "PATH": path}
    )
    return built


@pytest.fixture
def browser_page(lab: Lab) -> Iterator[Page]:
    """A page of the web origin, which may run a script that is not ours; nothing is left of its calls."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        page = browser.new_context(ignore_https_errors=True, bypass_csp=True).new_page()
        page.goto(lab.info.web.origin)
        yield page
        page.evaluate("() => window.stock.stop()")
        wait_clean(lab, CLEAN_WITHIN_S)
        browser.close()


def registered(page: Page, lab: Lab, script: Path, *, reliable: bool) -> None:
    """Let the page register."""
    page.add_script_tag(path=script)
    user = lab.info.users[USER]
    page.evaluate(
        "(arguments_) => window.stock.start(...arguments_)",
        [lab.info.web.wss_url, user.name, REALM, user.password, reliable],
    )


def log_until(page: Page, word: str) -> list[str]:
    """Return what the page noted, once it has noted that."""
    noted: list[str] = []
    deadline = time.monotonic() + HEARD_WITHIN_S
    while word not in noted:
        assert time.monotonic() < deadline, noted
        page.wait_for_timeout(50)
        noted += page.evaluate("() => window.stock.log()")
    return noted


@pytest.mark.conformance("S-20", "S-26")
@pytest.mark.parametrize("reliable", [pytest.param(True, id="100rel"), pytest.param(False, id="no 100rel")])
def test_an_ims_phone_calls_it_and_both_hear_each_other(
    lab: Lab, browser_page: Page, script: Path, reliable: bool
) -> None:
    registered(browser_page, lab, script, reliable=reliable)
    phone = lab.phone(PHONE)
    phone.listen()
    phone.events.clear()
    phone.forget_recordings()
    phone.dial(lab.info.users[USER].impu)
    log_until(browser_page, "answered")
    deadline = time.monotonic() + HEARD_WITHIN_S
    heard = 0.0
    while abs(heard - lab.info.phones[PHONE].tone_hz) > TOLERANCE_HZ:
        assert time.monotonic() < deadline, f"the page hears {heard} Hz"
        browser_page.wait_for_timeout(100)
        heard = browser_page.evaluate("() => window.stock.heardHz()")
    wait_until_heard(lab, PHONE, PAGE_HZ)
    phone.hangup()
    log_until(browser_page, "bye")


def test_a_caller_who_gives_up_is_noticed(lab: Lab, browser_page: Page, script: Path) -> None:
    registered(browser_page, lab, script, reliable=False)
    browser_page.evaluate("() => window.stock.onlyRing()")
    phone = lab.phone(PHONE)
    phone.listen()
    phone.events.clear()
    phone.dial(lab.info.users[USER].impu)
    phone.wait_for("CALL_RINGING")
    phone.hangup()
    log_until(browser_page, "cancelled")
