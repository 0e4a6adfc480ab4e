"""The replies of the ng protocol, as values: each class reads itself from a decoded dictionary.

Knows the keys rtpengine writes; sends nothing and decides nothing. Keys that no one here reads are ignored,
so that newer daemons may add some. A key that is missing or has another type than documented is an
NgBadDatagram.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias, TypeVar

from rtpengine.ng.bencode import Decoded
from rtpengine.ng.errors import NgBadDatagram, NgErrorReply, NgOverloaded, NgUnknownCall

Dictionary: TypeAlias = dict[bytes, Decoded]
_T = TypeVar("_T", int, bytes, list[Decoded], dict[bytes, Decoded])

# `error-reason` texts, in lower case, that say "I have no such call".
_UNKNOWN_CALL: Final = frozenset({"unknown call-id", "call-id not found or tags didn't match"})

_SDP_PAYLOAD: Final = re.compile(rb"d3:sdp([1-9][0-9]{0,4}):(.*)6:result2:oke", re.DOTALL)
_MOST_DIGITS: Final = 20
_SUCCESSES: Final = (b"ok", b"pong")


def raise_if_refused(command: str, dictionary: Dictionary) -> None:
    """Raise the NgErrorReply a reply stands for; return when the reply is a success."""
    if dictionary.get(b"result") in _SUCCESSES:
        return
    result = _text(dictionary, b"result")
    if result == "load limit":
        raise NgOverloaded(command, _text(dictionary, b"message", "load limit"))
    reason = _text(dictionary, b"error-reason", result)
    if reason.lower() in _UNKNOWN_CALL:
        raise NgUnknownCall(command, reason)
    raise NgErrorReply(command, reason)


@dataclass(frozen=True, slots=True)
class Reply:
    """What every successful reply is."""

    @classmethod
    def from_ng(cls, dictionary: Dictionary) -> Self:
        """Read the reply from its dictionary."""
        del dictionary
        return cls()


@dataclass(frozen=True, slots=True)
class Pong(Reply):
    """The daemon is alive."""


@dataclass(frozen=True, slots=True)
class Done(Reply):
    """Carried out; there is nothing else to say."""


@dataclass(frozen=True, slots=True)
class SdpReply(Reply):
    """The SDP for the other side."""

    sdp: str = field(repr=False)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self | None:
        """Read a success as rtpengine writes it without going through it byte by byte; None for anything else.

        Raises NgBadDatagram for a description that is not UTF-8, as ``from_ng`` does.
        """
        found = _SDP_PAYLOAD.fullmatch(payload)
        if found is None or int(found[1]) != len(found[2]):
            return None
        return cls(sdp=_to_text(found[2]))

    @classmethod
    def from_ng(cls, dictionary: Dictionary) -> Self:
        """Read the SDP."""
        return cls(sdp=_text(dictionary, b"sdp"))


@dataclass(frozen=True, slots=True)
class SubscribeRequestReply(Reply):
    """The SDP offer for the subscriber `to_tag`, made from the media of `from_tags`."""

    sdp: str = field(repr=False)
    to_tag: str
    from_tags: tuple[str, ...]

    @classmethod
    def from_ng(cls, dictionary: Dictionary) -> Self:
        """Read the SDP and the tags."""
        return cls(
            sdp=_text(dictionary, b"sdp"),
            to_tag=_text(dictionary, b"to-tag"),
            from_tags=_texts(dictionary, b"from-tags"),
        )


@dataclass(frozen=True, slots=True)
class ListReply(Reply):
    """The call-ids the daemon knows."""

    call_ids: tuple[str, ...]

    @classmethod
    def from_ng(cls, dictionary: Dictionary) -> Self:
        """Read the call-ids."""
        return cls(call_ids=_texts(dictionary, b"calls"))


@dataclass(frozen=True, slots=True)
class DaemonStatistics(Reply):
    """How much the daemon has to do; `calls` of all who use it, one for each medium of ours."""

    calls: int
    uptime_s: int

    @classmethod
    def from_ng(cls, dictionary: Dictionary) -> Self:
        """Read the few numbers of many."""
        statistics = _get(dictionary, b"statistics", dict)
        return cls(
            calls=_get(_get(statistics, b"currentstatistics", dict), b"sessionstotal", int),
            uptime_s=_to_int(_get(_get(statistics, b"totalstatistics", dict), b"uptime", bytes)),
        )


_MISSING: Final = object()


def _get(dictionary: Dictionary, key: bytes, kind: type[_T], default: object = _MISSING) -> _T:
    value = dictionary.get(key, default)
    if not isinstance(value, kind):
        problem = "no" if value is _MISSING else "unexpected type of"
        raise NgBadDatagram(f"{problem} '{key.decode(errors='replace')}' in reply")
    return value


def _to_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NgBadDatagram("text in reply is not UTF-8") from None


def _to_int(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        raise NgBadDatagram("a number in the reply is none")
    return int(value)


def _text(dictionary: Dictionary, key: bytes, default: str | None = None) -> str:
    if default is not None and key not in dictionary:
        return default
    return _to_text(_get(dictionary, key, bytes))


def _texts(dictionary: Dictionary, key: bytes) -> tuple[str, ...]:
    items = _get(dictionary, key, list)
    texts = tuple(_to_text(item) for item in items if isinstance(item, bytes))
    if len(texts) != len(items):
        raise NgBadDatagram(f"'{key.decode()}' in reply is not a list of texts")
    return texts
