"""What relay nodes can make of a page's codecs, and which codecs of the core matter to them."""

from __future__ import annotations

import re
from typing import Final

from kemi.core.sdp.interwork import Repertoire, repertoire, widened_offer
from rtpengine.packet_times import FarSpeech

_OPUS: Final = "opus/48000/2"
_PTIME: Final = re.compile(r"a=ptime:(\d{1,3})\r\n")


class Repertoires:
    """What each node can make of a browser's codecs, learned from its first offer to IMS.

    From then on the node need not work it out again (see rtpengine.sessions.reserve).
    """

    _MOST: Final = 256

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, Repertoire], Repertoire] = {}

    def widened(self, node: str, profile: str, wic_offer: str, own: Repertoire) -> str | None:
        """Return the page's offer with all codecs the node offers to IMS; None where the node must be asked.

        ``profile``: name of the media profile, which says what IMS is offered.
        """
        known = self._known.get((node, profile, own))
        # The page is answered with Opus, and with no event of a payload type that is not its own.
        if known is None or _OPUS not in own.encodings & known.encodings or _renumbered_events(own, known):
            return None
        return widened_offer(wic_offer, known)

    def learn(self, node: str, profile: str, own: Repertoire, relay_offer: str) -> None:
        """Remember what came of an offer."""
        if len(self._known) >= self._MOST:
            self._known.clear()
        self._known[node, profile, own] = repertoire(relay_offer)

    def forget(self) -> None:
        """A node failed: it may come back with other codecs."""
        self._known.clear()


def answered_codecs(wic_offer: str, ims_answer: str) -> frozenset[str] | None:
    """Name the codecs of IMS; None where payload types that the relay numbered hang on the rest of its offer."""
    own, taken = repertoire(wic_offer), repertoire(ims_answer)
    has_events = any(map(_is_event, taken.encodings))
    if has_events and ("telephone-event/8000" not in own.encodings or _renumbered_events(own, taken)):
        return None
    return frozenset(encoding.partition("/")[0] for encoding in taken.encodings)


def needs_offer(kind: str, ims_line: str, relay_offer: str) -> bool:
    """Whether the relay has to hear what the far end speaks as an offer, too, after it has heard it as an answer.

    Payload types of the far end's own: as an answer the relay takes them for audio only, and of several codecs it may
    take another one than before.  As an offer it understands them.
    """
    said, offered = (
        {pair for pair in repertoire(line).encodings_by_type if kind != "audio" or not _is_event(pair[1])}
        for line in (ims_line, relay_offer)
    )
    return not said <= offered and (kind != "audio" or len(said) > 1)


def far_speech(ims_line: str) -> FarSpeech | None:
    """Return what the far end speaks; None where it has not said anything yet."""
    if not ims_line:
        return None
    codecs = frozenset(encoding.partition("/")[0] for encoding in repertoire(ims_line).encodings)
    return FarSpeech(codecs, int("".join(_PTIME.findall(ims_line)[:1]) or 0))


def without_ptime(line: str) -> str:
    """Take the packet time out of a line for the page: short packets of ours are no reason for it to send such."""
    return _PTIME.sub("", line)


def _is_event(encoding: str) -> bool:
    return encoding.startswith("telephone-event/")


def _renumbered_events(own: Repertoire, other: Repertoire) -> bool:
    """Whether the relay found payload types for telephone-events; those at 16000 always go with AMR-WB."""
    numbered = other.encodings - own.encodings - {"telephone-event/16000"}
    return any(map(_is_event, numbered))
