"""The session description as it was written: ordered lines with typed views over them.

Knows RFC 8866 (SDP) and the attributes of RFC 3264, 5763, 8122, 8839 and 9143 that the gateway reads.
It must not know what a browser, rtpengine or an IMS peer wants; that is judged elsewhere.

Rule 1: the lines are the truth.  A view never changes them and an unknown line is never lost.
Rule 2: m-lines are an ordered list.  Two of one kind are ordinary; nothing here is keyed by media kind.
Rule 3: descriptions are values.  Do not assign to their fields: make a new one.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kemi.core.decimals import is_number, number_or
from kemi.core.errors import SdpSyntaxError
from kemi.core.sdp.index import OF_CODECS, Index, index_of


class Direction(enum.StrEnum):
    """Who sends, seen from the party that wrote the line (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Say whether the writer sends."""
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        """Say whether the writer wants to receive."""
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @property
    def mirrored(self) -> Direction:
        """Give the same flow seen from the other side: the fullest answer of RFC 3264 §6.1."""
        return _MIRRORED[self]

    @staticmethod
    def of(*, sends: bool, receives: bool) -> Direction:
        """Name a pair of flows."""
        if sends:
            return Direction.SENDRECV if receives else Direction.SENDONLY
        return Direction.RECVONLY if receives else Direction.INACTIVE


_MIRRORED: Final[Mapping[Direction, Direction]] = {
    Direction.SENDRECV: Direction.SENDRECV,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.INACTIVE: Direction.INACTIVE,
}
_DIRECTION_LINES: Final = {f"a={word}": one for one in Direction for word in (one.value, one.value.upper())}
"""Capitals are no direction (RFC 8866 §5.13), but who writes them means a hold."""

LEGAL_ANSWERS: Final[Mapping[Direction, frozenset[Direction]]] = {
    Direction.SENDRECV: frozenset(Direction),
    Direction.SENDONLY: frozenset({Direction.RECVONLY, Direction.INACTIVE}),
    Direction.RECVONLY: frozenset({Direction.SENDONLY, Direction.INACTIVE}),
    Direction.INACTIVE: frozenset({Direction.INACTIVE}),
}
"""What may be answered to what was offered (RFC 3264 §6.1)."""


class Codec(NamedTuple):
    """One payload type of an m-line with all that is said about it."""

    payload_type: str
    encoding: str
    """As written in rtpmap, for example ``opus/48000/2``."""
    name: str
    """Lower case."""
    clock_rate: int
    fmtp: str
    feedback: tuple[str, ...]

    def fmtp_parameters(self) -> Mapping[str, str]:
        """Split ``a=1;b=2`` into lower-case names and values as written; not to be changed."""
        return _fmtp_parameters(self.fmtp)


_PACKET_MS: Final = range(1, 1001)
_EVENT_CLOCKS: Final = (8000, 16000, 32000, 44100, 48000)
_ENCODINGS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset({f"{name}/{clock_rate}", f"{name}/{clock_rate}/{channels}"})
    for name, clock_rate, channels in (
        ("opus", 48000, 2),
        ("g722", 8000, 1),
        ("pcma", 8000, 1),
        ("pcmu", 8000, 1),
        ("amr", 8000, 1),
        ("amr-wb", 16000, 1),
        ("evs", 16000, 1),
    )
} | {
    "telephone-event": frozenset(
        f"telephone-event/{clock}{ch}" for clock in _EVENT_CLOCKS for ch in ("", "/1")
    )
}
"""How what can be relayed is registered, lower case."""
STATIC_PAYLOAD_TYPES: Final[Mapping[str, str]] = {
    "0": "PCMU/8000",
    "3": "GSM/8000",
    "4": "G723/8000",
    "8": "PCMA/8000",
    "9": "G722/8000",
    "13": "CN/8000",
    "15": "G728/8000",
    "18": "G729/8000",
    "26": "JPEG/90000",
    "31": "H261/90000",
    "34": "H263/90000",
}
"""Payload types that need no rtpmap (RFC 3551 §6)."""

_PAYLOAD_TYPES: Final = frozenset(map(str, range(128)))
"""Seven bits (RFC 3550 §5.1).  The relay refuses a whole description for one that is no number, or larger."""

MAX_FEEDBACK: Final = 10
"""Of one codec, the first ones: what "*" asks for is written out for each codec, and that must be readable again
(text.MAX_LINES).  Chromium has five of video."""

UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  an address in SDP, nothing binds to it
"""Hold as RFC 2543 had it: nothing is to be sent there (RFC 3264 §8.4)."""


class Fingerprint(NamedTuple):
    """Certificate fingerprint (RFC 8122 §5)."""

    hash_function: str
    value: str


class Candidate(NamedTuple):
    """ICE candidate (RFC 8839 §5.1); extensions stay in ``text`` only."""

    text: str
    transport: str
    address: str
    port: int
    kind: str

    @property
    def is_mdns(self) -> bool:
        """Say whether the address is a name that hides a host address (RFC 8828 §5.2): not to be resolved."""
        return self.address.lower().endswith(".local")


class Origin(NamedTuple):
    """What the gateway writes in o= (RFC 8866 §5.2); each changed description has the next version."""

    session_id: int
    version: int
    address: str = "0.0.0.0"  # noqa: S104 - no address of ours for a page to read (RFC 8829 §5.2.1)

    def next(self) -> Origin:
        """Give the origin of the description after this one (RFC 3264 §8)."""
        return self._replace(version=self.version + 1)


@dataclass(slots=True)
class _Section:
    """Lines, and an index of them that is written when something is asked for first."""

    lines: tuple[str, ...]
    _index: Index | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def index(self) -> Index:
        """The lines by name."""
        if self._index is None:
            self._index = index_of(self.lines)
        return self._index

    def attributes(self, name: str) -> Sequence[str]:
        """Give the values of every ``a=name:`` here, in order."""
        head = f"a={name}"
        if head in OF_CODECS:
            return [line[len(head) + 1 :] for line in self.index.codec_lines if line.startswith(f"{head}:")]
        return self.index.values.get(head, ())

    def attribute(self, name: str) -> str | None:
        """Give the value of the first ``a=name:``; the empty string for a flag."""
        values = (self._index or self.index).values.get("a=" + name) or self.attributes(name)
        if values:
            return values[0]
        return "" if self.flag(name) else None

    def flag(self, name: str) -> bool:
        """Say whether ``a=name`` stands here without a value."""
        return "a=" + name in (self._index or self.index).flags

    def values(self, line_type: str) -> Sequence[str]:
        """Give what follows ``=`` in every line of another type than ``a`` (``c``, ``b``, ``o`` ...), in order."""
        return self.index.values.get(line_type + "=", ())

    def own_direction(self) -> Direction | None:
        """Give the direction attribute of this section alone."""
        for line in (self._index or self.index).flags:
            if line in _DIRECTION_LINES:
                return _DIRECTION_LINES[line]
        return None


@dataclass(slots=True)
class SessionSection(_Section):
    """The lines before the first m-line."""


@dataclass(slots=True)
class MediaDescription(_Section):
    """One m-line with the lines that belong to it."""

    kind: str
    port: int
    proto: str
    formats: tuple[str, ...]
    session: SessionSection = field(repr=False, compare=False)
    """Gives what the m-line does not say itself (RFC 8866 §6)."""
    _codecs: tuple[Codec, ...] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def body(self) -> tuple[str, ...]:
        """Everything but the m-line itself."""
        return self.lines[1:]

    def inherited(self, name: str) -> str | None:
        """Give the attribute of this m-line, else of the session."""
        value = self.attribute(name)
        return self.session.attribute(name) if value is None else value

    @property
    def direction(self) -> Direction:
        """Media level, else session level, else sendrecv (RFC 8866 §6.7)."""
        return self.own_direction() or self.session.own_direction() or Direction.SENDRECV

    @property
    def mid(self) -> str | None:
        """The m-line's name (RFC 5888)."""
        return self.attribute("mid")

    @property
    def setup(self) -> str | None:
        """The DTLS role (RFC 8842)."""
        return self.inherited("setup")

    @property
    def ice_ufrag(self) -> str | None:
        """ICE user fragment."""
        return self.inherited("ice-ufrag")

    @property
    def ice_pwd(self) -> str | None:
        """ICE password."""
        return self.inherited("ice-pwd")

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """Certificate fingerprints in the order written."""
        found = []
        for value in self.attributes("fingerprint") or self.session.attributes("fingerprint"):
            hash_function, _, digest = value.partition(" ")
            if not digest:
                raise SdpSyntaxError(f"a=fingerprint:{value} lacks the hash or the value")
            found.append(Fingerprint(hash_function.lower(), digest.strip()))
        return tuple(found)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """ICE candidates in the order written."""
        found = []
        for text in self.attributes("candidate"):
            words = text.split()
            if len(words) < 8 or words[6] != "typ" or not is_number(words[5]):
                raise SdpSyntaxError(f"a=candidate:{text} is not a candidate (RFC 8839 §5.1)")
            found.append(Candidate(text, words[2].lower(), words[4], int(words[5]), words[7]))
        return tuple(found)

    @property
    def rtcp_mux(self) -> bool:
        """RTP and RTCP share a port (RFC 8858)."""
        return self.flag("rtcp-mux")

    @property
    def bundle_only(self) -> bool:
        """The line is usable only inside its BUNDLE group; its port 0 is no rejection (RFC 9143 §6)."""
        return self.flag("bundle-only")

    @property
    def rejected(self) -> bool:
        """The writer does not use this line (RFC 3264 §6, §8.2)."""
        return self.port == 0 and not self.bundle_only

    @property
    def ptime_ms(self) -> int | None:
        """Packet length wished by the writer; None for one that nobody has."""
        return self._packet_ms("ptime")

    @property
    def maxptime_ms(self) -> int | None:
        """Longest packet the writer takes; None for one that nobody has."""
        return self._packet_ms("maxptime")

    @property
    def connection(self) -> str | None:
        """What follows ``c=``: of this m-line, else of the session."""
        values = self.values("c") or self.session.values("c")
        return values[0] if values else None

    @property
    def connection_address(self) -> str | None:
        """The address in c=, without TTL."""
        connection = self.connection
        if connection is None:
            return None
        words = connection.split()
        if len(words) != 3:
            raise SdpSyntaxError(f"c={connection} is not c=IN IP4|IP6 <address>")
        return words[2].partition("/")[0]

    @property
    def address_family(self) -> str:
        """IP4 or IP6; "" where there is no address to send to (hold)."""
        if self.connection is None or self.connection_address in UNSPECIFIED:
            return ""
        return self.connection.split()[1].upper()

    @property
    def bandwidth(self) -> Mapping[str, int]:
        """The b= values of this m-line by type (kbit/s for AS, bit/s for TIAS); what cannot be read says nothing."""
        found = {}
        for value in self.values("b"):
            name, _, number = value.partition(":")
            if is_number(number.strip()):
                found[name] = int(number)
        return found

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The payload types in the m-line's order; those that nothing describes are left out."""
        if self._codecs is None:
            self._codecs = _codecs(self.formats, tuple(self.index.codec_lines))
        return self._codecs

    def _packet_ms(self, name: str) -> int | None:
        value = self.attribute(name) or ""
        return number_or(None, value.partition(".")[0].strip()) if is_packet_length(value) else None


@dataclass(slots=True)
class SessionDescription:
    """A whole description: session lines, then m-lines in order."""

    session: SessionSection
    media: tuple[MediaDescription, ...]
    newline: str = field(default="\r\n", repr=False)
    """Line end it came with; RFC 8866 §5 asks receivers to take a bare LF too."""
    ends_with_newline: bool = field(default=True, repr=False)
    _groups: tuple[tuple[str, ...], ...] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def bundle_groups(self) -> tuple[tuple[str, ...], ...]:
        """The mids of each a=group:BUNDLE, in order (RFC 9143)."""
        if self._groups is None:
            words = (value.split() for value in self.session.attributes("group"))
            self._groups = tuple(
                tuple(group[1:]) for group in words if group and group[0].upper() == "BUNDLE"
            )
        return self._groups

    @property
    def session_connection(self) -> str | None:
        """What follows ``c=`` before the first m-line."""
        return next(iter(self.session.values("c")), None)

    def bundle_group_of(self, mid: str | None) -> tuple[str, ...]:
        """Give the mids bundled with this one, itself included; nothing when it stands alone."""
        for group in self.bundle_groups:
            if mid in group:
                return group
        return ()


@functools.lru_cache(maxsize=64)
def _codecs(formats: tuple[str, ...], codec_lines: tuple[str, ...]) -> tuple[Codec, ...]:
    """Bring together what is said about each payload type; what one browser says is the same in all calls.

    One whose rtpmap cannot be read, or that is no payload type, is none that anybody could use: the others go on.
    """
    encodings: dict[str, str] = {}
    parameters: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    for line in codec_lines:
        name, _, text = line.partition(":")
        payload_type, value, *_ = *text.split(None, 1), "", ""
        if name == "a=rtpmap":
            encodings.setdefault(payload_type, value)
        elif name == "a=fmtp":
            before = parameters.get(payload_type)
            parameters[payload_type] = value if before is None else f"{before};{value}"
        else:
            wanted.setdefault(payload_type, []).append(value)
    for_all = wanted.get("*", [])[:MAX_FEEDBACK]
    found = []
    for payload_type in formats:
        encoding = encodings.get(payload_type) or STATIC_PAYLOAD_TYPES.get(payload_type, "")
        name, clock_rate = _name_and_clock_rate(encoding)
        if name and payload_type in _PAYLOAD_TYPES and _is_registered(name, encoding):
            values = (*for_all, *wanted.get(payload_type, ()))[:MAX_FEEDBACK]
            fmtp = parameters.get(payload_type, "")
            found.append(Codec(payload_type, encoding, name, clock_rate, fmtp, values))
    return tuple(found)


def is_packet_length(value: str) -> bool:
    """Whether this is a length that packets may have, ms; RFC 8866 §6.4 allows a fraction.

    rtpengine 10.5 ends itself, with all its calls, where it is to make packets of a thousand seconds.
    """
    return number_or(0, value.partition(".")[0].strip()) in _PACKET_MS


@functools.lru_cache(maxsize=256)
def _fmtp_parameters(fmtp: str) -> Mapping[str, str]:
    """Take ``a=1;b=2`` apart; the same few come with every call."""
    pairs = (parameter.partition("=") for parameter in fmtp.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _is_registered(name: str, encoding: str) -> bool:
    """Whether an encoding has the clock and channels of its name. rtpengine would transcode PCMA/1 as it says: a packet
    of 20 ms is one of 160 s then."""
    known = _ENCODINGS.get(name)
    return known is None or encoding.lower() in known


@functools.lru_cache(maxsize=256)
def _name_and_clock_rate(encoding: str) -> tuple[str, int]:
    """Take ``opus/48000/2`` apart, "" and 0 for what is not made so; the same few encodings come with every call."""
    name, clock_rate, *_ = *encoding.split("/", 2), ""
    return (name.lower(), int(clock_rate)) if name and is_number(clock_rate) else ("", 0)
