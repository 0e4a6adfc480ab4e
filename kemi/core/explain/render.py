"""A trace as plain text: the ladder of its messages with what was decided between them, and the verdicts on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kemi.core.explain.reading import PAGE, sip_of
from kemi.core.explain.verdict import Verdict
from kemi.core.trace.entries import CallTrace, Entry, What

_COLUMN: Final = 34
"""How wide the way between two of the three is."""
_TIME: Final = 10
_TO_RIGHT: Final = "─"
_INDENT: Final = " " * (_TIME + 1)
_STATES: Final = ("dialog", "wic", "ims", "media")


def ladder_of(trace: CallTrace, *, bodies: bool = False) -> str:
    """Return a trace as a ladder of page, gateway and core; times are seconds from the beginning of the call.

    ``bodies``: with all messages and session descriptions, before and after the relay.
    """
    lines = [*_head(trace), ""]
    title = f"{'page':<{_COLUMN}} {'gateway':<{_COLUMN}} core"
    lines.append(_INDENT + title)
    for entry in trace.entries:
        lines.append(_line(trace, entry))
        if bodies:
            lines += _bodies(entry)
    if trace.left_out:
        lines.append(f"{_INDENT}… {trace.left_out} entries were not kept")
    lines += _media(trace.media)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def verdicts_as_text(verdicts: Iterable[Verdict]) -> str:
    """Return verdicts as text, each with its evidence and what to do."""
    told = []
    for verdict in verdicts:
        evidence = "".join(f"    {line}\n" for line in verdict.because)
        do = f"    → {verdict.do}\n" if verdict.do else ""
        told.append(f"{verdict.gravity.upper()} {verdict.code}\n  {verdict.says}\n{evidence}{do}")
    return "\n".join(told) or "Nothing wrong was found in this call.\n"


def _head(trace: CallTrace) -> list[str]:
    caller, callee = (trace.impu, trace.peer) if trace.direction != "to_page" else (trace.peer, trace.impu)
    how = f"ended by {trace.by}: {trace.why}" if trace.ended_at else "running"
    if trace.status:
        how += f" ({trace.status})"
    if trace.answered_at:
        until = trace.ended_at or max((entry.at for entry in trace.entries), default=trace.answered_at)
        after, lasted = trace.answered_at - trace.began_at, until - trace.answered_at
        how = f"answered after {after:.3f} s, lasted {lasted:.1f} s, {how}"
    relay = f", relay {trace.relay}" if trace.relay else ""
    return [f"{trace.call_id}", f"{caller} → {callee}", f"gateway {trace.node}{relay}", how]


def _line(trace: CallTrace, entry: Entry) -> str:
    at = f"{entry.at - trace.began_at:+{_TIME}.3f} "
    if entry.what is What.SIP:
        return at + _arrow(entry)
    mark = {What.STATE: "·", What.DECISION: "◆", What.RELAY: "⇄", What.QUALITY: "≈"}[entry.what]
    return f"{at}{' ' * (_COLUMN - 2)} {mark} {_words(entry)}"


def _arrow(entry: Entry) -> str:
    message = sip_of(entry)
    words = (
        entry.name
        if message.status == 0 or message.method == "INVITE"
        else f"{entry.name} ({message.method})"
    )
    if message.has_sdp:
        words += " [SDP]"
    is_page = entry.leg == PAGE
    if not is_page and entry.leg not in ("", "core"):
        words += f" {entry.leg}"
    to_right = entry.incoming is is_page
    room = _COLUMN - 3
    label = f" {words} "[:room]
    arrow = f"{label:{_TO_RIGHT}^{room}}"
    arrow = f"│{arrow}▶" if to_right else f"│◀{arrow}"
    return f"{arrow} │{'':{_COLUMN - 1}} │" if is_page else f"│{'':{_COLUMN - 1}} {arrow} │"


def _words(entry: Entry) -> str:
    values: Mapping[str, Any] = entry.values
    if entry.what is What.STATE:
        states = " ".join(f"{name}={values[name]}" for name in _STATES if values.get(name))
        more = " ".join(
            f"{name}={value}"
            for name, value in values.items()
            if name not in _STATES and value not in ("", None)
        )
        return " ".join(part for part in (entry.name, more, f"→ {states}" if states else "") if part)
    if entry.what is What.RELAY:
        took = f" {float(values['ms']):.1f} ms" if isinstance(values.get("ms"), int | float) else ""
        return f"{entry.name} {values.get('node', '')}{took}" + (f": {entry.why}" if entry.why else "")
    if entry.what is What.QUALITY:
        return f"{entry.name} {entry.leg}: {_figures(values)}"
    shown = " ".join(
        f"{name}={value}"
        for name, value in values.items()
        if value not in ("", None, entry.why) and not isinstance(value, dict)
    )
    return " ".join(part for part in (entry.name, shown) if part) + (f": {entry.why}" if entry.why else "")


def _figures(values: Mapping[str, Any]) -> str:
    parts = [str(values.get("codec") or "no codec"), f"{values.get('packets', 0)} packets"]
    if values.get("errors"):
        parts.append(f"{values['errors']} refused")
    heard = values["recent"] if "recent" in values else values.get("heard")
    if isinstance(heard, Mapping):
        is_estimated = heard.get("samples") == 0  # then the others are what it was estimated from
        parts.append(
            "tells nothing of what it hears"
            if is_estimated
            else f"hears {heard.get('loss_percent', 0):g} % loss, {heard.get('jitter_ms', 0):g} ms jitter"
        )
        if heard.get("mos") is not None:
            parts.append(f"MOS {heard['mos']:g}{' (estimated)' if is_estimated else ''}")
    return ", ".join(parts)


def _bodies(entry: Entry) -> list[str]:
    shown = []
    for title, text in (("", entry.text), ("what came of it", entry.result)):
        if text and title:
            shown.append(f"{_INDENT}  {title}:")
        shown += [f"{_INDENT}  {line}" for line in text.splitlines()] if text else []
    return shown


def _media(media: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [""] if media else []
    for kind, figures in media.items():
        if figures.get("why"):
            lines.append(f"{kind}: {figures['why']}")
        lines += [
            f"{kind} from the {name}: {_figures(leg)}"
            for key, name in (("wic", "page"), ("ims", "far end"))
            if isinstance(leg := figures.get(key), Mapping)
        ]
    return lines
