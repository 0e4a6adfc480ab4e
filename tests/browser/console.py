"""The operators' console in a real Chromium, driven as a person would, and a hostile call for it to show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from playwright.sync_api import Browser, Page

from kemi.core.trace.entries import Entry, What
from kemi.state.redis_link import RedisLink
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TraceHead, TracePortion, entries_to_bytes
from tests.browser.accessibility import serious_findings
from tests.lab.lab import Lab
from tests.lab.parts.web_api import OPERATOR, web_password

HOSTILE: Final = "<img src=x onerror=\"document.title='taken over'\"><b>Mallory</b>"
TIMEOUT_MS: Final = 30_000
NARROW: Final = (360, 740)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
HOSTILE_LINES: Final = 60
"""Of a description that no device sends."""
_RINGS: Final = TraceRings(100, 100, 3600, 3600)


class Console:
    """One page of it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self._origin = origin
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on(
            "console",
            lambda message: self.faults.append(message.text) if "Content Security" in message.text else None,
        )
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{origin}/console")
        page.wait_for_selector("body[data-ready]", state="attached")

    def log_in(self, name: str = OPERATOR, password: str = web_password(OPERATOR)) -> None:
        """Fill in the form and press the button."""
        self.page.fill("#user", name)
        self.page.fill("#password", password)
        self.page.click("#sign-in-button")

    def wait_live(self) -> None:
        """Wait until events come."""
        self.page.wait_for_selector('#feed-light[data-state="live"]')

    def show(self, address: str) -> None:
        """Go to a page of the console, and wait until it has what it shows."""
        self.page.evaluate("(address) => { location.hash = address; }", f"#/{address}")
        name = address.partition("?")[0]
        self.page.wait_for_selector(f'#view[data-page="{name}"][data-shown]')

    def confirm(self) -> None:
        """Say yes."""
        self.page.wait_for_selector("#confirm[open]")
        self.page.click("#confirm-yes")

    def text(self, selector: str) -> str:
        """Return what is written there, one line."""
        return " ".join(self.page.inner_text(selector).split())


@contextmanager
def console_page(browser: Browser, origin: str) -> Iterator[Console]:
    """Open the console beside other pages of a browser, with cookies of its own."""
    context = browser.new_context(ignore_https_errors=True)
    try:
        yield Console(context.new_page(), origin)
    finally:
        context.close()


def findings(console: Console, screen: str) -> list[str]:
    """What is serious, and what a narrow screen cuts off."""
    page, found = console.page, []
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{screen}, {scheme}: {finding}" for finding in serious_findings(page)]
        if page.evaluate("() => document.documentElement.scrollWidth") > NARROW[0]:
            found.append(f"{screen}, {scheme}: too wide")
    return found


def plant_trace(lab: Lab, now: float) -> str:
    """Keep a call whose every text comes from somebody hostile; its key."""
    head = TraceHead(
        key=f"<i>key</i>/?#;gw{now}",
        call_id=HOSTILE,
        impu=f"sip:{HOSTILE}",
        peer=f"tel:{HOSTILE}",
        direction="from_page",
        node=HOSTILE,
        began_at=now - 60,
        answered_at=now - 50,
        ended_at=now - 10,
        by="core",
        why=HOSTILE,
        relay=HOSTILE,
        failed=True,
        left_out=3,
    )
    RedisLink(lab.info.redis_url, "planted").ship_traces(
        [TracePortion(head, entries_to_bytes(_entries(head.began_at)))], _RINGS
    )
    return head.key


def _entries(began_at: float) -> list[Entry]:
    sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=" + HOSTILE + "\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    huge = sdp + "".join(f"a=candidate:{line} {HOSTILE}\r\n" for line in range(HOSTILE_LINES))
    invite = f'INVITE sip:x SIP/2.0\r\nFrom: "{HOSTILE}" <sip:m@d>\r\nCall-ID: c\r\n\r\n'
    entries = [
        Entry(at=began_at, what=What.SIP, leg="page", incoming=True, name="INVITE", text=invite + huge),
        Entry(
            at=began_at + 0.001, what=What.DECISION, name=HOSTILE, why=HOSTILE, values={HOSTILE: [HOSTILE]}
        ),
        Entry(
            at=began_at + 0.002,
            what=What.RELAY,
            name="offer",
            why=HOSTILE,
            values={HOSTILE: HOSTILE, "ms": 1.2},
            text=huge,
            result=sdp,
        ),
        Entry(at=began_at + 0.01, what=What.SIP, leg=f"trunk:{HOSTILE}", name="INVITE", text=invite + sdp),
        Entry(at=began_at + 0.2, what=What.SIP, leg=f"trunk:{HOSTILE}", incoming=True, name=f"486 {HOSTILE}"),
    ]
    for leg in ("wic", "ims"):
        entries += [
            Entry(
                at=began_at + 5 * place,
                what=What.QUALITY,
                leg=leg,
                name="audio",
                values={"mos": 4 + 0.4 * math.sin(place), "loss_percent": place % 3, "jitter_ms": 5 + place},
            )
            for place in range(1, 9)
        ]
    return entries
