"""The commands of the ng protocol that a media session needs, as values.

A command knows its ng keys and which reply belongs to it; it does not know why it is sent. Attribute names
are ng keys with `_` for space and hyphen; `NG_KEYS` is the only place where the two meet. Everything that
describes media (transport, ICE, codecs, flags) sits in `MediaOptions`, made by `rtpengine.profiles` alone.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from rtpengine.ng import bencode, replies, statistics
from rtpengine.ng.bencode import Encodable

# The reply a command is answered with.
R = TypeVar("R", bound=replies.Reply)

# Attribute → ng key, where the two differ.
NG_KEYS: Final[Mapping[str, str]] = {
    "call_id": "call-id",
    "from_tag": "from-tag",
    "to_tag": "to-tag",
    "transport_protocol": "transport-protocol",
    "ice": "ICE",
    "ice_lite": "ICE-lite",
    "dtls": "DTLS",
    "dtls_reverse": "DTLS-reverse",
    "sdes": "SDES",
    "rtcp_mux": "rtcp-mux",
    "ptime_reverse": "ptime-reverse",
    "address_family": "address-family",
    "delete_delay_s": "delete-delay",
    "security": "DTMF-security",
    "duration_ms": "duration",
    "pause_ms": "pause",
    "except_": "except",
    "set_": "set",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecRules:
    """The `codec` dictionary: which codecs the produced SDP shows and which are transcoded.

    accept: what the offerer is answered with even when the far end did not choose it.
    offer: in an answer: what counts even under a payload type that was not offered.
    mask: taken out of the produced SDP, yet still answered to the offerer.
    set_: options, bitrate first, of codecs that are in the request already.
    transcode: added to the produced SDP in this order; a masked codec named here is put back in this place.
    """

    accept: tuple[str, ...] = ()
    offer: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    set_: tuple[str, ...] = ()
    transcode: tuple[str, ...] = ()


NO_CODEC_RULES: Final = CodecRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaOptions:
    """The ng keys that describe media; an empty value leaves the key out."""

    transport_protocol: str | None = None
    ice: str | None = None
    ice_lite: str | None = None
    dtls: str | None = None
    dtls_reverse: str | None = None
    sdes: tuple[str, ...] = ()
    rtcp_mux: tuple[str, ...] = ()
    direction: tuple[str, str] | None = None
    interface: str | None = None
    address_family: str | None = None
    replace: tuple[str, ...] = ()
    codec: CodecRules = NO_CODEC_RULES
    ptime: int | None = None
    ptime_reverse: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command(Generic[R]):
    """A request to the daemon; `reply_type` reads the dictionary that comes back.

    in_json: asked and answered in JSON, for the sake of a long reply.
    """

    command: ClassVar[str]
    reply_type: ClassVar[type[replies.Reply]]
    in_json: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Ping(Command[replies.Pong]):
    """Ask whether the daemon is there."""

    command = "ping"
    reply_type = replies.Pong


@dataclass(frozen=True, slots=True)
class Offer(Command[replies.SdpReply]):
    """Hand in an SDP offer; the reply has the offer for the other side, `to_tag` once it is known."""

    command = "offer"
    reply_type = replies.SdpReply
    call_id: str
    from_tag: str
    sdp: str = field(repr=False)
    options: MediaOptions
    to_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(Command[replies.SdpReply]):
    """Hand in the SDP answer of `to_tag`; the reply has the answer for `from_tag`, the offerer."""

    command = "answer"
    reply_type = replies.SdpReply
    call_id: str
    from_tag: str
    to_tag: str
    sdp: str = field(repr=False)
    options: MediaOptions


@dataclass(frozen=True, slots=True)
class SubscribeRequest(Command[replies.SubscribeRequestReply]):
    """Ask for an SDP offer that sends the media of `from_tag` to the new participant `to_tag`."""

    command = "subscribe request"
    reply_type = replies.SubscribeRequestReply
    call_id: str
    from_tag: str
    to_tag: str
    options: MediaOptions


@dataclass(frozen=True, slots=True)
class SubscribeAnswer(Command[replies.Done]):
    """Hand in the answer of `to_tag` to the offer of a subscribe request."""

    command = "subscribe answer"
    reply_type = replies.Done
    call_id: str
    to_tag: str
    sdp: str = field(repr=False)
    options: MediaOptions


@dataclass(frozen=True, slots=True)
class Unsubscribe(Command[replies.Done]):
    """Stop sending anything to `to_tag`. From rtpengine 26 on, this removes the participant altogether."""

    command = "unsubscribe"
    reply_type = replies.Done
    call_id: str
    to_tag: str


DIRECTIONAL: Final = ("directional",)
"""Flags for what `from_tag` sends alone, where the daemon knows them (`rtpengine.capabilities`)."""


@dataclass(frozen=True, slots=True)
class BlockMedia(Command[replies.Done]):
    """Drop the media of the whole call, or only what `from_tag` sends."""

    command = "block media"
    reply_type = replies.Done
    call_id: str
    from_tag: str | None = None
    flags: tuple[str, ...] | None = None
    """DIRECTIONAL with `from_tag`."""


@dataclass(frozen=True, slots=True)
class UnblockMedia(Command[replies.Done]):
    """Undo `BlockMedia` of the same scope."""

    command = "unblock media"
    reply_type = replies.Done
    call_id: str
    from_tag: str | None = None
    flags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PlayDtmf(Command[replies.Done]):
    """Send one DTMF digit (0-9, *, #, A-D) as if `from_tag` had pressed it; further ones queue up."""

    command = "play DTMF"
    reply_type = replies.Done
    call_id: str
    from_tag: str
    code: str = field(repr=False)
    duration_ms: int = 200
    pause_ms: int = 100
    """Before the next one; each time is at least 100 and at most 5000."""
    volume: int = 8
    """Power in dBm0, the sign left out (RFC 4733 §2.3.4). Without it rtpengine says 63, which receivers may drop."""


@dataclass(frozen=True, slots=True)
class BlockDtmf(Command[replies.Done]):
    """Pass on no telephone-event of `from_tag` any more; they are still logged (`--dtmf-log-dest`).

    security: what takes their place, such as "silence"; the audio is then transcoded, whatever its codecs are.
    """

    command = "block DTMF"
    reply_type = replies.Done
    call_id: str
    from_tag: str
    security: str | None = None


@dataclass(frozen=True, slots=True)
class UnblockDtmf(Command[replies.Done]):
    """Undo `BlockDtmf` of the same scope."""

    command = "unblock DTMF"
    reply_type = replies.Done
    call_id: str
    from_tag: str


@dataclass(frozen=True, slots=True)
class Query(Command[statistics.CallStatistics]):
    """Ask for the statistics of a call."""

    command = "query"
    reply_type = statistics.CallStatistics
    in_json = True
    call_id: str


@dataclass(frozen=True, slots=True)
class RawQuery(Command[statistics.RawStatistics]):
    """The same, with a reply that is read by somebody else: reading takes longer than all the rest of a call's end."""

    command = "query"
    reply_type = statistics.RawStatistics
    in_json = True
    call_id: str


@dataclass(frozen=True, slots=True)
class Delete(Command[replies.Done]):
    """End a call, even one that is not there (any more). `delete_delay_s` overrules the daemon's own delay."""

    command = "delete"
    reply_type = replies.Done
    call_id: str
    delete_delay_s: int | None = None


@dataclass(frozen=True, slots=True)
class List(Command[replies.ListReply]):
    """Ask for the call-ids of the calls there are, at most `limit`."""

    command = "list"
    reply_type = replies.ListReply
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Statistics(Command[replies.DaemonStatistics]):
    """Ask how much the daemon has to do, and since when it runs."""

    command = "statistics"
    reply_type = replies.DaemonStatistics


def command_to_ng(command: Command[R]) -> dict[str, Encodable]:
    """Write a command as ng dictionary; media options join the top level."""
    dictionary: dict[str, Encodable] = {"command": command.command}
    _put_fields(dictionary, command)
    return dictionary


def options_to_ng(options: MediaOptions) -> dict[str, Encodable]:
    """Write media options as they stand in a command."""
    dictionary: dict[str, Encodable] = {}
    _put_fields(dictionary, options)
    return dictionary


def command_to_bytes(command: Command[R]) -> bytes:
    """Write a command as bencode or JSON of `command_to_ng`, fast: this is on the path of every call.

    Keys and media options come out the same time and again, so their bytes are kept in order; only what differs
    from call to call is encoded anew.
    """
    if command.in_json:
        return json.dumps(command_to_ng(command)).encode()
    kind: Any = type(command)
    form, names = _form(kind, getattr(command, "options", None))
    items: list[bytes] = []
    for key, name in names:
        value = getattr(command, name)
        if isinstance(value, str):
            data = value.encode()
            items.append(b"%b%d:%b" % (key, len(data), data))
        else:
            items.append(b"" if value is None else key + bencode.encode(value))
    return form % tuple(items)


@functools.lru_cache(maxsize=256)
def _form(kind: type[Any], options: MediaOptions | None) -> tuple[bytes, tuple[tuple[bytes, str], ...]]:
    """Return what commands of this kind have in common, with gaps, and the key and attribute of each gap.

    Command classes are few, and so are the media options of a site.
    """
    dictionary: dict[str, Encodable] = {"command": kind.command}
    if options is not None:
        _put_fields(dictionary, options)
    attributes = {
        NG_KEYS.get(item.name, item.name): item.name for item in fields(kind) if item.name != "options"
    }
    form, names = b"d", []
    for key in sorted({*dictionary, *attributes}):
        if key in attributes:
            form += b"%b"
            names.append((bencode.encode(key), attributes[key]))
        else:
            form += (bencode.encode(key) + bencode.encode(dictionary[key])).replace(b"%", b"%%")
    return form + b"e", tuple(names)


def reply_from_ng(command: Command[R], dictionary: "replies.Dictionary") -> R:
    """Read the reply to a command that was sent as bencode.

    Raises NgErrorReply when the daemon refused the command, NgBadDatagram when the reply cannot be read.
    """
    replies.raise_if_refused(command.command, dictionary)
    # `reply_type` and R are set side by side in every class above; ClassVar cannot name a type variable.
    return command.reply_type.from_ng(dictionary)  # type: ignore[return-value]


def _put_fields(dictionary: dict[str, Encodable], value: object) -> None:
    assert is_dataclass(value)
    for item in fields(value):
        content = getattr(value, item.name)
        if isinstance(content, MediaOptions):
            _put_fields(dictionary, content)
        elif isinstance(content, CodecRules):
            rules: dict[str, Encodable] = {}
            _put_fields(rules, content)
            if rules:
                dictionary["codec"] = rules
        elif content is not None and content != ():
            dictionary[NG_KEYS.get(item.name, item.name)] = content
