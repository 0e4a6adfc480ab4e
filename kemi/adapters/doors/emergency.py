"""Emergency calls of pages, before anything else is asked of their requests (kemi/core/emergency.py)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from kemi.adapters.log import log_event
from kemi.adapters.network.routing import RouteReader
from kemi.adapters.notices import Notices
from kemi.core.emergency import (
    AlternativeService,
    EmergencyAction,
    is_emergency_registration,
    targets_of,
)
from kemi.core.errors import SipReject
from kemi.core.messages import Request
from kemi.core.routing.numbers import DialPlan, emergency_uri, is_emergency, may_be_emergency
from kemi.core.routing.way import CORE_WAY, Way
from kemi.settings import Settings
from kemi.state.counters import Counters
from kemi.state.flows import FlowStore

Admit = Callable[[Request], None]
GoesOn = Callable[[Request, str], bool]


class EmergencyScreen:
    """Knows emergency calls, and what becomes of them."""

    def __init__(
        self,
        settings: Settings,
        flows: FlowStore,
        routes: RouteReader,
        counters: Counters,
        notices: Notices,
        goes_on: GoesOn,
    ) -> None:
        """``goes_on``: whether an INVITE to a URI is one that was challenged, with credentials."""
        self._settings = settings.emergency
        self._realm = settings.realm
        self._host = f"{settings.sip.address}:{settings.sip.port}"
        """Ours in Path."""
        self._has_core = settings.home is None
        trunks = {trunk.name for trunk in settings.trunks}
        self._places = trunks | {CORE_WAY} if self._has_core else trunks
        self._flows = flows
        self._routes = routes
        self._counters = counters
        self._notices = notices
        self._goes_on = goes_on
        self._asked = "", DialPlan(), False
        """What was asked last, with the answer: one request asks for its URI several times."""

    def knows(self, uri: str) -> bool:
        """Whether a call to this URI is one for help."""
        if not may_be_emergency(uri):
            return False
        plan = self._routes.plan(self._realm)
        if self._asked[:2] != (uri, plan):
            self._asked = uri, plan, is_emergency(uri, plan, self._settings.numbers)
        return self._asked[2]

    def screen(self, request: Request, impu: str, admit: Admit) -> bool:
        """Return whether a page's request is an emergency that goes on, whatever bars other calls; it has the
        Request-URI of one then, for what bars no call must not lead elsewhere.

        Raise AlternativeService for one that does not.  ``impu``: who registered over the connection, "" for nobody;
        ``admit`` raises when even emergencies come too fast.
        """
        if request.method == "REGISTER":
            self._check_registration(request)
            return False
        targets = targets_of(request)
        found = [uri for uri in targets if self.knows(uri)]
        if not found:
            return False
        admit(request)
        action = self._action(request, found[0])
        plan = self._routes.plan(self._realm)
        uri = emergency_uri(found[0], plan, self._realm, self._settings.numbers)
        if not self._goes_on(request, uri):
            self.tell(request, impu, action)
        if action is EmergencyAction.REFUSE:
            raise AlternativeService.of(self._host, may_register=self._settings.registration)
        if request.method == "REFER":  # which is no call of this page
            return False
        request.request_uri = uri
        return True

    def tell(self, request: Request, impu: str, action: EmergencyAction) -> None:
        """Tell of an emergency, and what becomes of it: log, counter, event."""
        fields = {"method": request.method, "action": action.value}
        log_event(logging.WARNING, "emergency_call", call_id=request.call_id, **fields)
        self._counters.add(f"emergency.{action.value}")
        self._notices.tell("emergency_call", time.time(), impu=impu, call_id=request.call_id, **fields)

    def _action(self, request: Request, uri: str) -> EmergencyAction:
        """Return what becomes of an emergency to ``uri``: one that leads nowhere is refused like all where none are
        made, or it would hear of a wrong number; and so is that of a page for which nothing goes on."""
        action = self._settings.action
        registration = self._flows.registration(request.connection_id, time.time())
        if registration is None or action is EmergencyAction.REFUSE:
            return EmergencyAction.REFUSE
        if self._has_core:
            return action
        if request.method not in ("INVITE", "REFER"):  # rows are for calls
            return EmergencyAction.REFUSE
        way = self.way(request.call_id, uri, registration.grant.user_class)
        return EmergencyAction.REFUSE if way is None else action

    def way(self, call_id: str, uri: str, user_class: str) -> Way | None:
        """Return where the table sends an emergency call; None: to the core, if there is one."""
        if self._settings.action is not EmergencyAction.ROUTE:
            return None
        way = self._routes.emergency_way(
            call_id, uri, self._realm, user_class, places=self._places, numbers=self._settings.numbers
        )
        if way is None:
            log_event(logging.ERROR, "emergency_without_route", call_id=call_id)
        return way

    def refuses(self) -> bool:
        """Whether no emergency call is made here."""
        return self._settings.action is EmergencyAction.REFUSE

    def _check_registration(self, request: Request) -> None:
        if not self._settings.registration and is_emergency_registration(request.headers("Contact")):
            raise SipReject("registrations for emergencies are not taken here")
