"""The running calls of all gateways: asked for by command, because nobody reads them most of the time."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kemi.state import keys
from kemi.state.call_questions import ALL_CALLS, ANSWER_S, CallQuestion, Place, place_of
from kemi.state.running_calls import GatewayCalls, LiveCall, calls_from_texts
from kemi.state.web.nodes import NodesView
from kemi.state.web.streams import CommandStream

if TYPE_CHECKING:
    from redis import Redis

_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some running calls, the latest first."""

    calls: list[tuple[str, LiveCall]]
    """Each with its gateway."""
    totals: dict[str, tuple[int, float]]
    """Of each gateway that answered: how many calls fit the question, on all pages, and when, by its clock."""
    following: Place | None
    """What ``after`` is for the next page."""
    silent: list[str]
    """Gateways that did not answer in time: what they have is on no page."""


class RunningCalls:
    """Asks the gateways."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._commands = CommandStream(redis)
        self._gateways = NodesView(redis)

    def ask(
        self, now: float, question: CallQuestion = ALL_CALLS
    ) -> tuple[dict[str, GatewayCalls], list[str]]:
        """Return the calls of each gateway that answered in time, and which gateways did not."""
        asked = secrets.token_hex(8)
        running = {name for name in self._gateways.seen(now) if question.gateway in ("", name)}
        self._commands.list_calls(asked, now, question)
        deadline = time.monotonic() + ANSWER_S
        while True:
            answers = self._redis.hgetall(keys.running_calls(asked))
            texts = {str(name): str(text) for name, text in answers.items()}
            found = calls_from_texts(texts, asked)
            if question.gateway:  # others of an older release answer, too
                found = {name: one for name, one in found.items() if name == question.gateway}
            silent = sorted(running - found.keys())
            if not silent or time.monotonic() >= deadline:
                return found, silent
            time.sleep(_AGAIN_S)

    def page(self, now: float, question: CallQuestion) -> CallPage:
        """Return a page of the calls of all gateways."""
        found, silent = self.ask(now, question)
        calls = [
            (place, name, call)
            for name, one in found.items()
            for call in one.calls
            # A gateway of an older release tells all it has.
            if question.fits(call, call.far.by) and question.follows(place := place_of(call))
        ]
        calls.sort(key=lambda entry: entry[:2], reverse=True)
        page = calls[: question.limit]
        totals = {name: (_total(one, question), one.at) for name, one in found.items()}
        has_more = len(calls) > len(page) or any(one.left_out for one in found.values())
        return CallPage(
            calls=[(name, call) for _, name, call in page],
            totals=totals,
            following=page[-1][0] if page and has_more else None,
            silent=silent,
        )


def _total(answer: GatewayCalls, question: CallQuestion) -> int:
    if answer.total is not None:
        return answer.total
    return sum(question.fits(call, call.far.by) for call in answer.calls) + answer.left_out
