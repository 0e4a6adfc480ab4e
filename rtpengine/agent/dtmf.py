"""DTMF that the nodes log (`--dtmf-log-dest`): datagrams in, key presses out, those of one call in order.

One datagram is one key press: rtpengine sends it when the key is let go, and once however often the end is repeated.
Everybody's are in it: of IMS, of the WIC, and what was played for the WIC.

A node logs to one agent, and the call may be another gateway's: what this one's gateway does not know is forwarded to
the agents of the others, once.

No digit is ever logged. The Call-ID comes from a page, and rtpengine writes it as it is: whatever holds a quotation
mark or a backslash is dropped, or a page could write the rest of the datagram for another one's call.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from rtpengine.dtmf import VOLUME
from rtpengine.sessions import IMS_TAG, WIC_TAG

_LOGGER: Final = logging.getLogger(__name__)
MOST_WAITING: Final = 32
"""Key presses of one call that nobody has taken yet; further ones are dropped."""
MOST_CALLS: Final = 4096

FORWARDED: Final = b"forwarded "
"""What a datagram begins with that another agent has passed on."""

_TEXT: Final = rb'"([^"\\\x00-\x1f]{1,512})"'
_TAGS: Final = rb'"[^"\\]*"'
_NUMBER: Final = rb"([0-9]{1,10})"
_DATAGRAM: Final = re.compile(
    rb'\{"callid":%b,"source_tag":%b,(?:"source_label":%b,)?"tags":\[(?:%b,?)*\],"type":"DTMF","timestamp":%b,'
    rb'"source_ip":"[0-9a-fA-F.:]+","event":%b,"duration":%b,"volume":%b\}'
    % (_TEXT, _TEXT, _TAGS, _TAGS, _NUMBER, _NUMBER, _NUMBER, _NUMBER)
)


@dataclass(frozen=True, slots=True)
class KeyPress:
    """One key, pressed and let go. `duration_ms` as rtpengine reckons it: it is short by 4 % for 48 kHz."""

    call_id: str
    source_tag: str
    event: int = field(repr=False)
    duration_ms: int
    volume: int
    datagram: bytes = field(default=b"", repr=False, compare=False)
    """As a node has sent it; empty where another agent has passed it on."""


def key_press_from_bytes(datagram: bytes) -> KeyPress | None:
    """Read a datagram; None for what rtpengine would not send."""
    is_forwarded = datagram.startswith(FORWARDED)
    match = _DATAGRAM.fullmatch(datagram.removeprefix(FORWARDED).strip())
    if match is None:
        return None
    try:
        call_id, source_tag = match.group(1).decode(), match.group(2).decode()
    except UnicodeDecodeError:
        return None
    _, event, duration_ms, volume = (int(match.group(number)) for number in range(3, 7))
    own = b"" if is_forwarded else datagram
    return KeyPress(call_id, source_tag, event, duration_ms, volume, own) if event <= 0xFF else None


Tell = Callable[[KeyPress], Awaitable[None]]


class DtmfReceiver(asyncio.DatagramProtocol):
    """Gives key presses that `matter` to `tell`: of one call one after the other, of several at the same time."""

    def __init__(
        self,
        tell: Tell,
        matters: Callable[[KeyPress], bool],
        nodes: frozenset[str] = frozenset(),
        peers: frozenset[str] = frozenset(),
    ) -> None:
        """`nodes`: addresses that may send; none named: everybody who reaches the port.  `peers`: that may forward."""
        self._tell = tell
        self._matters = matters
        self._nodes = nodes
        self._peers = peers
        self._waiting: dict[str, deque[KeyPress]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take one datagram of a node, or of another gateway's agent."""
        is_forwarded = data.startswith(FORWARDED)
        if addr[0] not in self._peers if is_forwarded else self._nodes and addr[0] not in self._nodes:
            _LOGGER.warning("event=dtmf_of_no_node source=%s", addr[0])
            return
        pressed = key_press_from_bytes(data)
        if pressed is None:
            _LOGGER.warning("event=dtmf_unreadable source=%s bytes=%d", addr[0], len(data))
        elif self._matters(pressed):
            self._take(pressed)

    def _take(self, pressed: KeyPress) -> None:
        waiting = self._waiting.get(pressed.call_id)
        if waiting is not None:
            if len(waiting) < MOST_WAITING:
                waiting.append(pressed)
            else:
                _LOGGER.warning("event=dtmf_dropped call_id=%s", pressed.call_id)
            return
        if len(self._waiting) >= MOST_CALLS:
            _LOGGER.warning("event=dtmf_dropped call_id=%s", pressed.call_id)
            return
        self._waiting[pressed.call_id] = deque([pressed])
        task = asyncio.get_running_loop().create_task(self._deliver(pressed.call_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, call_id: str) -> None:
        waiting = self._waiting[call_id]
        try:
            while waiting:
                pressed = waiting.popleft()
                try:
                    await self._tell(pressed)
                except Exception as error:  # the next key may be luckier
                    _LOGGER.warning("event=dtmf_not_told call_id=%s error=%s", call_id, type(error).__name__)
        finally:
            del self._waiting[call_id]

    def close(self) -> None:
        """Drop what waits."""
        for task in self._tasks:
            task.cancel()


def is_pressed(pressed: KeyPress) -> bool:
    """Whether somebody has pressed a key: what was played for the WIC is in the log, too, at a volume of its own."""
    return pressed.source_tag == IMS_TAG or (pressed.source_tag == WIC_TAG and pressed.volume != VOLUME)


def body_of(pressed: KeyPress) -> dict[str, object]:
    """Write a key press for `POST /v1/dtmf` of the gateway's control endpoint."""
    return {
        "call_id": pressed.call_id,
        "source_tag": pressed.source_tag,
        "event": pressed.event,
        "duration": pressed.duration_ms,
        "volume": pressed.volume,
    }


async def listen(address: str, port: int, receiver: DtmfReceiver) -> asyncio.DatagramTransport:
    """Open the port that the nodes log to."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: receiver, local_addr=(address, port)
    )
    return transport
