"""What a peer sent and received, with times, and how a test waits for it.

Knows messages and the clock. Must not know what a message means for a call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.peers.sip import SipRequest, SipResponse

DEFAULT_WAIT_S = 20.0
"""Long: a busy machine is no failure, and what comes ends the wait."""


class Direction(StrEnum):
    """Seen from the peer that records."""

    SENT = "->"
    RECEIVED = "<-"


@dataclass(frozen=True)
class Entry:
    """One message on the wire; `at_s` is the monotonic clock."""

    at_s: float
    direction: Direction
    message: SipRequest | SipResponse

    @property
    def label(self) -> str:
        """One rung of the ladder: "-> INVITE", "<- 183 INVITE (SDP)"."""
        sdp = " (SDP)" if self.message.has_sdp else ""
        if isinstance(self.message, SipRequest):
            return f"{self.direction} {self.message.method}{sdp}"
        return f"{self.direction} {self.message.status} {self.message.cseq.method}{sdp}"


class NothingMatchedError(AssertionError):
    """The awaited message did not come; the text shows the ladder so far."""


class Trace:
    """Record of one peer, shared by all its calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self._by_call: dict[str, list[Entry]] = {}
        self._waiting: dict[str | None, set[asyncio.Event]] = {}
        self._failure: BaseException | None = None

    def record(self, direction: Direction, message: SipRequest | SipResponse) -> Entry:
        """Add a message and wake the waiting tests."""
        entry = Entry(time.monotonic(), direction, message)
        self.entries.append(entry)
        self._by_call.setdefault(message.call_id, []).append(entry)
        self._wake(message.call_id, None)
        return entry

    def forget(self, call_id: str) -> None:
        """Drop the record of a call that is over: a run of many calls would search all of them for every message."""
        self._by_call.pop(call_id, None)
        self.entries = [entry for entry in self.entries if entry.message.call_id != call_id]

    def fail(self, failure: BaseException) -> None:
        """Make every present and later wait raise: the peer itself went wrong."""
        self._failure = self._failure or failure
        self._wake(*self._waiting)

    @property
    def failure(self) -> BaseException | None:
        """What the peer itself went wrong with first."""
        return self._failure

    def ladder(self, call_id: str | None = None) -> list[str]:
        """Return the labels in order, of one call or of all."""
        return [e.label for e in (self.entries if call_id is None else self.of_call(call_id))]

    def of_call(self, call_id: str) -> list[Entry]:
        """Return the entries of one call."""
        return self._by_call.get(call_id, [])

    def select(self, match: Callable[[Entry], bool]) -> list[Entry]:
        """Return the recorded entries that match."""
        return [entry for entry in self.entries if match(entry)]

    async def wait(
        self,
        match: Callable[[Entry], bool],
        *,
        call_id: str | None = None,
        count: int = 1,
        what: str = "",
        timeout_s: float = DEFAULT_WAIT_S,
    ) -> Entry:
        """Return the `count`-th matching entry, of one call or of all, waiting for it.

        Raises:
            NothingMatchedError: not seen within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        changed = asyncio.Event()
        self._waiting.setdefault(call_id, set()).add(changed)
        try:
            while True:
                changed.clear()
                if self._failure is not None:
                    raise self._failure
                entries = self.entries if call_id is None else self.of_call(call_id)
                found = [entry for entry in entries if match(entry)]
                if len(found) >= count:
                    # The peer's own reaction was scheduled when the message was recorded: it goes first,
                    # so that a test sees the dialog and the violations this message made.
                    await asyncio.sleep(0)
                    return found[count - 1]
                await asyncio.wait_for(changed.wait(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            seen = "\n  ".join(self.ladder(call_id)) or "(nothing)"
            text = f"{self.name}: no {what or 'matching message'} within {timeout_s} s; ladder:\n  {seen}"
            raise NothingMatchedError(text) from None
        finally:
            self._waiting[call_id].discard(changed)
            if not self._waiting[call_id]:
                del self._waiting[call_id]

    async def wait_request(
        self, method: str, *, call_id: str | None = None, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipRequest:
        """Return the `count`-th request of that method that was received."""

        def match(entry: Entry) -> bool:
            return _is_received(entry, call_id) and getattr(entry.message, "method", None) == method

        what = f"request {method}"
        entry = await self.wait(match, call_id=call_id, count=count, what=what, timeout_s=timeout_s)
        assert isinstance(entry.message, SipRequest)
        return entry.message

    async def wait_response(
        self,
        status: int | range,
        method: str,
        *,
        call_id: str | None = None,
        cseq: int | None = None,
        count: int = 1,
        timeout_s: float = DEFAULT_WAIT_S,
    ) -> SipResponse:
        """Return the `count`-th response of that status (or range of statuses) that was received."""
        wanted = range(status, status + 1) if isinstance(status, int) else status

        def match(entry: Entry) -> bool:
            message = entry.message
            return (
                _is_received(entry, call_id)
                and isinstance(message, SipResponse)
                and message.status in wanted
                and message.cseq.method == method
                and cseq in (None, message.cseq.number)
            )

        what = f"response {status} to {method}"
        entry = await self.wait(match, call_id=call_id, count=count, what=what, timeout_s=timeout_s)
        assert isinstance(entry.message, SipResponse)
        return entry.message

    def requests(self, method: str, direction: Direction = Direction.RECEIVED) -> list[SipRequest]:
        """Return the recorded requests of a method."""
        found = (e.message for e in self.entries if e.direction is direction)
        return [m for m in found if isinstance(m, SipRequest) and m.method == method]

    def responses(self, method: str, direction: Direction = Direction.RECEIVED) -> list[SipResponse]:
        """Return the recorded responses to a method."""
        found = (e.message for e in self.entries if e.direction is direction)
        return [m for m in found if isinstance(m, SipResponse) and m.cseq.method == method]

    def _wake(self, *waited_for: str | None) -> None:
        for key in waited_for:
            for changed in self._waiting.get(key, ()):
                changed.set()


def _is_received(entry: Entry, call_id: str | None) -> bool:
    return entry.direction is Direction.RECEIVED and call_id in (None, entry.message.call_id)
