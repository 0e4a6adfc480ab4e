"""Where an emergency call goes, with a routing table as a worker reads it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kemi.adapters.doors.emergency import EmergencyScreen
from kemi.adapters.network.routing import RouteReader, route_path
from kemi.adapters.notices import Notices
from kemi.core.errors import SipReject
from kemi.core.messages import Request, Side
from kemi.core.registration import Flow, Registration
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.settings import settings_from_text
from kemi.state.counters import Counters
from kemi.state.flows import FlowStore
from kemi.state.route_index import build
from kemi.state.routing_document import RoutingDocument
from tests.fakes.table import MemoryTable
from tests.unit.site import SETTINGS_TEXT

REALM = "ims.example"
TO_TRUNK = Route("sos", "urn:service:sos", Target.TRUNK, name="carrier")
TO_GONE = Route("gone", "urn:service:sos", Target.TRUNK, name="before")
TO_CORE = Route("core", "urn:service:sos", Target.CORE)
TRUNK = """
[[trunks]]
name = "one"
uris = ["sip:203.0.113.5"]
"""


HOME = """
[home]
address = "127.0.0.1"
port = 5070
[registration]
schemes = ["bearer"]
[[tokens.issuers]]
issuer = "https://page.example"
audience = "sip:ims.example"
authz_server = "https://page.example/"
"""


class World:
    """A screen with a table of its own, and a page on connection 7."""

    def __init__(
        self,
        folder: Path,
        rows: Sequence[Route],
        plan: DialPlan,
        emergency: str = 'action = "route"',
        *,
        home: bool = False,
    ) -> None:
        groups = {"carrier": ["one"], "before": ["gone"]}
        document = RoutingDocument(trunk_groups=groups, plans={REALM: plan})
        build(route_path(folder, 1), rows, msgspec.json.encode(document).decode())
        tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self.flows, self.counters = FlowStore(tables.__getitem__), Counters(MemoryTable())
        text = f"{SETTINGS_TEXT}{TRUNK}\n[emergency]\n{emergency}\n"
        if home:
            text = text.replace("sip:icscf.ims.example", "sip:127.0.0.1:5070") + HOME
        self.screen = EmergencyScreen(
            settings_from_text(text),
            self.flows,
            RouteReader(str(folder), MemoryTable()),
            self.counters,
            Notices(tables["notice"], "gw"),
            lambda *_: False,
        )
        self.flows.open(Flow("7", "n", "198.51.100.9", "127.0.0.1:40000"))
        binding = Registration(f"sip:alice@{REALM}", "sip:x@page.invalid", time.time() + 60)
        self.flows.register("7", binding, 0.0)

    def asks(self, method: str = "INVITE", uri: str = "urn:service:sos", connection_id: str = "7") -> int:
        """Let a page send a request; return the status it gets, or 0 where it goes on."""
        request = Request(
            Side.WIC, method, "call-1", "f", "", 1,
            request_uri=uri, connection_id=connection_id,
            headers=lambda name: [f"<{uri}>"] if name == "Refer-To" else [],
        )  # fmt: skip
        try:
            self.screen.screen(request, "", lambda _: None)
        except SipReject as refused:
            return refused.status
        return 0


@pytest.mark.conformance("S-61")
@pytest.mark.parametrize(("outside", "number"), [("9", "988"), ("9", "999"), ("0", "0999"), ("9", "9112")])
def test_a_number_of_the_site_is_dialled_at_a_trunk_as_it_is(
    tmp_path: Path, outside: str, number: str
) -> None:
    plan = DialPlan(country="US", outside=outside)
    world = World(tmp_path, [TO_TRUNK], plan, f'action = "route"\nnumbers = ["{number}"]')
    way = world.screen.way("call-1", f"sip:{number}@{REALM}", "")
    assert way is not None
    assert (way.trunks, way.number) == (("one",), number)


@pytest.mark.parametrize(
    ("rows", "trunks"),
    [
        pytest.param([TO_GONE], None, id="to the core"),
        pytest.param([TO_GONE, replace(TO_TRUNK, priority=2)], ("one",), id="to the next trunk"),
    ],
)
def test_a_row_whose_trunks_have_gone_stops_nobody(
    tmp_path: Path, rows: list[Route], trunks: tuple[str, ...] | None
) -> None:
    """The table of before counts after a restart, whatever the settings are then."""
    way = World(tmp_path, rows, DialPlan()).screen.way("call-1", "urn:service:sos", "")
    assert (None if way is None else way.trunks) == trunks


@pytest.mark.conformance("S-61")
@pytest.mark.parametrize(
    ("rows", "method", "status"),
    [
        pytest.param([], "INVITE", 380, id="no row"),
        pytest.param([TO_GONE], "INVITE", 380, id="no trunk"),
        pytest.param([TO_CORE], "INVITE", 380, id="a row to a core"),
        pytest.param([TO_TRUNK], "MESSAGE", 380, id="rows are for calls"),
        pytest.param([TO_TRUNK], "INVITE", 0, id="a trunk"),
        pytest.param([TO_TRUNK], "REFER", 0, id="a transfer to a trunk"),
        pytest.param([Route("us", "urn:service:sos", Target.USER, name=f"sip:bob@{REALM}")], "INVITE", 0, id="a user"),
    ],
)  # fmt: skip
def test_without_a_core_an_emergency_that_leads_nowhere_is_refused_as_one(
    tmp_path: Path, rows: list[Route], method: str, status: int
) -> None:
    """It would hear of a wrong number from our own home network."""
    world = World(tmp_path, rows, DialPlan(), home=True)
    assert world.asks(method) == status
    assert world.counters.all() == {f"emergency.{'refuse' if status else 'route'}": 1}


def test_without_a_core_a_trunk_is_the_last_place(tmp_path: Path) -> None:
    world = World(tmp_path, [TO_TRUNK, replace(TO_CORE, priority=2)], DialPlan(), home=True)
    way = world.screen.way("call-1", "urn:service:sos", "")
    assert way is not None
    assert way.trunks == ("one",)


def test_with_a_core_it_goes_there(tmp_path: Path) -> None:
    assert World(tmp_path, [], DialPlan()).asks() == 0


@pytest.mark.conformance("S-61")
@pytest.mark.parametrize("action", ["refuse", "core", "route"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_page_that_is_not_registered_is_sent_to_another_telephone(
    tmp_path: Path, action: str, method: str
) -> None:
    world = World(tmp_path, [TO_TRUNK], DialPlan(), f'action = "{action}"')
    world.flows.open(Flow("8", "n", "198.51.100.9", "127.0.0.1:40001"))
    assert world.asks(method, connection_id="8") == 380
    assert world.counters.all() == {"emergency.refuse": 1}
