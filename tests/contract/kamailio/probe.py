"""Loaded by a real Kamailio in place of the gateway: answers every request with what it saw of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Final

import KSR

from kemi.adapters.kamailio import figures, transactions
from kemi.adapters.kamailio.htable import HtableTable
from tests.contract.kamailio.exercise import exercise


class Probe:
    """The callbacks."""

    def child_init(self, _rank: int) -> int:
        """Called once in every process."""
        return 0

    def ksr_request_route(self, _message: object) -> int:
        """Answer; OPTIONS only asks whether we are there."""
        answer = _ANSWERS.get(str(KSR.pv.get("$rm")))
        if answer is not None:
            KSR.textops.set_reply_body(json.dumps(answer()), "application/json")
        KSR.sl.send_reply(200, "OK")
        return 1

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Give every other callback the configuration names."""
        if not name.startswith("ksr_"):
            raise AttributeError(name)
        return lambda *_: 1


def _write_for_a_second() -> list[str]:
    """Write entries that are written over with a longer, a shorter and an equally long value."""
    table = HtableTable("dialog")
    for key, values in SHORT_LIVED.items():
        for value in values:
            table.set_for(key, value, 1)
    return _still_there()


def _still_there() -> list[str]:
    table = HtableTable("dialog")
    return [key for key in SHORT_LIVED if table.has(key)]


def _shared_memory() -> dict[str, int]:
    """Ask often: nothing may be left of it in this process."""
    for _ in range(1000):
        memory = figures.shared_memory()
    assert memory is not None
    requests = figures.statistic("core:rcv_requests")
    return {"pid": os.getpid(), "free": memory.free, "used": memory.used, "requests": requests or 0}


def _ask_by_name() -> bool:
    """Send a request to a next hop of which only the name is known."""
    lines = (f"From: <{NAMED}>;tag=a", f"To: <{NAMED}>", "Call-ID: by-name", "CSeq: 1 OPTIONS")
    return transactions.send_request("OPTIONS", NAMED, NAMED, "", lines, "")


NAMED: Final = "sip:sip.carrier.example"
SHORT_LIVED: Final = {
    "longer": ("a", "a" * 100),
    "shorter": ("a" * 100, "a"),
    "equal": ("a", "b"),
    "once": ("a",),
}

_ANSWERS: Final[dict[str, Callable[[], object]]] = {
    "MESSAGE": lambda: exercise(KSR),
    "PUBLISH": _write_for_a_second,
    "INFO": _still_there,
    "NOTIFY": _shared_memory,
    "SUBSCRIBE": _ask_by_name,
}


def mod_init() -> Probe:
    """Called once by Kamailio."""
    return Probe()
