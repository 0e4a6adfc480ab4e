"""REGISTER through us: out to the core with our Path, back with what the core granted."""

from __future__ import annotations

import logging
import time

from kemi.adapters import ksr
from kemi.adapters.executor import Executor
from kemi.adapters.log import log_event
from kemi.core.call.actions import ForwardRequest
from kemi.core.errors import SipReject
from kemi.core.headers import explanation
from kemi.core.messages import Reply, Request, Side
from kemi.core.registration import (
    PendingRegistration,
    Registration,
    RegistrationSettings,
    pending_from_request,
    register_edits,
    registration_from_reply,
)
from kemi.core.registration.binding import check_owner, complete
from kemi.core.registration.reply import NOT_FOR_THE_PAGE, is_query, is_wildcard, shown_contacts
from kemi.core.registration.states import REPLACED, Cause
from kemi.settings import Settings
from kemi.state.flows import FlowStore
from kemi.state.table import Table

FAILURE_REGISTER = "ksr_failure_register"


class Registrar:
    """The registration part of a worker process."""

    def __init__(
        self,
        settings: Settings,
        registration_settings: RegistrationSettings,
        flows: FlowStore,
        revoked: Table,
        executor: Executor,
    ) -> None:
        self._flows = flows
        self._revoked = revoked
        self._executor = executor
        self._settings = registration_settings
        self._grace_s = settings.timers.flow_recovery_s

    def forward(self, request: Request) -> None:
        """Send a page's REGISTER to the core."""
        flow = self._flows.flow(request.connection_id)
        if flow is None:
            raise SipReject("this connection is closing", status=480, reason_phrase="Temporarily Unavailable")
        pending = complete(pending_from_request(request), request, flow, self._settings)
        check_owner(pending, self._flows.registration(request.connection_id, time.time()))
        edits = register_edits(request, flow, self._settings)
        self._flows.expect(request.call_id, request.cseq, pending)
        ksr.on_failure(FAILURE_REGISTER)
        self._executor.perform(request.call_id, ForwardRequest(Side.IMS, edits))

    def unanswered(self, request: Request) -> None:
        """Tell the page that the core is silent; its registration of before, if any, stands until it runs out."""
        self._flows.expected(request.call_id, request.cseq)
        log_event(logging.ERROR, "core_silent", call_id=request.call_id, method=request.method)
        lines = explanation("the IMS core does not answer", self._settings.realm)
        ksr.reply_in_transaction(504, "Server Time-out", lines, "")

    def answered(self, reply: Reply) -> None:
        """Learn from the core's final response; it goes on to the page without what is only for the network."""
        ksr.remove_headers(NOT_FOR_THE_PAGE)
        pending = self._flows.expected(reply.call_id, reply.cseq)
        if pending is None:
            return
        if 200 <= reply.status < 300:
            self._confirmed(pending, reply)
        elif reply.status not in (401, 407):
            log_event(
                logging.INFO,
                "registration_refused",
                call_id=reply.call_id,
                identity=pending.address_of_record,
                status=reply.status,
            )

    def _confirmed(self, pending: PendingRegistration, reply: Reply) -> None:
        now = time.time()
        if is_query(pending):
            return
        registration = None if is_wildcard(pending) else registration_from_reply(pending, reply, now)
        event = "registered" if registration else "deregistered"
        log_event(logging.INFO, event, call_id=reply.call_id, identity=pending.address_of_record)
        if registration is not None:
            self._bind(pending, registration, reply, now)
        elif is_wildcard(pending):
            for key in self._flows.bindings_of(pending.address_of_record):
                self._flows.end(key, Cause.DEREGISTERED, now)
        else:
            self._flows.end(pending.key, Cause.DEREGISTERED, now)

    def _bind(
        self, pending: PendingRegistration, registration: Registration, reply: Reply, now: float
    ) -> None:
        replaced, _ = self._flows.register(pending.connection_id, registration, now + self._grace_s)
        if (
            replaced
        ):  # the same instance over a new connection (RFC 5626 §6): the old one is of no use any more
            ksr.close_connection(replaced, *REPLACED)
            self._flows.note_closed(replaced)
        session = registration.grant.session
        if session and self._revoked.get(session) is not None:
            # Logged out while the core was asked: whoever ends the session's bindings may have missed this one.
            self._flows.end(registration.key, Cause.LOGGED_OUT, now)
        contacts = shown_contacts(pending, reply, registration, now)
        if contacts:
            ksr.remove_headers(("Contact",))
            ksr.append_headers(f"Contact: {contact}" for contact in contacts)

    @staticmethod
    def deregistered(call_id: str, status: int) -> None:
        """The core's answer to a REGISTER of ours for a page; 408: none came, and the core's own time will end it."""
        level = logging.INFO if status < 300 else logging.WARNING
        log_event(level, "deregistered_on_behalf", call_id=call_id, status=status)


def settings_for_registration(settings: Settings) -> RegistrationSettings:
    """Return what registration needs of the site."""
    return RegistrationSettings(
        realm=settings.realm,
        visited_network=settings.visited_network,
        icscf_uri=settings.icscf_uri,
        flow_secret=settings.flow_secret,
        ims_host=f"{settings.sip.address}:{settings.sip.port}",
    )
