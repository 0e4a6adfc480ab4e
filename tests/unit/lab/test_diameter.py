"""Diameter messages survive the way to bytes and back; what is cut short is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.ims.diameter import (
    CX_APPLICATION,
    FLAG_REQUEST,
    Avp,
    AvpKind,
    Command,
    MalformedDiameter,
    Message,
    avp,
    avps_from_bytes,
    avps_to_bytes,
    length_from_bytes,
    message_from_bytes,
    message_to_bytes,
)

avps = st.lists(
    st.builds(Avp, st.integers(1, 2**32 - 1), st.sampled_from([0, 10415]), st.binary(max_size=40)), max_size=6
)


@given(avps)
def test_avps_come_back_as_they_were(items: list[Avp]) -> None:
    assert avps_from_bytes(avps_to_bytes(items)) == items


@given(avps)
def test_a_message_comes_back_as_it_was(items: list[Avp]) -> None:
    message = Message(Command.MULTIMEDIA_AUTH, FLAG_REQUEST, CX_APPLICATION, 7, 8, items)
    data = message_to_bytes(message)
    assert length_from_bytes(data) == len(data)
    assert message_from_bytes(data) == message


def test_a_vendor_avp_is_written_as_the_rfc_draws_it() -> None:
    written = avps_to_bytes([avp(AvpKind.SERVER_NAME, "sip:x")])
    assert written.hex() == "0000025ac0000011000028af" + b"sip:x".hex() + "000000"


def test_a_grouped_avp_holds_its_members() -> None:
    inner = avp(AvpKind.VENDOR_ID, 10415)
    outer = avp(AvpKind.VENDOR_SPECIFIC_APPLICATION_ID, [inner])
    assert avps_from_bytes(outer.value) == [inner]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes.fromhex("0000025a c0000100 000028af"), id="longer-than-the-message"),
        pytest.param(bytes.fromhex("0000025a 40000004"), id="shorter-than-its-head"),
    ],
)
def test_an_avp_with_an_impossible_length_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedDiameter):
        avps_from_bytes(data)


def test_a_message_without_a_whole_header_is_refused() -> None:
    with pytest.raises(MalformedDiameter):
        message_from_bytes(b"\x01\x00\x00\x04")


def test_an_answer_keeps_the_identifiers_and_drops_the_request_flag() -> None:
    answer = Message(Command.LOCATION_INFO, 0xC0, CX_APPLICATION, 7, 8, []).answer([])
    assert (answer.hop_by_hop, answer.end_to_end, answer.is_request, answer.flags) == (7, 8, False, 0x40)
