"""Verdicts on the media relay: nodes that are dead, full or refuse, calls that moved, gates that stayed closed."""

from __future__ import annotations

from typing import Final

from kemi.core.explain.described import direction_of
from kemi.core.explain.media import LONG_ENOUGH_S
from kemi.core.explain.reading import CORE, PAGE, Reading
from kemi.core.explain.rules import Found, Rule, found
from kemi.core.explain.verdict import Gravity

_GONE: Final = "the media relay has lost the call"
_DEAD: Final = frozenset({"the media node is gone"})
_DOWN: Final = "known to be down"
_ASKED_AT_THE_END: Final = frozenset({"query", "delete"})
"""Whether the relay still has the call; it may not."""
_PARTIES: Final = frozenset({"", "wic", "ims"})
_BLOCK, _UNBLOCK = "block media", "unblock media"
_NOT_THERE: Final = "no such tag"
"""rtpengine 12 and later of who has not answered yet: there is nothing to be dropped, either."""


def _errors(call: Reading) -> list[str]:
    return [call.shown(one) for one in call.relays if one.why]


def _failed_nodes(call: Reading) -> list[str]:
    return [call.shown(one) for one in call.decisions("media_node_failed", "media_failed")]


def _why(call: Reading) -> str:
    """Return what was said of the relay when a call failed, "" where it was not the relay."""
    failed = call.decision("media_failed")
    if not (call.failed or call.by_gateway):
        return ""
    for text in (call.detail, call.trace.why, failed.why if failed is not None else ""):
        if "media relay" in text:
            return text
    return ""


def _evidence(call: Reading) -> tuple[str, ...]:
    return (*_failed_nodes(call), *_errors(call), call.quoted(call.told))


def _no_node(call: Reading) -> Found | None:
    return found(*_evidence(call)) if "no media relay is available" in _why(call) else None


def _circuit_open(call: Reading) -> Found | None:
    why = _why(call)
    return found(*_evidence(call), why) if _DOWN in why else None


def _silent(call: Reading) -> Found | None:
    why = _why(call)
    if "does not answer" not in why or _DOWN in why:
        return None
    return found(*_evidence(call), why, node=call.trace.relay or "?")


def _refused(call: Reading) -> Found | None:
    why = _why(call)
    if not why or "does not answer" in why or "no media relay is available" in why or why == _GONE:
        return None
    return found(*_evidence(call), why=why)


def _lost_call(call: Reading) -> Found | None:
    if call.trace.why != _GONE:
        return None
    return found(call.shown(call.decision("media_lost")) or call.trace.why, node=call.trace.relay or "?")


def _not_moved(call: Reading) -> Found | None:
    failed = call.decision("call_not_moved")
    dead = call.decision("media_node_lost")
    gone = (
        call.trace.why in _DEAD
        or call.detail in _DEAD
        or (call.told is not None and call.told.reason_phrase == "Media Lost")
    )
    if failed is None and not (dead is not None and gone):
        return None
    return found(call.shown(dead), call.shown(failed), call.quoted(call.told), node=call.trace.relay or "?")


def _moved(call: Reading) -> Found | None:
    moved = call.decision("call_moved")
    if moved is None or _not_moved(call) is not None:
        return None
    return found(call.shown(call.decision("media_node_lost", "call_moves")), call.shown(moved))


def _second_node(call: Reading) -> Found | None:
    failed = call.decisions("media_node_failed")
    if not failed or _why(call) or (call.failed and call.status == 503):
        return None
    nodes = dict.fromkeys(str(one.values.get("node", "?")) for one in failed)
    return found(*[call.shown(one) for one in failed], node=", ".join(nodes))


def _command_refused(call: Reading) -> Found | None:
    failed = [
        one
        for one in call.relays
        if one.why
        and one.name not in _ASKED_AT_THE_END
        and not (one.name == _BLOCK and _NOT_THERE in one.why)
    ]
    if not failed or _why(call) or call.failed or call.decisions("media_node_failed"):
        return None
    return found(*[call.shown(one) for one in failed], command=failed[-1].name)


def _gate_closed(call: Reading) -> Found | None:
    """The last word to the relay was to drop what a side sends, though both sides want to speak."""
    if call.lasted_s < LONG_ENOUGH_S or not _both_speak(call):
        return None
    closed: dict[tuple[str, str], str] = {}
    for one in call.relays:
        scope = (str(one.values.get("call-id", "")), str(one.values.get("from-tag", "")))
        if one.why:  # not carried out
            continue
        if one.name == _BLOCK and scope[1] in _PARTIES:
            closed[scope] = call.shown(one)
        elif one.name == _UNBLOCK:
            closed.pop(scope, None)
    return found(*closed.values()) if closed else None


def _both_speak(call: Reading) -> bool:
    for side in (PAGE, CORE):
        said = [one for one in call.messages(side, incoming=True) if one.has_sdp and one.status < 300]
        direction = direction_of(said[-1]) if said else None
        if direction is None or not (direction.sends and direction.receives):
            return False
    return True


def _no_figures(call: Reading) -> Found | None:
    missing = {kind: figures["why"] for kind, figures in call.trace.media.items() if figures.get("why")}
    if not (missing and call.ended):
        return None
    return found(*(f"{kind}: {why}" for kind, why in missing.items()), kinds=" and ".join(missing))


_CAUSE, _TROUBLE, _NOTE = Gravity.CAUSE, Gravity.TROUBLE, Gravity.NOTE

RULES: Final = (
    Rule(
        code="no-relay-node", gravity=_CAUSE, check=_no_node,
        says="No media relay could take the call: every node is down, full or drained.",
        do="Operator: gwctl nodes; start a node or end the drain.",
    ),
    Rule(
        code="relay-known-to-be-down", gravity=_CAUSE, check=_circuit_open,
        says="The media relay of this call was known to be down, and nobody waited for it.",
        do="Operator: is rtpengine running there? The log says since when it is down (node_state_changed).",
    ),
    Rule(
        code="relay-silent", gravity=_CAUSE, check=_silent,
        says="The media relay did not answer in time.",
        do="Operator: is rtpengine on {node} running, and not overloaded? Is its ng port open to the gateway?",
    ),
    Rule(
        code="relay-refused", gravity=_CAUSE, check=_refused,
        says="The media relay refused a command: {why}.",
        do="Operator: rtpengine's log of this Call-ID; ports or codecs may be missing there.",
    ),
    Rule(
        code="relay-lost-the-call", gravity=_CAUSE, check=_lost_call,
        says="The media relay does not know the call any more: it was restarted, or its own time-out ended it.",
        do="Operator: did rtpengine on {node} restart? Its timeouts must be longer than the gateway's.",
    ),
    Rule(
        code="relay-node-died", gravity=_CAUSE, check=_not_moved,
        says="The media node died, no other could take the call, and it did not come back in half a minute.",
        do="Operator: why did {node} die, and is there another node with room?",
    ),
    Rule(
        code="gate-closed", gravity=_CAUSE, check=_gate_closed, needs_all=True,
        says="Both sides speak, but the relay was last told to drop media: the gate stayed closed.",
        do="A fault of the gateway: report it with this trace.",
    ),
    Rule(
        code="call-moved", gravity=_TROUBLE, check=_moved,
        says="The media node died during the call, which was moved to another one; sound paused.",
        do="Operator: why did the node die?",
    ),
    Rule(
        code="second-relay-node", gravity=_TROUBLE, check=_second_node,
        says="Who was asked first of the media nodes ({node}) did not take the call; another one did.",
        do="Operator: gwctl nodes; a node that is silent, not one that refuses, delays each such call, by 30 ms to its "
        "deadline.",
    ),
    Rule(
        code="relay-command-failed", gravity=_TROUBLE, check=_command_refused,
        says="The media relay did not carry out a command ({command}); the call went on.",
        do="Operator: rtpengine's log of this Call-ID.",
    ),
    Rule(
        code="no-figures", gravity=_NOTE, check=_no_figures,
        says="The media relay said nothing of this call's {kinds}, of which there are no figures.",
        do="Operator: only if it happens often.",
    ),
)  # fmt: skip
