"""Whoever takes part in a medium to ask for key frames leaves it again, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kemi.adapters.relay.key_frames import ask_for_key_frames
from kemi.core.errors import MediaUnavailable
from rtpengine.key_frames import FEEDBACK_TAGS, Sender
from rtpengine.ng.commands import Unsubscribe
from rtpengine.profiles import video_profile
from rtpengine.sessions import WIC_TAG, MediaSession, Sequence, T, WicTransport
from tests.unit.core.sdp.test_feedback import OFFER

SESSION = MediaSession("call", "video", "", WicTransport.SHARED)
SENDING: dict[str, Callable[[], Any]] = {
    "senders": lambda: {WIC_TAG: Sender(7, asked=0)},
    "invite": lambda: {WIC_TAG: OFFER.replace("192.0.2.2", "127.0.0.1")},
    "take_part": lambda: None,
    "has_heard": lambda: True,
    "leave": lambda: None,
}


class Relay:
    """A node that carries sequences out by their names, but for one."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.ran: list[str] = []
        self.thrown: list[object] = []

    def run(self, sequence: Sequence[T]) -> T:
        """Carry out one sequence."""
        name = getattr(sequence, "__name__", "")
        self.ran.append(name)
        if name == self.fails:
            raise MediaUnavailable("no answer")
        found: T = SENDING[name]()
        return found

    def throw(self, commands: tuple[object, ...]) -> None:
        """Take commands that nobody waits for."""
        self.thrown += commands

    def asks(self) -> frozenset[str]:
        """Ask the page."""
        return ask_for_key_frames(SESSION, video_profile(), [WIC_TAG], self.run, self.throw)


def test_it_leaves_when_it_was_heard() -> None:
    relay = Relay()
    assert relay.asks() == {WIC_TAG}
    assert (relay.ran, relay.thrown) == (list(SENDING), [])


@pytest.mark.parametrize("fails", ["take_part", "has_heard"])
def test_it_leaves_a_relay_that_has_not_answered(fails: str) -> None:
    relay = Relay(fails)
    assert relay.asks() == frozenset()
    assert relay.ran[-1] == fails, "nobody waits once more"
    assert relay.thrown == [Unsubscribe("call-v", FEEDBACK_TAGS[WIC_TAG])]


@pytest.mark.parametrize("fails", ["senders", "invite", "leave"])
def test_nothing_is_thrown_before_it_takes_part_or_after_it_has_said_that_it_leaves(fails: str) -> None:
    relay = Relay(fails)
    assert relay.asks() == frozenset()
    assert not relay.thrown
