"""Two pages change one call, both at once: what was asked for at the same moment comes about at both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest

from tests.browser.random_changes.play import Round, Step, call, change, hang_up, rounds, two_pages
from tests.lab.lab import Lab
from tests.lab.options import LabOptions
from tests.lab.proof import wait_clean

pytestmark = [pytest.mark.browser, pytest.mark.lab]

LINES: Final = {"one-way": (True, True), "two-way": (False, False), "two-way calls one-way": (False, True)}
AT_ONCE: Final[tuple[Round, ...]] = (
    (Step(0, "addVideo"), Step(1, "addVideo")),
    (Step(0, "hold"), Step(1, "hold")),
    (Step(0, "resume"), Step(1, "resume", 20)),
    (Step(0, "removeVideo"), Step(1, "removeVideo", 50)),
    (Step(1, "addVideo"), Step(0, "addVideo", 20)),
)
CAME_BACK: Final[tuple[Round, ...]] = (
    (Step(0, "unmute"),),
    (Step(1, "loseSocket"),),
    (Step(1, "addVideo"),),
    (Step(0, "loseSocket"), Step(1, "loseSocket", 200)),
    (Step(0, "hold"),),
    (Step(0, "resume"),),
)
FIRST_THING: Final[tuple[Round, ...]] = ((Step(1, "hold"),), (Step(1, "resume"), Step(0, "sendDigits")))


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Two users, a core, no phones."""
    with Lab(LabOptions(phones=())) as lab:
        yield lab
        wait_clean(lab)


async def play(
    world: Lab, lines: str, played: tuple[Round, ...] | list[Round], *, video: bool = False
) -> None:
    """One call, and these changes in it."""
    users = [world.info.users[name] for name in ("alice", "bob")]
    async with two_pages(world.info.web.origin, users, LINES[lines]) as pages:
        await call(pages, users[1].impu, video=video)
        for steps in played:
            await change(pages, steps)
        await hang_up(pages, by=0)


@pytest.mark.parametrize("lines", LINES)
async def test_both_change_the_same_thing(world: Lab, lines: str) -> None:
    await play(world, lines, AT_ONCE)


@pytest.mark.parametrize("lines", ["one-way", "two-way"])
async def test_a_page_that_has_come_back_is_heard_and_hears_whatever_is_changed_then(
    world: Lab, lines: str
) -> None:
    await play(world, lines, CAME_BACK)


async def test_the_first_thing_that_the_called_one_does_is_to_hold(world: Lab) -> None:
    await play(world, "one-way", FIRST_THING)


@pytest.mark.parametrize("lines", LINES)
async def test_whatever_is_changed_at_once(world: Lab, lines: str) -> None:
    await play(world, lines, rounds(random.Random(lines), 8), video=True)
