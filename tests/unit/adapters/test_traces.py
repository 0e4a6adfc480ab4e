"""From a worker's notes to what is shipped: whose an entry is, what is left out, what waits while Redis is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from kemi.adapters.monitoring.hep_export import HepExport
from kemi.adapters.monitoring.trace_notes import SLOTS, TraceNotes
from kemi.adapters.monitoring.traces import (
    ALL_REFUSED_PER_MINUTE,
    MOST_OVER,
    REFUSED_PER_MINUTE,
    TraceKeeper,
)
from kemi.core.identity import ANONYMOUS
from kemi.core.trace.collecting import Collected
from kemi.core.trace.entries import Entry, What
from kemi.core.trace.settings import HepSettings, TraceSettings
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TracePortion, entries_from_bytes
from rtpengine.ng.commands import MediaOptions, Offer, command_to_ng
from rtpengine.ng.replies import SdpReply
from tests.fakes.ksr import FakeKamailio
from tests.fakes.table import MemoryTable
from tests.peers.hep import HepPacket, packet_from_bytes
from tests.unit.core.call.ladder import Call

BEGUN_S = 1_000_000_000.0


class Notes(MemoryTable):
    """The table between workers and housekeeping."""

    def take_all(self) -> list[str]:
        """As HtableTable does."""
        found = dict(self.items())
        for key in found:
            self.remove(key)
        return list(found.values())


def message(
    start: str, *, ws: bool = False, call_id: str = "c1", cseq: str = "1 INVITE", caller: str = "a"
) -> str:
    via = "WSS" if ws else "UDP"
    return (
        f"{start}\r\nVia: SIP/2.0/{via} h;branch=z9hG4bK1\r\nFrom: <sip:{caller}@b>;tag=f\r\nTo: <sip:c@d>\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
    )


INVITE = "INVITE sip:called@d SIP/2.0"


class Site:
    """A worker and the housekeeping process."""

    def __init__(self) -> None:
        self.table = Notes()
        self.worker = TraceNotes()
        self.worker.switch_on(self.table)
        self.worker.owner_of_current = lambda: ""
        self.keeper = TraceKeeper(TraceSettings(), self.table, "gw1")  # type: ignore[arg-type]
        self.redis: dict[str, list[TracePortion]] = {}
        self.up = True

    def put(self, portions: list[TracePortion], _rings: TraceRings, _now: float, _trim: bool) -> bool:
        for portion in portions if self.up else ():
            self.redis.setdefault(portion.head.key, []).append(portion)
        return self.up

    def refuse(self, text: str, why: str = "no such user", *, ws: bool = False, **of: str) -> None:
        """Let an INVITE come and be refused, as a worker's callbacks would."""
        self.worker.enter()
        self.worker.came(text, muted=False)
        self.worker.leave()
        self.worker.enter()
        told = {"call_id": of.get("call_id", "c1"), "method": "INVITE", "status": 404, "detail": why}
        self.worker.decided(logging.INFO, "request_rejected", told)
        self.worker.enter()
        self.worker.sent(message("SIP/2.0 404 Not Found", ws=ws, **of))
        self.worker.leave()
        self.worker.leave()

    def work(self, now: float = 3e9) -> None:
        for _ in range(50):  # each tick reads for a short time only
            self.keeper.work(now)
        self.keeper.ship(now, self.put)

    def entries(self, key: str) -> list[Entry]:
        return [one for portion in self.redis[key] for one in entries_from_bytes(portion.entries)]


@pytest.fixture
def site() -> Iterator[Site]:
    yield Site()


def test_one_note_for_a_step_and_all_of_it_shipped(site: Site) -> None:
    site.refuse(message(INVITE, ws=True), ws=True)
    assert len(dict(site.table.items())) == 1
    site.work()
    (portion,) = site.redis["c1"]
    head = portion.head
    assert (head.impu, head.peer, head.direction, head.node) == (
        "sip:a@b",
        "sip:called@d",
        "from_page",
        "gw1",
    )
    assert (head.status, head.why, head.by, head.failed) == (404, "no such user", "gateway", True)
    assert [(one.what, one.name, one.leg, one.incoming) for one in site.entries("c1")] == [
        (What.SIP, "INVITE", "page", True),
        (What.DECISION, "request_rejected", "", False),
        (What.SIP, "404 Not Found", "page", False),
    ]
    site.work(3e9 + 10)
    assert not site.keeper.calls.by_key


def test_the_cores_refused_invite_does_not_end_the_pages_call_with_its_call_id(site: Site) -> None:
    site.refuse(message(INVITE, ws=True), "first", ws=True)
    site.refuse(message(INVITE), "second")
    site.work()
    (first,), (second,) = site.redis["c1"], site.redis["c1;refused"]
    assert (first.head.why, first.head.direction) == ("first", "from_page")
    assert (second.head.why, second.head.direction, second.head.impu) == ("second", "to_page", "sip:c@d")
    assert [one.name for one in site.entries("c1;refused")] == ["INVITE", "request_rejected", "404 Not Found"]


def test_whom_a_page_calls_is_its_request_uri_without_what_is_dialled_later(site: Site) -> None:
    """What it writes in To leads nowhere, and is what it likes."""
    uri = "sip:+4990012345;postd=4711@ims.example;user=phone"
    site.refuse(message(f"INVITE {uri} SIP/2.0", ws=True), ws=True)
    site.work()
    (portion,) = site.redis["c1"]
    assert portion.head.peer == "sip:+4990012345@ims.example;user=phone"


def test_nobody_reads_in_a_head_what_follows_a_service_code(site: Site) -> None:
    record = Call.confirmed().record
    record.dialled = "sip:*21*4711%23@ims.example"
    site.worker.begins(record)
    site.work()
    (portion,) = site.redis[record.key]
    assert portion.head.peer == "sip:*21****@ims.example"


@pytest.mark.parametrize(
    ("privacy", "peer"),
    [
        ("Privacy: id", ANONYMOUS),
        ("Privacy: history\r\nprivacy : critical;\r\n User", ANONYMOUS),
        ("Privacy: header", ANONYMOUS),
        ("Privacy: history", "sip:a@b"),
        ("X-Privacy: id", "sip:a@b"),
    ],
)
def test_a_caller_who_does_not_want_to_be_known_is_nobody(site: Site, privacy: str, peer: str) -> None:
    site.refuse(message(INVITE).replace("Content", f"{privacy}\r\nContent"))
    site.work()
    (portion,) = site.redis["c1;refused"]
    assert (portion.head.impu, portion.head.peer) == ("sip:c@d", peer)


def test_nobody_fills_the_ring_with_refused_calls(site: Site) -> None:
    for number in range(REFUSED_PER_MINUTE + 5):
        site.refuse(message(INVITE, call_id=f"x{number}"), call_id=f"x{number}")
    site.work()
    assert len(site.redis) == REFUSED_PER_MINUTE
    for number in range(ALL_REFUSED_PER_MINUTE):
        name = f"y{number}"
        site.refuse(message(INVITE, call_id=name, caller=name), call_id=name, caller=name)
    for second in (1, 2):
        site.work(3e9 + second)
    assert REFUSED_PER_MINUTE < len(site.redis) <= ALL_REFUSED_PER_MINUTE
    site.keeper.work(3e9 + 61)
    site.refuse(message(INVITE, call_id="z"), call_id="z")
    site.work(3e9 + 62)
    assert "z;refused" in site.redis


def test_notes_that_nobody_takes_are_written_over(site: Site) -> None:
    for number in range(SLOTS + 50):
        site.refuse(message(INVITE, call_id=f"x{number}"), call_id=f"x{number}")
    assert len(dict(site.table.items())) == SLOTS


def test_what_is_no_call_leaves_no_note(site: Site) -> None:
    for text in (
        message("REGISTER sip:d SIP/2.0", cseq="1 REGISTER"),
        message("SIP/2.0 200 OK", cseq="1 REGISTER"),
        "GET / HTTP/1.1\r\n\r\n",
    ):
        site.worker.enter()
        site.worker.came(text, muted=False)
        site.worker.leave()
        site.worker.enter()
        site.worker.sent(text)
        site.worker.leave()
    site.worker.enter()
    site.worker.came(message(INVITE), muted=True)
    site.worker.sent(message(INVITE))
    site.worker.leave()
    assert not dict(site.table.items())
    # A response that only says what is allowed is one of a call.
    site.worker.enter()
    site.worker.came(message(INVITE).replace("Content", "Allow: INVITE, REGISTER\r\nContent"), muted=False)
    site.worker.leave()
    site.worker.enter()
    site.worker.leave()
    assert len(dict(site.table.items())) == 1


def test_what_redis_cannot_take_now_is_shipped_later(site: Site) -> None:
    site.up = False
    site.refuse(message(INVITE, ws=True), ws=True)
    site.work()
    assert not site.redis
    site.up = True
    site.work(3e9 + 10)
    assert [one.name for one in site.entries("c1")] == ["INVITE", "request_rejected", "404 Not Found"]


def test_while_redis_is_away_no_more_than_so_many_calls_wait(site: Site) -> None:
    site.up = False
    calls = site.keeper.calls.by_key
    calls["runs"] = Collected(key="runs", call_id="runs", began_at=BEGUN_S)
    for number in range(MOST_OVER + 500):
        name = f"c{number}"
        calls[name] = Collected(key=name, call_id=name, began_at=BEGUN_S, ended_at=BEGUN_S + 1)
        calls[name].add(Entry(at=BEGUN_S, what=What.STATE, name="answered"))
    site.keeper.ship(BEGUN_S + 10, site.put)
    assert list(calls)[:2] == ["runs", "c500"]


def test_a_clock_that_is_set_back_keeps_no_trace_waiting(site: Site) -> None:
    site.refuse(message(INVITE, ws=True), ws=True)
    site.work(time.time() - 3_600.0)
    assert [one.name for one in site.entries("c1")] == ["INVITE", "request_rejected", "404 Not Found"]
    assert not site.keeper.calls.by_key


def test_a_clock_that_is_set_back_gives_no_running_call_up(site: Site) -> None:
    site.keeper.calls.by_key["c1"] = call = Collected(key="c1", call_id="c1", began_at=BEGUN_S)
    call.add(Entry(at=BEGUN_S, what=What.STATE, name="answered"))
    site.keeper.ship(BEGUN_S - 3_600.0, site.put)
    assert [one.name for one in site.entries("c1")] == ["answered"]
    assert site.keeper.calls.by_key


ENDS = ("udp", "192.0.2.1", 5060, "192.0.2.7", 5070)


@pytest.mark.usefixtures("kamailio")
class TestCopies:
    """What a collector gets of the workers' notes."""

    @staticmethod
    def keeper(site: Site, realms: list[str], *, traces: bool) -> tuple[TraceKeeper, list[HepPacket]]:
        sent: list[HepPacket] = []
        copies = HepExport(HepSettings("192.0.2.9:9060", realms), "gw1", lambda _: "198.51.100.9")
        copies._collector = SimpleNamespace(send=lambda data: sent.append(packet_from_bytes(data)))  # type: ignore[assignment]
        site.worker.switch_on(site.table, lambda: ENDS)
        site.keeper = TraceKeeper(TraceSettings(enabled=traces), site.table, "gw1", copies)  # type: ignore[arg-type]
        return site.keeper, sent

    @pytest.mark.parametrize("traces", [True, False])
    def test_everything_with_and_without_traces(self, site: Site, traces: bool) -> None:
        _, sent = self.keeper(site, [], traces=traces)
        site.refuse(message(INVITE))
        site.worker.enter()
        site.worker.came(message("REGISTER sip:d SIP/2.0", cseq="1 REGISTER", call_id="r"), muted=False)
        site.worker.leave()
        site.worker.enter()
        site.worker.sent_to("sip:192.0.2.8:5090")
        site.worker.sent(message("OPTIONS sip:d SIP/2.0", cseq="1 OPTIONS", call_id="o"))
        site.worker.leave()
        site.work()
        assert bool(site.redis) == traces
        assert [packet.message.start_line.partition(" ")[0] for packet in sent] == [
            "INVITE",
            "SIP/2.0",
            "REGISTER",
            "OPTIONS",
        ]
        assert [packet.source for packet in sent][:2] == [("192.0.2.7", 5070), ("192.0.2.1", 5060)]
        assert sent[3].destination == ("192.0.2.8", 5090)

    def test_what_we_tell_ourselves_and_what_is_no_sip(self, site: Site) -> None:
        _, sent = self.keeper(site, [], traces=True)
        site.worker.sent_to("sip:192.0.2.1:5060")
        own = message("CANCEL sip:d SIP/2.0", cseq="1 CANCEL").replace("UDP h;", "UDP 192.0.2.1;")
        site.worker.enter()
        site.worker.sent_to("sip:192.0.2.1:5060")
        site.worker.sent(own)
        site.worker.leave()
        site.worker.came("GET / HTTP/1.1\r\n\r\n", muted=False)
        site.worker.came(message("OPTIONS sip:d SIP/2.0", cseq="1 OPTIONS"), muted=True)
        site.work()
        assert not sent

    def test_only_the_chosen_realms_and_what_a_call_is_known_for(self, site: Site) -> None:
        _, sent = self.keeper(site, ["trunk:acme"], traces=True)
        site.refuse(message(INVITE))
        site.worker.enter()
        site.worker.came(message(INVITE, call_id="t1"), muted=False)
        site.worker.leave()
        site.worker.enter()
        site.worker.passes("t1", "acme", "sip:1@a", "sip:+49@gw", "f")
        site.worker.leave()
        site.work()
        assert [packet.message.call_id for packet in sent] == ["t1"]

    def test_a_collector_that_is_away(self, kamailio: FakeKamailio, site: Site) -> None:
        def refuse(_: bytes) -> None:
            raise ConnectionRefusedError("nobody listens")

        keeper, _ = self.keeper(site, [], traces=True)
        keeper._copies._collector = SimpleNamespace(send=refuse)  # type: ignore[union-attr]
        site.refuse(message(INVITE))
        site.work()
        assert len(site.redis) == 1
        (series,) = (name for name in kamailio.tables["metric"] if "hep" in name)
        assert "failed" in series


def test_digits_to_be_dialled_after_the_answer_are_in_no_head(site: Site) -> None:
    caller, called = "sip:1;pin=4711@a", "sip:+49301;postd=p4711@gw;user=phone"
    site.worker.enter()
    site.worker.passes("t1", "acme", caller, called, "f")
    site.worker.leave()
    site.refuse(message(INVITE, ws=True, caller="1;pin=4711"), ws=True)
    site.work()
    (passed,), (refused,) = site.redis["t1"], site.redis["c1"]
    assert (passed.head.impu, passed.head.peer) == ("sip:+49301@gw;user=phone", "sip:1@a")
    assert refused.head.impu == "sip:1@b"


def test_a_command_to_the_relay_stands_in_the_trace_as_it_was_sent(site: Site) -> None:
    offer = Offer("c1", "wic", "v=0", MediaOptions(ice="remove", flags=("strict-source",)), "ims")
    site.worker.enter()
    site.worker.passes("c1", "", "sip:a@b", "sip:c@d", "t")
    site.worker.commands((offer,), time.time(), [SdpReply("v=0")], None)
    site.worker.leave()
    site.work()
    (entry,) = [one for one in site.entries("c1") if one.what is What.RELAY]
    sent = command_to_ng(offer)
    assert {key: value for key, value in entry.values.items() if key != "ms"} == {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in sent.items()
        if key not in ("command", "sdp")
    }
