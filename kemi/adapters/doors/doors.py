"""What a request passes before anything is made of it: room for new work; of a page emergencies first, then limits and
the site's policy."""

from __future__ import annotations

from collections.abc import Callable

from kemi.adapters.doors.admission import Admission, identity_on
from kemi.adapters.doors.bans import BANS
from kemi.adapters.doors.barring import Barring
from kemi.adapters.doors.emergency import EmergencyScreen
from kemi.adapters.doors.overload import OverloadGate, OverloadWatch
from kemi.adapters.kamailio import ksr
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.network.routing import RouteReader
from kemi.adapters.notices import Notices
from kemi.core.call.from_page import challenged
from kemi.core.errors import SipReject
from kemi.core.identity import target_for_core
from kemi.core.limits import NEVER_REFUSED
from kemi.core.messages import Request, Side
from kemi.core.registration import Flow
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.counters import Counters
from kemi.state.flows import FlowStore
from kemi.state.tallies import TallyStore


class Doors:
    """The doors of a worker process, and what stands behind them."""

    def __init__(
        self,
        settings: Settings,
        flows: FlowStore,
        calls: CallStore,
        routes: RouteReader,
        is_of_core: Callable[[], bool],
        is_of_trunk: Callable[[], bool],
    ) -> None:
        """``is_of_core``: whether the sender of the current message may speak with us as the core, as trunks may;
        ``is_of_trunk``: whether it is a trunk."""
        BANS.configure(settings)
        self.notices = Notices(HtableTable("notice"), settings.node_name)
        self.counters = Counters(HtableTable("counter"))
        self.routes = routes
        self._flows, self._calls, self._realm = flows, calls, settings.realm
        tallies = TallyStore(HtableTable("tally"))
        self.barring = Barring(calls, tallies, self.counters, self.notices, self.routes.permission)
        self.emergency = EmergencyScreen(
            settings, flows, self.routes, self.counters, self.notices, self.goes_on
        )
        self.admission = Admission(settings, flows, calls, tallies, self.barring)
        self.overload = OverloadGate(
            settings, flows, self.admission, self.emergency.knows, is_of_core, is_of_trunk
        )
        self.overload_watch = OverloadWatch(settings)

    def refuses(self, method: str) -> bool:
        """Answer the current request if it is new work and one too many, or say nothing where it is one of a flood of
        what is never refused; False: it goes on."""
        return self._floods() if method in NEVER_REFUSED else self.overload.refuses(method)

    def drops_reply(self) -> bool:
        """Drop the current response if it is one of a flood; False: it goes on."""
        if not self._floods():
            return False
        ksr.drop()
        return True

    def _floods(self) -> bool:
        return ksr.side() is Side.WIC and self.admission.floods(ksr.connection_id())

    def goes_on(self, request: Request, uri: str) -> bool:
        """Whether a page's INVITE to ``uri`` is the one that the core has challenged, with credentials: the same call,
        which has been counted and told of."""
        known = self._calls.get(request.call_id) if request.method == "INVITE" else None
        target = target_for_core(uri, self._realm)
        return known is not None and challenged.goes_on(known, request, target)

    def admit(self, request: Request) -> Flow | None:
        """Let a page's request in and return what is known of its connection; raise the answer it gets when it does
        not go on."""
        flow = self._flows.opened(request.connection_id)
        impu = identity_on(flow)
        if self.emergency.screen(request, impu, self.admission.admit_emergency):
            return flow
        if not impu and flow is not None and BANS.ban_of(flow.client_address) is not None:
            raise SipReject("this address is banned")  # housekeeping is about to end its connection
        self.admission.admit(request, impu)
        return flow
