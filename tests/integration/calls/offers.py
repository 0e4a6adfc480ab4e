"""Session descriptions of real pages, and ways to spoil them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

_SAMPLES: Final = Path(__file__).resolve().parents[2] / "golden" / "sdp"


@cache
def sample(name: str) -> str:
    """Return a recorded session description by its name without ending."""
    return (_SAMPLES / f"{name}.txt").read_bytes().decode()


AUDIO: Final = sample("chromium-156-audio-sendonly")
AUDIO_AND_VIDEO: Final = sample("chromium-156-av-sendonly")
AUDIO_BOTH_WAYS: Final = sample("chromium-156-audio-sendrecv")
AUDIO_AND_VIDEO_BOTH_WAYS: Final = sample("chromium-156-av-sendrecv")


def without_lines(sdp: str, *prefixes: str) -> str:
    """Leave out the lines that start with one of the prefixes."""
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(prefixes))


def with_replaced(sdp: str, pattern: str, replacement: str) -> str:
    """Replace a pattern; raise LookupError when the description does not have it."""
    changed, count = re.subn(pattern, replacement, sdp, flags=re.MULTILINE)
    if not count:
        raise LookupError(f"nothing matches {pattern!r}")
    return changed


def without_codecs_in_common(sdp: str) -> str:
    """Offer nothing but comfort noise and telephone events."""
    shorter = with_replaced(sdp, r"^m=audio (\d+) (\S+) .*?(\r?)$", r"m=audio \1 \2 13 110\3")
    kept = ("a=rtpmap:13 ", "a=rtpmap:110 ")
    return "".join(
        line
        for line in shorter.splitlines(keepends=True)
        if line.startswith(kept) or not line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"))
    )


def without_codec(sdp: str, codec: str) -> str:
    """Leave out a codec with its retransmission format."""
    numbers = set(re.findall(rf"^a=rtpmap:(\d+) {codec}/", sdp, re.MULTILINE))
    numbers |= {own for own, of in re.findall(r"^a=fmtp:(\d+) apt=(\d+)", sdp, re.MULTILINE) if of in numbers}
    lines = []
    for line in sdp.splitlines(keepends=True):
        if line.startswith("m="):
            head, formats = line.split()[:3], line.split()[3:]
            lines.append(" ".join([*head, *(number for number in formats if number not in numbers)]) + "\r\n")
        elif not re.match(rf"a=(rtpmap|fmtp|rtcp-fb):({'|'.join(numbers)})\b", line):
            lines.append(line)
    return "".join(lines)
