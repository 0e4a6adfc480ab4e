"""What users and operators are told of an event of the gateway (kinds: kemi/state/keys.py)."""

import hashlib
from typing import Any, Final

from kemi.state.call_history import ELSEWHERE

KINDS_FOR_USERS: Final = frozenset(
    {
        "registered", "deregistered", "call_started", "call_ringing", "call_answered", "call_ended",
        "call_quality", "call_refused", "call_forbidden", "dtmf",
    }
)  # fmt: skip
KINDS_FOR_OWNERS: Final = frozenset({"dial_requested", "dial_taken"})
"""Of calls that a person has asked for."""
_CALL: Final = (
    "call_id",
    "impu",
    "peer",
    "why",
    "began_at",
    "answered_at",
    "duration_s",
    "by",
    "status",
    "media",
    "quality",
)
_DIGIT: Final = ("call_id", "impu", "digit", "duration_ms")
_SECRET: Final = ("digit", "sid")
"""What operators are not told: a digit may be of a PIN, and is the user's alone."""


def may_be_told(event: dict[str, Any], since: float) -> bool:
    """Whether an event is one for users, of a call or registration that did not begin before ``since``."""
    began = event.get("began_at") or event.get("at") or 0.0
    return event.get("type") in KINDS_FOR_USERS and isinstance(began, int | float) and began >= since


def user_document(seq: str, event: dict[str, Any], sid: str) -> dict[str, Any]:
    """Return what the user with this web session is told."""
    kind = str(event.get("type"))
    document: dict[str, Any] = {"type": kind, "at": event.get("at", 0.0)}
    if seq:
        document["seq"] = seq
    if kind in ("registered", "deregistered"):
        document["this_session"] = event.get("sid") == sid
    fields = _DIGIT if kind == "dtmf" else _CALL
    document |= {name: event[name] for name in fields if name in event}
    if "key" in event:
        document["fork"] = fork_of(str(event["key"]))
    if "direction" in event:
        document["direction"] = direction_of(event["direction"])
    if kind == "call_ended":
        document["elsewhere"] = event.get("why") == ELSEWHERE
        document["quality"] = document.pop("media", {})
    return document


def owner_document(event: dict[str, Any]) -> dict[str, Any]:
    """Return what the pages of a person are told of a call that the person has asked for."""
    return {name: event[name] for name in ("type", "at", "dial", "call_id") if name in event}


def operator_document(seq: str, event: dict[str, Any]) -> dict[str, Any] | None:
    """Return what an operator is told: everything, but for what is the user's own secret."""
    if event.get("type") in KINDS_FOR_OWNERS:
        return None
    document = {name: value for name, value in event.items() if name not in _SECRET}
    if "direction" in document:
        document["direction"] = direction_of(document["direction"])
    return {"seq": seq, **document} if seq else document


def fork_of(key: str) -> str:
    """Return a name without a meaning for one device's part in a call; ``key``: ``CallRecord.key``."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def direction_of(direction: object) -> str:
    """Return out for a call of the page, in for one that it gets."""
    return "out" if direction == "from_page" else "in"
