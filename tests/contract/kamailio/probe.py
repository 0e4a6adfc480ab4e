"""Loaded by a real Kamailio in place of the gateway: answers every request with what it saw of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import KSR

from tests.contract.kamailio.exercise import exercise


class Probe:
    """The callbacks."""

    def child_init(self, _rank: int) -> int:
        """Called once in every process."""
        return 0

    def ksr_request_route(self, _message: object) -> int:
        """Answer; OPTIONS only asks whether we are there."""
        if KSR.pv.get("$rm") == "MESSAGE":
            KSR.textops.set_reply_body(json.dumps(exercise(KSR)), "application/json")
        KSR.sl.send_reply(200, "OK")
        return 1

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Give every other callback the configuration names."""
        if not name.startswith("ksr_"):
            raise AttributeError(name)
        return lambda *_: 1


def mod_init() -> Probe:
    """Called once by Kamailio."""
    return Probe()
