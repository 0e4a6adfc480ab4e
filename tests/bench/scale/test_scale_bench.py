"""The bench of scale measures what it says: a small run for real, and its table."""

from __future__ import annotations

import pytest

from tests.bench.callee import fields_from_request, first_field
from tests.bench.frames import TEXT
from tests.bench.registration.page import PageIdentity, RegisteringPage
from tests.bench.scale import calls, registrations
from tests.bench.scale.__main__ import table
from tests.bench.scale.holder import HeldCall
from tests.bench.scale.processes import Spent

INVITE = (
    "INVITE sip:x@page.invalid SIP/2.0\r\nVia: SIP/2.0/WS a;branch=1\r\nVia: SIP/2.0/UDP b;branch=2\r\n"
    "From: <sip:c@d>;tag=1\r\nTo: <sip:e@f>\r\nCall-ID: g\r\nCSeq: 1 INVITE\r\n\r\n"
)


def server_frame(text: str) -> bytes:
    payload = text.encode()
    return bytes((0x80 | TEXT, 126, len(payload) >> 8, len(payload) & 255)) + payload


def test_a_page_of_the_bench_takes_no_calls() -> None:
    page = RegisteringPage(PageIdentity("page7", "ims.test"), "https://page.example", {})
    page.upgrade("127.0.0.1:443", "/sip")
    page.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    sent, happening = page.received(server_frame(INVITE))
    assert happening is None
    answer = sent[8:]
    assert answer.startswith(b"SIP/2.0 486 ")
    fields = fields_from_request(answer)
    assert [value for name, value in fields if name == b"Via"] == [
        b"SIP/2.0/WS a;branch=1",
        b"SIP/2.0/UDP b;branch=2",
    ]
    assert first_field(fields, b"To").startswith(b"<sip:e@f>;tag=")


def test_a_held_call_is_answered_and_asked_about_but_not_ended() -> None:
    sent: list[str] = []
    became: list[str | None] = []
    asked: list[str | None] = []
    call = HeldCall(
        "h.invalid", "alice", sent.append, lambda _, why: became.append(why), realm="r", target="sip:b@r"
    )
    call.start()
    answer = "SIP/2.0 200 OK\r\nTo: <sip:b@r>;tag=2\r\nCSeq: 1 INVITE\r\nContact: <sip:gw@192.0.2.1>\r\n\r\n"
    for _ in range(2):  # a 200 that is sent once more gets its ACK, too
        call.received(answer, 0.0)
    call.ask(asked.append)
    call.ask(asked.append)
    assert [one.split()[0] for one in sent] == ["INVITE", "ACK", "ACK", "INFO", "INFO"]
    assert became == [None]
    call.received("SIP/2.0 481 Gone\r\nCSeq: 3 INFO\r\n\r\n", 0.0)
    call.received("SIP/2.0 200 OK\r\nCSeq: 2 INFO\r\n\r\n", 0.0)
    assert asked == ["INFO 481", None]


def test_what_is_used_when_nothing_happens_is_taken_out() -> None:
    assert Spent(2.0, 1.0).without(Spent(4.0, 0.4)) == pytest.approx(0.8)


def test_the_table_has_a_column_for_each_size() -> None:
    lines = table(
        "held", [{"held": 10, "a": 1.0, "b": {"x": 2.0}}, {"held": 1000, "a": 3.0, "b": {"y": 4.0}}]
    )
    assert [line.split() for line in lines.splitlines()] == [
        ["held", "10", "1,000"],
        ["a", "1", "3"],
        ["b:", "x", "2", "0"],
        ["b:", "y", "0", "4"],
    ]


@pytest.mark.lab
class TestSmallRun:
    """What the bench does, in seconds."""

    def test_registrations_are_held(self) -> None:
        (found,) = registrations.measure((120,), 150, 0.3, settle_s=0.1)
        assert (found.held, found.connected, found.failures) == (120, 120, {})
        assert min(found.register_ms, found.new_page_ms, found.call_to_page_ms) > 0
        assert "housekeeping" in found.idle_by_kind

    def test_calls_are_held_and_asked_about(self) -> None:
        (found,) = calls.measure((3,), 0.3, settle_s=0.1)
        assert (found.held, found.failures) == (3, {})
        assert min(found.call_ms, found.request_ms) > 0
