"""The routing table where the home network is our own: its users are reached without a row, and never by a trunk."""

from __future__ import annotations

from dataclasses import replace

from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.people import People, people_of
from kemi.adapters.network.routing import RouteReader
from kemi.core.errors import SipReject
from kemi.core.routing.costs import CostClass
from kemi.core.routing.numbers import BadNumber
from kemi.core.routing.permissions import CallDenied
from kemi.core.routing.way import NoRoute, Way
from kemi.settings import Settings
from kemi.state.table import Table


class RoutesAtHome(RouteReader):
    """The table as one worker sees it, with the users of our own before trunks; what it refuses stays refused."""

    def __init__(self, folder: str, table: Table, people: People) -> None:
        super().__init__(folder, table)
        self._people = people

    def way(self, call_id: str, uri: str, realm: str, user_class: str) -> Way | None:
        """Return where a call goes; None where there is no table, or a user's pages are called."""
        try:
            way = super().way(call_id, uri, realm, user_class)
        except (NoRoute, BadNumber, CallDenied):
            if not self._is_own(uri, realm):
                raise
            return None
        if way is not None and way.trunks and self._is_own(uri, realm):
            return replace(way, trunks=(), number="", parameters=(), cost=CostClass.INTERNAL)
        return way

    def _is_own(self, uri: str, realm: str) -> bool:
        try:
            return self._people.find(uri, self.plan(realm)) is not None
        except SipReject:
            return False


def routes_of(settings: Settings) -> RouteReader:
    """Return the table of this worker."""
    table = HtableTable("routing")
    if settings.home is None:
        return RouteReader(settings.routing_directory, table)
    return RoutesAtHome(settings.routing_directory, table, people_of(settings))
