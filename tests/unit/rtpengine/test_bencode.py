"""rtpengine.ng.bencode: BEP 3, with rtpengine's habits."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtpengine.ng.bencode import MAX_DEPTH, MAX_SIZE_BYTES, Decoded, Encodable, decode, encode
from rtpengine.ng.errors import NgBadDatagram

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
DECODED = st.recursive(
    INT64 | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def with_byte_keys(value: Encodable) -> Decoded:
    """Turn what was encoded into what decoding it must give."""
    if isinstance(value, dict):
        return {key.encode(): with_byte_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_byte_keys(item) for item in value]
    assert isinstance(value, int | bytes)
    return value


class TestEncode:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param(0, b"i0e", id="zero"),
            pytest.param(-7, b"i-7e", id="negative"),
            pytest.param("", b"0:", id="empty text"),
            pytest.param("ü", b"2:\xc3\xbc", id="length is in bytes"),
            pytest.param(b"\x00\xff", b"2:\x00\xff", id="bytes"),
            pytest.param(("a", 1), b"l1:ai1ee", id="tuple"),
            pytest.param({"sdp": "x", "ICE": "y"}, b"d3:ICE1:y3:sdp1:xe", id="keys are sorted"),
        ],
    )
    def test_values_are_written_in_canonical_form(self, value: Encodable, expected: bytes) -> None:
        assert encode(value) == expected

    @pytest.mark.parametrize("value", [True, None, 1.5, {1: "a"}, {"a": {1}}], ids=repr)
    def test_types_the_protocol_lacks_are_refused(self, value: Encodable) -> None:
        with pytest.raises(TypeError):
            encode(value)

    def test_integers_beyond_64_bits_are_refused(self) -> None:
        with pytest.raises(OverflowError):
            encode(2**63)


class TestDecode:
    @given(DECODED)
    def test_what_was_encoded_comes_back(self, value: Encodable) -> None:
        assert decode(encode(value)) == with_byte_keys(value)

    @given(st.binary(max_size=200))
    def test_garbage_raises_nothing_but_bad_datagram(self, data: bytes) -> None:
        with contextlib.suppress(NgBadDatagram):
            decode(data)

    @given(DECODED, st.data())
    def test_a_message_cut_short_is_refused(self, value: Encodable, data: st.DataObject) -> None:
        whole = encode(value)
        cut = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
        with pytest.raises(NgBadDatagram):
            decode(whole[:cut])

    def test_the_last_of_equal_keys_counts_because_rtpengine_26_repeats_one(self) -> None:
        assert decode(b"d1:a1:b1:a1:ce") == {b"a": b"c"}

    def test_unsorted_keys_are_accepted_because_rtpengine_sends_them(self) -> None:
        assert decode(b"d6:result2:ok3:sdp1:x4:SSRCdee") == {b"result": b"ok", b"sdp": b"x", b"SSRC": {}}

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            pytest.param(b"", "message ends early", id="nothing"),
            pytest.param(b"i1ei2e", "trailing data", id="two values"),
            pytest.param(b"i01e", "invalid integer", id="leading zero"),
            pytest.param(b"i-0e", "invalid integer", id="negative zero"),
            pytest.param(b"ie", "invalid integer", id="no digits"),
            pytest.param(b"i+1e", "invalid integer", id="plus sign"),
            pytest.param(b"i 1e", "invalid integer", id="space in integer"),
            pytest.param(b"i9223372036854775808e", "integer beyond 64 bits", id="2 to the 63rd"),
            pytest.param(b"i" + b"1" * 30 + b"e", "integer too long", id="endless integer"),
            pytest.param(b"01:a", "invalid string length", id="length with leading zero"),
            pytest.param(b"-1:a", "unknown type", id="negative length"),
            pytest.param(b"1x:a", "invalid string length", id="length that is no number"),
            pytest.param(b"9" * 30 + b":", "invalid string length", id="endless length"),
            pytest.param(b"5:abc", "message ends early", id="string cut short"),
            pytest.param(b"di1ei2ee", "dictionary key is not a string", id="integer as key"),
            pytest.param(b"d1:ae", "unknown type", id="key without value"),
            pytest.param(b"x", "unknown type", id="unknown type"),
        ],
    )
    def test_a_broken_message_is_refused_with_its_problem(self, data: bytes, problem: str) -> None:
        with pytest.raises(NgBadDatagram) as caught:
            decode(data)
        assert caught.value.problem == problem

    def test_nesting_is_limited(self) -> None:
        assert decode(b"l" * MAX_DEPTH + b"e" * MAX_DEPTH)
        with pytest.raises(NgBadDatagram, match="nested too deep"):
            decode(b"l" * (MAX_DEPTH + 1) + b"e" * (MAX_DEPTH + 1))

    def test_size_is_limited(self) -> None:
        with pytest.raises(NgBadDatagram, match="too large"):
            decode(b"%d:%b" % (MAX_SIZE_BYTES, b"x" * MAX_SIZE_BYTES))
