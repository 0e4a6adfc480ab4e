"""Which calls the stream mapping has: what a page offers, on which transports, and what is changed while they run.

Knows the calls and their steps. Must not know how a call is carried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.browser.matrix.cells import BROWSERS, Cell, Client, Engine, Shape, Way


class Transport(StrEnum):
    """How the lines of a medium lie at the page."""

    SHARED = "shared"
    """The line of each direction in one BUNDLE group, on one transport."""
    SPLIT = "split"
    """No BUNDLE group: every line has a transport of its own."""


class Step(StrEnum):
    """What a running call goes through; after each, both sides hear and see what they should, and nothing else."""

    TALK = "talk"
    HOLD = "hold"
    RESUME = "resume"
    REOFFER = "re-offer"
    VIDEO_ADDED = "video added"
    VIDEO_REMOVED = "video removed"


_FIRST: Final = (Step.TALK, Step.HOLD, Step.RESUME, Step.REOFFER)


@dataclass(frozen=True, slots=True)
class Mapped:
    """One call; it goes through all its steps."""

    engine: Engine
    way: Way
    video: bool
    """Audio and video from the beginning; otherwise audio."""
    transport: Transport

    @property
    def name(self) -> str:
        """Identify it in test names."""
        return " ".join([self.engine, self.way, self.media, self.transport])

    @property
    def media(self) -> str:
        """What the call begins with."""
        return "audio + video" if self.video else "audio"

    @property
    def steps(self) -> tuple[Step, ...]:
        """What happens, in order: video is taken away and brought back, or the other way round."""
        later = (Step.VIDEO_ADDED, Step.VIDEO_REMOVED)
        return (*_FIRST, *(reversed(later) if self.video else later))

    @property
    def cell(self) -> Cell:
        """The client that makes the call."""
        one_way = self.way is Way.OUTGOING or self.transport is Transport.SHARED
        return Cell(
            Client.SDK, self.engine, self.way, self.video, Shape.ONE_WAY if one_way else Shape.TWO_WAY
        )

    @property
    def wishes(self) -> dict[str, object]:
        """What the page does to have it so: how it registers, and how it bundles the lines of its first offer."""
        apart = "browser" if self.video else "none"  # a browser has one group for audio and video
        groups = "kinds" if self.transport is Transport.SHARED else apart
        return {
            "oneWayStreams": self.cell.shape is Shape.ONE_WAY,
            "groups": groups,
            "turned": self.knows_turns,
        }

    @property
    def knows_turns(self) -> bool:
        """Whether the browser can say, and be told, that pictures are to be turned (TS 26.114 §7.4.5)."""
        return self.engine is Engine.CHROMIUM

    @property
    def has_own_listening_line(self) -> bool:
        """Whether what the page listens to comes by a transport of its own."""
        return self.cell.shape is Shape.ONE_WAY and self.transport is Transport.SPLIT

    @property
    def transports(self) -> int:
        """How many transports the page has then."""
        media = 2 if self.video else 1
        return media * (2 if self.has_own_listening_line else 1)


def mapped() -> Iterator[Mapped]:
    """Give all calls, those of one browser together."""
    for engine in BROWSERS:
        for way in Way:
            for video in (False, True):
                for transport in Transport:
                    yield Mapped(engine, way, video, transport)
