"""After which commands rtpengine is made to look at sources, and at which port."""

from __future__ import annotations

from typing import Any

import pytest

from rtpengine.ng.commands import Answer, BlockMedia, Command, MediaOptions, Offer, SubscribeAnswer
from rtpengine.ng.errors import NgErrorReply
from rtpengine.ng.replies import Done, SdpReply
from rtpengine.pinning import pinning
from rtpengine.sessions import Sequence, Step

OPTIONS = MediaOptions()
WIC_OFFERS = Offer("call", "wic", "sdp", OPTIONS)
IMS_ANSWERS = Answer("call", "wic", "ims", "sdp", OPTIONS)
IMS_OFFERS = Offer("call", "ims", "sdp", OPTIONS)
WIC_ANSWERS = Answer("call", "ims", "wic", "sdp", OPTIONS)
WIC_TAKES = SubscribeAnswer("call", "wic-in", "sdp", OPTIONS)


def steps(*given: Step) -> Sequence[str]:
    for step in given:  # noqa: UP028 - a tuple cannot be sent replies
        yield step
    return "done"


def knocks(*given: Step) -> list[str]:
    """Carry steps out; the reply to the nth command that has one is "nth text"."""
    texts = iter(("first text", "second text", "third text"))
    found: list[str] = []

    def reply(command: Command[Any]) -> Any:
        return SdpReply(next(texts)) if isinstance(command, Offer | Answer) else Done()

    sequence = pinning(steps(*given), found.append)
    try:
        step = next(sequence)
        while True:
            replies = [reply(one) for one in step] if isinstance(step, tuple) else reply(step)
            step = sequence.send(replies)
    except StopIteration as stop:
        assert stop.value == "done"
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param((WIC_OFFERS, IMS_ANSWERS), ["first text"], id="what IMS is offered"),
        pytest.param((IMS_OFFERS, WIC_ANSWERS), ["second text"], id="what IMS is answered"),
        pytest.param((WIC_OFFERS, (IMS_ANSWERS, BlockMedia("call"))), ["first text"], id="two at once"),
        pytest.param((WIC_OFFERS, IMS_ANSWERS, WIC_TAKES), ["first text"] * 2, id="a further participant"),
        pytest.param((WIC_TAKES,), [], id="no port known"),
        pytest.param((IMS_OFFERS,), [], id="no answer yet"),
    ],
)
def test_after_each_answer_at_the_port_for_ims(given: tuple[Step, ...], expected: list[str]) -> None:
    assert knocks(*given) == expected


def test_an_error_reaches_the_sequence() -> None:
    sequence = pinning(steps(WIC_OFFERS), lambda _text: None)
    next(sequence)
    with pytest.raises(NgErrorReply):
        sequence.throw(NgErrorReply("offer", "no"))
