"""What of a gateway's process is about trunks, put together."""

from __future__ import annotations

from collections.abc import Callable

from kemi.adapters.calls.executor import Executor
from kemi.adapters.calls.history import CallNotes
from kemi.adapters.calls.snapshots import CallSnapshots
from kemi.adapters.control.endpoint import Routes
from kemi.adapters.control.trunks import trunk_routes
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.entry_points import EntryPoints
from kemi.adapters.network.routing import RouteReader
from kemi.adapters.notices import Notices
from kemi.adapters.trunks.calls import TrunkAnswers, TrunkCalls
from kemi.adapters.trunks.keeper import TrunkKeeper
from kemi.adapters.trunks.room import TrunkRoom, running
from kemi.core.trunk.sources import TrunkSources, hosts_of
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.schedule import Schedule
from kemi.state.table import Table
from kemi.state.tallies import TallyStore
from kemi.state.trunks import TrunkStore
from kemi.state.waiting import WaitingStore


class TrunkParts:
    """The parts, which share their tables."""

    def __init__(
        self,
        settings: Settings,
        calls: CallStore,
        routes: RouteReader,
        executor: Executor,
        entry_points: EntryPoints,
        elsewhere: WaitingStore,
    ) -> None:
        """``elsewhere``: knows the calls that other gateways have now."""
        self._settings = settings
        self._executor = executor
        self.store = TrunkStore(HtableTable)
        self.room = TrunkRoom(
            TallyStore(HtableTable("tally")),
            HtableTable("trunk_elsewhere"),
            running(calls, self.store),
        )
        sources = TrunkSources(settings.trunks, [settings.sip.address, *hosts_of(settings.icscf_uris)])
        self.calls = TrunkCalls(
            settings, sources, self.store, self.room, calls, routes, executor, entry_points, elsewhere
        )
        self.answers = TrunkAnswers(settings.flow_secret, self.store)

    def snapshots(self, calls: CallStore, changed: Table, schedule: Schedule) -> CallSnapshots:
        """Return what is kept of calls beyond a restart; ``changed``: names of those to be written."""
        notes = CallNotes(HtableTable("statistics"), HtableTable("finished"))
        return CallSnapshots(calls, changed, schedule, self.store, self.room, notes)

    def control_routes(self) -> Routes:
        """Return the routes of the control endpoint."""
        return trunk_routes(self.store)

    def keeper(self, notices: Notices, new_token: Callable[[], str]) -> TrunkKeeper:
        """Return what housekeeping does about trunks."""
        return TrunkKeeper(self._settings, self.store, self.room, self._executor, notices, new_token)
