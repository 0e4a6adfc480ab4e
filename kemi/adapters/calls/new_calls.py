"""Calls that begin: judged, written down, carried out; one that fails half-way leaves nothing behind."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from kemi.adapters.calls.conference import removes_participant
from kemi.adapters.calls.dialog_ids import DialogIds
from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.executor import Executor
from kemi.adapters.doors.doors import Doors
from kemi.adapters.kamailio import connections, ksr
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.adapters.pages.flows import LiveFlows
from kemi.adapters.pages.registrar import Registrar
from kemi.adapters.relay.media import MediaRelay
from kemi.core.bodies import CARRIERS, unsupported
from kemi.core.call.actions import ForgetCall, ReleaseMedia
from kemi.core.call.events import CredentialsSent, Due, FlowClosed, TimerFired, WicFailed
from kemi.core.call.from_page import challenged
from kemi.core.call.from_page.redirection import name_of
from kemi.core.call.from_page.setup import begin_call
from kemi.core.call.from_page.trunk_call import outbound_of
from kemi.core.call.media.session import with_terms
from kemi.core.call.record import CallRecord
from kemi.core.call.record_key import INCOMING_TAG, record_key
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Media
from kemi.core.call.towards_page.incoming import begin_incoming, called_registration
from kemi.core.emergency import WHY, EmergencyAction, with_priority
from kemi.core.errors import GatewayError, SipReject
from kemi.core.extensions import refuse, unknown_extensions
from kemi.core.flow_token import token_from_routes
from kemi.core.media_profile import profile_towards_core, profile_towards_page
from kemi.core.messages import Reply, Request, Side, addresses_from_headers, uri_from_address
from kemi.core.recipients import ASKED_IN, lists_of, recipients_of
from kemi.core.registration import Registration
from kemi.core.routing.numbers import numbers_in_code
from kemi.core.routing.permissions import CallDenied, Why
from kemi.core.routing.way import CORE_WAY, Way
from kemi.core.standalone import FROM_PAGES
from kemi.core.trust import has_routing_parameters
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from kemi.state.trunks import Redirections
from rtpengine.sessions import namesakes

_ASKING_NOBODY: Final = (FROM_PAGES | CARRIERS) - ASKED_IN - {"ACK"}
"""Requests with bodies that pass, in which nobody reads a list; an ACK is not refused."""


class NewCalls:
    """Begins calls, from pages and towards them."""

    def __init__(
        self,
        settings: CallSettings,
        flows: FlowStore,
        live_flows: LiveFlows,
        registrar: Registrar,
        dialog_ids: DialogIds,
        calls: CallStore,
        relay: MediaRelay,
        dispatcher: Dispatcher,
        executor: Executor,
        doors: Doors,
    ) -> None:
        self._settings = settings
        self._flows = flows
        self._live_flows = live_flows
        self._registrar = registrar
        self._dialog_ids = dialog_ids
        self._calls = calls
        self._relay = relay
        self._dispatcher = dispatcher
        self._executor = executor
        self._redirections = Redirections(HtableTable("redirected"))
        self._routes, self._emergency, self._barring = doors.routes, doors.emergency, doors.barring
        self._admission, self._is_again = doors.admission, doors.goes_on

    def from_page(self, request: Request) -> None:
        """Begin the call of a page's INVITE; raise what it deserves."""
        refuse(unknown_extensions(request))
        registration = self._flows.registration(request.connection_id, time.time())
        if not self._registrar.check_token(request, registration):
            return
        dialled = request.request_uri
        way = self._way(request, registration, dialled, begins=True)
        if way is not None:
            request = replace(request, request_uri=way.request_uri)
        profile = self._profile(request, way)
        record, actions = begin_call(
            request,
            registration,
            self._settings.of(profile),
            gateway_tag=secrets.token_hex(8),
            session_id=secrets.randbits(53),
            node=self._relay.choose_node(request.call_id),
        )
        record.since, record.profile, record.dialled = time.time(), profile, dialled
        if way is not None and way.is_emergency:
            record.caller_lines = with_priority(record.caller_lines)
        if self._emergency.knows(dialled):
            record.longest_s = 0.0
        elif way is not None and way.permission.longest_call_s:
            record.longest_s = way.permission.longest_call_s
        if way is not None and way.trunks and registration is not None:
            record.outbound = outbound_of(way, request, record.asserted_identity, registration.identities)
            names = (way.number, name_of(dialled))
            redirected = self._redirections.take(registration.owner, filter(None, names))
            if redirected is not None:
                record.outbound.diversions = redirected.diversions
                record.outbound.parameters = redirected.parameters
        if self._goes_on(record, request):
            return
        NOTES.begins(record)
        try:
            self._dispatcher.carry_out(record.key, with_terms(record, actions))
        except Exception:
            self._abandon(record.key)
            raise
        if not self._flows.is_open(request.connection_id):
            # The connection ended while its INVITE was worked on; housekeeping may have found no call of it.
            self._dispatcher.dispatch(record.key, FlowClosed())

    def _goes_on(self, record: CallRecord, request: Request) -> bool:
        """Write a new call down; or go on with one that the core has challenged, if this is its INVITE again."""
        if not any(map(self._calls.knows, namesakes(record.key))):
            if self._calls.create(record):
                return False
            known = self._calls.get(record.key)
            if known is not None and challenged.goes_on(known, request, record.request_uri):
                return self._dispatcher.dispatch(record.key, CredentialsSent(request))
            if known is not None and known.challenged:  # the page has something else in mind
                self._dispatcher.dispatch(record.key, TimerFired(Due.CREDENTIALS))
                if self._calls.create(record):
                    return False
        raise SipReject("a call with this Call-ID is running", status=482, reason_phrase="Loop Detected")

    def _profile(self, request: Request, way: Way | None) -> str:
        if way is None or not (way.profile or way.trunks):
            return profile_towards_core(request, self._settings.profile_domains)
        first = self._settings.trunks.get(way.trunks[0]) if way.trunks else None
        return way.profile or (first.profile if first is not None else "")

    def check_others(self, request: Request) -> None:
        """Raise SipReject when a page's request, though no call itself, would call or have called whom it may not."""
        if request.method == "REFER" and not removes_participant(self._calls, request):
            registration = self._flows.registration(request.connection_id, time.time())
            for target in addresses_from_headers(request.headers("Refer-To")):
                self._way(request, registration, uri_from_address(target).partition("?")[0], begins=False)
        if request.method in ASKED_IN and ksr.has_body():
            self._check_recipients(request)
        elif request.method in _ASKING_NOBODY and ksr.has_body() and lists_of(ksr.body()):
            raise unsupported(f"no service reads lists of recipients in {request.method}")
        if request.method in FROM_PAGES and not request.to_tag:
            registration = self._flows.registration(request.connection_id, time.time())
            if registration is not None:
                self._check_message(request, registration, request.request_uri)

    def _check_message(self, request: Request, registration: Registration, uri: str) -> None:
        """Raise SipReject where nobody of a page's class may write to a number, or subscribe there."""
        try:
            number = self._routes.check_message(uri, self._settings.realm, registration.grant.user_class)
        except CallDenied as error:
            self._denied(request, registration, error)
            raise
        self._check_meanings(number, request, registration)

    def _check_meanings(self, number: str, request: Request, registration: Registration) -> None:
        """Ask the site's policy about what the dial plan makes of a number, and of those in a service code."""
        if self._settings.targets is None:
            return
        inside = numbers_in_code(number, self._routes.plan(self._settings.realm))
        for one in (number, *(reading for _, readings in inside for reading in readings)):
            self._check_policy(self._settings.targets.check_meaning, one, request, registration)

    def _check_recipients(self, request: Request) -> None:
        """The same of the lists in a body, by which a service calls or writes to several (RFC 5366, RFC 5365)."""
        recipients = recipients_of(ksr.body())
        if not recipients:
            return
        self._admission.admit_list(request.connection_id, len(recipients))
        registration = self._flows.registration(request.connection_id, time.time())
        ways = [self._way_of_listed(request, registration, uri) for uri in recipients]
        if registration is not None and (calls := [way for way in ways if way is not None]):
            self._admit(request, registration, calls, begins=False)

    def _way_of_listed(self, request: Request, registration: Registration | None, uri: str) -> Way | None:
        """Return what the routing table says of one of a list, who is not counted yet; None where it has no say."""
        if self._settings.targets is not None:
            self._check_policy(self._settings.targets.check_uri, uri, request, registration)
        _check_routing(uri)
        if self._emergency.knows(uri):
            if self._emergency.refuses():
                owner = registration.owner if registration is not None else ""
                self._emergency.tell(request, owner, EmergencyAction.REFUSE)
                raise SipReject(WHY)
            return None
        return None if registration is None else self._judged(request, registration, uri)

    def _check_policy(
        self,
        check: Callable[[str], None],
        target: str,
        request: Request,
        registration: Registration | None,
    ) -> None:
        """Ask the site's policy, and tell of what it denies."""
        try:
            check(target)
        except SipReject as error:
            self._denied(request, registration, error)
            raise

    def forbidden(self, reply: Reply, connection_id: str) -> str:
        """Return why a caller is not sent where the page that was called wants, "" for no reason against it."""
        if reply.method != "INVITE":
            return ""
        return self._forbidden(reply, connection_id, partial(self._way, begins=False))

    def forbidden_outside(self, reply: Reply, connection_id: str) -> str:
        """The same of a request outside calls, which goes where its page might send one itself."""
        return self._forbidden(reply, connection_id, self._check_redirected)

    def _forbidden(
        self,
        reply: Reply,
        connection_id: str,
        check: Callable[[Request, Registration | None, str], object],
    ) -> str:
        if not 300 <= reply.status < 400:
            return ""
        registration = self._flows.registration(connection_id, time.time())
        request = Request(Side.WIC, reply.method, reply.call_id, reply.from_tag, reply.to_tag, reply.cseq)
        try:
            for address in addresses_from_headers(reply.headers("Contact")):
                uri = uri_from_address(address).partition("?")[0]
                if self._emergency.refuses() and self._emergency.knows(uri):
                    return WHY
                check(request, registration, uri)
        except GatewayError as refused:
            return refused.detail
        return ""

    def _check_redirected(self, request: Request, registration: Registration | None, uri: str) -> None:
        _check_routing(uri)
        if registration is None:
            raise SipReject("this connection has no registration (any more)")
        if self._settings.targets is not None:
            self._check_policy(self._settings.targets.check_uri, uri, request, registration)
        self._check_message(request, registration, uri)

    def _way(
        self, request: Request, registration: Registration | None, uri: str, *, begins: bool
    ) -> Way | None:
        """Return what the routing table says of a call to ``uri``; raise SipReject where it says no."""
        if not begins:
            _check_routing(uri)
        if registration is None:
            return None
        if self._emergency.knows(uri):
            user_class = registration.grant.user_class
            return self._emergency.way(request.call_id, uri, user_class) if begins else None
        way = self._judged(request, registration, uri)
        if way is not None and not (begins and self._is_again(request, way.request_uri)):
            self._admit(request, registration, [way], begins=begins)
        return way

    def _judged(self, request: Request, registration: Registration, uri: str) -> Way | None:
        user_class = registration.grant.user_class
        try:
            way = self._routes.way(request.call_id, uri, self._settings.realm, user_class)
        except CallDenied as error:
            self._denied(request, registration, error)
            raise
        if way is not None:
            for number in filter(None, (way.number, way.as_number)):
                self._check_meanings(number, request, registration)
        return way and self._known(way)

    def _admit(self, request: Request, registration: Registration, ways: list[Way], *, begins: bool) -> None:
        user_class = registration.grant.user_class
        self._barring.admit(request, registration.owner, user_class, ways, begins=begins)
        for way in ways:
            fields = {"route": way.route, "cost": way.cost.value}
            log_event(logging.INFO, "call_routed", call_id=request.call_id, **fields)

    def _known(self, way: Way) -> Way:
        """Leave out trunks that have gone from the settings since the table was taken; raise SipReject where none is
        left."""
        known = tuple(name for name in way.trunks if name == CORE_WAY or name in self._settings.trunks)
        if way.trunks and not known:
            log_event(logging.ERROR, "trunk_unknown", route=way.route, trunks=",".join(way.trunks))
            raise SipReject(
                "the trunk for this number is not known here",
                status=500,
                reason_phrase="Server Internal Error",
            )
        return way if known == way.trunks else replace(way, trunks=known)

    def _denied(self, request: Request, registration: Registration | None, error: SipReject) -> None:
        why = error.why if isinstance(error, CallDenied) else Why.POLICY
        impu, user_class = (
            ("", "") if registration is None else (registration.owner, registration.grant.user_class)
        )
        self._barring.denied(request, impu, user_class, error, why)

    def from_core(self, request: Request) -> None:
        """Begin the call of the core's INVITE to a page; raise what it deserves."""
        refuse(unknown_extensions(request))
        flow = self._live_flows.deliverable(token_from_routes(request.headers("Route")))
        registration = called_registration(request, self._flows.registration(flow.connection_id, time.time()))
        gateway_tag = INCOMING_TAG + secrets.token_hex(8)
        self._dialog_ids.translate(request, lambda: registration.owner)
        profile = profile_towards_page(request, self._settings.profile_domains)
        record, actions = begin_incoming(
            request,
            flow,
            registration,
            self._settings.of(profile),
            gateway_tag=gateway_tag,
            session_id=secrets.randbits(53),
            node=self._relay.choose_node(record_key(request.call_id, gateway_tag)),
        )
        record.since, record.profile = time.time(), profile
        self._calls.create(record)
        NOTES.begins(record)
        try:
            self._dispatcher.carry_out(record.key, with_terms(record, actions))
        except Exception:
            self._abandon(record.key)
            raise
        if not connections.connection_stands(flow.connection_id):
            # It ended while its INVITE was worked on; housekeeping may have found no call of it yet.
            if self._calls.knows(record.key):
                self._executor.show_vias()
            self._dispatcher.dispatch(record.key, WicFailed(430, local=True))

    def _abandon(self, call_id: str) -> None:
        """A set-up failed half-way in a way nobody foresaw: leave nothing behind.

        Ports may have been given that the record does not know of yet.
        """
        record = self._calls.get(call_id)
        if record is not None and record.media_state is not Media.RELEASED:
            kinds = tuple(medium.kind for medium in record.media)
            self._executor.perform(call_id, ReleaseMedia(record.key, record.node, kinds))
        self._executor.perform(call_id, ForgetCall(call_id))


def _check_routing(uri: str) -> None:
    if has_routing_parameters(uri):  # they are taken from what a page calls itself
        raise SipReject("where a number is, or how it is reached, is for the network to say (RFC 4694)")
