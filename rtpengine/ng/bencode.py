"""Bencode (BEP 3) as rtpengine speaks it: bytes in, bytes out, no I/O.

Strict where strictness protects us, lenient where rtpengine is: keys of a dictionary need not be sorted, and the last
of equal ones counts. Leading zeros, trailing bytes and numbers beyond 64 bits are not accepted.
Decoded strings stay `bytes`: the caller knows which of them are text.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from rtpengine.ng.errors import NgBadDatagram

Encodable: TypeAlias = "int | str | bytes | list[Encodable] | tuple[Encodable, ...] | dict[str, Encodable]"
Decoded: TypeAlias = "int | bytes | list[Decoded] | dict[bytes, Decoded]"

# The largest payload of a UDP datagram over IPv4.
MAX_SIZE_BYTES: Final = 65_507
# A query reply nests seven levels deep.
MAX_DEPTH: Final = 16
_INT64: Final = range(-(2**63), 2**63)
_MAX_INTEGER_CHARS: Final = 20

_I, _L, _D, _E, _0, _9, _COLON = b"ilde09:"


def encode(value: Encodable) -> bytes:
    """Encode integers, text (as UTF-8), bytes, lists, tuples and dictionaries; keys come out sorted.

    Raises TypeError for any other type, booleans included: the protocol has none.
    """
    parts: list[bytes] = []
    _append(value, parts.append)
    return b"".join(parts)


def _append(value: Encodable, add: Callable[[bytes], None]) -> None:
    if isinstance(value, str):
        text = value.encode()
        add(b"%d:%b" % (len(text), text))
    elif isinstance(value, dict):
        add(b"d")
        for key in sorted(value):
            if not isinstance(key, str):
                raise TypeError("dictionary key is not text")
            _append(key, add)
            _append(value[key], add)
        add(b"e")
    elif isinstance(value, list | tuple):
        add(b"l")
        for item in value:
            _append(item, add)
        add(b"e")
    elif isinstance(value, bytes):
        add(b"%d:%b" % (len(value), value))
    elif isinstance(value, int) and not isinstance(value, bool):
        if value not in _INT64:
            raise OverflowError("integer beyond 64 bits")
        add(b"i%de" % value)
    else:
        raise TypeError(f"bencode has no {type(value).__name__}")


def decode(data: bytes) -> Decoded:
    """Decode exactly one value that fills `data`; raises NgBadDatagram for anything else."""
    if len(data) > MAX_SIZE_BYTES:
        raise NgBadDatagram("message too large")
    try:
        value, end = _value(data, 0, 0)
    except IndexError:
        raise NgBadDatagram("message ends early", len(data)) from None
    if end != len(data):
        raise NgBadDatagram("trailing data", end)
    return value


def _value(data: bytes, at: int, depth: int) -> "tuple[Decoded, int]":
    """Decode the value that starts at `at`; IndexError means that the data ended early."""
    lead = data[at]
    if _0 <= lead <= _9:
        return _string(data, at)
    if lead == _D:
        if depth == MAX_DEPTH:
            raise NgBadDatagram("nested too deep", at)
        return _dictionary(data, at, depth + 1)
    if lead == _I:
        return _integer(data, at)
    if lead == _L:
        if depth == MAX_DEPTH:
            raise NgBadDatagram("nested too deep", at)
        return _list(data, at, depth + 1)
    raise NgBadDatagram("unknown type", at)


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    length = data[at] - _0
    colon = at + 1
    # Digit by digit: most lengths have one or two, and this is the hot loop.
    while (byte := data[colon]) != _COLON:
        if not _0 <= byte <= _9 or length == 0 or length > MAX_SIZE_BYTES:
            raise NgBadDatagram("invalid string length", at)
        length = length * 10 + byte - _0
        colon += 1
    end = colon + 1 + length
    if end > len(data):
        raise IndexError
    return data[colon + 1 : end], end


def _integer(data: bytes, at: int) -> tuple[int, int]:
    end = data.find(b"e", at + 1, at + 2 + _MAX_INTEGER_CHARS)
    if end < 0:
        if len(data) <= at + 1 + _MAX_INTEGER_CHARS:
            raise IndexError
        raise NgBadDatagram("integer too long", at)
    text = data[at + 1 : end]
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or (digits[0] == _0 and text != b"0"):
        raise NgBadDatagram("invalid integer", at)
    number = int(text)
    if number not in _INT64:
        raise NgBadDatagram("integer beyond 64 bits", at)
    return number, end + 1


def _list(data: bytes, at: int, depth: int) -> "tuple[list[Decoded], int]":
    items: list[Decoded] = []
    at += 1
    while data[at] != _E:
        item, at = _value(data, at, depth)
        items.append(item)
    return items, at + 1


def _dictionary(data: bytes, at: int, depth: int) -> "tuple[dict[bytes, Decoded], int]":
    items: dict[bytes, Decoded] = {}
    at += 1
    while (lead := data[at]) != _E:
        if not _0 <= lead <= _9:
            raise NgBadDatagram("dictionary key is not a string", at)
        key, value_at = _string(data, at)
        # The last of equal keys counts: rtpengine 26 lists an SSRC that two media of a call have twice.
        items[key], at = _value(data, value_at, depth)
    return items, at + 1
