"""Which calls the matrix has.

Knows clients and what they can offer. Must not know how a browser is driven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Client(StrEnum):
    """Who registers and calls."""

    SDK = "SDK"
    SIPJS_100REL = "SIP.js 0.21.2, 100rel"
    SIPJS = "SIP.js 0.21.2"
    JSSIP = "JsSIP 3.13.8"
    AIORTC = "aiortc 1.16.0"


class Engine(StrEnum):
    """Where its page runs."""

    CHROMIUM = "Chromium"
    FIREFOX = "Firefox ESR"
    NONE = "Python"


class Way(StrEnum):
    """Who calls."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


class Shape(StrEnum):
    """What the page offers of each kind of media, or is offered."""

    TWO_WAY = "two-way"
    """One sendrecv line."""
    ONE_WAY = "one-way"
    """One sendonly line, the gateway brings the other direction; of a page that is called: both."""
    SPLIT = "split"
    """A sendonly and a recvonly line, made by the page."""
    LISTENING_FIRST = "listening-first"
    """The same in the other order."""


class Bundle(StrEnum):
    """bundlePolicy of the page's peer connection (RFC 8829 §4.1.1)."""

    BALANCED = "balanced"
    MAX = "max-bundle"


@dataclass(frozen=True, slots=True)
class Cell:
    """One call."""

    client: Client
    engine: Engine
    way: Way
    video: bool
    """Audio and video; otherwise audio."""
    shape: Shape = Shape.TWO_WAY
    bundle: Bundle = Bundle.BALANCED
    sees: bool = True
    """False: a video call in which only audio comes about, by design."""
    beside: bool = False
    """Another page has registered for the same person, and rings too."""

    @property
    def needs_setting(self) -> bool:
        """Whether the operator has to say that pages have max-bundle: a single line does not show it."""
        return self.bundle is Bundle.MAX and not self.video and self.shape is not Shape.SPLIT

    @property
    def name(self) -> str:
        """Identify it in test names."""
        words = [self.client, self.engine, self.way, "audio+video" if self.video else "audio", self.shape]
        if self.bundle is Bundle.MAX:
            words.append(self.bundle)
        if self.beside:
            words.append("forked")
        return " ".join(words)


BROWSERS: Final = (Engine.CHROMIUM, Engine.FIREFOX)
STOCK: Final = (Client.SIPJS_100REL, Client.SIPJS, Client.JSSIP)


def cells() -> Iterator[Cell]:
    """Give all calls, those of one browser together."""
    for engine in BROWSERS:
        for video in (False, True):
            yield from _of_browser(engine, video)
    for way in Way:
        for video in (False, True):
            yield Cell(Client.AIORTC, Engine.NONE, way, video)
            if way is Way.OUTGOING:
                yield Cell(Client.AIORTC, Engine.NONE, way, video, Shape.ONE_WAY)


def _of_browser(engine: Engine, video: bool) -> Iterator[Cell]:
    if video:
        # The lab's phones give audio and video the same payload type, which the gateway changes.
        yield Cell(Client.SDK, engine, Way.INCOMING, video, Shape.ONE_WAY)
    for client in STOCK:
        yield Cell(client, engine, Way.OUTGOING, video)
        yield Cell(client, engine, Way.OUTGOING, video, Shape.ONE_WAY)
        yield Cell(client, engine, Way.INCOMING, video)
        if not video:
            yield Cell(client, engine, Way.INCOMING, video, beside=True)
    # Of the stock clients only JsSIP lets the page make its lines.
    split = Cell(Client.JSSIP, engine, Way.OUTGOING, video, Shape.SPLIT)
    yield split
    # Audio and video on one transport is more than the relay does: video is refused, audio goes on.
    yield replace(split, bundle=Bundle.MAX, sees=False)
    for client in (Client.SIPJS, Client.JSSIP):
        yield Cell(client, engine, Way.OUTGOING, video, bundle=Bundle.MAX, sees=False)
        if not video:
            yield Cell(client, engine, Way.INCOMING, video, bundle=Bundle.MAX)
