"""Datagrams of rtpengine's DTMF log: read strictly, told in order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtpengine.agent.dtmf import (
    MOST_WAITING,
    DtmfReceiver,
    KeyPress,
    body_of,
    is_pressed,
    key_press_from_bytes,
)
from rtpengine.dtmf import VOLUME

NODE = ("127.0.0.1", 2223)


def datagram(
    call_id: str = "call", tag: str = "ims", event: int = 7, duration: int = 160, volume: int = 10
) -> bytes:
    """Write what rtpengine 10.5.3 writes."""
    return (
        f'{{"callid":"{call_id}","source_tag":"{tag}","tags":["wic","ims"],"type":"DTMF","timestamp":1795363483,'
        f'"source_ip":"127.0.0.9","event":{event},"duration":{duration},"volume":{volume}}}'
    ).encode()


@pytest.mark.parametrize("label", ["", ',"source_label":""'], ids=["10.5", "12.5"])
def test_a_datagram(label: str) -> None:
    data = datagram().replace(b'"ims","tags"', b'"ims"%b,"tags"' % label.encode())
    assert key_press_from_bytes(data) == KeyPress("call", "ims", 7, 160, 10)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="empty"),
        pytest.param(datagram('a","callid":"victim'), id="Call-ID that writes on"),
        pytest.param(datagram("a\\"), id="Call-ID that escapes"),
        pytest.param(datagram(event=256), id="no event"),
        pytest.param(datagram() + datagram(), id="two"),
        pytest.param(datagram().replace(b'"call"', b'"\xff"'), id="no UTF-8"),
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert key_press_from_bytes(data) is None


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    key_press_from_bytes(data)


async def test_those_of_a_call_are_told_in_order_and_calls_do_not_wait_for_each_other() -> None:
    told: list[tuple[str, int]] = []
    hold = asyncio.Event()

    async def tell(pressed: KeyPress) -> None:
        if pressed.call_id == "slow":
            await hold.wait()
        told.append((pressed.call_id, pressed.event))

    receiver = DtmfReceiver(tell, is_pressed)
    for event in range(16):
        receiver.datagram_received(datagram("slow", event=event), NODE)
        receiver.datagram_received(datagram("quick", event=event), NODE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == [("quick", event) for event in range(16)]
    hold.set()
    await asyncio.sleep(0.01)
    assert told[16:] == [("slow", event) for event in range(16)]


async def test_only_what_somebody_pressed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[dict[str, object]] = []

    async def tell(pressed: KeyPress) -> None:
        told.append(body_of(pressed))
        raise OSError("secret")

    receiver = DtmfReceiver(tell, is_pressed, frozenset({"127.0.0.1"}))
    receiver.datagram_received(datagram(tag="wic", volume=VOLUME), NODE)  # played
    receiver.datagram_received(datagram(tag="key frames"), NODE)
    receiver.datagram_received(datagram(), ("127.0.0.66", 9))
    receiver.datagram_received(b'{"event":7', NODE)
    receiver.datagram_received(datagram(event=5), NODE)
    receiver.datagram_received(datagram(event=6, volume=VOLUME), NODE)
    receiver.datagram_received(datagram(event=7, tag="wic"), NODE)
    await asyncio.sleep(0.01)
    assert [(one["event"], one["source_tag"]) for one in told] == [
        (5, "ims"),
        (6, "ims"),
        (7, "wic"),
    ]  # the first one's failure costs the second one nothing
    assert "secret" not in caplog.text
    assert "event=dtmf_unreadable" in caplog.text


async def test_a_flood_of_one_call_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    told: list[KeyPress] = []

    async def tell(pressed: KeyPress) -> None:
        told.append(pressed)

    receiver = DtmfReceiver(tell, is_pressed)
    for _ in range(MOST_WAITING + 5):
        receiver.datagram_received(datagram(), NODE)
    await asyncio.sleep(0.01)
    assert len(told) == MOST_WAITING
    assert "event=dtmf_dropped" in caplog.text
