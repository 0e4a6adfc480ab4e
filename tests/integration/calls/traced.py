"""Traces as an operator reads them, for tests of this folder."""

from __future__ import annotations

import re

from kemi.core.trace.entries import CallTrace, Entry, What
from kemi.state.web.client import connect
from kemi.state.web.traces import TracesView
from tests.integration.calls.stage import Stage, until


async def trace_of(
    stage: Stage, name: str, *, ends: str = "BYE", times: int = 4, timeout_s: float = 8.0
) -> CallTrace:
    """Wait for the trace of a call that is over.

    ``ends``, ``times``: the method of its last messages, and how many there are, responses included.
    """
    view = TracesView(connect(stage.lab.info.redis_url))
    found: list[CallTrace] = []

    def is_there() -> bool:
        trace = view.get(name)
        found[:] = [trace] if trace is not None else found
        return bool(trace and trace.ended_at) and len(_of_method(found[0], ends)) >= times

    def complaint() -> str:
        return f"no trace of {name}" if not found else "\n".join([str(found[0].ended_at), *lines(found[0])])

    await until(is_there, complaint, timeout_s)
    return found[0]


def _of_method(trace: CallTrace, method: str) -> list[Entry]:
    return [entry for entry in of(trace, What.SIP) if str(entry.values["cseq"]).endswith(f" {method}")]


def lines(trace: CallTrace) -> list[str]:
    """Return a line for each entry, for a complaint."""
    return [
        f"{entry.at - trace.began_at:7.3f} {entry.what.value:8} {entry.leg:9} {'<-' if entry.incoming else '->'} "
        f"{entry.name} {entry.why} {entry.values}"
        for entry in trace.entries
    ]


def ladder(trace: CallTrace, leg: str) -> list[str]:
    """Return the messages of a leg, ``<-`` for what came to the gateway."""
    return [
        f"{'<-' if entry.incoming else '->'} {_name(entry)}"
        for entry in trace.entries
        if entry.what is What.SIP and entry.leg == leg
    ]


def of(trace: CallTrace, what: What, name: str = "") -> list[Entry]:
    """Return the entries of a kind."""
    return [entry for entry in trace.entries if entry.what is what and name in ("", entry.name)]


def _name(entry: Entry) -> str:
    status = entry.name.partition(" ")[0]
    method = str(entry.values["cseq"]).partition(" ")[2]
    return f"{status} {method}" if status.isdigit() else method


def decision(trace: CallTrace, name: str) -> Entry:
    """Return the first decision of a name."""
    found = of(trace, What.DECISION, name)
    assert found, "\n".join(lines(trace))
    return found[0]


def reversed_ladder(of_peer: list[str]) -> list[str]:
    """Return a peer's ladder as the gateway sees it."""
    turned = {"->": "<-", "<-": "->"}
    return [re.sub(r" \(SDP\)$", "", f"{turned[line[:2]]}{line[2:]}") for line in of_peer]
