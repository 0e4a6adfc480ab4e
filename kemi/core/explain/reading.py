"""A trace as the rules read it: messages with headers and descriptions, decisions, figures of the media."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from kemi.core.decimals import number_or
from kemi.core.errors import GatewayError
from kemi.core.sdp.model import MediaDescription, SessionDescription
from kemi.core.sdp.text import sdp_from_text
from kemi.core.trace.entries import CallTrace, Entry, What
from kemi.core.trunk.q850 import cause_from_reasons

PAGE, CORE, GATEWAY = "page", "core", "gateway"
WIC, IMS = "wic", "ims"
PARTY: Final[Mapping[str, str]] = {WIC: "the page", IMS: "the far end"}
_COMPACT: Final[Mapping[str, str]] = {
    "i": "call-id", "f": "from", "t": "to", "m": "contact", "v": "via", "c": "content-type", "k": "supported",
}  # fmt: skip
_OF_RELAY: Final = frozenset({"node", "ms"})
_LONGEST: Final = 120
_WARNING: Final = re.compile(r'3\d\d \S+ "([^"]*)"')
_TAG: Final = re.compile(r">?[^;>]*;\s*tag=([^;\s]+)\s*", re.IGNORECASE)
_STATUS: Final = re.compile(r"(?:SIP/2\.0 )?(\d{3})\b\s*(.*)")
_SDP_PART: Final = re.compile(
    r"content-type:\s*application/sdp.*?\n\r?\n(.*?)(?:\r?\n--|\Z)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Sip:
    """A SIP message of the trace."""

    entry: Entry
    method: str
    """Of the request, also for its responses."""
    status: int
    """0: a request."""
    reason_phrase: str
    cseq: int
    headers: Mapping[str, tuple[str, ...]]
    """By name in lower case."""
    body: str

    @property
    def side(self) -> str:
        """Whose leg: ``page`` or ``core``, which is also a trunk."""
        return PAGE if self.entry.leg == PAGE else CORE

    @property
    def incoming(self) -> bool:
        """Whether it came to us."""
        return self.entry.incoming

    @property
    def is_final(self) -> bool:
        """Whether it is a final response."""
        return self.status >= 200

    def tokens(self, name: str) -> set[str]:
        """Return the tokens of all header fields ``name``, in lower case."""
        values = self.headers.get(name, ())
        return {one.strip().lower() for value in values for one in value.split(",") if one.strip()}

    @property
    def to_tag(self) -> str:
        """The To-tag, "" without one."""
        value = next(iter(self.headers.get("to", ())), "")
        match = _TAG.search(value.rpartition(">")[2] or value)
        return match.group(1) if match else ""

    @property
    def warning(self) -> str:
        """What its Warning tells a person."""
        match = _WARNING.search(next(iter(self.headers.get("warning", ())), ""))
        return match.group(1) if match else ""

    @property
    def is_ours(self) -> bool:
        """Whether it is ours though it seems to come: what takes the place of a response cannot come otherwise."""
        return any(value.split(" ")[1:2] == ["gateway"] for value in self.headers.get("warning", ()))

    @property
    def q850(self) -> int:
        """Its cause of Q.850, 0 for none."""
        return cause_from_reasons(self.headers.get("reason", ())) or 0

    @property
    def sdp(self) -> SessionDescription | None:
        """Its session description; None: none, or none that can be read."""
        return described(self.body)

    @property
    def has_sdp(self) -> bool:
        """Whether it has a body that should be a description."""
        return "v=0" in self.body

    def line(self, kind: str) -> MediaDescription | None:
        """Return the first line of a kind of its description."""
        sdp = self.sdp
        return None if sdp is None else next((one for one in sdp.media if one.kind == kind), None)


def described(text: str) -> SessionDescription | None:
    """Return a description; None where there is none that can be read."""
    try:
        return sdp_from_text(text) if "v=0" in text else None
    except GatewayError:
        return None


def sip_of(entry: Entry) -> Sip:
    """Read an entry that is a SIP message."""
    head, _, body = entry.text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            key = _COMPACT.get(key, key)
            headers[key] = (*headers.get(key, ()), value.strip())
    match = _STATUS.match(entry.name) or (_STATUS.match(first) if first.startswith("SIP/") else None)
    status, phrase = (int(match.group(1)), match.group(2).strip()) if match else (0, "")
    number, _, method = str(next(iter(headers.get("cseq", ())), entry.values.get("cseq", ""))).partition(" ")
    if status == 0:
        method = entry.name.partition(" ")[0] or method
    if "multipart/" in ",".join(headers.get("content-type", ())).lower():
        part = _SDP_PART.search(body)
        body = part.group(1) + "\n" if part else ""
    return Sip(entry, method.strip(), status, phrase, number_or(0, number), headers, body)


class Reading:
    """One call."""

    def __init__(self, trace: CallTrace) -> None:
        self.trace = trace
        self.sips = [sip_of(entry) for entry in trace.entries if entry.what is What.SIP]
        self.relays = [entry for entry in trace.entries if entry.what is What.RELAY]
        self.decided = [entry for entry in trace.entries if entry.what is What.DECISION]
        self.states = [entry for entry in trace.entries if entry.what is What.STATE]
        self.from_page = trace.direction != "to_page"
        self.caller, self.callee = (PAGE, CORE) if self.from_page else (CORE, PAGE)

    @property
    def is_whole(self) -> bool:
        """Whether all that was noted of the call is here."""
        return not self.trace.left_out

    # ------------------------------------------------------------ messages

    def messages(
        self, side: str = "", method: str = "", *, incoming: bool | None = None, status: range | None = None
    ) -> Iterator[Sip]:
        """Go through messages; ``status``: responses in this range; without it requests and responses."""
        for one in self.sips:
            if (
                (not side or one.side == side)
                and (not method or one.method == method)
                and (incoming is None or one.incoming is incoming)
                and (status is None or one.status in status)
            ):
                yield one

    def requests(self, side: str, method: str, *, incoming: bool) -> list[Sip]:
        """Return requests in their order."""
        return [one for one in self.messages(side, method, incoming=incoming) if one.status == 0]

    @cached_property
    def invite(self) -> Sip | None:
        """The caller's INVITE, as it came: its last one, after a challenge that it answered (RFC 3261 §22.2)."""
        begun = [one for one in self.requests(self.caller, "INVITE", incoming=True) if not one.to_tag]
        return max(begun, key=lambda one: one.cseq, default=None)

    @cached_property
    def sent(self) -> list[Sip]:
        """Our INVITEs to the callee, before it answered: one for each hop that was tried."""
        invites = self.requests(self.callee, "INVITE", incoming=False)
        return [one for one in invites if not one.to_tag and one.entry.at >= self._since]

    @property
    def _since(self) -> float:
        """When the INVITE came that the call was made by; what is before belongs to one that was challenged."""
        return self.invite.entry.at if self.invite is not None else 0.0

    @cached_property
    def told(self) -> Sip | None:
        """The final response other than 2xx that the caller got to its INVITE."""
        finals = self.messages(self.caller, "INVITE", incoming=False, status=range(300, 700))
        cseq = self.invite.cseq if self.invite is not None else 0
        return next((one for one in finals if not cseq or one.cseq == cseq), None)

    @cached_property
    def heard(self) -> Sip | None:
        """The last final response other than 2xx that the callee gave before any answer.

        487 only says of a CANCEL, and a challenge nothing where it was answered.
        """
        if self.answered:
            return None
        sent_at = self.sent[-1].entry.at if self.sent else 0.0
        return self.last(
            one
            for one in self.messages(self.callee, "INVITE", incoming=True, status=range(300, 700))
            if one.status != 487 and one.entry.at >= (sent_at if one.status in (401, 407) else self._since)
        )

    @staticmethod
    def last(messages: Iterable[Sip]) -> Sip | None:
        """Return the last one."""
        return next(iter(reversed(list(messages))), None)

    def answers_to(self, request: Sip) -> list[Sip]:
        """Return the responses to a request."""
        return [
            one
            for one in self.messages(request.side, request.method, incoming=not request.incoming)
            if one.status and one.cseq == request.cseq and one.entry.at >= request.entry.at
        ]

    # ------------------------------------------------------------ how it went

    @property
    def answered(self) -> bool:
        """Whether the call was answered."""
        return bool(self.trace.answered_at)

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return bool(self.trace.ended_at)

    @cached_property
    def failed(self) -> bool:
        """Whether the call was refused or given up."""
        return not self.answered and (self.ended or self.trace.status >= 300 or self.told is not None)

    @cached_property
    def status(self) -> int:
        """The status a call that was not answered ended with, 0 for none."""
        if self.answered:
            return 0
        return self.trace.status or (self.told.status if self.told is not None else 0)

    @property
    def by_gateway(self) -> bool:
        """Whether we ended it."""
        return self.trace.by == GATEWAY

    @cached_property
    def rang(self) -> bool:
        """Whether somebody rang."""
        return any(True for _ in self.messages(self.callee, "INVITE", incoming=True, status=range(180, 181)))

    @cached_property
    def detail(self) -> str:
        """Why we refused or ended a call, in our own words; "" where we did not."""
        if self.answered:
            return self.trace.why if self.by_gateway else ""
        told, heard = self.told, self.heard
        if told is not None and told.warning and (heard is None or heard.warning != told.warning):
            return told.warning
        rejected = self.on_invite("request_rejected")
        if rejected is not None:
            return rejected.why or str(rejected.values.get("detail", ""))
        return self.trace.why if self.by_gateway else ""

    @property
    def lasted_s(self) -> float:
        """How long the call was talked on."""
        if not self.answered:
            return 0.0
        until = self.trace.ended_at or max((entry.at for entry in self.trace.entries), default=0.0)
        return max(0.0, until - self.trace.answered_at)

    def talked_until(self, entry: Entry) -> float:
        """Return how long an answered call had been talked on when something happened."""
        return max(0.0, entry.at - self.trace.answered_at)

    # ------------------------------------------------------------ decisions

    def decisions(self, *names: str) -> list[Entry]:
        """Return decisions of these names."""
        return [entry for entry in self.decided if entry.name in names]

    def decision(self, *names: str) -> Entry | None:
        """Return the last decision of one of these names."""
        return next(iter(reversed(self.decisions(*names))), None)

    def on_invite(self, name: str) -> Entry | None:
        """Return the last decision of a name on the INVITE of a call that was not answered.

        What a page asks for beside it, as a transfer, is refused without any harm to the call.
        """
        decisions = [] if self.answered else self.decisions(name)
        return next(
            (
                one
                for one in reversed(decisions)
                if one.values.get("method") == "INVITE" and one.at >= self._since
            ),
            None,
        )

    # ------------------------------------------------------------ media

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Media of which there are figures."""
        named = {entry.name: None for entry in self.trace.entries if entry.what is What.QUALITY}
        return tuple({**dict.fromkeys(self.trace.media), **named})

    def leg(self, kind: str, leg: str) -> Mapping[str, Any] | None:
        """Return the last figures of a leg (rtpengine/quality.py, Leg), None for none."""
        known = (self.trace.media.get(kind) or {}).get(leg)
        if isinstance(known, Mapping):
            return known
        told = [
            entry.values
            for entry in self.trace.entries
            if entry.what is What.QUALITY and entry.name == kind and entry.leg == leg
        ]
        return told[-1] if told else None

    def packets(self, kind: str, leg: str) -> int | None:
        """Return how many packets a party sent, None where nobody knows."""
        figures = self.leg(kind, leg)
        return None if figures is None else int(figures.get("packets") or 0)

    def last_line(self, side: str, kind: str, *, incoming: bool) -> MediaDescription | None:
        """Return the last line of a kind that a side said or was told."""
        for one in reversed(list(self.messages(side, incoming=incoming))):
            if one.status < 300 and (line := one.line(kind)) is not None:
                return line
        return None

    # ------------------------------------------------------------ evidence

    def after(self, entry: Entry) -> str:
        """Return when something happened, from the beginning of the call."""
        return f"+{max(0.0, entry.at - self.trace.began_at):.3f} s"

    def quoted(self, message: Sip | None) -> str:
        """Return a message as evidence, "" for none."""
        if message is None:
            return ""
        other = message.entry.leg or message.side
        way = f"{other} → gateway" if message.incoming else f"gateway → {other}"
        what = f"{message.status} {message.reason_phrase}".strip() + f" to {message.method}"
        line = f"{self.after(message.entry)} {way}: {what if message.status else message.method}"
        reason = next(iter(message.headers.get("reason", ())), "")
        tail = [f"Warning: {message.warning}"] if message.warning else []
        tail += [f"Reason: {reason}"] if reason else []
        return "; ".join([line, *tail])

    def shown(self, entry: Entry | None) -> str:
        """Return a decision, state or command as evidence, "" for none."""
        if entry is None:
            return ""
        shown = {
            name: value
            for name, value in entry.values.items()
            if value not in ("", None, entry.why) and _is_short(value)
        }
        values = ", ".join(
            f"{name}={value}"
            for name, value in shown.items()
            if name in _OF_RELAY or entry not in self.relays
        )
        parts = [f"{self.after(entry)} {entry.what} {entry.name}", entry.why, values]
        return ": ".join(part for part in parts if part)


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= _LONGEST
