"""Changes the current message as a step of a call wants it: who is in From and To, header fields, body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kemi.adapters.kamailio import ksr
from kemi.core.bodies import SDP, exchanged, written_out
from kemi.core.call.actions import MessageEdits
from kemi.core.trickle import without_ice


def edit_ends(edits: MessageEdits) -> None:
    """Change From, To and CSeq."""
    for name, value, tag in (
        ("From", edits.from_value, edits.from_tag),
        ("To", edits.to_value, edits.to_tag),
    ):
        if value is not None:
            ksr.replace_header(name, value)
        if tag is not None:
            ksr.set_tag(name, tag)
    if edits.cseq is not None:
        ksr.set_cseq(edits.cseq)


def edit_headers(edits: MessageEdits, takes_parts: Callable[[], bool]) -> None:
    """Change the other header fields, and the body; ``takes_parts``: whether who gets it takes a multipart body."""
    edits = without_ice(edits, ksr.headers, ksr.head())
    if edits.remove:
        ksr.remove_headers(edits.remove)
    others: Sequence[str] = edits.insert
    if routes := [line for line in others if line.startswith("Route:")]:
        ksr.insert_headers(routes)
        others = [line for line in others if not line.startswith("Route:")]
    if others:
        ksr.append_headers(others)
    if edits.body is not None:
        _describe(edits.body, takes_parts)


def _describe(sdp: str, takes_parts: Callable[[], bool]) -> None:
    """Put a session description in the place of the message's own; what else is in the body passes."""
    change = None
    if ksr.has_body() and not (body := ksr.body()).is_plain:
        change = exchanged(body, sdp, parts=takes_parts())
        if not ksr.headers("Content-Length"):  # of a page (RFC 7118 §5); only with a new body it gets one
            change = written_out(body, change)
    if change is None:
        whole: tuple[str, str] | None = (SDP, sdp) if sdp else ("", "")
    else:
        whole = change.whole
        for old, new in change.exchanges:
            ksr.exchange_in_body(old, new)
    if whole == ("", ""):
        ksr.remove_body()
    elif whole is not None:
        ksr.set_body(whole[1], whole[0])
