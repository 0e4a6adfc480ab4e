"""Quality-of-service preconditions in a description (RFC 3312, RFC 4032): what a caller waits for, and our answer.

A page has no such thing, and needs none: its resources are there as soon as the relay's ports are.  So our side always
has what is desired of it, and only the caller's own resources can be missing.

``local`` is the side of whoever wrote the description, ``send`` its stream; both swap in an answer (RFC 3312 §6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kemi.core.sdp.build import media_description, session_description
from kemi.core.sdp.model import MediaDescription, SessionDescription

OPTION_TAG: Final = "precondition"
_QOS: Final = "qos"
_MANDATORY: Final = "mandatory"
_STREAMS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "none": frozenset(),
        "send": frozenset({"send"}),
        "recv": frozenset({"recv"}),
        "sendrecv": frozenset({"send", "recv"}),
    }
)
_BOTH: Final = _STREAMS["sendrecv"]
_OF_THE_OTHER_SIDE: Final = {"local": "remote", "remote": "local", "e2e": "e2e"}
_STREAM_OF_THE_OTHER_SIDE: Final = {"send": "recv", "recv": "send"}


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The preconditions of one m-line, as its writer sees them."""

    current: Mapping[str, frozenset[str]]
    """Status type (local, remote, e2e) -> streams with resources."""
    desired: Mapping[tuple[str, str], str]
    """Status type and stream -> strength (none, optional, mandatory ...)."""

    @property
    def missing(self) -> bool:
        """Whether the writer still lacks resources of its own that it cannot do without."""
        return any(
            stream not in self.current.get(of, frozenset())
            for (of, stream), strength in self.desired.items()
            if strength == _MANDATORY and of != "remote"
        )


def preconditions_of(media: MediaDescription) -> Preconditions | None:
    """Read them; None when there are none.  What is not understood is passed over (RFC 3312 §5)."""
    current: dict[str, frozenset[str]] = {}
    desired: dict[tuple[str, str], str] = {}
    for value in media.attributes("curr"):
        kind, of, streams = _words(value, 3)
        if kind == _QOS and of in _OF_THE_OTHER_SIDE and streams in _STREAMS:
            current[of] = current.get(of, frozenset()) | _STREAMS[streams]
    for value in media.attributes("des"):
        kind, strength, of, streams = _words(value, 4)
        if kind == _QOS and of in _OF_THE_OTHER_SIDE and streams in _STREAMS:
            desired |= {(of, stream): strength for stream in _STREAMS[streams]}
    return Preconditions(current, desired) if current or desired else None


def _words(value: str, count: int) -> list[str]:
    words = value.lower().split()
    return words if len(words) == count else [""] * count


def missing(offer: SessionDescription, places: list[int]) -> bool:
    """Whether the writer of an offer waits for resources of its own, on one of these lines."""
    found = (preconditions_of(offer.media[place]) for place in places)
    return any(one is not None and one.missing for one in found)


def with_preconditions(answer: SessionDescription, offer: SessionDescription) -> SessionDescription:
    """Add to each line we take what the offer's has of preconditions, seen from our side.

    Where the offerer lacks resources it is asked to tell us when it has them (a=conf, RFC 3312 §5).
    """
    media = []
    for offered, line in zip(offer.media, answer.media, strict=True):
        wanted = None if line.rejected else preconditions_of(offered)
        lines = () if wanted is None else _answer_lines(wanted)
        body = (*line.body, *lines)
        media.append(media_description(line.kind, line.port, line.proto, line.formats, body))
    return session_description(answer.session, media)


def _answer_lines(theirs: Preconditions) -> list[str]:
    current = {
        _OF_THE_OTHER_SIDE[of]: frozenset(_STREAM_OF_THE_OTHER_SIDE[stream] for stream in streams)
        for of, streams in theirs.current.items()
    }
    current["local"] = _BOTH  # whatever they knew of us: our resources are there
    if not theirs.missing and "e2e" in current:
        current["e2e"] = _BOTH
    if set(theirs.current) <= {"e2e"}:
        del current["local"]
    desired: dict[tuple[str, str], set[str]] = {}
    for (of, stream), strength in theirs.desired.items():
        key = (strength, _OF_THE_OTHER_SIDE[of])
        desired.setdefault(key, set()).add(_STREAM_OF_THE_OTHER_SIDE[stream])
    lines = [f"a=curr:{_QOS} {of} {_to_text(streams)}" for of, streams in current.items()]
    lines += [
        f"a=des:{_QOS} {strength} {of} {_to_text(streams)}" for (strength, of), streams in desired.items()
    ]
    if theirs.missing:
        of = "e2e" if "e2e" in current else "remote"
        lines.append(f"a=conf:{_QOS} {of} sendrecv")
    return lines


def _to_text(streams: frozenset[str] | set[str]) -> str:
    return next(text for text, of in _STREAMS.items() if of == streams)
