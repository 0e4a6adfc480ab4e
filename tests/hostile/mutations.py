"""How a real message is spoiled: bytes in, bytes out, all of it drawn from one seeded source.

Knows what parsers and proxies stumble over. Must not know where a mutant is sent.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

CRLF: Final = b"\r\n"
METHODS: Final = (
    b"INVITE", b"ACK", b"BYE", b"CANCEL", b"PRACK", b"UPDATE", b"INFO", b"REFER", b"NOTIFY", b"OPTIONS", b"MESSAGE",
    b"SUBSCRIBE", b"REGISTER", b"PUBLISH", b"FOO",
)  # fmt: skip
STATUSES: Final = (
    b"100",
    b"180",
    b"183",
    b"200",
    b"302",
    b"401",
    b"408",
    b"481",
    b"486",
    b"491",
    b"503",
    b"699",
    b"0",
)
NUMBERS: Final = (
    b"0", b"-1", b"1", b"2147483647", b"2147483648", b"4294967296", b"18446744073709551616", b"9" * 5000, b"00001",
    b"1e3", b"0x10", b"\xd9\xa3", b"",
)  # fmt: skip
_LONG: Final = 9000
_NUMERIC: Final = (
    b"cseq", b"content-length", b"max-forwards", b"rack", b"rseq", b"expires", b"session-expires", b"min-se",
)  # fmt: skip
_DIALOG: Final = (b"from", b"to", b"call-id", b"cseq", b"via", b"contact")
STRANGE: Final = (
    b"\0", b"\xff\xfe", b'"', b"<", b">", b";", b",", b"\\", b"%00", b"%0d%0a", b"\r", b"\n", b"\r\n ", b"\t", b"=",
    b";tag=", b";branch=z9hG4bK", b"<sip:", b";lr", b"?Route=%3Csip:evil.example%3E", b"\xf0\x9f\x92\xa3",
)  # fmt: skip


@dataclass
class Draft:
    """A message taken apart: start line, header lines, body."""

    start: bytes
    lines: list[bytes]
    body: bytes
    exact: bool = True
    """Whether Content-Length is set right when it is put together."""
    fresh: bool = True
    """Whether the topmost Via gets a branch of its own, so that it is a new transaction."""
    tail: bytes = b""

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return not self.start.startswith(b"SIP/")

    def places(self, *names: bytes) -> list[int]:
        """Return where header fields of these names are."""
        return [number for number, line in enumerate(self.lines) if name_of(line) in names]


@dataclass
class World:
    """What mutants may borrow of the calls that run."""

    messages: Sequence[bytes] = ()
    call_ids: Sequence[bytes] = ()
    tags: Sequence[bytes] = ()
    uris: Sequence[bytes] = (b"sip:bob@ims.example", b"tel:+4930123", b"sip:evil@evil.example")
    addresses: Sequence[bytes] = (b"127.0.0.1:9", b"[::1]:5060", b"evil.example")
    names: list[str] = field(default_factory=list)


def name_of(line: bytes) -> bytes:
    """Return a header line's name in lower case."""
    return line.partition(b":")[0].strip().lower()


def taken_apart(message: bytes) -> Draft:
    """Take a well-formed message apart."""
    head, _, body = message.partition(CRLF + CRLF)
    start, *lines = head.split(CRLF)
    return Draft(start, lines, body)


def put_together(draft: Draft, random_: random.Random) -> bytes:
    """Write a draft."""
    lines = list(draft.lines)
    if draft.fresh and draft.is_request:
        for place in draft.places(b"via", b"v")[:1]:
            branch = b"branch=z9hG4bK%016x" % random_.getrandbits(64)
            lines[place] = re.sub(rb"branch=[^;,\s]*", branch, lines[place], count=1)
    if draft.exact:
        length = b"Content-Length: %d" % len(draft.body)
        lines = [line for line in lines if name_of(line) not in (b"content-length", b"l")] + [length]
    return CRLF.join([draft.start, *lines]) + CRLF + CRLF + draft.body + draft.tail


# ---------------------------------------------------------------- what can be done to a message

Mutation = Callable[[Draft, World, random.Random], None]


def drop_header(draft: Draft, _world: World, rng: random.Random) -> None:
    """Take a header field away."""
    if draft.lines:
        draft.lines.pop(rng.randrange(len(draft.lines)))


def double_header(draft: Draft, _world: World, rng: random.Random) -> None:
    """Write a header field twice, sometimes thirty times."""
    if draft.lines:
        place = rng.randrange(len(draft.lines))
        draft.lines[place:place] = [draft.lines[place]] * rng.choice((1, 1, 1, 30))


def reorder(draft: Draft, _world: World, rng: random.Random) -> None:
    """Put the header fields in another order."""
    rng.shuffle(draft.lines)


def borrow_header(draft: Draft, world: World, rng: random.Random) -> None:
    """Take a header field of another message, beside the own one or in its place."""
    if not world.messages:
        return
    other = taken_apart(rng.choice(world.messages))
    if not other.lines:
        return
    line = rng.choice(other.lines)
    places = draft.places(name_of(line))
    if places and rng.random() < 0.7:
        draft.lines[rng.choice(places)] = line
    else:
        draft.lines.insert(rng.randrange(len(draft.lines) + 1), line)


def other_method(draft: Draft, _world: World, rng: random.Random) -> None:
    """Make another request of it; CSeq says so, too, or not."""
    method = rng.choice(METHODS)
    if not draft.is_request:
        return
    draft.start = b" ".join([method, *draft.start.split(b" ")[1:]])
    if rng.random() < 0.8:
        for place in draft.places(b"cseq"):
            draft.lines[place] = re.sub(rb"[A-Z]+$", method, draft.lines[place])


def other_status(draft: Draft, _world: World, rng: random.Random) -> None:
    """Give a response another status."""
    if not draft.is_request:
        draft.start = b"SIP/2.0 " + rng.choice(STATUSES) + b" Mutant"


def as_response(draft: Draft, _world: World, rng: random.Random) -> None:
    """Make a response of a request, and the other way round."""
    if draft.is_request:
        draft.start = b"SIP/2.0 " + rng.choice(STATUSES) + b" Mutant"
    else:
        draft.start = rng.choice(METHODS) + b" " + rng.choice((b"sip:x@y", b"tel:+1")) + b" SIP/2.0"


def other_number(draft: Draft, _world: World, rng: random.Random) -> None:
    """Change a number where one stands: CSeq, RAck, lengths, times."""
    places = draft.places(*_NUMERIC)
    if places:
        place = rng.choice(places)
        if name_of(draft.lines[place]) == b"content-length":
            draft.exact = False
        number = rng.choice(NUMBERS) if rng.random() < 0.6 else b"%d" % rng.randrange(200)
        draft.lines[place] = re.sub(rb"\d+", lambda _found: number, draft.lines[place], count=1)


def wrong_length(draft: Draft, _world: World, rng: random.Random) -> None:
    """Say another length than the body has, or cut the body."""
    draft.exact = False
    places = draft.places(b"content-length", b"l")
    length = b"Content-Length: %d" % max(0, len(draft.body) + rng.choice((-20, -2, -1, 1, 2, 500, 100_000)))
    if places:
        draft.lines[places[0]] = length
    else:
        draft.lines.append(length)
    if rng.random() < 0.4:
        draft.body = draft.body[: rng.randrange(len(draft.body) + 1)]


def other_tag(draft: Draft, world: World, rng: random.Random) -> None:
    """Change, add or remove a tag."""
    places = draft.places(b"from", b"to", b"f", b"t")
    if places:
        place = rng.choice(places)
        line = re.sub(rb";\s*tag=[^;\s]*", b"", draft.lines[place])
        new = rng.choice((b"", b";tag=", b";tag=x", b";tag=a;tag=b", b";tag=" + b"t" * _LONG))
        if world.tags and rng.random() < 0.5:
            new = b";tag=" + rng.choice(world.tags)
        draft.lines[place] = line + new


def other_call_id(draft: Draft, world: World, rng: random.Random) -> None:
    """Say the Call-ID of another call, or of none."""
    for place in draft.places(b"call-id", b"i"):
        known = rng.choice(world.call_ids) if world.call_ids and rng.random() < 0.7 else b"none@mutant"
        draft.lines[place] = b"Call-ID: " + known


def other_branch(draft: Draft, _world: World, rng: random.Random) -> None:
    """Keep the branch of the original (another message in its transaction), or write one that is none."""
    draft.fresh = False
    if rng.random() < 0.4:
        for place in draft.places(b"via", b"v")[:1]:
            branch = rng.choice(
                (b"", b"branch=", b"branch=1", b"branch=z9hG4bK", b"branch=z9hG4bK" + b"b" * _LONG)
            )
            draft.lines[place] = re.sub(rb"branch=[^;,\s]*", branch, draft.lines[place], count=1)


def routes(draft: Draft, world: World, rng: random.Random) -> None:
    """Write Via, Route, Record-Route or Path that point somewhere else."""
    where = rng.choice(world.addresses)
    lines = {
        b"via": b"Via: SIP/2.0/UDP " + where + b";branch=z9hG4bKspoofed;received=192.0.2.1;rport=9",
        b"route": b"Route: <sip:" + where + b";lr>",
        b"record-route": b"Record-Route: <sip:" + where + b";lr>",
        b"path": b"Path: <sip:token@" + where + b";lr>",
        b"contact": b"Contact: <sip:mutant@" + where + b">",
    }
    line = rng.choice(list(lines.values()))
    first = rng.random() < 0.5
    for _ in range(rng.choice((1, 1, 1, 70))):
        draft.lines.insert(0 if first else len(draft.lines), line)


def other_uri(draft: Draft, world: World, rng: random.Random) -> None:
    """Change a URI: that of the request, or one in a header field."""
    uri = rng.choice(world.uris) if rng.random() < 0.7 else b"sip:" + rng.choice(STRANGE) + b"@x"
    words = draft.start.split(b" ")
    if draft.is_request and len(words) == 3 and rng.random() < 0.5:
        draft.start = b" ".join([words[0], uri, words[2]])
    else:
        places = draft.places(*_DIALOG, b"route", b"record-route", b"refer-to")
        if places:
            place = rng.choice(places)
            draft.lines[place] = re.sub(
                rb"<[^>]*>", lambda _found: b"<" + uri + b">", draft.lines[place], count=1
            )


def strange_bytes(draft: Draft, _world: World, rng: random.Random) -> None:
    """Put strange bytes somewhere: into a header field, the start line or the body."""
    piece = rng.choice(STRANGE) * rng.choice((1, 1, 1, 2, 200))
    where = rng.random()
    if where < 0.7 and draft.lines:
        place = rng.randrange(len(draft.lines))
        at = rng.randrange(len(draft.lines[place]) + 1)
        draft.lines[place] = draft.lines[place][:at] + piece + draft.lines[place][at:]
    elif where < 0.8:
        at = rng.randrange(len(draft.start) + 1)
        draft.start = draft.start[:at] + piece + draft.start[at:]
    else:
        at = rng.randrange(len(draft.body) + 1)
        draft.body = draft.body[:at] + piece + draft.body[at:]


def long_value(draft: Draft, _world: World, rng: random.Random) -> None:
    """Make a value very long."""
    if draft.lines:
        place = rng.randrange(len(draft.lines))
        piece = rng.choice((b"x", b";a=b", b",", b" ", b"<", b'"', b"\\", b"%41"))
        draft.lines[place] += piece * (_LONG // len(piece))


def fold(draft: Draft, _world: World, rng: random.Random) -> None:
    """Fold a header field, or write its name in another way."""
    if draft.lines:
        place = rng.randrange(len(draft.lines))
        name, _, value = draft.lines[place].partition(b":")
        draft.lines[place] = rng.choice(
            (
                name + b":\r\n " + value,
                name + b" \t:" + value,
                name.swapcase() + b":" + value,
                name + b":" + value + b"\r\n ",
            )
        )


def other_body(draft: Draft, world: World, rng: random.Random) -> None:
    """Change the body: another message's, lines of the description mixed, doubled or gone, none at all."""
    how = rng.randrange(5)
    lines = draft.body.split(CRLF)
    if how == 0:
        draft.body = b""
    elif how == 1 and world.messages:
        draft.body = taken_apart(rng.choice(world.messages)).body
    elif how == 2:
        rng.shuffle(lines)
        draft.body = CRLF.join(lines)
    elif how == 3:
        draft.body = CRLF.join(line for line in lines if rng.random() < 0.8)
    else:
        draft.body = CRLF.join(line for line in lines for _ in range(rng.choice((1, 1, 1, 1, 2, 40))))


def other_type(draft: Draft, _world: World, rng: random.Random) -> None:
    """Say that the body is something else."""
    types = (b"", b"text/plain", b"application/sdp;x=" + b"y" * 500, b"multipart/mixed;boundary=b",
             b"application/dtmf-relay", b"application/reginfo+xml", b"message/sipfrag")  # fmt: skip
    draft.lines = [line for line in draft.lines if name_of(line) not in (b"content-type", b"c")]
    draft.lines.append(b"Content-Type: " + rng.choice(types))


def requirements(draft: Draft, _world: World, rng: random.Random) -> None:
    """Ask for what nobody expects here."""
    draft.lines.append(rng.choice(_UNEXPECTED))


_UNEXPECTED: Final = (
    b"Require: 100rel", b"Require: precondition, foo", b"Supported: timer, replaces, 100rel", b"Session-Expires: 1",
    b"Min-SE: 999999", b"RSeq: 1", b"RAck: 1 1 INVITE", b"Replaces: x;to-tag=a;from-tag=b", b"Event: reg",
    b"Refer-To: <sip:evil@evil.example>", b"Proxy-Require: foo", b"P-Asserted-Identity: <sip:smuggled@x>",
    b"Max-Forwards: 0", b"Subscription-State: terminated", b"Privacy: id;critical", b"Join: a;to-tag=b;from-tag=c",
)  # fmt: skip


def two_messages(draft: Draft, world: World, rng: random.Random) -> None:
    """Put another message behind it."""
    if world.messages:
        draft.tail = rng.choice(world.messages)


def nothing(_draft: Draft, _world: World, _rng: random.Random) -> None:
    """Leave it as it is: the right message at the wrong time, or from the wrong side."""


MUTATIONS: Final[tuple[Mutation, ...]] = (
    drop_header, double_header, reorder, borrow_header, other_method, other_status, as_response, other_number,
    wrong_length, other_tag, other_call_id, other_branch, routes, other_uri, strange_bytes, long_value, fold,
    other_body, other_type, requirements, two_messages, nothing,
)  # fmt: skip
_TAG: Final = re.compile(rb";tag=([^;\s>]+)")


def borrowed_from(messages: Sequence[bytes]) -> World:
    """Return what these messages lend."""
    drafts = [taken_apart(one) for one in messages]
    lines = [line for draft in drafts for line in draft.lines]
    return World(
        messages=messages,
        call_ids=sorted({line.partition(b":")[2].strip() for line in lines if name_of(line) == b"call-id"}),
        tags=sorted({tag for line in lines for tag in _TAG.findall(line)}),
    )


def mutant(message: bytes, world: World, rng: random.Random) -> tuple[str, bytes]:
    """Return a spoiled message, and what was done to it."""
    draft = taken_apart(message)
    chosen = rng.choices(MUTATIONS, k=rng.choice((1, 1, 1, 2, 2, 3)))
    for mutation in chosen:
        mutation(draft, world, rng)
    return "+".join(mutation.__name__ for mutation in chosen), put_together(draft, rng)
