"""The kinds of calls and how often each comes.

A new kind is one function in `from_page` or `to_page`, or in a module of its own, and a row here.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.mixed import from_page, running, to_page
from tests.bench.mixed.play import Play


@dataclass(frozen=True)
class Scenario:
    """A kind of call; `alone`: nothing else may run beside it."""

    run: Callable[[Play], Awaitable[None]]
    weight: int = 2
    alone: bool = False

    @property
    def name(self) -> str:
        """The function's name with its direction."""
        return f"{self.run.__module__.rpartition('.')[2]}.{self.run.__name__}"


SCENARIOS: Final = (
    Scenario(from_page.one_way, 12),
    Scenario(from_page.two_way, 8),
    Scenario(from_page.two_way_unreliable, 4),
    Scenario(from_page.with_video, 6),
    Scenario(from_page.with_early_media, 4),
    Scenario(from_page.refreshed),
    Scenario(from_page.refused_by_core, 6),
    Scenario(from_page.cancelled_in_set_up, 4),
    Scenario(from_page.cancelled_while_ringing, 4),
    Scenario(from_page.bye_in_early_dialog),
    Scenario(from_page.answer_crosses_cancel),
    Scenario(from_page.no_prack),
    Scenario(from_page.update_refused),
    Scenario(from_page.update_ignored),
    Scenario(from_page.update_tried_again),
    Scenario(from_page.bad_answer_to_update),
    Scenario(from_page.bad_offer),
    Scenario(from_page.forked),
    Scenario(from_page.second_answer),
    Scenario(from_page.core_silent),
    Scenario(from_page.nobody_answers),
    Scenario(from_page.bad_answer_of_core),
    Scenario(from_page.bye_unknown_at_core),
    Scenario(from_page.lost_in_set_up),
    Scenario(from_page.lost_while_ringing),
    Scenario(from_page.lost_for_good),
    Scenario(from_page.lost_and_back),
    Scenario(from_page.relay_refuses, 0, alone=True),
    Scenario(to_page.answered, 12),
    Scenario(to_page.with_video, 4),
    Scenario(to_page.with_early_media),
    Scenario(to_page.rings_reliably),
    Scenario(to_page.late_offer),
    Scenario(to_page.refused_by_page, 4),
    Scenario(to_page.cancelled, 4),
    Scenario(to_page.answer_crosses_cancel),
    Scenario(to_page.nobody_answers),
    Scenario(to_page.page_silent),
    Scenario(to_page.bad_answer_of_page),
    Scenario(to_page.bad_offer_of_core),
    Scenario(to_page.lost_before_answer),
    Scenario(to_page.lost_for_good),
    Scenario(to_page.lost_and_back),
    Scenario(to_page.page_gone),
    Scenario(running.held_by_the_page, 4),
    Scenario(running.held_by_the_far_end, 4),
    Scenario(running.moved_by_the_far_end),
    Scenario(running.video_comes_and_goes),
    Scenario(running.page_restarts_ice),
    Scenario(running.offers_without_description),
    Scenario(running.change_refused_by_the_core),
    Scenario(running.change_refused_by_the_page),
    Scenario(running.changes_cross),
    Scenario(running.bad_change),
    Scenario(running.transferred),
    Scenario(running.waits_for_resources),
)


def draw(scenarios: Sequence[Scenario], calls: int, seed: int) -> list[Scenario]:
    """Return that many scenarios: each once, the rest by weight, in an order that depends on the seed only."""
    chance = random.Random(seed)
    drawn = list(scenarios[:calls])
    drawn += chance.choices(scenarios, [s.weight for s in scenarios], k=calls - len(drawn))
    chance.shuffle(drawn)
    return drawn
