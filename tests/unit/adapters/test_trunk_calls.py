"""Calls of trunks as workers pass them: what is kept of each, and for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kemi.adapters import gateway as gateway_module
from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio import transactions
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.monitoring.measuring import METRICS
from kemi.adapters.trunks.calls import TrunkCalls
from kemi.core.errors import SipReject
from kemi.core.metrics import catalogue as series
from kemi.core.trunk.incoming import WayIn
from kemi.settings import settings_from_text
from kemi.state.waiting import WaitingStore
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.conftest import AbsentRedis
from tests.unit.adapters.played import MESSAGE
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.adapters.test_traces import Site
from tests.unit.site import SETTINGS_TEXT

TRUNK = """
[[trunks]]
name = "carrier"
uris = ["sip:203.0.113.5"]
most_calls = 2
[[trunks]]
name = "other"
uris = ["sip:203.0.113.6"]
[[trunks]]
name = "pbx"
uris = ["sip:192.0.2.1:5070"]
"""
CARRIER, OTHER, CORE = ("203.0.113.5", 5060), ("203.0.113.6", 5060), ("198.51.100.7", 5060)
CONTACT = "<sip:sbc@203.0.113.5>"
WAY = WayIn("row", "sip:+4930123@ims.example;user=phone")


def message(
    first_line: str, call_id: str, method: str, source: tuple[str, int], **fields: str
) -> FakeMessage:
    """Return a message of a trunk's call; ``to``, ``sender``: tags; ``further``: more lines."""
    tags: Mapping[str, str] = {
        "sender": "t1",
        "to": "",
        "cseq": "1",
        "further": "",
        "contact": CONTACT,
        **fields,
    }
    to_tag = f";tag={tags['to']}" if tags["to"] else ""
    text = f"""{first_line}
Via: SIP/2.0/UDP {source[0]};branch=z9hG4bK{method}{tags["sender"]}{tags["to"]}
From: <sip:+4940999@203.0.113.5>;tag={tags["sender"]}
To: <sip:+4930123@192.0.2.1>{to_tag}
Call-ID: {call_id}
CSeq: {tags["cseq"]} {method}
Max-Forwards: 70
Contact: {tags["contact"]}
{tags["further"]}
"""
    return FakeMessage.from_bytes(text.encode(), protocol="udp", source=source)


class World:
    """A gateway with a trunk."""

    def __init__(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        self.kamailio, self._gateway = kamailio, gateway

    def with_entry_points(self, *uris: str) -> World:
        """Return the same with several entry points of the home network."""
        settings = settings_from_text(SETTINGS_TEXT + TRUNK)
        return World(self.kamailio, Gateway(replace(settings, icscf_uris=list(uris))))

    @property
    def running(self) -> int:
        """Calls of the trunk."""
        return self._gateway._trunks.room.running("carrier")

    def invites(self, call_id: str) -> int:
        """The carrier calls; return the status it gets from us, or 0."""
        return self._came(message("INVITE sip:+4930123@192.0.2.1 SIP/2.0", call_id, "INVITE", CARRIER))

    def asks(
        self,
        method: str,
        call_id: str,
        *,
        to: str,
        sender: str = "t1",
        cseq: int = 2,
        source: tuple[str, int] | None = None,
        forged: bool = False,
        contact: str = CONTACT,
        further: str = "",
    ) -> int:
        """One side sends a request inside the call; the same.  ``forged``: to hosts of its choice."""
        source = source or (CARRIER if sender == "t1" else CORE)
        routes = "Route: <sip:trunk@192.0.2.1:5060;lr>\n" + "Route: <sip:192.0.2.99;lr>\n" * forged + further
        uri = "sip:5060@127.0.0.1:2223" if forged else "sip:x@198.51.100.7"
        fields = {"to": to, "sender": sender, "cseq": str(cseq), "further": routes, "contact": contact}
        return self._came(message(f"{method} {uri} SIP/2.0", call_id, method, source, **fields))

    def answers(
        self,
        status: int,
        method: str,
        call_id: str,
        tag: str,
        cseq: int = 1,
        *,
        source: tuple[str, int] = CORE,
        further: str = "",
        contact: str = CONTACT,
    ) -> None:
        """The core responds to the carrier."""
        fields = {"to": tag, "cseq": str(cseq), "further": further, "contact": contact}
        self.kamailio.receive(message(f"SIP/2.0 {status} X", call_id, method, source, **fields))
        self._gateway.ksr_reply_route(MESSAGE)

    @property
    def sent(self) -> tuple[str, str, list[str]]:
        """Request-URI, next hop and Routes of what was sent last."""
        last = self.kamailio.relayed[-1]
        return last.request_uri, last.variables.get("$du", ""), last.sent_values("Route")

    def _came(self, request: FakeMessage) -> int:
        before = len(self.kamailio.replies)
        self.kamailio.receive(request)
        self._gateway.ksr_request_route(MESSAGE)
        return next((reply.status for reply in self.kamailio.replies[before:]), 0)


@pytest.fixture
def world(kamailio: FakeKamailio, relay: ScriptedRelay, monkeypatch: pytest.MonkeyPatch) -> World:
    """A worker, and the carrier's calls all go to one user."""
    monkeypatch.setattr(gateway_module, "MediaRelay", lambda *_: relay)
    monkeypatch.setattr(gateway_module, "RedisLink", lambda *_, **__: AbsentRedis())
    monkeypatch.setattr(TrunkCalls, "_way", lambda *_: WAY)
    return World(kamailio, Gateway(settings_from_text(SETTINGS_TEXT + TRUNK)))


def test_a_call_that_cannot_even_be_sent_takes_nobody_s_place(world: World) -> None:
    """No failure route runs then."""
    world.kamailio.script("tm.t_relay", -1)
    assert [world.invites(f"c{number}") for number in range(3)] == [503] * 3
    assert world.running == 0
    world.kamailio.script("tm.t_relay", 1)
    assert [world.invites(f"d{number}") for number in range(3)] == [0, 0, 503]
    assert world.running == 2
    refused = "\n".join(world.kamailio.replies[-1].headers)
    assert "Reason: Q.850;cause=34" in refused
    assert "Retry-After" not in refused


@pytest.mark.parametrize("privacy", ["none", "id"])
def test_heads_of_traces_name_no_caller_who_withholds_a_number(
    world: World, monkeypatch: pytest.MonkeyPatch, privacy: str
) -> None:
    traces = Site()
    monkeypatch.setattr("kemi.adapters.trunks.calls.NOTES", traces.worker)
    line = "INVITE sip:+4930123@192.0.2.1 SIP/2.0"
    world._came(message(line, "c1", "INVITE", CARRIER, further=f"Privacy: {privacy}\n"))
    traces.work()
    hidden = {portion.head.peer == "sip:anonymous@anonymous.invalid" for portion in traces.redis["c1"]}
    assert hidden == {privacy == "id"}


@pytest.mark.parametrize("rings", [False, True])
def test_a_call_that_rang_does_not_ring_a_second_time(
    world: World, monkeypatch: pytest.MonkeyPatch, rings: bool
) -> None:
    """The home network answers 503: only where no telephone rang, another entry point is asked."""
    monkeypatch.setattr(transactions, "is_refused_by_page", lambda: False)
    world = world.with_entry_points("sip:icscf.ims.example", "sip:icscf2.ims.example")
    world.invites("c1")
    if rings:
        world.answers(180, "INVITE", "c1", "A")
    first = message("INVITE sip:+4930123@192.0.2.1 SIP/2.0", "c1", "INVITE", CARRIER)
    world.kamailio.receive(first, transaction=(11, 22))
    world.kamailio.failure_status = 503
    world.kamailio.script("tm.t_branch_timeout", -1)
    sent = len(world.kamailio.relayed)
    world._gateway.ksr_failure_trunk_call(MESSAGE)
    assert len(world.kamailio.relayed) - sent == (not rings)
    assert world.running == (not rings)
    assert [reply.status for reply in world.kamailio.replies if reply.status >= 200] == [503] * rings


def ended() -> dict[str, float]:
    """Return how many calls of the carrier have ended so, as Prometheus sees them."""
    found = (one for one in METRICS.all() if one.metric is series.TRUNK_ENDED)
    return {one.labels[2]: one.value for one in found if one.labels[:2] == ("carrier", "from_trunk")}


def test_calls_of_trunks_are_counted_when_they_are_over(world: World) -> None:
    for call_id in ("c1", "c2"):
        world.invites(call_id)
        world.answers(200, "INVITE", call_id, "A")
    assert world.invites("c3") == 503  # it may have two
    assert ended() == {"failed": 1}
    for _ in range(2):  # also where it is sent once more
        world.asks("BYE", "c1", to="t1", sender="A")
    assert ended() == {"failed": 1, "answered": 1}
    world.asks("BYE", "c2", to="A")
    assert ended() == {"failed": 1, "answered": 2}


@pytest.mark.parametrize(
    ("status", "is_cancelled", "result"),
    [
        pytest.param(486, False, "refused", id="busy"),
        pytest.param(408, False, "refused", id="nobody picks up"),
        pytest.param(503, False, "failed", id="the home network takes no calls"),
        pytest.param(487, True, "cancelled", id="the caller gives up"),
    ],
)
def test_so_are_those_that_nobody_takes(world: World, status: int, is_cancelled: bool, result: str) -> None:
    world.invites("c1")
    first = message("INVITE sip:+4930123@192.0.2.1 SIP/2.0", "c1", "INVITE", CARRIER)
    world.kamailio.receive(first, transaction=(11, 22))
    world.kamailio.failure_status = status
    world.kamailio.script("tm.t_branch_timeout", -1)
    world.kamailio.script("tm.t_is_canceled", 1 if is_cancelled else -1)
    world._gateway.ksr_failure_trunk_call(MESSAGE)
    assert ended() == {result: 1}


def test_so_are_those_that_go_no_further_than_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> WayIn:
        raise SipReject("nobody has this number here", status=404, reason_phrase="Not Found")

    monkeypatch.setattr(TrunkCalls, "_way", nobody)
    assert world.invites("c1") == 404
    assert ended() == {"refused": 1}
    monkeypatch.setattr(TrunkCalls, "_way", lambda *_: WAY)
    world.kamailio.script("tm.t_relay", -1)
    assert world.invites("c2") == 503
    assert ended() == {"refused": 1, "failed": 1}
    ours = {one.labels[:2]: one.value for one in METRICS.all() if one.metric is series.REFUSED}
    assert ours == {("INVITE", "404"): 1, ("INVITE", "503"): 1}


def test_the_bye_ends_it(world: World) -> None:
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A")
    assert world.asks("BYE", "c1", to="t1", sender="A") == 0
    assert world.kamailio.tables["trunk_call"]  # its answer still passes
    world.kamailio.receive(message("SIP/2.0 200 OK", "c1", "BYE", CARRIER, sender="A", to="t1", cseq="2"))
    world._gateway.ksr_reply_route(MESSAGE)
    assert (world.running, world.kamailio.tables["trunk_call"]) == (0, {})


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        pytest.param("", ["Q.850;cause=16"], id="nothing"),
        pytest.param('SIP;cause=200;text="Call completed elsewhere"', ["Q.850;cause=16"], id="200"),
        pytest.param('SIP;cause=503;text="the page is gone"', ["Q.850;cause=41"], id="503"),
        pytest.param("Q.850;cause=31", [], id="a cause"),
    ],
)
def test_a_trunk_is_told_why_the_home_network_hangs_up(world: World, reason: str, told: list[str]) -> None:
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A")
    further = f"Reason: {reason}\n" if reason else ""
    assert world.asks("BYE", "c1", to="t1", sender="A", further=further) == 0
    added = [one for one in world.kamailio.relayed[-1].appended if one.startswith("Reason")]
    assert added == [f"Reason: {one}" for one in told]


def test_of_two_that_answer_at_once_one_gets_a_bye_and_the_other_goes_on(world: World) -> None:
    """RFC 3261 §13.2.2.4."""
    world.invites("c1")
    for tag in ("A", "B", "A"):
        world.answers(200, "INVITE", "c1", tag)
    assert world.asks("BYE", "c1", to="B") == 0
    world.answers(200, "BYE", "c1", "B", cseq=2)
    world.answers(200, "INVITE", "c1", "B")  # was on its way once more
    assert world.running == 1
    assert world.asks("INFO", "c1", to="A", cseq=3) == 0
    assert world.asks("BYE", "c1", to="A", cseq=4) == 0
    world.answers(200, "BYE", "c1", "A", cseq=4)
    assert world.running == 0
    assert world.asks("INFO", "c1", to="A", cseq=5) == 481


def test_a_bye_to_a_fork_that_rings_does_not_end_it(world: World) -> None:
    world.invites("c1")
    world.answers(180, "INVITE", "c1", "A")
    assert world.asks("BYE", "c1", to="A") == 0
    world.answers(200, "BYE", "c1", "A", cseq=2)
    world.answers(200, "INVITE", "c1", "B")
    assert world.running == 1


INTO = "Record-Route: <sip:s.ims.example;lr>, <sip:p.ims.example;lr>\nRecord-Route: <sip:trunk@192.0.2.1:5060;lr>"
ROUTES = ["<sip:p.ims.example;lr>", "<sip:s.ims.example;lr>"]


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE", "MESSAGE", "ACK"])
def test_a_trunk_does_not_say_where_its_requests_go(world: World, method: str) -> None:
    """RFC 3261 §12.2.1.1: to whoever has responded, by the routes of the response."""
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A", further=INTO, contact="<sip:a@198.51.100.9>")
    assert world.asks(method, "c1", to="A", forged=True) == 0
    assert world.sent == ("sip:a@198.51.100.9", "sip:p.ims.example;lr", ROUTES)
    world.answers(200, "INVITE", "c1", "B", contact="sip:b@198.51.100.9;transport=tcp")
    assert world.asks(method, "c1", to="B", cseq=3, forged=True) == 0
    assert world.sent == ("sip:b@198.51.100.9", "", [])


def test_nor_to_whom_it_speaks_that_never_rang(world: World) -> None:
    world.invites("c1")
    sent = len(world.kamailio.relayed)
    assert world.asks("INFO", "c1", to="A", forged=True) == 481
    world.answers(180, "INVITE", "c1", "A", contact="")
    world.answers(486, "INVITE", "c1", "B")
    world.answers(200, "INFO", "c1", "C")
    assert [world.asks("INFO", "c1", to=to, forged=True) for to in ("A", "B", "C")] == [481] * 3
    assert world.asks("ACK", "c1", to="C", forged=True) == 0
    assert len(world.kamailio.relayed) == sent


def test_who_rings_and_who_answers_is_found(world: World) -> None:
    world.invites("c1")
    world.answers(183, "INVITE", "c1", "A", further=INTO, contact="<sip:ringing@198.51.100.9>")
    assert world.asks("PRACK", "c1", to="A", forged=True) == 0
    assert world.sent == ("sip:ringing@198.51.100.9", "sip:p.ims.example;lr", ROUTES)
    world.answers(200, "UPDATE", "c1", "A", cseq=2, contact="<sip:updated@198.51.100.9>")
    assert world.asks("UPDATE", "c1", to="A", forged=True) == 0
    assert world.sent == ("sip:updated@198.51.100.9", "sip:p.ims.example;lr", ROUTES)
    world.answers(200, "INVITE", "c1", "A", further=INTO, contact="<sip:answered@198.51.100.9>")
    world.answers(200, "INVITE", "c1", "A", cseq=3, contact="<sip:changed@198.51.100.9>")
    assert world.asks("BYE", "c1", to="A", forged=True) == 0
    assert world.sent == ("sip:changed@198.51.100.9", "sip:p.ims.example;lr", ROUTES)


def test_who_moves_is_followed(world: World) -> None:
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A", further=INTO)
    assert world.asks("INVITE", "c1", to="t1", sender="A", contact="<sip:moved@198.51.100.9>") == 0
    assert world.asks("INFO", "c1", to="t1", sender="A", contact="<sip:not@198.51.100.9>") == 0
    assert world.asks("BYE", "c1", to="A", forged=True) == 0
    assert world.sent == ("sip:moved@198.51.100.9", "sip:p.ims.example;lr", ROUTES)


def test_what_a_page_says_beside_does_not_reach_the_trunk(world: World) -> None:
    beside = "X-Charge-Number: 7\nP-Anything: 1\nSubject: hello\n"
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A", further=beside)
    asked = message(
        "INFO sip:sbc@203.0.113.5 SIP/2.0",
        "c1",
        "INFO",
        CORE,
        sender="A",
        to="t1",
        cseq="2",
        further=f"Route: <sip:trunk@192.0.2.1:5060;lr>\n{beside}",
    )
    answer = world.kamailio.message
    assert world._came(asked) == 0
    for passed in (answer, world.kamailio.relayed[-1]):
        assert passed is not None
        assert not passed.sent_values("X-Charge-Number") and not passed.sent_values("P-Anything")
        assert passed.sent_values("Subject") == ["hello"]


@pytest.mark.parametrize(
    ("trunk", "source", "status"),
    [("carrier", CARRIER, 0), ("carrier", OTHER, 481), ("", CARRIER, 481), ("", CORE, 0)],
)
def test_a_trunk_reaches_its_call_of_a_page_at_the_gateway_that_has_it_now(
    world: World, trunk: str, source: tuple[str, int], status: int
) -> None:
    """Until it has heard where that is."""
    WaitingStore(HtableTable).handed_over("c9", "192.0.2.2:5060", trunk)
    asked = message("INVITE sip:g@192.0.2.1 SIP/2.0", "c9", "INVITE", source, to="page", cseq="2")
    assert world._came(asked) == status
    assert [one.variables["$du"] for one in world.kamailio.relayed] == ["sip:192.0.2.2:5060"] * (not status)


@pytest.mark.parametrize("source", [CARRIER, OTHER])
def test_no_trunk_speaks_as_the_home_network(world: World, source: tuple[str, int]) -> None:
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A", source=source, contact="<sip:5060@127.0.0.1:2223>")
    assert world.kamailio.dropped
    assert world.asks("INFO", "c1", to="A") == 481
    world.answers(200, "INVITE", "c1", "A")
    sent = len(world.kamailio.relayed)
    assert world.asks("INVITE", "c1", to="t1", sender="A", source=source, forged=True) == 403
    assert len(world.kamailio.relayed) == sent


def test_a_trunk_at_our_own_address_does_not_answer_for_us(world: World) -> None:
    pbx, ourselves = ("192.0.2.1", 5070), ("192.0.2.1", 5060)
    assert world._came(message("INVITE sip:+4930123@192.0.2.1 SIP/2.0", "c1", "INVITE", pbx)) == 0
    world.answers(200, "INVITE", "c1", "A", source=ourselves)
    calls = world._gateway._trunks.calls
    for source, taken in ((pbx, True), (ourselves, False), (OTHER, False)):
        changed = message("SIP/2.0 200 OK", "c1", "INVITE", source, sender="A", to="t1")
        world.kamailio.receive(changed)
        assert calls.takes_reply("INVITE", 200) is taken
    world.answers(200, "INVITE", "c1", "B", source=pbx)
    assert world.kamailio.dropped


def test_a_call_of_the_release_before_goes_on(world: World) -> None:
    """It has kept who has answered, and not where that is."""
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A")
    table = world.kamailio.tables["trunk_call"]
    kept = {name: value for name, value in json.loads(table["c1"]).items() if name != "ends"}
    table["c1"] = json.dumps(kept)
    world.answers(200, "INVITE", "c1", "B")
    assert world.asks("INFO", "c1", to="A") == 0
    assert world.sent == ("sip:x@198.51.100.7", "", [])
    assert world.asks("INFO", "c1", to="C") == 481
    assert world.asks("BYE", "c1", to="A", cseq=3) == 0


@pytest.mark.parametrize(
    ("method", "status", "vias", "passes"),
    [
        ("INVITE", 200, "SIP/2.0/WSS x.invalid;branch=z9hG4bKx;received=127.0.0.1;rport=4000", True),
        ("INVITE", 200, "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKx", False),
        ("INVITE", 486, "SIP/2.0/WSS x.invalid;branch=z9hG4bKx", False),
        ("BYE", 200, "SIP/2.0/WSS x.invalid;branch=z9hG4bKx", False),
    ],
)
def test_a_trunk_does_not_say_where_its_responses_go(
    world: World, method: str, status: int, vias: str, passes: bool
) -> None:
    """Of a call of a page's, where the transaction is over."""
    for source, expected in ((CARRIER, passes), (CORE, True)):
        world.kamailio.receive(
            message(f"SIP/2.0 {status} X", "c9", method, source, to="x", further=f"Via: {vias}")
        )
        world._gateway.ksr_stray_reply_event(MESSAGE, "on_sl_reply")
        assert world.kamailio.dropped is not expected
