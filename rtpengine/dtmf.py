"""The sequences that send DTMF for a WIC, and keep that of IMS from it; set-up is in `rtpengine.sessions`.

What rtpengine 10.5 makes of `play DTMF` is measured (tests/contract/rtpengine/test_dtmf.py):

- An event lasts one packet longer than asked for (12.5 and 26.0: as long), and begins and ends with a packet, each of
  20 ms.
- A tone in the audio comes out shorter by the ratio of the two clocks, and so does the pause behind it: Opus (48000)
  to PCMA (8000) makes 27 ms of 160. Asked for six times as much it is exact.
- No time below 100 ms or above 5000 ms is taken, so an event lasts at least 120 ms (12.5 and 26.0: 100 ms).
- Digits queue up: the next begins `PAUSE_MS` after the last one's end, however quickly they are asked for. A closed
  gate (`rtpengine.running.gate`) keeps the queue, which goes on as it opens; `refresh` drops what it has of events.
- It needs RTP of the WIC first, and says so.
- Where the codec passes through it plays nothing, yet says ok: the audio has to be armed, by an `offer` and an `answer`
  with `inject-DTMF` (a profile with `digits`). The WIC notices nothing, IMS another SSRC; timestamps go on. From then
  on it is transcoded; 12.5 would pass it on, and lose digits in every second call (`passes_while_armed`).
- Once the WIC has sent telephone-events itself, a digit is shorter by the length of all of them, or not there at all,
  yet it says ok: they move the clock the encoder sends by (`next_pts`), and not the one digits are put in by
  (`fifo_pts`). `refresh` makes a new encoder. Where IMS has the WIC's codec that is no help: rtpengine takes events for
  what the WIC speaks then. 12.5 loses nothing of them.
"""

from dataclasses import dataclass
from typing import Final

from rtpengine.capabilities import OLDEST, Version, capabilities
from rtpengine.ng.commands import BlockDtmf, PlayDtmf, UnblockDtmf
from rtpengine.sessions import IMS_TAG, WIC_TAG, MediaSession, Sequence, ask

DIGITS: Final = "0123456789*#ABCD"
PAUSE_MS: Final = 100
VOLUME: Final = 8
"""Of what is played, in dBm0 without the sign; browsers say 10, so that a log tells the two apart."""
_LEAST_MS, _MOST_MS = 100, 5000
_PACKET_MS: Final = 20
_LONGEST_EVENT: Final = 0xFFFF - 960
"""The field has 16 bits (RFC 4733 §2.3.5), and the last packet comes on top."""


@dataclass(frozen=True, slots=True)
class DigitPath:
    """How digits get to IMS."""

    event_clock_hz: int | None
    """Of the telephone-events IMS takes beside its codec; None: it takes none, and hears tones."""
    tone_ratio: int = 1
    """Clock of the WIC's codec by that of IMS's."""


def play(
    session: MediaSession,
    path: DigitPath,
    digits: str,
    duration_ms: int,
    *,
    daemon_version: Version = OLDEST,
) -> Sequence[None]:
    """Send digits one after the other as if the WIC had pressed them, each for `duration_ms` as nearly as can be.

    They are queued by the daemon; the sequence does not wait for their end.
    """
    played_ms, pause_ms = _times(path, duration_ms, capabilities(daemon_version).event_as_long_as_asked)
    for digit in digits:
        yield from ask(PlayDtmf(session.ng_call_id, WIC_TAG, digit, played_ms, pause_ms, VOLUME))


def _times(path: DigitPath, duration_ms: int, as_asked: bool) -> tuple[int, int]:
    """Return what to ask for: duration and pause."""
    if path.event_clock_hz is None:
        most_ms = _MOST_MS // path.tone_ratio
        return max(_LEAST_MS, min(duration_ms, most_ms) * path.tone_ratio), PAUSE_MS * path.tone_ratio
    most_ms = min(_MOST_MS, _LONGEST_EVENT * 1000 // path.event_clock_hz)
    whole_ms = round(min(duration_ms, most_ms) / _PACKET_MS) * _PACKET_MS
    return max(_LEAST_MS, whole_ms if as_asked else whole_ms - _PACKET_MS), PAUSE_MS


def refresh(session: MediaSession) -> Sequence[None]:
    """Make digits heard again after the WIC has sent telephone-events itself, where its codec is transcoded; and drop
    those that wait. An `offer` with its `answer` has to follow: until then events may come out as short tones.

    Each of the two commands makes a new encoder; no audio is dropped, but the timestamps of IMS's stream jump.
    """
    yield from ask(BlockDtmf(session.ng_call_id, WIC_TAG, "silence"))
    yield from ask(UnblockDtmf(session.ng_call_id, WIC_TAG))


def withhold(session: MediaSession) -> Sequence[None]:
    """Keep the telephone-events of IMS from the WIC; rtpengine still tells of them where it logs DTMF."""
    yield from ask(BlockDtmf(session.ng_call_id, IMS_TAG))
