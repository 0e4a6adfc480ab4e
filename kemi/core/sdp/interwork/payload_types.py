"""Payload types: those towards the core in a running call, those of a client's one-way lines.  Every text here has
exactly one m-line, as those of the relay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from kemi.core.sdp.build import media_description
from kemi.core.sdp.interwork.relay import one_line_text
from kemi.core.sdp.model import Codec, MediaDescription
from kemi.core.sdp.text import sdp_from_text

_FORMAT_ATTRIBUTES: Final = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")
_TELLING_APART: Final = {"octet-align": "0", "packetization-mode": "0", "profile-level-id": ""}
"""Parameters that make one codec name two codecs, with their defaults (RFC 4867 §8.1, RFC 6184 §8.1)."""
_DYNAMIC: Final = range(96, 128)


def with_known_payload_types(relay_offer: str, known: str) -> str:
    """Give the relay's offer for the core the payload types that ``known``, our last description, had for each codec.

    A number may not come to mean another codec in a session (RFC 3264 §8.3.2), and the relay numbers anew where the
    core called. Other codecs whose number is taken get a free one.
    """
    offer = sdp_from_text(relay_offer)
    line = offer.media[0]
    known_codecs = sdp_from_text(known).media[0].codecs
    known_types = {_identity(codec): codec.payload_type for codec in reversed(known_codecs)}
    found = {codec.payload_type: known_types.get(_identity(codec)) for codec in line.codecs}
    numbers = {own: number for own, number in found.items() if number is not None}
    taken = {codec.payload_type for codec in known_codecs} | set(numbers.values())
    unknown = [own for own in line.formats if own not in numbers]
    free = (str(number) for number in _DYNAMIC if str(number) not in taken | set(unknown))
    for own in unknown:
        numbers[own] = next(free, own) if own in taken else own
    return one_line_text(offer.session, _renumbered(line, {own: numbers[own] for own in line.formats}))


def numbered_apart(line: MediaDescription, others: Iterable[MediaDescription]) -> MediaDescription:
    """Give an audio line for a client other numbers where further lines have the same; the same line if none has.

    Payload types belong to their m-line (RFC 8866 §5.14), so audio and video of a phone may share one.  But Firefox ESR
    153 got no sound then on one-way lines, which have neither a=ssrc nor MID.  The relay takes an answer under other
    numbers than it has offered, of audio.
    """
    taken = {number for other in others for number in other.formats}
    shared = [number for number in line.formats if number in taken]
    free = (str(number) for number in reversed(_DYNAMIC) if str(number) not in taken | set(line.formats))
    numbers = dict(zip(shared, free, strict=False))
    return _renumbered(line, {own: numbers.get(own, own) for own in line.formats}) if numbers else line


def _identity(codec: Codec) -> tuple[str, ...]:
    parameters = codec.fmtp_parameters()
    return codec.encoding.lower(), *(parameters.get(name, usual) for name, usual in _TELLING_APART.items())


def _renumbered(line: MediaDescription, numbers: Mapping[str, str]) -> MediaDescription:
    """Give each payload type of a line of the relay its new number."""
    body = []
    for text in line.body:
        name, colon, value = text.partition(":")
        own, space, rest = value.partition(" ")
        of_format = name + colon in _FORMAT_ATTRIBUTES and own in numbers
        body.append(f"{name}:{numbers[own]}{space}{rest}" if of_format else text)
    renumbered = media_description(line.kind, line.port, line.proto, list(numbers.values()), body)
    return replace(renumbered, session=line.session)
