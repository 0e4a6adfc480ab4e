"""What a worker process leaves of a step for the trace of its call: one note in a table, which housekeeping takes.

Nothing is read or made short here: what a worker does for a trace, a caller waits for.  A process works on one message
at a time, so there is one of these in each.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar, cast

import msgspec

from kemi.core.call import events
from kemi.core.call.actions import RecordEnd
from kemi.core.call.from_page.setup import SetUp
from kemi.core.call.history import peer_of
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog, Media
from kemi.core.sdp.judge import Role
from kemi.core.trace.redaction import address_of
from kemi.state.table import Table
from rtpengine.ng.commands import Command, MediaOptions, R, options_to_ng
from rtpengine.ng.errors import NgError
from rtpengine.ng.replies import Reply
from rtpengine.sessions import Requester

SLOTS: Final = 512
"""Notes of one process that wait; a note that nobody took is written over."""
LONGEST: Final = 16_384
"""Characters of a message or description; more is cut off."""
SIP, STATE, DECISION, RELAY, HEAD, MEDIA, OWNER, JUDGED = "m", "s", "d", "r", "h", "k", "o", "j"
"""Kinds of rows; every row begins with key, trunk, time and kind."""
OTHER_SIP: Final = "p"
"""A message of no call: a collector gets it, traces do not."""
MESSAGES: Final = (SIP, OTHER_SIP)
"""They go on with: came in, text, and between which sockets.  Of one that came that is protocol, our address and port,
the sender's address and port; of another one the URI that the worker has sent it to, or ""."""

MOST_FORGOTTEN: Final = 256

_CALL_ID: Final = re.compile(r"\n(?:Call-ID|i)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_NO_SIP: Final = ("GET ", "POST ", "PUT ", "HTTP/")
_NO_CALLS: Final = ("REGISTER ", "OPTIONS ", "SUBSCRIBE ", "PUBLISH ", *_NO_SIP)
_NO_CALLS_CSEQ: Final = re.compile(r"\nCSeq: \d+ (?:REGISTER|OPTIONS|SUBSCRIBE|PUBLISH)\r")
_NO_DECISIONS: Final = frozenset(
    {"call_state_changed", "call_ended", "registered", "deregistered", "registration_notified"}
)
"""Told of otherwise, or of no call."""
_DETAILS: Final = ("why", "detail", "reason")

T = TypeVar("T")


class TraceNotes:
    """Collects what happens until the outermost callback is over."""

    def __init__(self) -> None:
        self._table: Table | None = None
        self._home_port = 0
        self._rows: list[tuple[Any, ...]] = []
        self._depth = 0
        self._received = False
        self._muted = False
        self._copies = False
        self._key = self._trunk = ""
        self._number = 0
        self._forgotten: dict[str, None] = {}
        """Call-IDs of INVITEs that were worth no trace, the oldest first."""
        self._towards = ""
        self._ends_of_current: Callable[[], object] = str
        self.owner_of_current: Callable[[], str] = str
        """Whose page sent the current message, "" for none or nobody."""
        self._encode = msgspec.json.Encoder().encode

    def switch_on(self, table: Table, ends_of_current: Callable[[], object] | None = None) -> None:
        """Begin to leave notes; with ``ends_of_current`` of all SIP, each with its sockets, for a collector."""
        self._table = table
        if ends_of_current is not None:
            self._copies, self._ends_of_current = True, ends_of_current

    @property
    def on(self) -> bool:
        """Whether anything is noted."""
        return self._table is not None

    # ------------------------------------------------------------ around callbacks

    def enter(self) -> None:
        """A callback begins, maybe inside of another one."""
        if not self._depth:
            self._towards = ""
        self._depth += 1

    def leave(self) -> None:
        """A callback is over."""
        self._depth -= 1
        if self._depth or not self._rows:
            return
        if self._received:  # the same message's own callback follows
            self._received = False
            return
        self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        self._key = self._trunk = ""
        self._muted = False
        if self._table is None:
            return
        self._number = (self._number + 1) % SLOTS
        self._table.set(f"{os.getpid()}-{self._number}", f"{rows[0][2]:017.6f} {self._encode(rows).decode()}")

    # ------------------------------------------------------------ messages

    def came(self, message: str, *, muted: bool) -> None:
        """A message has come, and its callback will follow; ``muted``: it is one of our own parts to another."""
        if self._table is None:
            return
        self._muted, self._received = muted, False
        is_ack = message.startswith("ACK")
        if muted or (is_ack and self._forgotten and self._was_forgotten(message)):
            return
        if not self._message(message, incoming=True):
            return
        # Kamailio may take an ACK without asking us.
        self._received = not is_ack

    def _was_forgotten(self, message: str) -> bool:
        found = _CALL_ID.search(message)
        return found is not None and self._forgotten.pop(found.group(1), self) is None

    def forget(self, call_id: str) -> None:
        """The current INVITE is worth no trace, and neither are its answer and its ACK."""
        if self._table is None:
            return
        self._rows.clear()
        self._muted = True
        if len(self._forgotten) >= MOST_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]
        self._forgotten[call_id] = None

    def sent_to(self, uri: str) -> None:
        """What is sent next goes there."""
        self._towards = uri

    def sent(self, message: str) -> None:
        """A message leaves, as it is on the wire."""
        if self._table is None or self._muted:
            return
        if not self._depth:  # tm's timer, or Kamailio itself: nobody has said where to
            self._towards = ""
        self._message(message, incoming=False)

    def _message(self, message: str, *, incoming: bool) -> bool:
        kind = SIP if _is_of_call(message) else OTHER_SIP
        if kind == OTHER_SIP and (not self._copies or message.startswith(_NO_SIP)):
            return False
        ends: object = ""
        if self._copies:
            ends = self._ends_of_current() if incoming else self._towards
        self._row(kind, incoming, message[:LONGEST], ends)
        return True

    def _row(self, kind: str, *rest: object) -> None:
        self._rows.append((self._key, self._trunk, time.time(), kind, *rest))
        if not self._depth:
            self._flush()

    # ------------------------------------------------------------ the call

    def begins(self, record: CallRecord) -> None:
        """A call has a record now, or again after a restart."""
        if self._table is None:
            return
        self._of(record)
        self._head(
            record.call_id,
            record.owner,
            peer_of(record),
            record.node,
            record.since,
            record.answered_at,
            from_page=record.incoming is None,
        )

    def lost(self, end: RecordEnd) -> None:
        """A call of before a restart is over, and this process has noted nothing of it yet."""
        if self._table is None:
            return
        self._key, self._trunk = end.key, end.trunk
        self._head(
            end.call_id, end.owner, end.peer, end.relay, end.since, end.answered_at, from_page=end.from_page
        )

    def _head(
        self,
        call_id: str,
        owner: str,
        peer: str,
        relay: str,
        since: float,
        answered_at: float,
        *,
        from_page: bool,
    ) -> None:
        direction = "from_page" if from_page else "to_page"
        self._row(HEAD, call_id, owner, peer, direction, relay, "", since, answered_at)

    def passes(self, call_id: str, trunk: str, caller: str, called: str, caller_tag: str) -> None:
        """A trunk's call is passed on, without a record."""
        if self._table is None:
            return
        self._key, self._trunk = call_id, trunk
        self._row(HEAD, call_id, address_of(called), address_of(caller), "to_page", "", caller_tag, 0.0, 0.0)

    def _of(self, record: CallRecord) -> None:
        outbound = record.outbound
        self._key = record.key
        self._trunk = outbound.trunk if outbound is not None else ""

    def step(self, record: CallRecord) -> None:
        """An event of a call is about to be worked on."""
        if self._table is not None:
            self._of(record)

    def stepped(self, record: CallRecord, event: events.Event, changed: bool) -> None:
        """It was; ``changed``: the states are others now."""
        if self._table is None:
            return
        self._of(record)
        if not changed:
            return
        self._row(
            STATE,
            type(event).__name__,
            record.dialog.value,
            record.wic_offer_answer.value,
            record.ims_offer_answer.value,
            record.media_state.value,
        )
        if record.dialog is Dialog.CONFIRMED or record.media_state is Media.CONNECTED:
            self._row(MEDIA, record.transport, record.profile, [_medium(one) for one in record.media])

    def decided(self, level: int, name: str, told: Mapping[str, object]) -> None:
        """Something was decided or went wrong: a line for the log, written or not."""
        if self._table is None or not (call_id := told.get("call_id")) or name in _NO_DECISIONS:
            return
        key = str(call_id)
        if self._key.startswith(f"{key};"):
            key = self._key
        values = {name: str(value) for name, value in told.items() if value != "" and name != "call_id"}
        why = next((values.pop(name) for name in _DETAILS if name in values), "")
        self._rows.append((key, self._trunk, time.time(), DECISION, name, why, values, level))
        if name == "request_rejected" and not self._key and values.get("method") == "INVITE":
            self._rows.append((key, "", time.time(), OWNER, self.owner_of_current()))
        if not self._depth:
            self._flush()

    def judged(self, context: object) -> None:
        """A page's offer was judged, and media are reserved for it."""
        if self._table is None or not isinstance(context, SetUp):
            return
        judgement = context.judgement
        media = [
            (one.kind, one.reverse, one.wic_direction.value, [codec.name for codec in one.codecs], one.reason)
            for one in judgement.media
        ]  # fmt: skip
        refused = [(one.index, one.kind, one.reason) for one in judgement.lines if one.role is Role.REJECTED]
        self._row(JUDGED, judgement.flow.value, judgement.shape.value, judgement.reason, media, refused)

    # ------------------------------------------------------------ the relay

    def client(self, client: Requester) -> Requester:
        """Return a client that notes what it is asked."""
        return client if self._table is None else _NotedClient(client, self)

    def commands(
        self,
        commands: tuple[Command[Any], ...],
        began: float,
        replies: list[Reply] | None,
        error: NgError | None,
    ) -> None:
        """The relay was asked."""
        ms = round((time.time() - began) * 1000, 2)
        for place, command in enumerate(commands):
            result = getattr(replies[place], "sdp", "") if replies is not None else ""
            values = {name: getattr(command, name) for name in _names(type(command))}
            options = values.get("options")
            if options is not None:
                values["options"] = _options_as_noted(options)
            sdp = getattr(command, "sdp", "")
            self._rows.append(
                (
                    self._key, self._trunk, began, RELAY, command.command, ms, values,
                    sdp[:LONGEST], result[:LONGEST], "" if error is None else str(error),
                )
            )  # fmt: skip


class _NotedClient:
    """A relay's client whose commands are noted."""

    def __init__(self, client: Requester, notes: TraceNotes) -> None:
        self._client = client
        self._notes = notes

    def request(self, command: Command[R]) -> R:
        (reply,) = self.request_all((command,))
        return cast("R", reply)

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        began = time.time()
        try:
            replies = self._client.request_all(commands)
        except NgError as error:
            self._notes.commands(commands, began, None, error)
            raise
        self._notes.commands(commands, began, replies, None)
        return replies


@functools.lru_cache(maxsize=256)
def _options_as_noted(options: MediaOptions) -> msgspec.Raw:
    """A site has few, and every command brings some."""
    return msgspec.Raw(msgspec.json.encode(options_to_ng(options)))


_FIELDS: Final[dict[type[Any], tuple[str, ...]]] = {}


def _names(kind: type[Any]) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(one.name for one in fields(kind) if one.name != "sdp")
    return _FIELDS[kind]


def _medium(medium: Any) -> tuple[str, str, bool, bool, str, str]:
    return (
        medium.kind, medium.codec, medium.active, medium.reverse, medium.wic_direction.value,
        medium.ims_direction.value,
    )  # fmt: skip


def _is_of_call(message: str) -> bool:
    if message.startswith("SIP/"):
        return _NO_CALLS_CSEQ.search(message) is None
    return not message.startswith(_NO_CALLS)


NOTES: Final = TraceNotes()
"""This process's."""
