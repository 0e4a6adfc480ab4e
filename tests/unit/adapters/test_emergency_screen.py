"""Where an emergency call goes, with a routing table as a worker reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kemi.adapters.doors.emergency import EmergencyScreen
from kemi.adapters.network.routing import RouteReader, route_path
from kemi.adapters.notices import Notices
from kemi.core.routing.numbers import DialPlan
from kemi.core.routing.table import Route, Target
from kemi.settings import settings_from_text
from kemi.state.counters import Counters
from kemi.state.route_index import build
from kemi.state.routing_document import RoutingDocument
from tests.fakes.table import MemoryTable
from tests.unit.site import SETTINGS_TEXT

REALM = "ims.example"
TO_TRUNK = Route("sos", "urn:service:sos", Target.TRUNK, name="carrier")
TO_GONE = Route("gone", "urn:service:sos", Target.TRUNK, name="before")
TRUNK = """
[[trunks]]
name = "one"
uris = ["sip:203.0.113.5"]
"""


class World:
    """A screen with a table of its own."""

    def __init__(
        self, folder: Path, rows: Sequence[Route], plan: DialPlan, emergency: str = 'action = "route"'
    ) -> None:
        groups = {"carrier": ["one"], "before": ["gone"]}
        document = RoutingDocument(trunk_groups=groups, plans={REALM: plan})
        build(route_path(folder, 1), rows, msgspec.json.encode(document).decode())
        self.counters, self.told = Counters(MemoryTable()), MemoryTable()
        self.screen = EmergencyScreen(
            settings_from_text(f"{SETTINGS_TEXT}{TRUNK}\n[emergency]\n{emergency}\n"),
            RouteReader(str(folder), MemoryTable()),
            self.counters,
            Notices(self.told, "gw"),
        )


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
