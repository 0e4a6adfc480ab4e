"""Calls of trunks as workers pass them: what is kept of each, and for how long."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kemi.adapters import gateway as gateway_module
from kemi.adapters.gateway import Gateway
from kemi.adapters.trunks.calls import TrunkCalls
from kemi.core.trunk.incoming import WayIn
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.conftest import AbsentRedis
from tests.unit.adapters.played import MESSAGE
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.site import SETTINGS_TEXT

TRUNK = """
[[trunks]]
name = "carrier"
uris = ["sip:203.0.113.5"]
most_calls = 2
"""
CARRIER, CORE = ("203.0.113.5", 5060), ("198.51.100.7", 5060)
WAY = WayIn("row", "sip:+4930123@ims.example;user=phone")


def message(
    first_line: str, call_id: str, method: str, source: tuple[str, int], **fields: str
) -> FakeMessage:
    """Return a message of a trunk's call; ``to``, ``sender``: tags; ``further``: more lines."""
    tags: Mapping[str, str] = {"sender": "t1", "to": "", "cseq": "1", "further": "", **fields}
    to_tag = f";tag={tags['to']}" if tags["to"] else ""
    text = f"""{first_line}
Via: SIP/2.0/UDP {source[0]};branch=z9hG4bK{method}{tags["sender"]}{tags["to"]}
From: <sip:+4940999@203.0.113.5>;tag={tags["sender"]}
To: <sip:+4930123@192.0.2.1>{to_tag}
Call-ID: {call_id}
CSeq: {tags["cseq"]} {method}
Max-Forwards: 70
Contact: <sip:sbc@203.0.113.5>
{tags["further"]}
"""
    return FakeMessage.from_bytes(text.encode(), protocol="udp", source=source)


class World:
    """A gateway with a trunk."""

    def __init__(self, kamailio: FakeKamailio, gateway: Gateway) -> None:
        self.kamailio, self._gateway = kamailio, gateway

    @property
    def running(self) -> int:
        """Calls of the trunk."""
        return self._gateway._trunks.room.running("carrier")

    def invites(self, call_id: str) -> int:
        """The carrier calls; return the status it gets from us, or 0."""
        return self._came(message("INVITE sip:+4930123@192.0.2.1 SIP/2.0", call_id, "INVITE", CARRIER))

    def asks(self, method: str, call_id: str, *, to: str, sender: str = "t1", cseq: int = 2) -> int:
        """One side sends a request inside the call; the same."""
        source = CARRIER if sender == "t1" else CORE
        route = "Route: <sip:trunk@192.0.2.1:5060;lr>\n"
        fields = {"to": to, "sender": sender, "cseq": str(cseq), "further": route}
        return self._came(message(f"{method} sip:x@198.51.100.7 SIP/2.0", call_id, method, source, **fields))

    def answers(self, status: int, method: str, call_id: str, tag: str, cseq: int = 1) -> None:
        """The core responds to the carrier."""
        fields = {"to": tag, "cseq": str(cseq)}
        self.kamailio.receive(message(f"SIP/2.0 {status} X", call_id, method, CORE, **fields))
        self._gateway.ksr_reply_route(MESSAGE)

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


def test_the_bye_ends_it(world: World) -> None:
    world.invites("c1")
    world.answers(200, "INVITE", "c1", "A")
    assert world.asks("BYE", "c1", to="t1", sender="A") == 0
    assert world.kamailio.tables["trunk_call"]  # its answer still passes
    world.kamailio.receive(message("SIP/2.0 200 OK", "c1", "BYE", CARRIER, sender="A", to="t1", cseq="2"))
    world._gateway.ksr_reply_route(MESSAGE)
    assert (world.running, world.kamailio.tables["trunk_call"]) == (0, {})


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
