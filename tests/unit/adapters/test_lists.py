"""Lists of recipients that a page sends: what they cost, what is counted, and who is told."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from kemi.adapters.doors.barring import Barring
from kemi.adapters.gateway import Gateway
from kemi.adapters.network.routing import RouteReader
from kemi.adapters.notices import Notices
from kemi.core.errors import GatewayError
from kemi.core.messages import Request, Side
from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.permissions import Permission
from kemi.core.routing.way import Way
from kemi.state.calls import CallStore
from kemi.state.counters import Counters
from kemi.state.tallies import TallyStore
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.fakes.table import MemoryTable
from tests.unit.adapters.messages import from_page
from tests.unit.adapters.played import MESSAGE

BOB = "sip:bob@ims.example"
LIST = "application/resource-lists+xml"


def naming(method: str, targets: list[str], *, to_tag: str = "") -> FakeMessage:
    """Return a request of the page with a list."""
    entries = "".join(f'<entry uri="{target}"/>' for target in targets)
    return from_page(
        f"""{method} {BOB} SIP/2.0
From: <sip:alice@ims.example>;tag=page
To: <{BOB}>{f";tag={to_tag}" if to_tag else ""}
Call-ID: list-1
CSeq: 7 {method}
Contact: <sip:x@page.invalid;transport=ws>
Event: conference
Content-Type: {LIST}

<resource-lists><list>{entries}</list></resource-lists>"""
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whom the routing table was asked for."""
    found: list[str] = []
    monkeypatch.setattr(RouteReader, "way", lambda _self, _call, uri, *_: found.append(uri))
    return found


def sent(kamailio: FakeKamailio, page: Gateway, message: FakeMessage) -> list[int]:
    """Let a message come in; return with what it was answered."""
    kamailio.replies.clear()
    kamailio.receive(message)
    page.ksr_request_route(MESSAGE)
    return [reply.status for reply in kamailio.replies]


class TestWhoReadsThem:
    """A list costs the worker something only where a service may read it."""

    @pytest.mark.parametrize(
        ("method", "statuses"), [("ACK", []), ("PRACK", [415]), ("UPDATE", [415]), ("NOTIFY", [415])]
    )
    def test_nobody(
        self, kamailio: FakeKamailio, page: Gateway, asked: list[str], method: str, statuses: list[int]
    ) -> None:
        message = naming(method, [BOB] * 100, to_tag="any")
        assert sent(kamailio, page, message) == statuses
        assert asked == []

    @pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "PUBLISH"])
    def test_a_service(self, kamailio: FakeKamailio, page: Gateway, asked: list[str], method: str) -> None:
        sent(kamailio, page, naming(method, ["sip:carol@ims.example"]))
        assert "sip:carol@ims.example" in asked

    def test_a_long_one_counts_as_several_requests(
        self, kamailio: FakeKamailio, page: Gateway, asked: list[str]
    ) -> None:
        """Ten a second by default, fifty at once: the request itself, and one for each ten of the list."""
        for _ in range(4):
            assert sent(kamailio, page, naming("MESSAGE", [BOB] * 100)) == []
        asked.clear()
        assert sent(kamailio, page, naming("MESSAGE", [BOB] * 100)) == [503]
        assert asked == []


class TestWhoIsTold:
    """Whoever is denied in a list is told of like whoever is called."""

    @pytest.mark.parametrize(
        "target", ["tel:+979123456789", "sip:x@evil.example", "http://evil.example/list"]
    )
    def test_of_the_sites_policy(self, kamailio: FakeKamailio, page: Gateway, target: str) -> None:
        assert sent(kamailio, page, naming("MESSAGE", [BOB, target])) == [403]
        assert kamailio.tables["counter"] == {"denied.site_policy": "1"}
        assert any("call_refused" in note for note in kamailio.tables["notice"].values())

    def test_of_an_emergency(self, kamailio: FakeKamailio, page: Gateway) -> None:
        assert sent(kamailio, page, naming("MESSAGE", [BOB, "tel:112"])) == [403]
        assert kamailio.tables["counter"] == {"emergency.refuse": "1"}
        assert any("emergency_call" in note for note in kamailio.tables["notice"].values())

    @pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
    @pytest.mark.parametrize("number", ["+979123456789", "*31#00979123456789"])
    def test_of_a_number_that_only_the_dial_plan_tells(
        self, kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch, method: str, number: str
    ) -> None:
        """Nothing of a list: the same policy for whom the page calls itself."""
        monkeypatch.setattr(RouteReader, "way", lambda *_: Way("r", BOB, "", number=number))
        monkeypatch.setattr(RouteReader, "check_message", lambda *_: number)
        monkeypatch.setattr(RouteReader, "plan", lambda *_: DialPlan(country="DE", outside="9"))
        message = naming(method, [])
        message.body = ""
        assert sent(kamailio, page, message) == [403]
        assert kamailio.tables["counter"] == {"denied.site_policy": "1"}

    def test_of_digits_at_another_domain_that_are_such_a_number_here(
        self, kamailio: FakeKamailio, page: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        way = Way("r", BOB, "", number="sip:00979123456789@partner.example", as_number="+979123456789")
        monkeypatch.setattr(RouteReader, "way", lambda *_: way)
        message = naming("INVITE", [])
        message.body = ""
        assert sent(kamailio, page, message) == [403]
        assert kamailio.tables["counter"] == {"denied.site_policy": "1"}


class TestLimits:
    """The calls of one request are counted together."""

    PERMISSION = Permission(calls_per_minute=5, per_minute={CostClass.MOBILE: 3})

    @pytest.fixture
    def barring(self) -> Barring:
        tables: defaultdict[str, Any] = defaultdict(MemoryTable)
        return Barring(
            CallStore(tables["call"], tables["call_of"]),
            TallyStore(tables["tally"]),
            Counters(tables["counter"]),
            Notices(tables["notice"], "gw"),
            lambda _class: self.PERMISSION,
        )

    def admitted(self, barring: Barring, *costs: CostClass) -> int:
        request = Request(Side.WIC, "MESSAGE", "c", "f", "", 1)
        ways = [Way("r", BOB, "", cost=cost, permission=self.PERMISSION) for cost in costs]
        try:
            barring.admit(request, "sip:alice@ims.example", "staff", ways, begins=False)
        except GatewayError as refused:
            return refused.status
        return 0

    def test_a_list_that_is_refused_takes_nothing(self, barring: Barring) -> None:
        national, mobile = CostClass.NATIONAL, CostClass.MOBILE
        assert self.admitted(barring, national, mobile, mobile) == 0
        assert self.admitted(barring, mobile, national, national) == 503
        assert self.admitted(barring, national, mobile) == 0
        assert self.admitted(barring, national) == 503

    def test_one_that_is_too_long_at_any_time_need_not_come_back(self, barring: Barring) -> None:
        assert self.admitted(barring, *[CostClass.NATIONAL] * 6) == 403
        assert self.admitted(barring, *[CostClass.MOBILE] * 4) == 403
        assert self.admitted(barring, *[CostClass.NATIONAL] * 5) == 0
