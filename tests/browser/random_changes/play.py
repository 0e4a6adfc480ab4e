"""Two pages with the SDK in a real Chromium that change their call at random, and what both have to perceive then.

Knows the SDK's documented methods (page.js) and what each of them promises. Must not know the gateway.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, async_playwright

from tests.browser.softphone import ARGUMENTS, CHROMIUM, PERMISSION
from tests.lab.world import UserInfo

WEIGHTS: Final[Mapping[str, int]] = {
    "hold": 4,
    "resume": 5,
    "addVideo": 5,
    "removeVideo": 3,
    "mute": 2,
    "unmute": 3,
    "hideVideo": 1,
    "showVideo": 2,
    "useMicrophone": 1,
    "useCamera": 1,
    "sendDigits": 1,
    "loseSocket": 1,
}
DELAYS_MS: Final = (0, 0, 20, 50, 100, 200, 400)
MOST_AT_ONCE: Final = 4
LOOKS: Final = 5
"""How often both may look until they perceive what they should."""
LOOK_MS: Final = 1600
"""The fake microphone beeps once a second."""
HEARD: Final = 0.01
SEEN: Final = 3
ENDS_WITHIN_MS: Final = 10_000
ANSWERS_WITHIN_S: Final = 60.0
AS_IT_SHOULD: Final = ("usage ", "socket ", "sip 480 ")
"""Nothing to do; no socket; no digits on hold, or to a page that is away."""


@dataclass(frozen=True)
class Step:
    """A change by one of the two pages."""

    page: int
    change: str
    delay_ms: int = 0

    def __str__(self) -> str:
        return f"{'AB'[self.page]} {self.change}+{self.delay_ms}"


Round = tuple[Step, ...]


class ChangeError(AssertionError):
    """A page refused a change, or does not perceive what it should, after these steps."""


def rounds(chance: random.Random, count: int) -> list[Round]:
    """Choose what is changed, a few things at once, so many times."""
    names, weights = zip(*WEIGHTS.items(), strict=True)
    return [
        tuple(
            Step(chance.randrange(2), chance.choices(names, weights)[0], chance.choice(DELAYS_MS))
            for _ in range(chance.randint(1, MOST_AT_ONCE))
        )
        for _ in range(count)
    ]


@asynccontextmanager
async def two_pages(
    origin: str, users: Sequence[UserInfo], one_way: Sequence[bool]
) -> AsyncIterator[tuple[Page, Page]]:
    """Register both; the second is there to be called."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *PERMISSION])
        try:
            pages = [await _page(browser, origin, *each) for each in zip(users, one_way, strict=True)]
            yield pages[0], pages[1]
        finally:
            await browser.close()


async def _page(browser: Any, origin: str, user: UserInfo, one_way: bool) -> Page:
    context = await browser.new_context(ignore_https_errors=True)
    page: Page = await context.new_page()
    await page.add_init_script(Path(__file__).with_name("page.js").read_text())
    await page.goto(origin)
    await page.evaluate("(given) => window.begin(given)", [user.name, user.password, one_way])
    return page


async def call(pages: tuple[Page, Page], callee: str, *, video: bool) -> None:
    """The first calls the second, which answers."""
    caller, called = pages
    await called.evaluate("() => void (window.call = undefined)")
    await caller.evaluate(
        "([who, video]) => void (window.call = phone.call(who, { video }))", [callee, video]
    )
    await called.wait_for_function("() => window.call !== undefined")
    await called.evaluate("(video) => window.call.answer({ video })", video)
    await caller.wait_for_function("() => window.call.state === 'established'")


async def change(pages: tuple[Page, Page], steps: Round) -> None:
    """Make changes at once, and look whether both perceive what they should.

    Raises:
        ChangeError: they do not, or a change failed otherwise than it may.
    """
    done = asyncio.gather(*(_change(pages[step.page], step) for step in steps))
    try:
        results = await asyncio.wait_for(done, ANSWERS_WITHIN_S)
    except TimeoutError:
        raise ChangeError(f"{_said(steps)}: one of them never ends") from None
    failed = [result for result in results if result and not result.startswith(AS_IT_SHOULD)]
    wrong = [*failed, *await _wrong(pages)]
    if wrong:
        raise ChangeError(f"{_said(steps)}: {'; '.join(wrong)}")


async def hang_up(pages: tuple[Page, Page], by: int) -> None:
    """One hangs up; the other one's call ends."""
    await pages[by].evaluate("() => window.call.hangup()")
    for page in pages:
        await page.wait_for_function("() => window.call.state === 'ended'", timeout=ENDS_WITHIN_MS)


async def _change(page: Page, step: Step) -> str:
    result: str = await page.evaluate("(given) => window.change(given)", [step.change, step.delay_ms])
    return result


async def _wrong(pages: tuple[Page, Page]) -> list[str]:
    """Return what is not as it should be, after several looks."""
    wrong: list[str] = []
    for _ in range(LOOKS):
        states = [await page.evaluate("() => window.state()") for page in pages]
        over = [
            f"{'AB'[at]} {state['state']}: {state['why']}" for at, state in enumerate(states) if state["why"]
        ]
        if over:
            return over
        seen = await asyncio.gather(
            *(page.evaluate("(ms) => window.perceive(ms)", LOOK_MS) for page in pages)
        )
        wrong = [*_disagreements(states), *_perceived(states, seen)]
        if not wrong:
            break
    return wrong


def _disagreements(states: Sequence[Mapping[str, Any]]) -> list[str]:
    held = [state["held"] for state in states]
    wrong = [f"{'AB'[at]} is still recovering" for at, state in enumerate(states) if state["recovering"]]
    if (held[0]["local"], held[1]["local"]) != (held[1]["remote"], held[0]["remote"]):
        wrong.append(f"A and B do not agree who holds: {held}")
    return wrong


def _perceived(states: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, float]]) -> list[str]:
    talking = not any(state["held"]["local"] for state in states)
    both_send = all(state["sendsVideo"] for state in states)
    wrong = []
    for at, (perceived, far) in enumerate(zip(seen, reversed(states), strict=True)):
        name = "AB"[at]
        if (perceived["loudest"] > HEARD) is not (talking and not far["muted"]):
            wrong.append(f"{name} hears {perceived['loudest']:.3f}")
        shown = talking and far["sendsVideo"] and not far["hidden"]
        # removeVideo() takes nothing any more, either: whether the other one is seen then is for both to say
        if shown and both_send and perceived["pictures"] < SEEN:
            wrong.append(f"{name} does not see the other side")
        if not shown and perceived["pictures"] > 2 * SEEN:
            wrong.append(f"{name} sees {perceived['pictures']} pictures that nobody sends")
    return wrong


def _said(steps: Round) -> str:
    return ", ".join(map(str, steps))
