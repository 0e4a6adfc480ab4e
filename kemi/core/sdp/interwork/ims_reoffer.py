"""What IMS is offered when a running session changes, and its answer.

Knows RFC 3264 §8: the lines of before in their order, with their ports and payload types; only directions change, a
line is switched off by port 0, and further lines follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kemi.core.sdp.build import media_description, off_line, session_description, session_section
from kemi.core.sdp.interwork.ims import MISSING, ImsMedium, check_kinds, core_line, ims_medium, ordered_codecs
from kemi.core.sdp.interwork.relay import only_line
from kemi.core.sdp.model import UNSPECIFIED, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

_DIRECTIONS: Final = frozenset(f"a={direction}" for direction in Direction)
_OF_AN_ANSWER: Final = ("a=curr:", "a=des:", "a=conf:", "a=acfg:")
"""Our offers have no preconditions (RFC 3312 §11: they would require the extension), and no configuration is chosen yet
(RFC 5939 §3.6)."""


def ims_offer_again(
    current: SessionDescription,
    directions: Mapping[int, Direction],
    origin: Origin,
    added: Mapping[int, str] | None = None,
    audio_codecs: Sequence[str] = (),
) -> SessionDescription:
    """Offer IMS the session as it is to be.

    Args:
        current: what the gateway described last to the core.
        directions: per line that is on; every other line gets port 0.
        added: the relay's offer per line that is new, or switched on again.
        audio_codecs: encoding names for an added audio line, best first.
    """
    added = added or {}
    lines = []
    for place in range(max([len(current.media), *(line + 1 for line in added)])):
        if place in added:
            source = only_line(sdp_from_text(added[place]))
            codecs = ordered_codecs(source, audio_codecs)
            connection = None if source.connection == current.session_connection else source.connection
            lines.append(core_line(source, source.port, source.proto, codecs, directions[place], connection))
        elif place in directions:
            lines.append(_turned(current.media[place], directions[place]))
        else:
            lines.append(off_line(current.media[place]))
    session = session_section(origin, connection=current.session_connection)
    return session_description(session, lines)


def ims_answer_lines(offer_text: str, answer_text: str, lines: Mapping[str, int]) -> dict[str, ImsMedium]:
    """Take an answer of IMS apart, per kind that is carried by one of our ``lines``.

    Raises:
        SdpSyntaxError: it is no description.
        RemoteProtocolError: it does not fit the offer (RFC 3264 §6), or a line lacks address or codec.
        NotAcceptableHere: its audio has no codec of the offer.
    """
    offer, answer = sdp_from_text(offer_text), sdp_from_text(answer_text)
    check_kinds(answer, [media.kind for media in offer.media])
    return {
        kind: ims_medium(answer.media[place], offer.media[place]) if place < len(answer.media) else MISSING
        for kind, place in lines.items()
    }


def with_its_address(line: str, former: str) -> str:
    """Return a line of the far end's answer for the relay: with the address of ``former``, which may be "", where its
    own is zeros (a hold as RFC 2543 had it).

    With every new address the relay begins its SRTP index anew, and the far end, whose key is the same, does not.
    """
    said = sdp_from_text(line).media[0]
    if not former or said.connection_address not in UNSPECIFIED:
        return line
    return line.replace(f"c={said.connection}\r\n", f"c={sdp_from_text(former).media[0].connection}\r\n")


def to_be_taken_back(told: str, before: str) -> str:
    """Return what the core was told last, where all that it changed of ``before`` is to be offered back.

    A line that it switched off is told as inactive: it is to be on again, for which its port is needed.
    """
    offer, former = sdp_from_text(told), sdp_from_text(before).media
    media = [
        _turned(former[place], Direction.INACTIVE) if line.port == 0 and place < len(former) else line
        for place, line in enumerate(offer.media)
    ]
    return sdp_to_text(session_description(offer.session, media))


def is_answer(ours: str) -> bool:
    """Whether a description of ours says what only an answer may say."""
    return any(line in ours for line in _OF_AN_ANSWER)


def as_offer(answer: SessionDescription, origin: Origin) -> SessionDescription:
    """Write our last answer to the core as an offer of the same."""
    lines = [
        media_description(media.kind, media.port, media.proto, media.formats, _offered(media))
        for media in answer.media
    ]
    return session_description(session_section(origin, connection=answer.session_connection), lines)


def _turned(media: MediaDescription, direction: Direction) -> MediaDescription:
    body = [line for line in _offered(media) if line not in _DIRECTIONS]
    return media_description(media.kind, media.port, media.proto, media.formats, [*body, f"a={direction}"])


def _offered(media: MediaDescription) -> list[str]:
    return [line for line in media.body if not line.startswith(_OF_AN_ANSWER)]
