"""The running calls of all gateways: asked for by command, because nobody reads them most of the time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kemi.state import keys
from kemi.state.running_calls import GatewayCalls, calls_from_texts
from kemi.state.web.nodes import NodesView
from kemi.state.web.streams import CommandStream

if TYPE_CHECKING:
    from redis import Redis

ANSWER_S: Final = 2.0
"""How long gateways are waited for; they read their commands twice a second."""
_AGAIN_S: Final = 0.1


class RunningCalls:
    """Asks the gateways."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._commands = CommandStream(redis)
        self._gateways = NodesView(redis)

    def ask(self, now: float, impus: Sequence[str] = ()) -> tuple[dict[str, GatewayCalls], list[str]]:
        """Return the calls of each gateway that answered in time, all or those of public identities, and which gateways
        did not."""
        asked = secrets.token_hex(8)
        running = self._gateways.seen(now).keys()
        self._commands.list_calls(asked, now, impus)
        deadline = time.monotonic() + ANSWER_S
        while True:
            answers = self._redis.hgetall(keys.running_calls(asked))
            texts = {str(name): str(text) for name, text in answers.items()}
            found = calls_from_texts(texts, asked)
            silent = sorted(running - found.keys())
            if not silent or time.monotonic() >= deadline:
                return found, silent
            time.sleep(_AGAIN_S)
